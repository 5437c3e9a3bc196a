// SPDX-License-Identifier: Apache-2.0
// fs_open.h - from an O_PATH descriptor to one that can be read or written
#ifndef MAYFLY_FS_OPEN_H
#define MAYFLY_FS_OPEN_H

#include "fs/fs_node.h"

struct fs;

/*
 * fs_open_node() - opens the very file behind a real node for reading, by the magic link of our
 * own descriptor; the caller has made sure that its type may be opened.
 * @extra: O_DIRECTORY or 0
 * Returns a descriptor that is the caller's, or -errno.
 */
int fs_open_node(struct fs *fs, struct fs_node *n, int extra);

/* What the device gets for an open file. */
struct fs_opened {
	uint64_t fh;	     /* of fs_file.c, with FS_WIRE_OPEN_KEPT */
	uint32_t open_flags; /* FOPEN_*, FS_WIRE_OPEN_* */
	int fd;		     /* the receiver's; -1: none */
};

/*
 * fs_open_file() - OPEN: regular files only, for writing only in writable views.
 * @flags: the guest's open flags
 * Returns 0 or -errno. -ESTALE once makes the guest look the name up again: the file changed since
 * it was told the attributes that it may still cache.
 */
int fs_open_file(struct fs *fs, struct fs_node *n, uint32_t flags, struct fs_opened *out);

/*
 * fs_open_take() - what fs_open_file() does when the file is open.
 * @fd: opened as flags say; @reader: the same file for reading, where the view has a quota and fd
 * is for both. Both become -1 if they are taken. Returns 0 or -errno.
 */
int fs_open_take(struct fs *fs, struct fs_node *n, uint32_t flags, int *fd, int *reader,
		 struct fs_opened *out);

/* fs_open_again() - the file behind any descriptor, for reading; the caller's, or -errno. */
int fs_open_again(struct fs *fs, int fd);

/* fs_open_truncate() - truncate() of a regular file in a writable view; 0 or -errno. */
int fs_open_truncate(struct fs *fs, struct fs_node *n, uint64_t size);

/* fs_open_flags() - FOPEN_* by which a file's or directory's contents stay cached. */
uint32_t fs_open_flags(const struct fs *fs, const struct fs_node *n);

#endif
