// SPDX-License-Identifier: Apache-2.0
// fs_open.c - opens regular files and directories
#include "fs/fs_open.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "fs/fs.h"
#include "fs/fs_attr.h"
#include "fs/fs_wire.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#define FD_NAME_MAX 16

/* Open flags of the guest that would change something by themselves. */
#define WRITE_FLAGS (O_TRUNC | O_CREAT | (O_TMPFILE & ~O_DIRECTORY))

static int reopen(struct fs *fs, int fd, int flags)
{
	char name[FD_NAME_MAX];
	snprintf(name, sizeof(name), "%d", fd);
	int out = openat(fs->proc_fd, name, flags);
	return out < 0 ? -errno : out;
}

/* O_NONBLOCK: somebody's lease on the file must not hold up the whole server. */
#define OPEN_FLAGS (O_NOCTTY | O_NONBLOCK | O_CLOEXEC)

int fs_open_node(struct fs *fs, struct fs_node *n, int extra)
{
	int fd = fs_cache_fd(fs, n);
	if (fd < 0)
		return fd;
	int flags = OPEN_FLAGS | extra;
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
	if (n->key.kind == FS_KIND_REAL && n->key.type == FS_TYPE(S_IFREG) &&
	    fs_tree_view(fs, n)->direct)
		return FOPEN_DIRECT_IO;
	if (fs_attr_ttl_ms(fs, n) < FS_TTL_LONG_MS)
		return 0;
	if (n->key.type == FS_TYPE(S_IFDIR))
		return FOPEN_KEEP_CACHE | FOPEN_CACHE_DIR;
	return FOPEN_KEEP_CACHE;
}

/* Was this caller told to look again at its last open? Linux would not try a third time. */
static bool take_told(struct fs *fs)
{
	for (unsigned i = 0; i < FS_TOLD_MAX && fs->caller; i++) {
		if (fs->told[i] == fs->caller) {
			fs->told[i] = 0;
			return true;
		}
	}
	return false;
}

static void put_told(struct fs *fs)
{
	fs->told[fs->told_next] = fs->caller;
	fs->told_next = (fs->told_next + 1) % FS_TOLD_MAX;
}

/*
 * Does the guest perhaps hold old attributes or an old name? For views whose caching is short, a
 * host change must show at the next open. ESTALE makes Linux repeat the path walk with fresh
 * lookups, after which the open comes again; it is said once, to each caller, so an open never
 * fails for it, however many write to the file meanwhile.
 */
static bool must_look_again(struct fs *fs, struct fs_node *n)
{
	struct statx stx;
	int ret;
	uint32_t ttl = fs_attr_ttl_ms(fs, n);
	if (ttl == 0 || ttl >= FS_TTL_LONG_MS)
		return false;
	/* Of a file whose name is gone nobody can look up another one. */
	if (take_told(fs) || n->flags & (FS_NODE_TOLD | FS_NODE_HELD))
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
		put_told(fs);
		return true;
	}
	return false;
}

int fs_open_again(struct fs *fs, int fd)
{
	AUTO_CLOSE int again = reopen(fs, fd, OPEN_FLAGS | O_RDONLY);
	int ret = again < 0 ? again : io_set_nonblock(again, 0);
	return ret < 0 ? ret : steal_fd(&again);
}

int fs_open_truncate(struct fs *fs, struct fs_node *n, uint64_t size)
{
	AUTO_CLOSE int fd = fs_open_node(fs, n, O_WRONLY);
	return fd < 0 ? fd : fs_file_truncate(fs, n, fd, size);
}

int fs_open_take(struct fs *fs, struct fs_node *n, uint32_t flags, int *fd, int *reader,
		 struct fs_opened *out)
{
	const struct fs_view *v = fs_tree_view(fs, n);
	*out = (struct fs_opened){.fd = -1, .open_flags = fs_open_flags(fs, n)};
	if (v->writable)
		out->open_flags |= FS_WIRE_OPEN_RW;
	n->flags &= ~FS_NODE_TOLD;
	if (v->quota == 0) {
		out->fd = steal_fd(fd);
		return 0;
	}
	bool write = (flags & O_ACCMODE) != O_RDONLY;
	int ret = fs_file_add(fs, n, write ? *fd : -1, &out->fh);
	if (ret < 0)
		return ret;
	out->open_flags |= FS_WIRE_OPEN_KEPT;
	out->fd = steal_fd(write ? reader : fd);
	if (write)
		*fd = -1;
	return 0;
}

/* Flags that are not for this view, or for none. */
static int check_flags(const struct fs *fs, const struct fs_node *n, uint32_t flags)
{
	bool changes = (flags & O_ACCMODE) != O_RDONLY || (flags & WRITE_FLAGS);
	if (changes && !fs_tree_writable(fs, n))
		return -EROFS;
	/* The guest's kernel truncates by a request of its own. */
	return (flags & O_ACCMODE) == O_ACCMODE || (flags & WRITE_FLAGS) ? -EINVAL : 0;
}

int fs_open_file(struct fs *fs, struct fs_node *n, uint32_t flags, struct fs_opened *out)
{
	int ret = check_flags(fs, n, flags);
	if (ret < 0)
		return ret;
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
	AUTO_CLOSE int fd = fs_open_node(fs, n, (int)(flags & O_ACCMODE));
	AUTO_CLOSE int reader = -1;
	if (fd < 0)
		return fd;
	ret = io_set_nonblock(fd, 0);
	if (ret == 0 && fs_tree_view(fs, n)->quota > 0 && (flags & O_ACCMODE) == O_RDWR) {
		reader = fs_open_again(fs, fd);
		ret = reader < 0 ? reader : 0;
	}
	return ret < 0 ? ret : fs_open_take(fs, n, flags, &fd, &reader, out);
}
