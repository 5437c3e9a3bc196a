// SPDX-License-Identifier: Apache-2.0
// fs_tree.h - the tree of the configuration: synthetic directories and the views in them
#ifndef MAYFLY_FS_TREE_H
#define MAYFLY_FS_TREE_H

#include "base/err.h"
#include "fs/fs_node.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fs;
typedef struct Mayfly__FsEntry Mayfly__FsEntry;

#define FS_TREE_ENTRIES_MAX 4096u
#define FS_TREE_DEPTH_MAX 64u

/* A host file, directory or symlink that the configuration shows. Its node is pinned. */
struct fs_view {
	uint64_t mnt_id;
	uint32_t cache_ms;
	bool writable;
	bool direct;	/* the guest keeps no file contents */
	uint64_t quota; /* bytes by which it may grow, 0: no limit */
	int64_t grown;	/* by how much it has; fs_quota.c's */
};

struct fs_tree {
	struct fs_view *view;
	unsigned nviews;
	/* The pinned node behind each name, parents first. entry[0] is the root. */
	uint32_t *entry;
	unsigned nentries;
};

/*
 * fs_tree_build() - makes the pinned nodes. The descriptors named in root become ours.
 * Returns 0, or -errno with a text.
 */
int fs_tree_build(struct fs *fs, const Mayfly__FsEntry *root, struct err *err);
void fs_tree_destroy(struct fs *fs);

/* fs_tree_find() - the node called name in synthetic directory dir, NULL if there is none. */
struct fs_node *fs_tree_find(struct fs *fs, const struct fs_node *dir, const char *name);

/* fs_tree_next() - the first entry of dir with a number of at least *pos; *pos becomes the
 * number to go on with. NULL at the end. */
struct fs_node *fs_tree_next(struct fs *fs, const struct fs_node *dir, uint64_t *pos);

/* fs_tree_view() - the view of a host file. */
struct fs_view *fs_tree_view(const struct fs *fs, const struct fs_node *n);

/* fs_tree_writable() - may the guest change this file, or what is in this directory? */
bool fs_tree_writable(const struct fs *fs, const struct fs_node *n);

/* fs_tree_name_ok() - may this be one component of a path: 0, -EINVAL or -ENAMETOOLONG. */
int fs_tree_name_ok(const char *name);

#endif
