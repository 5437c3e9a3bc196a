// SPDX-License-Identifier: Apache-2.0
// fs_quota.c - counting blocks
#include "fs/fs_quota.h"

#include "base/checked.h"
#include "fs/fs.h"
#include "fs/fs_attr.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#define STAT_BLOCK 512
#define HOLES_MAX 4096u

static uint64_t round_up(uint64_t bytes)
{
	return (bytes + FS_QUOTA_BLOCK - 1) / FS_QUOTA_BLOCK * FS_QUOTA_BLOCK;
}

/* Bytes left; none if the view has grown beyond it. */
static uint64_t left_of(const struct fs_view *v)
{
	if (v->grown < 0)
		return v->quota + (uint64_t)-v->grown;
	return v->quota - MIN((uint64_t)v->grown, v->quota);
}

int fs_quota_room(const struct fs_view *v, uint64_t bytes)
{
	if (v->quota == 0)
		return 0;
	if (bytes > INT64_MAX || round_up(bytes) > left_of(v))
		return -EDQUOT;
	return v->grown > 0 && (uint64_t)v->grown > v->quota ? -EDQUOT : 0;
}

/* Whole blocks of [from, to) that lie in holes; of a file with very many the rest counts as one. */
static uint64_t holes(int fd, uint64_t from, uint64_t to)
{
	uint64_t sum = 0;
	for (unsigned i = 0; from < to && i < HOLES_MAX; i++) {
		off_t data = lseek(fd, (off_t)from, SEEK_DATA);
		/* ENXIO: nothing but a hole up to the end, or beyond it. */
		if (data < 0 || (uint64_t)data >= to)
			break;
		sum += round_up((uint64_t)data - from);
		off_t hole = lseek(fd, data, SEEK_HOLE);
		if (hole < 0)
			break;
		from = (uint64_t)hole;
	}
	return from < to ? sum + round_up(to - from) : sum;
}

int fs_quota_range(const struct fs_view *v, int fd, uint64_t off, uint64_t len)
{
	uint64_t from = off / FS_QUOTA_BLOCK * FS_QUOTA_BLOCK;
	if (v->quota == 0 || len == 0)
		return 0;
	uint64_t to = round_up(off + len);
	if (fs_quota_room(v, to - from) == 0)
		return 0;
	return fs_quota_room(v, holes(fd, from, to));
}

int64_t fs_quota_size(const struct fs_view *v, int fd)
{
	struct statx stx;
	if (v->quota == 0 || fs_attr_statx(fd, "", &stx) < 0)
		return 0;
	return (int64_t)stx.stx_blocks * STAT_BLOCK;
}

void fs_quota_grew(struct fs_view *v, int64_t bytes)
{
	if (v->quota > 0)
		v->grown += bytes;
}

void fs_quota_gone(struct fs *fs, struct fs_node *n)
{
	struct fs_view *v = fs_tree_view(fs, n);
	fs_quota_grew(v, -fs_quota_size(v, n->fd));
}

void fs_quota_statfs(const struct fs_view *v, struct statfs *s)
{
	if (v->quota == 0 || s->f_bsize <= 0)
		return;
	uint64_t unit = (uint64_t)(s->f_frsize > 0 ? s->f_frsize : s->f_bsize);
	uint64_t left = left_of(v) / unit;
	uint64_t all = v->quota / unit;
	s->f_bavail = MIN((uint64_t)s->f_bavail, left);
	s->f_bfree = MIN((uint64_t)s->f_bfree, left);
	s->f_blocks = MIN((uint64_t)s->f_blocks, MAX(all, left));
}
