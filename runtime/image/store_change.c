// SPDX-License-Identifier: Apache-2.0
// store_change.c - changes to the user's images: adding, removing, sweeping
//
// Who makes, removes or renames holds the store's lock, for moments only; an import works on its
// temporary file without it. A temporary file is locked by its import, and made under the store's
// lock: one that is not locked is a dead import's.
#include "image/store_change.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "image/image_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>

#define PAUSE_NS 10000000
#define DIR_FLAGS (O_RDONLY | O_DIRECTORY | O_CLOEXEC)
#define FILE_MODE 0444
#define META_MODE 0644

static int lock_store(int store, struct err *e)
{
	const struct timespec pause = {.tv_nsec = PAUSE_NS};
	const uint64_t deadline = io_now_ns() + STORE_WAIT_NS;
	AUTO_CLOSE int fd = openat(store, STORE_LOCK, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_errno(e, errno, "the images' lock");
	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return err_errno(e, errno, "the images' lock");
		if (io_now_ns() >= deadline)
			return err_set(e, EBUSY, "another mayfly is changing the images");
		nanosleep(&pause, NULL);
	}
	return steal_fd(&fd);
}

static int sync_dir(int store, const char *name)
{
	AUTO_CLOSE int fd = openat(store, name, DIR_FLAGS);
	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

static uint64_t disk_bytes(int dir, const char *name)
{
	struct stat st;
	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ? 0 : (uint64_t)st.st_blocks * 512;
}

static void remove_file(int dir, const char *name, unsigned *count, struct store_swept *s)
{
	uint64_t bytes = disk_bytes(dir, name);
	if (!s->dry_run && unlinkat(dir, name, 0) < 0)
		return;
	(*count)++;
	s->bytes += bytes;
}

static DIR *open_dir(int store, const char *name, struct err *e)
{
	int fd = openat(store, name, DIR_FLAGS);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	if (!d) {
		err_errno(e, errno, "the images' directory '%s'", name);
		if (fd >= 0)
			close(fd);
	}
	return d;
}

/* Under the store's lock. */
static int sweep_temps(int store, struct store_swept *s, struct err *e)
{
	const struct dirent *de;
	DIR *d = open_dir(store, STORE_TMP, e);
	if (!d)
		return -EIO;
	while ((de = readdir(d))) {
		if (de->d_name[0] == '.')
			continue;
		AUTO_CLOSE int fd = openat(dirfd(d), de->d_name,
					   O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
		if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
			remove_file(dirfd(d), de->d_name, &s->temps, s);
	}
	closedir(d);
	return 0;
}

static int make_temp(int store, struct store_temp *t, const char *kind, struct err *e)
{
	uint64_t id;
	char path[STORE_TMP_NAME + sizeof(STORE_TMP)];
	if (getrandom(&id, sizeof(id), 0) != sizeof(id))
		return err_errno(e, errno, "random numbers");
	snprintf(t->name, sizeof(t->name), "%s-%016llx", kind, (unsigned long long)id);
	snprintf(path, sizeof(path), STORE_TMP "/%s", t->name);
	t->fd = openat(store, path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (t->fd < 0)
		return err_errno(e, errno, "can't make a temporary file among the images");
	return 0;
}

int store_temp(int store, struct store_temp *t, struct err *e)
{
	struct store_swept swept = {0};
	t->fd = -1;
	AUTO_CLOSE int lock = lock_store(store, e);
	int ret = lock < 0 ? lock : sweep_temps(store, &swept, e);
	if (ret == 0)
		ret = make_temp(store, t, "import", e);
	if (ret == 0 && flock(t->fd, LOCK_EX | LOCK_NB) < 0) {
		ret = err_errno(e, errno, "can't lock a temporary file among the images");
		store_drop(store, t);
	}
	return ret;
}

void store_drop(int store, struct store_temp *t)
{
	if (t->fd < 0)
		return;
	if (t->name[0]) {
		char path[STORE_TMP_NAME + sizeof(STORE_TMP)];
		snprintf(path, sizeof(path), STORE_TMP "/%s", t->name);
		unlinkat(store, path, 0);
	}
	close_fd(&t->fd);
}

/* A new meaning for a name: a file beside, then rename. */
static int put_name(int store, const struct image_name *n, const struct image_meta *m,
		    struct err *e)
{
	char file[IMAGE_FILE_MAX];
	char from[STORE_TMP_NAME + sizeof(STORE_TMP)];
	char to[IMAGE_FILE_MAX + sizeof(STORE_NAMES)];
	json_t *o = image_meta_json(m);
	AUTO_FREE char *text = o ? json_dumps(o, JSON_INDENT(2)) : NULL;
	struct store_temp t;
	json_decref(o);
	if (!text)
		return err_set(e, ENOMEM, "out of memory");
	int ret = make_temp(store, &t, "name", e);
	if (ret < 0)
		return ret;
	image_name_file(n, file);
	snprintf(from, sizeof(from), STORE_TMP "/%s", t.name);
	snprintf(to, sizeof(to), STORE_NAMES "/%s", file);
	ret = io_write_full(t.fd, text, strlen(text));
	if (ret == 0 && (fchmod(t.fd, META_MODE) < 0 || fsync(t.fd) < 0 ||
			 renameat(store, from, store, to) < 0))
		ret = -errno;
	if (ret == 0) {
		t.name[0] = '\0';
		ret = sync_dir(store, STORE_NAMES);
	}
	store_drop(store, &t);
	return ret < 0 ? err_errno(e, -ret, "can't write the image's name") : 0;
}

static int put_blob(int store, struct store_temp *t, const struct image_meta *m, bool replace)
{
	char from[STORE_TMP_NAME + sizeof(STORE_TMP)];
	char to[sizeof(STORE_BLOBS) + IMAGE_HEX + 1];
	struct stat st;
	snprintf(from, sizeof(from), STORE_TMP "/%s", t->name);
	snprintf(to, sizeof(to), STORE_BLOBS "/%s", m->digest);
	bool there = fstatat(store, to, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
		     (uint64_t)st.st_size == m->size;
	if (there && !replace)
		return 0;
	if (fchmod(t->fd, FILE_MODE) < 0 || fsync(t->fd) < 0 ||
	    renameat(store, from, store, to) < 0)
		return -errno;
	t->name[0] = '\0';
	return sync_dir(store, STORE_BLOBS);
}

int store_add(int store, struct store_temp *t, const struct image_name *n,
	      const struct image_meta *m, bool replace, struct err *e)
{
	/* What takes long, before others have to wait. */
	if (fsync(t->fd) < 0)
		return err_errno(e, errno, "can't write the image");
	AUTO_CLOSE int lock = lock_store(store, e);
	if (lock < 0)
		return lock;
	int ret = put_blob(store, t, m, replace);
	if (ret < 0)
		return err_errno(e, -ret, "can't put the image in its place");
	return put_name(store, n, m, e);
}

struct digests {
	char (*list)[IMAGE_HEX + 1];
	size_t n;
};

static bool has_digest(const struct digests *d, const char *hex)
{
	for (size_t i = 0; i < d->n; i++)
		if (strcmp(d->list[i], hex) == 0)
			return true;
	return false;
}

/* The digests that names have; any that can't be read is an error. */
static int digests_in_use(int store, struct digests *d, struct err *e)
{
	AUTO_FREE struct image_name *names = NULL;
	ssize_t n = store_names(store, &names, e);
	if (n < 0)
		return (int)n;
	d->n = 0;
	d->list = calloc((size_t)n + 1, sizeof(*d->list));
	if (!d->list)
		return err_set(e, ENOMEM, "out of memory");
	for (ssize_t i = 0; i < n; i++) {
		struct image_meta m;
		int ret = store_load(store, &names[i], &m, e);
		if (ret < 0) {
			free(d->list);
			d->list = NULL;
			return ret;
		}
		memcpy(d->list[d->n++], m.digest, sizeof(m.digest));
		image_meta_free(&m);
	}
	return 0;
}

static int sweep_blobs(int store, struct store_swept *s, struct err *e)
{
	struct digests used = {0};
	const struct dirent *de;
	int ret = digests_in_use(store, &used, e);
	if (ret < 0)
		return ret;
	DIR *d = open_dir(store, STORE_BLOBS, e);
	while (d && (de = readdir(d)))
		if (image_hex_ok(de->d_name) && !has_digest(&used, de->d_name))
			remove_file(dirfd(d), de->d_name, &s->blobs, s);
	free(used.list);
	if (!d)
		return -EIO;
	closedir(d);
	return 0;
}

int store_remove(int store, const struct image_name *n, struct err *e)
{
	char file[IMAGE_FILE_MAX];
	char path[IMAGE_FILE_MAX + sizeof(STORE_NAMES)];
	char text[IMAGE_TEXT_MAX];
	struct store_swept swept = {0};
	image_name_file(n, file);
	image_name_text(n, text);
	snprintf(path, sizeof(path), STORE_NAMES "/%s", file);
	AUTO_CLOSE int lock = lock_store(store, e);
	if (lock < 0)
		return lock;
	if (unlinkat(store, path, 0) < 0)
		return errno == ENOENT ? err_set(e, ENOENT, "there is no image '%s'", text)
				       : err_errno(e, errno, "can't remove image '%s'", text);
	int ret = sweep_blobs(store, &swept, e);
	return ret < 0 ? err_wrap(e, ret, "'%s' is removed, its file stays", text) : 0;
}

int store_gc(int store, struct store_swept *s, struct err *e)
{
	AUTO_CLOSE int lock = lock_store(store, e);
	if (lock < 0)
		return lock;
	int ret = sweep_temps(store, s, e);
	if (ret == 0)
		ret = sweep_blobs(store, s, e);
	return ret < 0 ? err_wrap(e, ret, "image files without a name stay") : 0;
}
