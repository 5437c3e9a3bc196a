// SPDX-License-Identifier: Apache-2.0
// fs_change.c - names made, removed and moved
#include "fs/fs_change.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "fs/fs.h"
#include "fs/fs_attr.h"
#include "fs/fs_lookup.h"
#include "fs/fs_quota.h"
#include "fs/fs_setattr.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FD_NAME_MAX 16

/* How often a name may come and go on the host while the guest makes a file of it. */
#define CREATE_TRIES 4u

#define STAT_BLOCK 512

/* A directory in which something is about to change. */
struct place {
	struct fs_node *dir;
	struct fs_view *view;
	const char *name;
	int fd;
	int64_t before; /* bytes of the directory itself */
};

/* @bytes: what the change may take at most, beside the directory's own growth */
static int enter(struct fs *fs, struct fs_node *dir, const char *name, uint64_t bytes,
		 struct place *p)
{
	*p = (struct place){.dir = dir, .name = name, .fd = -1};
	int ret = fs_tree_name_ok(name);
	if (ret < 0)
		return ret;
	if (!fs_tree_writable(fs, dir))
		return -EROFS;
	if (dir->key.type != FS_TYPE(S_IFDIR))
		return -ENOTDIR;
	p->view = fs_tree_view(fs, dir);
	p->fd = fs_cache_fd(fs, dir);
	if (p->fd < 0)
		return p->fd;
	/* Also where nothing has it yet: what the guest puts there it could not see either. */
	if (fs_hide_hides(fs, p->fd, name, NULL))
		return -EACCES;
	p->before = fs_quota_size(p->view, p->fd);
	return fs_quota_room(p->view, bytes);
}

/* The change is made: what the directory itself has grown by. */
static void leave(const struct place *p)
{
	fs_quota_grew(p->view, fs_quota_size(p->view, p->fd) - p->before);
}

/* What is there under a name, and who; -ENOENT if nothing is that the guest may know of. */
static int look(struct fs *fs, const struct place *p, struct statx *stx, struct fs_key *key)
{
	int ret = fs_attr_statx(p->fd, p->name, stx);
	if (ret == 0 && fs_hide_hides(fs, p->fd, p->name, stx))
		ret = -ENOENT;
	if (ret == 0)
		ret = fs_lookup_key(fs, p->dir, stx, key);
	return ret == 0 && key->kind != FS_KIND_REAL ? -EBUSY : ret;
}

/* Something new has this name; counts its blocks and the guest's lookup. */
static int made(struct fs *fs, const struct place *p, struct fuse_entry_out *e)
{
	struct statx stx = {0};
	leave(p);
	int ret = fs_attr_statx(p->fd, p->name, &stx);
	if (ret < 0)
		return ret;
	fs_quota_grew(p->view, (int64_t)stx.stx_blocks * STAT_BLOCK);
	return fs_lookup_stx(fs, p->dir, p->name, &stx, e);
}

int fs_change_mknod(struct fs *fs, struct fs_node *dir, const char *name, uint32_t mode,
		    struct fuse_entry_out *e)
{
	struct place p = {0};
	int ret = enter(fs, dir, name, 0, &p);
	if (ret < 0)
		return ret;
	mode_t type = mode & S_IFMT;
	if (type != S_IFREG && type != S_IFIFO && type != S_IFSOCK)
		return -EPERM;
	if (mknodat(p.fd, name, type | fs_setattr_mode(mode), 0) < 0)
		return -errno;
	return made(fs, &p, e);
}

int fs_change_mkdir(struct fs *fs, struct fs_node *dir, const char *name, uint32_t mode,
		    struct fuse_entry_out *e)
{
	struct place p = {0};
	int ret = enter(fs, dir, name, FS_QUOTA_BLOCK, &p);
	if (ret < 0)
		return ret;
	if (mkdirat(p.fd, name, fs_setattr_mode(mode)) < 0)
		return -errno;
	return made(fs, &p, e);
}

int fs_change_symlink(struct fs *fs, struct fs_node *dir, const char *name, const char *target,
		      struct fuse_entry_out *e)
{
	struct place p = {0};
	int ret = enter(fs, dir, name, FS_QUOTA_BLOCK, &p);
	if (ret < 0)
		return ret;
	if (symlinkat(target, p.fd, name) < 0)
		return -errno;
	return made(fs, &p, e);
}

int fs_change_link(struct fs *fs, struct fs_node *old, struct fs_node *dir, const char *name,
		   struct fuse_entry_out *e)
{
	struct place p = {0};
	char number[FD_NAME_MAX];
	int ret = enter(fs, dir, name, 0, &p);
	if (ret < 0)
		return ret;
	if (old->key.kind != FS_KIND_REAL || old->key.view != dir->key.view)
		return -EXDEV;
	if (old->key.type == FS_TYPE(S_IFDIR))
		return -EPERM;
	int fd = fs_cache_fd(fs, old);
	if (fd < 0)
		return fd;
	/* By a descriptor alone only root may link; by its name in /proc whoever owns the file. */
	snprintf(number, sizeof(number), "%d", fd);
	if (linkat(fs->proc_fd, number, p.fd, name, AT_SYMLINK_FOLLOW) < 0)
		return -errno;
	leave(&p);
	return fs_lookup(fs, dir, p.fd, name, e);
}

