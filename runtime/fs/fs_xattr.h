// SPDX-License-Identifier: Apache-2.0
// fs_xattr.h - extended attributes, the user. name space and no other
#ifndef MAYFLY_FS_XATTR_H
#define MAYFLY_FS_XATTR_H

#include "fs/fs_node.h"

#include <stddef.h>
#include <sys/types.h>

struct fs;

/*
 * fs_xattr_get() - the value of name, or its size if size is 0.
 * Returns the size or -errno: -ENODATA for every name that isn't shown.
 */
ssize_t fs_xattr_get(struct fs *fs, struct fs_node *n, const char *name, void *out, size_t size);

/* fs_xattr_list() - the names that are shown, each with its NUL, or their size if size is 0. */
ssize_t fs_xattr_list(struct fs *fs, struct fs_node *n, char *out, size_t size);

/*
 * fs_xattr_set() - in writable views only. @flags: XATTR_CREATE, XATTR_REPLACE
 * Returns 0 or -errno: -EOPNOTSUPP for every other name space.
 */
int fs_xattr_set(struct fs *fs, struct fs_node *n, const char *name, const void *value, size_t len,
		 uint32_t flags);
int fs_xattr_remove(struct fs *fs, struct fs_node *n, const char *name);

#endif
