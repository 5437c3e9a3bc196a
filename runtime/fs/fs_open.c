// SPDX-License-Identifier: Apache-2.0
// fs_open.c - opens regular files and directories, read-only
#include "fs/fs_open.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "fs/fs.h"
#include "fs/fs_attr.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#define FD_NAME_MAX 16

/* Open flags of the guest that would change something. */
#define WRITE_FLAGS (O_TRUNC | O_CREAT | (O_TMPFILE & ~O_DIRECTORY))

static int reopen(struct fs *fs, int fd, int flags)
{
	char name[FD_NAME_MAX];
	snprintf(name, sizeof(name), "%d", fd);
	int out = openat(fs->proc_fd, name, flags);
	return out < 0 ? -errno : out;
}

int fs_open_node(struct fs *fs, struct fs_node *n, int extra)
{
	int fd = fs_cache_fd(fs, n);
	if (fd < 0)
		return fd;
	/* O_NONBLOCK: somebody's lease on the file must not hold up the whole server. */
	int flags = O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC | extra;
	int out = reopen(fs, fd, flags);
	if ((out == -EMFILE || out == -ENFILE) && fs->cache.count > FS_CACHE_MIN) {
		/* n is the newest and stays. */
		fs_cache_shrink(fs, 1);
		out = reopen(fs, fd, flags);
	}
	return out;
}

uint32_t fs_open_flags(const struct fs *fs, const struct fs_node *n)
{
	if (fs_attr_ttl_ms(fs, n) < FS_TTL_LONG_MS)
		return 0;
	if (n->key.type == FS_TYPE(S_IFDIR))
		return FOPEN_KEEP_CACHE | FOPEN_CACHE_DIR;
	return FOPEN_KEEP_CACHE;
}

/*
 * Does the guest perhaps hold old attributes or an old name? For views whose caching is short, a
 * host change must show at the next open. ESTALE makes Linux repeat the path walk with fresh
 * lookups, after which the open comes again; it is said once, so an open never fails for it.
 */
static bool must_look_again(struct fs *fs, struct fs_node *n)
{
	struct statx stx;
	int ret;
	uint32_t ttl = fs_attr_ttl_ms(fs, n);
	if (ttl == 0 || ttl >= FS_TTL_LONG_MS)
		return false;
	if (n->flags & FS_NODE_TOLD)
		return false;
	if (n->flags & FS_NODE_PINNED) {
		ret = fs_attr_stat(fs, n, &stx);
	} else {
		int dirfd = n->parent == FS_NODE_NONE
				    ? -ESTALE
				    : fs_cache_fd(fs, fs_node_at(&fs->nodes, n->parent));
		ret = dirfd < 0 ? dirfd : fs_attr_statx(dirfd, n->name, &stx);
	}
	if (ret < 0 || !fs_attr_same_file(fs, n, &stx) || fs_attr_stamp(&stx) != n->stamp) {
		n->flags |= FS_NODE_TOLD;
		return true;
	}
	return false;
}

int fs_open_file(struct fs *fs, struct fs_node *n, uint32_t flags, uint32_t *fopen_flags)
{
	if ((flags & O_ACCMODE) != O_RDONLY || (flags & WRITE_FLAGS))
		return -EROFS;
	switch ((unsigned)n->key.type << 12) {
	case S_IFREG: break;
	case S_IFDIR: return -EISDIR;
	case S_IFLNK: return -ELOOP;
	default:
		/* The guest's kernel has FIFOs and sockets of its own behind these names. */
		return -ENXIO;
	}
	if (must_look_again(fs, n))
		return -ESTALE;
	AUTO_CLOSE int fd = fs_open_node(fs, n, 0);
	if (fd < 0)
		return fd;
	int ret = io_set_nonblock(fd, 0);
	if (ret < 0)
		return ret;
	n->flags &= ~FS_NODE_TOLD;
	*fopen_flags = fs_open_flags(fs, n);
	return steal_fd(&fd);
}