/* Before a name goes: the node behind it, if the guest knows it, keeps its descriptor. */
static void hold(struct fs *fs, const struct fs_key *key)
{
	struct fs_node *n = fs_node_find(&fs->nodes, key);
	/* Where this fails the node becomes stale, as if the host had removed the file. */
	if (n)
		(void)fs_cache_hold(fs, n);
}

/* The name is there still. */
static int not_done(struct fs *fs, const struct fs_key *key, int error)
{
	struct fs_node *n = fs_node_find(&fs->nodes, key);
	if (n)
		fs_cache_seen(fs, n);
	return -error;
}

/* A name has gone, and perhaps the file with it: then its number may soon be another one's. */
static void lost(struct fs *fs, const struct place *p, const struct fs_key *key,
		 const struct statx *stx)
{
	struct fs_node *n = fs_node_find(&fs->nodes, key);
	if (!S_ISDIR(stx->stx_mode) && stx->stx_nlink > 1)
		return;
	if (n && !(n->flags & FS_NODE_PINNED))
		fs_node_unhash(&fs->nodes, n);
	if (n && (n->flags & FS_NODE_HELD))
		n->flags |= FS_NODE_GONE;
	else
		fs_quota_grew(p->view, -(int64_t)stx->stx_blocks * STAT_BLOCK);
}

int fs_change_remove(struct fs *fs, struct fs_node *dir, const char *name, bool is_dir)
{
	struct place p = {0};
	struct statx stx = {0};
	struct fs_key key = {0};
	int ret = enter(fs, dir, name, 0, &p);
	/* What is too full can only get better. */
	if (ret == 0 || ret == -EDQUOT)
		ret = look(fs, &p, &stx, &key);
	if (ret < 0)
		return ret;
	hold(fs, &key);
	if (unlinkat(p.fd, name, is_dir ? AT_REMOVEDIR : 0) < 0)
		return not_done(fs, &key, errno);
	leave(&p);
	lost(fs, &p, &key, &stx);
	return 0;
}

/* The nodes of both ends after the move; their directories are held by the caller. */
static void moved(struct fs *fs, const struct place *a, const struct place *b,
		  const struct fs_key *from, const struct fs_key *over, bool exchange)
{
	struct fs_node *n = fs_node_find(&fs->nodes, from);
	struct fs_node *o = over ? fs_node_find(&fs->nodes, over) : NULL;
	/* Without memory for the name it stays held, or becomes stale. */
	if (n && fs_node_seen_as(&fs->nodes, n, b->dir->self, b->name) == 0)
		fs_cache_seen(fs, n);
	if (exchange && o && fs_node_seen_as(&fs->nodes, o, a->dir->self, a->name) == 0)
		fs_cache_seen(fs, o);
}

static int do_rename(struct fs *fs, struct place *a, struct place *b, uint32_t flags)
{
	struct statx stx = {0};
	struct statx stx2 = {0};
	struct fs_key key = {0};
	struct fs_key over = {0};
	int ret = look(fs, a, &stx, &key);
	if (ret < 0)
		return ret;
	int there = look(fs, b, &stx2, &over);
	/* Nothing, or something that the guest isn't shown, which it must not replace. */
	if (there == -ENOENT && fs_attr_statx(b->fd, b->name, &stx2) == 0)
		return -EPERM;
	if (there < 0 && there != -ENOENT)
		return there;
	bool same = there == 0 && over.ino == key.ino && over.dev == key.dev;
	hold(fs, &key);
	if (there == 0)
		hold(fs, &over);
	/* The C library has another call for no flags. */
	if (syscall(SYS_renameat2, a->fd, a->name, b->fd, b->name, flags) < 0) {
		int error = errno;
		if (there == 0)
			not_done(fs, &over, error);
		return not_done(fs, &key, error);
	}
	leave(a);
	if (b->dir != a->dir)
		leave(b);
	bool exchange = flags & RENAME_EXCHANGE;
	if (there == 0 && !same && !exchange)
		lost(fs, b, &over, &stx2);
	moved(fs, a, b, &key, there == 0 ? &over : NULL, exchange);
	return 0;
}

