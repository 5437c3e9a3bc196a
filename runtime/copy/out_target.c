// SPDX-License-Identifier: Apache-2.0
// out_target.c - where one copy goes: HOST, opened before anything comes
#include "copy/out_target.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

int out_open_dir(int dir, const char *name, int flags)
{
	struct open_how how = {
		.flags = (uint64_t)(uint32_t)(flags | O_DIRECTORY | O_CLOEXEC),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	long fd = syscall(SYS_openat2, dir, name, &how, sizeof(how));
	return fd < 0 ? -errno : (int)fd;
}

static int check_writable(int dir, const char *what, struct err *e)
{
	if (faccessat(dir, ".", W_OK | X_OK, AT_EACCESS) < 0)
		return err_errno(e, errno, "can't write to the directory '%.300s'", what);
	return 0;
}

/* "." and "..", "/": there is no name that could be made anew. */
static int open_itself(struct out_target *t, const char *path, struct err *e)
{
	t->dir_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (t->dir_fd < 0)
		return err_errno(e, errno, "can't open '%.300s'", t->host);
	return check_writable(t->dir_fd, t->host, e);
}

static int open_last(struct out_target *t, const char *parent, struct err *e)
{
	struct stat st;
	if (fstatat(t->parent_fd, t->name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno != ENOENT)
			return err_errno(e, errno, "can't look at '%.300s'", t->host);
		return check_writable(t->parent_fd, parent, e);
	}
	switch (st.st_mode & S_IFMT) {
	case S_IFLNK:
		return err_set(e, ELOOP,
			       "'%.300s' is a symbolic link, which is not followed (name what it "
			       "points to)",
			       t->host);
	case S_IFDIR:
		t->dir_fd = out_open_dir(t->parent_fd, t->name, O_PATH);
		if (t->dir_fd < 0)
			return err_errno(e, -t->dir_fd, "can't open '%.300s'", t->host);
		return check_writable(t->dir_fd, t->host, e);
	case S_IFREG:
		if (t->must_be_dir)
			return err_set(e, ENOTDIR, "'%.300s' is not a directory", t->host);
		return check_writable(t->parent_fd, parent, e);
	default: return err_set(e, EINVAL, "'%.300s' is neither a file nor a directory", t->host);
	}
}

static int open_host(struct out_target *t, struct err *e)
{
	char path[PATH_MAX];
	size_t len = strlen(t->host);
	if (len >= sizeof(path))
		return err_errno(e, ENAMETOOLONG, "the name on the host");
	memcpy(path, t->host, len + 1);
	while (len > 1 && path[len - 1] == '/') {
		path[--len] = '\0';
		t->must_be_dir = true;
	}
	char *slash = strrchr(path, '/');
	const char *last = slash ? slash + 1 : path;
	if (!last[0] || strcmp(last, ".") == 0 || strcmp(last, "..") == 0)
		return open_itself(t, path, e);
	if (strlen(last) > NAME_MAX)
		return err_errno(e, ENAMETOOLONG, "'%.300s'", t->host);
	memcpy(t->name, last, strlen(last) + 1);
	const char *parent = ".";
	if (slash)
		parent = slash == path ? "/" : path;
	if (slash && slash != path)
		*slash = '\0';
	t->parent_fd = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (t->parent_fd < 0)
		return err_errno(e, errno, "can't open the directory '%.300s'", parent);
	return open_last(t, parent, e);
}

int out_target_source(struct out_target *t, const char *path, const char *workdir, struct err *e)
{
	int n = snprintf(t->guest, sizeof(t->guest), "%s%s%s", path[0] == '/' ? "" : workdir,
			 path[0] == '/' ? "" : "/", path);
	if (n < 0 || (size_t)n >= sizeof(t->guest))
		return err_errno(e, ENAMETOOLONG, "the name of what is copied");
	size_t end = (size_t)n;
	while (end > 0 && t->guest[end - 1] == '/')
		end--;
	size_t start = end;
	while (start > 0 && t->guest[start - 1] != '/')
		start--;
	const char *base = t->guest + start;
	size_t len = end - start;
	if (len > NAME_MAX)
		return err_errno(e, ENAMETOOLONG, "'%.300s'", path);
	if ((len == 1 && base[0] == '.') || (len == 2 && base[0] == '.' && base[1] == '.'))
		len = 0;
	memcpy(t->base, base, len);
	t->base[len] = '\0';
	return 0;
}

int out_target_open(struct out_target *t, const char *host, uint64_t max_bytes, struct err *e)
{
	*t = OUT_TARGET_NONE;
	t->host = host;
	t->max_bytes = max_bytes;
	return open_host(t, e);
}

void out_target_into(struct out_target *t)
{
	if (t->dir_fd < 0 || !t->base[0])
		return;
	close_fd(&t->parent_fd);
	t->parent_fd = steal_fd(&t->dir_fd);
	memcpy(t->name, t->base, sizeof(t->name));
	t->must_be_dir = false;
	t->into = true;
}

void out_target_close(struct out_target *t)
{
	close_fd(&t->parent_fd);
	close_fd(&t->dir_fd);
}
