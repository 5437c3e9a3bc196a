// SPDX-License-Identifier: Apache-2.0
// fs_cache.h - a bounded number of O_PATH descriptors for nodes, least recently used closed first
#ifndef MAYFLY_FS_CACHE_H
#define MAYFLY_FS_CACHE_H

#include "fs/fs_node.h"

struct fs;

/* A request uses at most its node and the node's parent; fewer than this makes no sense. */
#define FS_CACHE_MIN 8u

struct fs_cache {
	uint32_t newest, oldest;
	unsigned count, limit;
	unsigned held; /* beside them: nodes that fs_cache_hold() keeps open */
};

/* fs_cache_init() - also makes the node table close descriptors of freed nodes. */
void fs_cache_init(struct fs *fs, unsigned limit);

/*
 * fs_cache_fd() - an O_PATH descriptor of a real node, opened again if it was closed: from the
 * nearest ancestor that has one, down one name at a time, each compared with its identity.
 * The descriptor stays valid until the next but FS_CACHE_MIN - 1 calls.
 * Returns it, or -ESTALE if another file or none is there now, or another -errno.
 */
int fs_cache_fd(struct fs *fs, struct fs_node *n);

/*
 * fs_cache_hold() - before a node loses the name it is known by: its descriptor stays open from now
 * on, until fs_cache_seen(). Returns 0, -ENFILE if too many are held, or -errno; then the node may
 * become stale.
 */
int fs_cache_hold(struct fs *fs, struct fs_node *n);

/* fs_cache_seen() - the node has a name again by which it can be found. */
void fs_cache_seen(struct fs *fs, struct fs_node *n);

/* fs_cache_shrink() - closes up to count of the oldest; returns how many were closed. */
unsigned fs_cache_shrink(struct fs *fs, unsigned count);

#endif
