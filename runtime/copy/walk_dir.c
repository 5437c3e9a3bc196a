// SPDX-License-Identifier: Apache-2.0
// walk_dir.c - the names of one directory, in ascending order
//
// In order, so that the receiver sees a name that comes twice without remembering all of them;
// all at once, so that a directory that changes meanwhile can't make the walk endless.
#include "walk_dir.h"

#include "base/cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Appends the name with its NUL. */
static int text_add(struct walk_dir *d, size_t *len, size_t *cap, const char *name)
{
	size_t n = strlen(name) + 1;
	if (*len + n > *cap) {
		size_t bigger = *cap ? *cap * 2 : 4096;
		char *text = realloc(d->text, bigger);
		if (!text)
			return -ENOMEM;
		d->text = text;
		*cap = bigger;
	}
	memcpy(d->text + *len, name, n);
	*len += n;
	return 0;
}

static int read_names(struct walk_dir *d, DIR *dir, size_t max)
{
	size_t len = 0;
	size_t cap = 0;
	for (;;) {
		errno = 0;
		const struct dirent *de = readdir(dir);
		if (!de)
			return -errno;
		if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0)
			continue;
		if (d->n == max)
			return -E2BIG;
		int ret = text_add(d, &len, &cap, de->d_name);
		if (ret < 0)
			return ret;
		d->n++;
	}
}

int walk_dir_open(struct walk_dir *d, int fd, size_t max)
{
	*d = (struct walk_dir){.fd = fd};
	int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	DIR *dir = own < 0 ? NULL : fdopendir(own);
	if (!dir) {
		int code = errno;
		close_fd(&own);
		return -code;
	}
	int ret = read_names(d, dir, max);
	closedir(dir);
	if (ret < 0 || d->n == 0)
		return ret;
	d->name = calloc(d->n, sizeof(*d->name));
	if (!d->name)
		return -ENOMEM;
	const char *p = d->text;
	for (size_t i = 0; i < d->n; i++, p += strlen(p) + 1)
		d->name[i] = p;
	qsort(d->name, d->n, sizeof(*d->name), by_name);
	return 0;
}

void walk_dir_close(struct walk_dir *d)
{
	close_fd(&d->fd);
	free(d->text);
	free(d->name);
	*d = (struct walk_dir){.fd = -1};
}
