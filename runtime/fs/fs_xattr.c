// SPDX-License-Identifier: Apache-2.0
// fs_xattr.c - xattrs of a node through /proc/self/fd
//
// fgetxattr() refuses O_PATH descriptors and getxattrat() is younger than the kernels we run on,
// so the path is the descriptor's number in /proc/self/fd, which is our working directory. Only
// regular files and directories have user. attributes, so a symlink is never asked.
#include "fs/fs_xattr.h"

#include "base/checked.h"
#include "fs/fs.h"
#include "fs/fs_quota.h"

#include <errno.h>
#include <linux/limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#define FD_NAME_MAX 16
#define SHOWN_PREFIX "user."

static bool shown(const char *name)
{
	return strncmp(name, SHOWN_PREFIX, sizeof(SHOWN_PREFIX) - 1) == 0;
}

static bool may_have_any(const struct fs_node *n)
{
	return n->key.kind == FS_KIND_REAL &&
	       (n->key.type == FS_TYPE(S_IFREG) || n->key.type == FS_TYPE(S_IFDIR));
}

static int path_of(struct fs *fs, struct fs_node *n, char path[FD_NAME_MAX])
{
	int fd = fs_cache_fd(fs, n);
	if (fd < 0)
		return fd;
	snprintf(path, FD_NAME_MAX, "%d", fd);
	return 0;
}

/* File systems without xattrs and with none look the same. */
static ssize_t xattr_errno(void)
{
	return errno == EOPNOTSUPP ? -ENODATA : -errno;
}

ssize_t fs_xattr_get(struct fs *fs, struct fs_node *n, const char *name, void *out, size_t size)
{
	char path[FD_NAME_MAX];
	if (!shown(name) || !may_have_any(n))
		return -ENODATA;
	int ret = path_of(fs, n, path);
	if (ret < 0)
		return ret;
	ssize_t len = getxattr(path, name, out, size);
	return len < 0 ? xattr_errno() : len;
}

ssize_t fs_xattr_list(struct fs *fs, struct fs_node *n, char *out, size_t size)
{
	static char all[XATTR_LIST_MAX];
	char path[FD_NAME_MAX];
	if (!may_have_any(n))
		return 0;
	int ret = path_of(fs, n, path);
	if (ret < 0)
		return ret;
	ssize_t len = listxattr(path, all, sizeof(all));
	if (len < 0)
		return errno == EOPNOTSUPP ? 0 : -errno;
	size_t used = 0;
	for (ssize_t at = 0; at < len;) {
		size_t part = strnlen(all + at, (size_t)(len - at)) + 1;
		if (shown(all + at)) {
			if (size > 0 && part > size - used)
				return -ERANGE;
			if (size > 0)
				memcpy(out + used, all + at, part);
			used += part;
		}
		at += (ssize_t)part;
	}
	return (ssize_t)used;
}

/* May this attribute be changed; with its path. */
static int to_change(struct fs *fs, struct fs_node *n, const char *name, char path[FD_NAME_MAX])
{
	if (!shown(name))
		return -EOPNOTSUPP;
	return may_have_any(n) ? path_of(fs, n, path) : -EPERM;
}

int fs_xattr_set(struct fs *fs, struct fs_node *n, const char *name, const void *value, size_t len,
		 uint32_t flags)
{
	char path[FD_NAME_MAX];
	struct fs_view *v = fs_tree_view(fs, n);
	if (len > XATTR_SIZE_MAX)
		return -E2BIG;
	int ret = to_change(fs, n, name, path);
	if (ret == 0)
		ret = fs_quota_room(v, len);
	if (ret < 0)
		return ret;
	int64_t before = fs_quota_size(v, n->fd);
	ret = setxattr(path, name, value, len, (int)flags) < 0 ? -errno : 0;
	fs_quota_grew(v, fs_quota_size(v, n->fd) - before);
	return ret;
}

int fs_xattr_remove(struct fs *fs, struct fs_node *n, const char *name)
{
	char path[FD_NAME_MAX];
	struct fs_view *v = fs_tree_view(fs, n);
	int ret = to_change(fs, n, name, path);
	if (ret < 0)
		return ret;
	int64_t before = fs_quota_size(v, n->fd);
	ret = removexattr(path, name) < 0 ? -errno : 0;
	fs_quota_grew(v, fs_quota_size(v, n->fd) - before);
	return ret;
}
