// SPDX-License-Identifier: Apache-2.0
// fs_open.h - from an O_PATH descriptor to one that can be read
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

/*
 * fs_open_file() - OPEN: regular files only, for reading only.
 * @flags: the guest's open flags; @fopen_flags: what to tell it (FOPEN_*)
 * Returns a descriptor that is the caller's, or -errno. -ESTALE once makes the guest look the
 * name up again: the file changed since it was told the attributes that it may still cache.
 */
int fs_open_file(struct fs *fs, struct fs_node *n, uint32_t flags, uint32_t *fopen_flags);

/* fs_open_flags() - FOPEN_* by which a file's or directory's contents stay cached. */
uint32_t fs_open_flags(const struct fs *fs, const struct fs_node *n);

#endif
