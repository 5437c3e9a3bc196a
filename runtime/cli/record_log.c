// SPDX-License-Identifier: Apache-2.0
// record_log.c - a text file that forgets its older half when it is full
#include "cli/record_log.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOG_FLAGS (O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC)
#define PIECE (64u << 10)

int record_log_open(struct record_log *l, int dir_fd, const char *name, uint64_t max)
{
	*l = (struct record_log){.dir_fd = dir_fd, .max = max};
	snprintf(l->name, sizeof(l->name), "%s", name);
	l->fd = openat(dir_fd, name, LOG_FLAGS, 0600);
	return l->fd < 0 ? -errno : 0;
}

void record_log_close(struct record_log *l)
{
	close_fd(&l->fd);
}

static int copy_from(int from, off_t at, int to)
{
	AUTO_FREE char *buf = malloc(PIECE);
	if (!buf)
		return -ENOMEM;
	for (;;) {
		ssize_t n = pread(from, buf, PIECE, at);
		if (n <= 0)
			return n < 0 ? -errno : 0;
		int ret = io_write_full(to, buf, (size_t)n);
		if (ret < 0)
			return ret;
		at += n;
	}
}

int record_log_trim(struct record_log *l)
{
	struct stat st;
	char part[RECORD_FILE_MAX + 8];
	if (fstat(l->fd, &st) < 0)
		return -errno;
	if ((uint64_t)st.st_size <= l->max)
		return 0;
	snprintf(part, sizeof(part), "%s.part", l->name);
	AUTO_CLOSE int from = openat(l->dir_fd, l->name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	AUTO_CLOSE int to = openat(l->dir_fd, part, LOG_FLAGS | O_TRUNC, 0600);
	int ret = from < 0 || to < 0 ? -errno : copy_from(from, st.st_size / 2, to);
	if (ret == 0 && renameat(l->dir_fd, part, l->dir_fd, l->name) < 0)
		ret = -errno;
	if (ret < 0) {
		/* No room for half of it: then it begins anew, rather than to grow. */
		unlinkat(l->dir_fd, part, 0);
		if (ftruncate(l->fd, 0) < 0)
			return -errno;
		return ret;
	}
	close_fd(&l->fd);
	l->fd = steal_fd(&to);
	return 1;
}

int record_log_add(struct record_log *l, const void *data, size_t len)
{
	const char *p = data;
	while (len > 0) {
		/* Never much more than the half that makes it full. */
		size_t n = MIN(len, (size_t)PIECE);
		int ret = io_write_full(l->fd, p, n);
		int trimmed = record_log_trim(l);
		if (ret < 0 || trimmed < 0)
			return ret < 0 ? ret : trimmed;
		p += n;
		len -= n;
	}
	return 0;
}
