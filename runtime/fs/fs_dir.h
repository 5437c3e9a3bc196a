// SPDX-License-Identifier: Apache-2.0
// fs_dir.h - open directories: a bounded table of handles, READDIR and READDIRPLUS
#ifndef MAYFLY_FS_DIR_H
#define MAYFLY_FS_DIR_H

#include "fs/fs_node.h"

#include <stddef.h>
#include <stdint.h>

struct fs;

struct fs_dir {
	uint64_t node; /* the guest's id; 0: this handle is free */
	uint64_t pos;  /* where fd stands */
	int32_t fd;    /* -1: a directory without a host one */
	uint32_t gen;
	uint32_t next_free;
};

struct fs_dirs {
	struct fs_dir *dir;
	uint32_t used, cap, limit;
	uint32_t free_head; /* index + 1 */
};

void fs_dir_init(struct fs *fs, unsigned limit);
void fs_dir_destroy(struct fs *fs);

/* fs_dir_open() - a handle on directory n; 0, -ENFILE when the table is full, or -errno. */
int fs_dir_open(struct fs *fs, struct fs_node *n, uint64_t *fh);

/* fs_dir_fd() - the host descriptor behind a handle, for fsync(); -EBADF if there is none. */
int fs_dir_fd(struct fs *fs, const struct fs_node *n, uint64_t fh);

/* fs_dir_close() - 0, or -EBADF for a handle that isn't one of this node. */
int fs_dir_close(struct fs *fs, uint64_t node, uint64_t fh);
void fs_dir_close_all(struct fs *fs);

/*
 * fs_dir_read() - fills out with fuse_dirent or, if plus, fuse_direntplus records.
 * @off: 0, or the off of the last record that the guest has
 * Returns the bytes used (0 at the end), or -errno.
 */
int fs_dir_read(struct fs *fs, struct fs_node *n, uint64_t fh, uint64_t off, uint8_t *out,
		size_t room, bool plus);

#endif
