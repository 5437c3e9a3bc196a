// SPDX-License-Identifier: Apache-2.0
// fs_file.h - open files of views with a quota: what is written to them passes through here
#ifndef MAYFLY_FS_FILE_H
#define MAYFLY_FS_FILE_H

#include "fs/fs_node.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct fs;

struct fs_file {
	uint32_t node; /* slot of the node, which lives as long; 0: this handle is free */
	int32_t fd;    /* -1: opened only for reading, the device has what it needs */
	uint32_t gen;
	uint32_t next_free;
};

struct fs_files {
	struct fs_file *file;
	uint32_t used, cap, limit;
	uint32_t free_head; /* index + 1 */
};

void fs_file_init(struct fs *fs, unsigned limit);
void fs_file_destroy(struct fs *fs);

/* fs_file_add() - a handle for node n; fd (-1: none) is the table's then. 0, -ENFILE, -ENOMEM. */
int fs_file_add(struct fs *fs, struct fs_node *n, int fd, uint64_t *fh);

/* fs_file_fd() - the descriptor behind fh; -EBADF if node n has no such handle, or it can't write.
 */
int fs_file_fd(struct fs *fs, const struct fs_node *n, uint64_t fh);

/* fs_file_close() - 0, or -EBADF for a handle that isn't one of the node with this id. */
int fs_file_close(struct fs *fs, uint64_t node, uint64_t fh);
void fs_file_close_all(struct fs *fs);

/* fs_file_write() - returns the bytes written, or -errno; -EDQUOT if the view may not grow so far.
 */
ssize_t fs_file_write(struct fs *fs, struct fs_node *n, int fd, const void *data, size_t len,
		      uint64_t off);

/* fs_file_allocate() - fallocate(), @mode as there; 0 or -errno. */
int fs_file_allocate(struct fs *fs, struct fs_node *n, int fd, uint32_t mode, uint64_t off,
		     uint64_t len);

/* fs_file_truncate() - ftruncate(), counted; 0 or -errno. */
int fs_file_truncate(struct fs *fs, struct fs_node *n, int fd, uint64_t size);

#endif
