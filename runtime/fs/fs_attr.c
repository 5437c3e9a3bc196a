// SPDX-License-Identifier: Apache-2.0
// fs_attr.c - statx to identity and fuse_attr
#include "fs/fs_attr.h"

#include "fs/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sysmacros.h>

/* Nothing of the host runs with other rights because a guest says so. */
#define MODE_SHOWN (S_IFMT | S_ISVTX | 0777)

#define SYNTH_DIR_MODE (S_IFDIR | 0555)
#define SYNTH_BLKSIZE 4096

int fs_attr_statx(int dirfd, const char *name, struct statx *stx)
{
	int flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT;
	if (name[0] == '\0')
		flags |= AT_EMPTY_PATH;
	int ret = statx(dirfd, name, flags, STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID, stx);
	return ret < 0 ? -errno : 0;
}

static uint32_t fold(uint64_t a, uint64_t b)
{
	uint64_t x = (a * 0x9e3779b97f4a7c15ull) ^ (b + (a >> 7));
	x *= 0xbf58476d1ce4e5b9ull;
	return (uint32_t)(x >> 32) ^ (uint32_t)x;
}

static uint64_t nsec(const struct statx_timestamp *t)
{
	return (uint64_t)t->tv_sec * 1000000000ull + t->tv_nsec;
}

int fs_attr_key(struct fs *fs, uint16_t view, const struct statx *stx, struct fs_key *key)
{
	int dev = fs_ino_dev(&fs->inos, makedev(stx->stx_dev_major, stx->stx_dev_minor));
	if (dev < 0)
		return dev;
	*key = (struct fs_key){
		.ino = stx->stx_ino,
		.birth = (stx->stx_mask & STATX_BTIME) ? fold(nsec(&stx->stx_btime), 1) : 0,
		.dev = (uint16_t)dev,
		.view = view,
		.kind = FS_KIND_REAL,
		.type = FS_TYPE(stx->stx_mode),
	};
	return 0;
}

bool fs_attr_same_file(struct fs *fs, const struct fs_node *n, const struct statx *stx)
{
	struct fs_key key;
	const struct fs_key *k = &n->key;
	if (stx->stx_mnt_id != fs->tree.view[k->view].mnt_id ||
	    fs_attr_key(fs, k->view, stx, &key) < 0)
		return false;
	return key.ino == k->ino && key.dev == k->dev && key.type == k->type &&
	       key.birth == k->birth;
}

int fs_attr_stat(struct fs *fs, struct fs_node *n, struct statx *stx)
{
	int ret;
	/* The node's own descriptor knows it even after it was renamed or removed. */
	if (n->fd >= 0) {
		int fd = fs_cache_fd(fs, n);
		return fs_attr_statx(fd, "", stx);
	}
	if (n->parent == FS_NODE_NONE)
		return -ESTALE;
	int dirfd = fs_cache_fd(fs, fs_node_at(&fs->nodes, n->parent));
	if (dirfd < 0)
		return dirfd;
	ret = fs_attr_statx(dirfd, n->name, stx);
	if (ret < 0)
		return ret == -ENOENT ? -ESTALE : ret;
	return fs_attr_same_file(fs, n, stx) ? 0 : -ESTALE;
}

uint32_t fs_attr_stamp(const struct statx *stx)
{
	return fold(nsec(&stx->stx_mtime), stx->stx_size) ^ fold(nsec(&stx->stx_ctime), 3);
}

void fs_attr_fill(struct fs *fs, struct fs_node *n, const struct statx *stx, struct fuse_attr *out)
{
	n->stamp = fs_attr_stamp(stx);
	*out = (struct fuse_attr){
		.ino = fs_ino_map(&fs->inos, n->key.dev, stx->stx_ino),
		.size = stx->stx_size,
		.blocks = stx->stx_blocks,
		.atime = (uint64_t)stx->stx_atime.tv_sec,
		.mtime = (uint64_t)stx->stx_mtime.tv_sec,
		.ctime = (uint64_t)stx->stx_ctime.tv_sec,
		.atimensec = stx->stx_atime.tv_nsec,
		.mtimensec = stx->stx_mtime.tv_nsec,
		.ctimensec = stx->stx_ctime.tv_nsec,
		.mode = stx->stx_mode & MODE_SHOWN,
		.nlink = stx->stx_nlink,
		.uid = stx->stx_uid,
		.gid = stx->stx_gid,
		.blksize = stx->stx_blksize,
	};
	/* On a directory it gives no rights: new files get the directory's group. */
	if (S_ISDIR(stx->stx_mode) && fs_tree_writable(fs, n))
		out->mode |= stx->stx_mode & S_ISGID;
	if (fs->map_ids) {
		out->uid = stx->stx_uid == fs->own_uid ? fs->uid : 0;
		out->gid = stx->stx_gid == fs->own_gid ? fs->gid : 0;
	}
}

void fs_attr_fill_synth(const struct fs_node *n, struct fuse_attr *out)
{
	*out = (struct fuse_attr){
		.ino = fs_ino_synth(n->self),
		.mode = SYNTH_DIR_MODE,
		.nlink = 2,
		.blksize = SYNTH_BLKSIZE,
	};
}

uint32_t fs_attr_ttl_ms(const struct fs *fs, const struct fs_node *n)
{
	if (n->key.kind == FS_KIND_SYNTH)
		return FS_TTL_FIXED_MS;
	return fs->tree.view[n->key.view].cache_ms;
}
