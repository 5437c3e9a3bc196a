// SPDX-License-Identifier: Apache-2.0
// image_store.c - the user's images: finding one by its name; reading only
#include "image/image_store.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "image/erofs_format.h"

#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define BELOW_HOME ".local/share"
#define BELOW "mayfly/images"
#define DIR_FLAGS (O_RDONLY | O_DIRECTORY | O_CLOEXEC)

/* Where the user's data is; root's, too. A relative name would depend on where the user stands. */
static int store_path(char *out, size_t size, struct err *e)
{
	const char *dir = getenv("XDG_DATA_HOME");
	const char *home = getenv("HOME");
	int n = -1;
	if (dir && dir[0] == '/')
		n = snprintf(out, size, "%s/" BELOW, dir);
	else if (home && home[0] == '/')
		n = snprintf(out, size, "%s/" BELOW_HOME "/" BELOW, home);
	if (n < 0)
		return err_set(e, ENOENT,
			       "no place for images: neither XDG_DATA_HOME nor HOME is set to an "
			       "absolute path");
	return (size_t)n < size ? 0 : err_set(e, ENAMETOOLONG, "XDG_DATA_HOME or HOME is too long");
}

/* mkdir -p; the ones that are missing are the user's alone. */
static int make_all(char *path)
{
	for (char *p = path + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		int ret = mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
		*p = '/';
		if (ret < 0)
			return ret;
	}
	return mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

int store_open(bool create, struct err *e)
{
	static const char *const parts[] = {STORE_BLOBS, STORE_NAMES, STORE_TMP};
	char path[PATH_MAX];
	int ret = store_path(path, sizeof(path), e);
	if (ret < 0)
		return ret;
	if (create && (ret = make_all(path)) < 0)
		return err_errno(e, -ret, "can't make the images' directory '%s'", path);
	AUTO_CLOSE int fd = open(path, DIR_FLAGS);
	if (fd < 0)
		return err_errno(e, errno, "the images' directory '%s'", path);
	for (size_t i = 0; create && i < ARRAY_SIZE(parts); i++)
		if (mkdirat(fd, parts[i], 0700) < 0 && errno != EEXIST)
			return err_errno(e, errno, "can't make '%s/%s'", path, parts[i]);
	return steal_fd(&fd);
}

int store_load(int store, const struct image_name *n, struct image_meta *m, struct err *e)
{
	char file[IMAGE_FILE_MAX];
	char text[IMAGE_TEXT_MAX];
	char path[IMAGE_FILE_MAX + sizeof(STORE_NAMES)];
	AUTO_FREE char *json = NULL;
	size_t len;
	image_name_file(n, file);
	image_name_text(n, text);
	snprintf(path, sizeof(path), STORE_NAMES "/%s", file);
	AUTO_CLOSE int fd = openat(store, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 && errno == ENOENT)
		return err_set(e, ENOENT, "there is no image '%s' (see 'mayfly image ls')", text);
	if (fd < 0)
		return err_errno(e, errno, "image '%s'", text);
	int ret = io_read_all(fd, IMAGE_META_MAX, &json, &len);
	if (ret < 0)
		return err_errno(e, -ret, "reading what is known of image '%s'", text);
	ret = image_meta_parse(json, len, m, e);
	return ret < 0 ? err_wrap(e, ret, "what is known of image '%s' (import it again)", text)
		       : 0;
}

int store_blob(int store, const struct image_meta *m, struct err *e)
{
	char path[sizeof(STORE_BLOBS) + IMAGE_HEX + 1];
	uint32_t magic;
	struct stat st;
	snprintf(path, sizeof(path), STORE_BLOBS "/%s", m->digest);
	AUTO_CLOSE int fd = openat(store, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_errno(e, errno, "image file %.12s (import it again)", m->digest);
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != m->size || m->size % EROFS_BLOCK != 0 ||
	    pread(fd, &magic, sizeof(magic), EROFS_SUPER_AT) != sizeof(magic) ||
	    le32toh(magic) != EROFS_MAGIC)
		return err_set(e, EUCLEAN,
			       "image file %.12s is damaged: remove and import it again",
			       m->digest);
	return steal_fd(&fd);
}

int image_find(const char *name, struct image *out, struct err *e)
{
	memset(out, 0, sizeof(*out));
	out->fd = -1;
	int ret = image_name_parse(name, &out->name, e);
	if (ret < 0)
		return ret;
	AUTO_CLOSE int store = store_open(false, e);
	if (store == -ENOENT)
		return err_set(e, ENOENT, "there is no image '%s': none was imported yet", name);
	if (store < 0)
		return store;
	ret = store_load(store, &out->name, &out->meta, e);
	if (ret < 0)
		return ret;
	out->fd = store_blob(store, &out->meta, e);
	if (out->fd >= 0)
		return 0;
	ret = out->fd;
	image_free(out);
	return err_wrap(e, ret, "image '%s'", name);
}

void image_free(struct image *i)
{
	close_fd(&i->fd);
	image_meta_free(&i->meta);
}

static int by_name(const void *a, const void *b)
{
	const struct image_name *x = a;
	const struct image_name *y = b;
	int c = strcmp(x->name, y->name);
	return c ? c : strcmp(x->tag, y->tag);
}

static ssize_t read_names(DIR *d, struct image_name **out, struct err *e)
{
	AUTO_FREE struct image_name *list = NULL;
	size_t n = 0;
	size_t cap = 0;
	const struct dirent *de;
	while (errno = 0, (de = readdir(d))) {
		struct image_name one;
		if (image_name_from_file(de->d_name, &one) < 0)
			continue;
		if (n == STORE_NAMES_MAX)
			return err_set(e, E2BIG, "more than %u images", STORE_NAMES_MAX);
		if (n == cap) {
			cap = cap ? 2 * cap : 64;
			struct image_name *grown = reallocarray(list, cap, sizeof(*list));
			if (!grown)
				return err_set(e, ENOMEM, "out of memory");
			list = grown;
		}
		list[n++] = one;
	}
	if (errno != 0)
		return err_errno(e, errno, "reading the images' names");
	if (n > 0)
		qsort(list, n, sizeof(*list), by_name);
	*out = steal_ptr(&list);
	return (ssize_t)n;
}

ssize_t store_names(int store, struct image_name **out, struct err *e)
{
	*out = NULL;
	int fd = openat(store, STORE_NAMES, DIR_FLAGS);
	if (fd < 0)
		return err_errno(e, errno, "the images' names");
	DIR *d = fdopendir(fd);
	if (!d) {
		close(fd);
		return err_set(e, ENOMEM, "out of memory");
	}
	ssize_t n = read_names(d, out, e);
	closedir(d);
	return n;
}
