// SPDX-License-Identifier: Apache-2.0
// accounts.c - the user's lines in /etc/passwd and /etc/group
//
// A line could simply be appended in the finished root. The first write to a file of an overlay's
// lower side makes the kernel copy it up, though: a temporary file, its attributes, a splice, a
// link. All of that is code that runs once in a machine's life, and under TCG code that runs once
// is what costs. Two plain files, written before the overlay is mounted, are the same to all who
// look later.
#include "accounts.h"

#include "base/checked.h"
#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FILES 2
#define COPY_MAX (256 << 10)
#define PIECE 4096

static const char *const names[FILES] = {"etc/passwd", "etc/group"};
static bool done[FILES];

static const char *line_of(const Mayfly__Setup *setup, size_t i)
{
	return i == 0 ? setup->passwd_line : setup->group_line;
}

static int append(int fd, const char *line)
{
	size_t len = strlen(line);
	ssize_t n = write(fd, line, len);
	if (n == (ssize_t)len)
		n = write(fd, "\n", 1) == 1 ? (ssize_t)len : -1;
	return n == (ssize_t)len ? 0 : n < 0 ? -errno : -EIO;
}

static int copy(int from, int to)
{
	char buf[PIECE];
	size_t total = 0;
	ssize_t n;
	while ((n = read(from, buf, sizeof(buf))) > 0) {
		total += (size_t)n;
		/* It was smaller when it was opened. */
		if (total > COPY_MAX || write(to, buf, (size_t)n) != n)
			return -EIO;
	}
	return n < 0 ? -errno : 0;
}

/* The lower side's file, -ENOENT if it has none, or another -errno if it is not for us. */
static int open_plain(const char *lower, const char *name, struct stat *st)
{
	struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK,
			       .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH};
	AUTO_CLOSE int dir = open(lower, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return -errno;
	AUTO_CLOSE int fd = (int)syscall(SYS_openat2, dir, name, &how, sizeof(how));
	if (fd < 0)
		return -errno;
	if (fstat(fd, st) < 0)
		return -errno;
	if (!S_ISREG(st->st_mode) || st->st_nlink != 1 || st->st_size > COPY_MAX)
		return -ENOTSUP;
	return steal_fd(&fd);
}

/* A half-written file would hide the whole one. */
static int write_upper(const char *path, int from, const struct stat *st, const char *line)
{
	AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
	int ret = fd < 0 ? -errno : 0;
	if (ret == 0 && from >= 0)
		ret = copy(from, fd);
	if (ret == 0)
		ret = append(fd, line);
	if (ret == 0 && from >= 0 &&
	    (fchown(fd, st->st_uid, st->st_gid) < 0 || fchmod(fd, st->st_mode & 07777) < 0))
		ret = -errno;
	if (ret < 0 && fd >= 0)
		unlink(path);
	return ret;
}

int accounts_prepare(const char *lower, const char *upper, const Mayfly__Setup *setup,
		     struct err *e)
{
	for (size_t i = 0; i < FILES; i++) {
		const char *line = line_of(setup, i);
		struct stat st = {0};
		char path[128];
		if (!line[0])
			continue;
		AUTO_CLOSE int from = open_plain(lower, names[i], &st);
		if (from < 0 && from != -ENOENT)
			continue;
		int n = snprintf(path, sizeof(path), "%s/%s", upper, names[i]);
		int ret =
			n < (int)sizeof(path) ? write_upper(path, from, &st, line) : -ENAMETOOLONG;
		if (ret < 0)
			return err_errno(e, -ret, "can't add the user to '/%s'", names[i]);
		done[i] = true;
	}
	return 0;
}

int accounts_finish(const Mayfly__Setup *setup, struct err *e)
{
	for (size_t i = 0; i < FILES; i++) {
		const char *line = line_of(setup, i);
		char path[16];
		if (!line[0] || done[i])
			continue;
		snprintf(path, sizeof(path), "/%s", names[i]);
		AUTO_CLOSE int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
		int ret = fd < 0 ? -errno : append(fd, line);
		if (ret < 0)
			return err_errno(e, -ret, "can't add the user to '%s'", path);
	}
	return 0;
}
