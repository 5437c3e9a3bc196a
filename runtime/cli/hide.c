// SPDX-License-Identifier: Apache-2.0
// hide.c - --hide: what no view shows, found before the machine starts
#include "cli/hide.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* The path with its directory's links resolved, not that of its last name. */
static int set_path(struct hide *h, const char *path, struct err *e)
{
	char copy[PATH_MAX];
	size_t len = strlen(path);
	if (len >= sizeof(copy))
		return err_errno(e, ENAMETOOLONG, "'%.300s'", path);
	memcpy(copy, path, len + 1);
	while (len > 1 && copy[len - 1] == '/')
		copy[--len] = '\0';
	char *slash = strrchr(copy, '/');
	const char *last = slash ? slash + 1 : copy;
	if (!last[0] || strcmp(last, ".") == 0 || strcmp(last, "..") == 0 ||
	    strlen(last) > NAME_MAX)
		return err_set(e, EINVAL, "'%.300s' does not end in a name that could be hidden",
			       path);
	const char *dir = slash == copy ? "/" : copy;
	char name[NAME_MAX + 1];
	memcpy(name, last, strlen(last) + 1);
	if (slash)
		*slash = '\0';
	AUTO_FREE char *real = realpath(slash ? dir[0] ? dir : "/" : ".", NULL);
	if (!real)
		return err_errno(e, errno, "can't find the directory of '%.300s'", path);
	int n = snprintf(h->path, sizeof(h->path), "%s/%s", strcmp(real, "/") == 0 ? "" : real,
			 name);
	if (n < 0 || (size_t)n >= sizeof(h->path))
		return err_errno(e, ENAMETOOLONG, "'%.300s'", path);
	h->name = strrchr(h->path, '/') + 1;
	struct stat st;
	h->dir_fd = open(real, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (h->dir_fd < 0 || fstat(h->dir_fd, &st) < 0)
		return err_errno(e, errno, "can't open '%.300s'", real);
	h->dir_dev = st.st_dev;
	h->dir_ino = st.st_ino;
	return 0;
}

/* Adds one path; sets *link if it is a symbolic link. */
static int add(struct hides *hs, const char *path, bool *link, struct err *e)
{
	struct hide *h = &hs->row[hs->n++];
	struct stat st;
	*h = (struct hide){.fd = -1, .dir_fd = -1};
	int ret = set_path(h, path, e);
	if (ret < 0)
		return ret;
	h->fd = openat(h->dir_fd, h->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	/* It may come while the machine runs. */
	if (h->fd < 0 && errno == ENOENT)
		return 0;
	if (h->fd < 0 || fstat(h->fd, &st) < 0)
		return err_errno(e, errno, "can't open '%.300s'", path);
	h->dev = st.st_dev;
	h->ino = st.st_ino;
	*link = S_ISLNK(st.st_mode);
	return 0;
}

int hides_open(struct hides *h, const struct vm_config *c, struct err *e)
{
	int ret = 0;
	if (c->n_hide > 0)
		h->row = calloc(HIDES_MAX, sizeof(*h->row));
	if (c->n_hide > 0 && !h->row)
		return err_errno(e, ENOMEM, "--hide");
	for (size_t i = 0; ret == 0 && i < c->n_hide; i++) {
		bool link = false;
		ret = add(h, c->hide[i], &link, e);
		AUTO_FREE char *real = ret == 0 && link ? realpath(c->hide[i], NULL) : NULL;
		if (real)
			ret = add(h, real, &link, e);
	}
	return ret < 0 ? err_wrap(e, ret, "option --hide") : 0;
}

void hides_close(struct hides *h)
{
	for (size_t i = 0; i < h->n; i++) {
		close_fd(&h->row[i].fd);
		close_fd(&h->row[i].dir_fd);
	}
	free(h->row);
	*h = (struct hides){0};
}

bool hides_file(const struct hides *h, int fd)
{
	struct stat st;
	if (h->n == 0 || fstat(fd, &st) < 0)
		return false;
	for (size_t i = 0; i < h->n; i++)
		if (h->row[i].fd >= 0 && h->row[i].dev == st.st_dev && h->row[i].ino == st.st_ino)
			return true;
	return false;
}

bool hides_path(const struct hides *h, const char *path)
{
	for (size_t i = 0; i < h->n; i++) {
		size_t n = strlen(h->row[i].path);
		if (strncmp(path, h->row[i].path, n) == 0 && (path[n] == '\0' || path[n] == '/'))
			return true;
	}
	return false;
}
