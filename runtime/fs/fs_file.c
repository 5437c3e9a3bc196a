// SPDX-License-Identifier: Apache-2.0
// fs_file.c - handles, and what changes a file's size or blocks
#include "fs/fs_file.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "fs/fs.h"
#include "fs/fs_quota.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <unistd.h>

#define HANDLES_FIRST 16u

void fs_file_init(struct fs *fs, unsigned limit)
{
	fs->files = (struct fs_files){.limit = limit};
}

void fs_file_destroy(struct fs *fs)
{
	fs_file_close_all(fs);
	free(fs->files.file);
	fs->files = (struct fs_files){0};
}

static int file_slot(struct fs_files *t, uint32_t *slot)
{
	if (t->free_head != 0) {
		*slot = t->free_head - 1;
		t->free_head = t->file[*slot].next_free;
		return 0;
	}
	if (t->used >= t->limit)
		return -ENFILE;
	if (t->used == t->cap) {
		uint32_t cap = MIN(t->cap ? t->cap * 2 : HANDLES_FIRST, t->limit);
		struct fs_file *bigger = realloc(t->file, cap * sizeof(*bigger));
		if (!bigger)
			return -ENOMEM;
		t->file = bigger;
		t->cap = cap;
	}
	t->file[t->used] = (struct fs_file){.fd = -1, .gen = 1};
	*slot = t->used++;
	return 0;
}

int fs_file_add(struct fs *fs, struct fs_node *n, int fd, uint64_t *fh)
{
	uint32_t slot;
	int ret = file_slot(&fs->files, &slot);
	if (ret < 0)
		return ret;
	struct fs_file *f = &fs->files.file[slot];
	f->node = n->self;
	f->fd = fd;
	n->opens++;
	*fh = ((uint64_t)f->gen << 32) | slot;
	return 0;
}

static struct fs_file *file_get(struct fs *fs, uint32_t node, uint64_t fh)
{
	uint32_t i = (uint32_t)fh;
	if (i >= fs->files.used)
		return NULL;
	struct fs_file *f = &fs->files.file[i];
	return f->node == node && node != FS_NODE_NONE && f->gen == (uint32_t)(fh >> 32) ? f : NULL;
}

int fs_file_fd(struct fs *fs, const struct fs_node *n, uint64_t fh)
{
	const struct fs_file *f = file_get(fs, n->self, fh);
	return f && f->fd >= 0 ? f->fd : -EBADF;
}

static void file_free(struct fs *fs, struct fs_file *f)
{
	struct fs_node *n = fs_node_at(&fs->nodes, f->node);
	close_fd(&f->fd);
	f->node = FS_NODE_NONE;
	f->gen++;
	f->next_free = fs->files.free_head;
	fs->files.free_head = (uint32_t)(f - fs->files.file) + 1;
	n->opens--;
	/* It may be that nothing but this file kept the node. */
	fs_node_forget(&fs->nodes, n, 0);
}

int fs_file_close(struct fs *fs, uint64_t node, uint64_t fh)
{
	/* The guest may have forgotten the node already: the slot is the same while it is open. */
	struct fs_file *f = file_get(fs, (uint32_t)node, fh);
	if (!f || fs_node_id(fs_node_at(&fs->nodes, f->node)) != node)
		return -EBADF;
	file_free(fs, f);
	return 0;
}

void fs_file_close_all(struct fs *fs)
{
	for (uint32_t i = 0; i < fs->files.used; i++)
		if (fs->files.file[i].node != FS_NODE_NONE)
			file_free(fs, &fs->files.file[i]);
}

ssize_t fs_file_write(struct fs *fs, struct fs_node *n, int fd, const void *data, size_t len,
		      uint64_t off)
{
	struct fs_view *v = fs_tree_view(fs, n);
	if (off > (uint64_t)INT64_MAX - len)
		return -EFBIG;
	int ret = fs_quota_range(v, fd, off, len);
	if (ret < 0)
		return ret;
	int64_t before = fs_quota_size(v, fd);
	ssize_t done = pwrite(fd, data, len, (off_t)off);
	ret = done < 0 ? -errno : 0;
	fs_quota_grew(v, fs_quota_size(v, fd) - before);
	return ret < 0 ? ret : done;
}

int fs_file_allocate(struct fs *fs, struct fs_node *n, int fd, uint32_t mode, uint64_t off,
		     uint64_t len)
{
	struct fs_view *v = fs_tree_view(fs, n);
	if (off > INT64_MAX || len > (uint64_t)INT64_MAX - off)
		return -EFBIG;
	int ret = (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_COLLAPSE_RANGE))
			  ? 0
			  : fs_quota_range(v, fd, off, len);
	if (ret < 0)
		return ret;
	int64_t before = fs_quota_size(v, fd);
	ret = fallocate(fd, (int)mode, (off_t)off, (off_t)len) < 0 ? -errno : 0;
	fs_quota_grew(v, fs_quota_size(v, fd) - before);
	return ret;
}

int fs_file_truncate(struct fs *fs, struct fs_node *n, int fd, uint64_t size)
{
	struct fs_view *v = fs_tree_view(fs, n);
	if (size > INT64_MAX)
		return -EFBIG;
	int64_t before = fs_quota_size(v, fd);
	int ret = ftruncate(fd, (off_t)size) < 0 ? -errno : 0;
	fs_quota_grew(v, fs_quota_size(v, fd) - before);
	return ret;
}
