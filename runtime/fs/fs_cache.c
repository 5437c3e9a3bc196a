// SPDX-License-Identifier: Apache-2.0
// fs_cache.c - descriptor LRU, and finding an evicted node again by parent and name
#include "fs/fs_cache.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "fs/fs.h"
#include "fs/fs_attr.h"
#include "fs/fs_quota.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

/* How many directories deep an evicted node may lie below one that still has a descriptor. */
#define REOPEN_DEPTH_MAX 4096u

/* Closed at once when the process (or the system) has run out of descriptors. */
#define SHRINK_STEP 16u

static void lru_unlink(struct fs *fs, struct fs_node *n)
{
	struct fs_cache *c = &fs->cache;
	if (n->lru_prev != FS_NODE_NONE)
		fs_node_at(&fs->nodes, n->lru_prev)->lru_next = n->lru_next;
	else
		c->newest = n->lru_next;
	if (n->lru_next != FS_NODE_NONE)
		fs_node_at(&fs->nodes, n->lru_next)->lru_prev = n->lru_prev;
	else
		c->oldest = n->lru_prev;
}

static void lru_push(struct fs *fs, struct fs_node *n)
{
	struct fs_cache *c = &fs->cache;
	n->lru_prev = FS_NODE_NONE;
	n->lru_next = c->newest;
	if (c->newest != FS_NODE_NONE)
		fs_node_at(&fs->nodes, c->newest)->lru_prev = n->self;
	else
		c->oldest = n->self;
	c->newest = n->self;
}

static void cache_drop(void *arg, struct fs_node *n)
{
	struct fs *fs = arg;
	if (n->flags & FS_NODE_GONE)
		fs_quota_gone(fs, n);
	if (n->flags & FS_NODE_HELD)
		fs->cache.held--;
	if (n->flags & (FS_NODE_PINNED | FS_NODE_HELD)) {
		close_fd(&n->fd);
		return;
	}
	lru_unlink(fs, n);
	fs->cache.count--;
	close_fd(&n->fd);
}

void fs_cache_init(struct fs *fs, unsigned limit)
{
	fs->cache = (struct fs_cache){.limit = MAX(limit, FS_CACHE_MIN)};
	fs->nodes.drop_fd = cache_drop;
	fs->nodes.arg = fs;
}

unsigned fs_cache_shrink(struct fs *fs, unsigned count)
{
	unsigned closed = 0;
	while (closed < count && fs->cache.oldest != FS_NODE_NONE) {
		cache_drop(fs, fs_node_at(&fs->nodes, fs->cache.oldest));
		closed++;
	}
	return closed;
}

static void cache_put(struct fs *fs, struct fs_node *n, int fd)
{
	if (fs->cache.count >= fs->cache.limit)
		fs_cache_shrink(fs, fs->cache.count - fs->cache.limit + 1);
	n->fd = fd;
	lru_push(fs, n);
	fs->cache.count++;
}

static int open_path(int dirfd, const char *name)
{
	struct open_how how = {
		.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS |
			   RESOLVE_NO_XDEV,
	};
	long fd = syscall(SYS_openat2, dirfd, name, &how, sizeof(how));
	return fd < 0 ? -errno : (int)fd;
}

/* What the guest must see when a name no longer leads to its file. */
static int stale_errno(int ret)
{
	switch (ret) {
	case -ENOENT:
	case -ENOTDIR:
	case -EXDEV:
	case -ELOOP: return -ESTALE;
	default: return ret;
	}
}

/* Opens n below its parent's descriptor and makes sure that it is n. */
static int open_child(struct fs *fs, int dirfd, struct fs_node *n)
{
	AUTO_CLOSE int fd = open_path(dirfd, n->name);
	/* The parent is among the newest, so it survives a shrink of all but FS_CACHE_MIN. */
	if ((fd == -EMFILE || fd == -ENFILE) && fs->cache.count > FS_CACHE_MIN) {
		fs_cache_shrink(fs, MIN(SHRINK_STEP, fs->cache.count - FS_CACHE_MIN));
		fd = open_path(dirfd, n->name);
	}
	if (fd < 0)
		return stale_errno(fd);
	struct statx stx;
	int ret = fs_attr_statx(fd, "", &stx);
	if (ret < 0)
		return ret;
	if (!fs_attr_same_file(fs, n, &stx))
		return -ESTALE;
	cache_put(fs, n, steal_fd(&fd));
	return n->fd;
}

int fs_cache_fd(struct fs *fs, struct fs_node *n)
{
	if (n->key.kind != FS_KIND_REAL)
		return -EINVAL;
	if (n->fd >= 0) {
		if (!(n->flags & (FS_NODE_PINNED | FS_NODE_HELD)) && fs->cache.newest != n->self) {
			lru_unlink(fs, n);
			lru_push(fs, n);
		}
		return n->fd;
	}
	uint32_t way[REOPEN_DEPTH_MAX];
	unsigned depth = 0;
	struct fs_node *p = n;
	while (p->fd < 0) {
		if (depth == REOPEN_DEPTH_MAX || p->parent == FS_NODE_NONE)
			return -ESTALE;
		way[depth++] = p->self;
		p = fs_node_at(&fs->nodes, p->parent);
		if (p->key.kind != FS_KIND_REAL)
			return -ESTALE;
	}
	int fd = fs_cache_fd(fs, p);
	while (depth > 0 && fd >= 0)
		fd = open_child(fs, fd, fs_node_at(&fs->nodes, way[--depth]));
	return fd;
}

int fs_cache_hold(struct fs *fs, struct fs_node *n)
{
	if (n->flags & (FS_NODE_PINNED | FS_NODE_HELD))
		return 0;
	int fd = fs_cache_fd(fs, n);
	if (fd < 0)
		return fd;
	if (fs->cache.held >= fs->cache.limit)
		return -ENFILE;
	lru_unlink(fs, n);
	fs->cache.count--;
	fs->cache.held++;
	n->flags |= FS_NODE_HELD;
	return 0;
}

void fs_cache_seen(struct fs *fs, struct fs_node *n)
{
	if (!(n->flags & FS_NODE_HELD) || (n->flags & FS_NODE_GONE))
		return;
	int fd = n->fd;
	n->flags &= ~FS_NODE_HELD;
	fs->cache.held--;
	n->fd = -1;
	cache_put(fs, n, fd);
}
