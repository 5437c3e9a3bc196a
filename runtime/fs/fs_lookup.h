// SPDX-License-Identifier: Apache-2.0
// fs_lookup.h - one name in one directory to a node and what the guest is told about it
#ifndef MAYFLY_FS_LOOKUP_H
#define MAYFLY_FS_LOOKUP_H

#include "fs/fs_node.h"

#include <linux/fuse.h>

struct fs;
struct statx;

/*
 * fs_lookup() - looks name up in dir and counts the lookup.
 * @dirfd: a descriptor of dir if the caller has one, else -1
 * Returns 0 with *out filled, or -errno: -ENOENT for what is not there or not shown.
 */
int fs_lookup(struct fs *fs, struct fs_node *dir, int dirfd, const char *name,
	      struct fuse_entry_out *out);

/* fs_lookup_stx() - the same for a name of which the caller knows what is there. */
int fs_lookup_stx(struct fs *fs, struct fs_node *dir, const char *name, const struct statx *stx,
		  struct fuse_entry_out *out);

/*
 * fs_lookup_key() - is what statx() saw in dir shown at all, and as what? Sets the key and its
 * kind. Returns 0, -ENOENT for what is not shown, or -errno.
 */
int fs_lookup_key(struct fs *fs, const struct fs_node *dir, const struct statx *stx,
		  struct fs_key *key);

/*
 * fs_lookup_careful() - fs_lookup() for a guest that was told ESTALE just now: what it finds
 * stays found, even if the host replaces it before the next request.
 */
int fs_lookup_careful(struct fs *fs, struct fs_node *dir, const char *name,
		      struct fuse_entry_out *out);

/* fs_lookup_attr() - attributes of a node and how long they hold; 0 or -errno. */
int fs_lookup_attr(struct fs *fs, struct fs_node *n, struct fuse_attr_out *out);

#endif