int fs_change_rename(struct fs *fs, struct fs_node *from, const char *old, struct fs_node *to,
		     const char *name, uint32_t flags)
{
	struct place a = {0};
	struct place b = {0};
	if (flags & ~(uint32_t)(RENAME_NOREPLACE | RENAME_EXCHANGE))
		return -EINVAL;
	int ret = enter(fs, from, old, 0, &a);
	if (ret == 0 || ret == -EDQUOT)
		ret = enter(fs, to, name, 0, &b);
	/* Within one directory a name takes another's place. */
	if (ret == -EDQUOT && from == to)
		ret = 0;
	if (ret != 0)
		return ret;
	if (from->key.view != to->key.view)
		return -EXDEV;
	/* Neither directory may go while the nodes in them move. */
	from->nlookup++;
	to->nlookup++;
	ret = do_rename(fs, &a, &b, flags);
	fs_node_forget(&fs->nodes, to, 1);
	fs_node_forget(&fs->nodes, from, 1);
	return ret;
}

static int open_new(struct fs *fs, int dirfd, const char *name, uint32_t flags, mode_t mode)
{
	struct open_how how = {
		.flags = O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK |
			 (flags & O_ACCMODE),
		.mode = mode,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS |
			   RESOLVE_NO_XDEV,
	};
	long fd = syscall(SYS_openat2, dirfd, name, &how, sizeof(how));
	if (fd < 0 && (errno == EMFILE || errno == ENFILE) && fs->cache.count > FS_CACHE_MIN) {
		/* The directory is the newest and stays. */
		fs_cache_shrink(fs, 1);
		fd = syscall(SYS_openat2, dirfd, name, &how, sizeof(how));
	}
	return fd < 0 ? -errno : (int)fd;
}

static int create_new(struct fs *fs, const struct place *p, uint32_t flags, uint32_t mode,
		      struct fuse_entry_out *e, struct fs_opened *o)
{
	mode_t wanted = fs_setattr_mode(mode);
	struct statx stx = {0};
	/* Where fs keeps the file it opens it twice, which the mode may forbid. */
	bool twice = p->view->quota > 0;
	AUTO_CLOSE int fd = open_new(fs, p->fd, p->name, flags, twice ? 0600 : wanted);
	if (fd < 0)
		return fd;
	leave(p);
	int ret = io_set_nonblock(fd, 0);
	AUTO_CLOSE int reader = -1;
	if (ret == 0 && twice && (flags & O_ACCMODE) == O_RDWR) {
		reader = fs_open_again(fs, fd);
		ret = reader < 0 ? reader : 0;
	}
	if (ret == 0 && twice)
		ret = fs_setattr_chmod(fs, fd, wanted);
	if (ret == 0)
		ret = fs_attr_statx(fd, "", &stx);
	if (ret < 0)
		return ret;
	fs_quota_grew(p->view, (int64_t)stx.stx_blocks * STAT_BLOCK);
	ret = fs_lookup_stx(fs, p->dir, p->name, &stx, e);
	if (ret < 0)
		return ret;
	struct fs_node *n = fs_node_get(&fs->nodes, e->nodeid);
	ret = fs_open_take(fs, n, flags, &fd, &reader, o);
	if (ret < 0)
		fs_node_forget(&fs->nodes, n, 1);
	return ret;
}

/* The host made it meanwhile. */
static int create_old(struct fs *fs, const struct place *p, uint32_t flags,
		      struct fuse_entry_out *e, struct fs_opened *o)
{
	int ret = fs_lookup(fs, p->dir, p->fd, p->name, e);
	if (ret < 0)
		return ret;
	struct fs_node *n = fs_node_get(&fs->nodes, e->nodeid);
	/* With anything but a file the guest has to walk once more. */
	if (n->key.type != FS_TYPE(S_IFREG))
		ret = -ESTALE;
	struct fuse_attr_out now;
	if (ret == 0 && (flags & O_TRUNC)) {
		ret = fs_open_truncate(fs, n, 0);
		ret = ret < 0 ? ret : fs_lookup_attr(fs, n, &now);
		e->attr = ret < 0 ? e->attr : now.attr;
	}
	if (ret == 0)
		ret = fs_open_file(fs, n, flags & O_ACCMODE, o);
	if (ret < 0)
		fs_node_forget(&fs->nodes, n, 1);
	return ret;
}

int fs_change_create(struct fs *fs, struct fs_node *dir, const char *name, uint32_t flags,
		     uint32_t mode, struct fuse_entry_out *e, struct fs_opened *o)
{
	struct place p = {0};
	int ret = enter(fs, dir, name, 0, &p);
	if (ret == 0 && (flags & O_ACCMODE) == O_ACCMODE)
		ret = -EINVAL;
	for (unsigned i = 0; ret == 0 && i < CREATE_TRIES; i++) {
		ret = create_new(fs, &p, flags, mode, e, o);
		if (ret != -EEXIST || (flags & O_EXCL))
			return ret;
		ret = create_old(fs, &p, flags, e, o);
		if (ret != -ENOENT)
			return ret;
		p.fd = fs_cache_fd(fs, dir);
		ret = p.fd < 0 ? p.fd : 0;
	}
	return ret < 0 ? ret : -EAGAIN;
}
