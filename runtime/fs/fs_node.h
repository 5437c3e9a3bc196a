// SPDX-License-Identifier: Apache-2.0
// fs_node.h - the files the guest knows: ids, identities, lookup counts, names
//
// A node is one file of one view, found by (kind, view, device, inode, birth), so hard links are
// one node. The guest's id is slot + generation: a slot that is used again has another id, and a
// forged or stale id finds nothing. A node lives while the guest counts lookups on it, fs_file.c
// has it open or another node names it as its parent. It remembers one (parent, name) under which
// it was seen last, by which fs_cache.c finds it again when its descriptor was closed.
#ifndef MAYFLY_FS_NODE_H
#define MAYFLY_FS_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FS_NODE_ROOT 1u /* slot and id of the root, as FUSE wants it */
#define FS_NODE_NONE 0u

#define FS_NODE_CHUNK 256u
#define FS_NODE_CHUNKS_MAX 16384u

/* The file type of a mode in 4 bits, as directory entries have it (DT_*). */
#define FS_TYPE(mode) ((uint8_t)(((mode) >> 12) & 15))

enum fs_kind {
	FS_KIND_FREE,
	FS_KIND_SYNTH,	/* a directory that only the configuration knows */
	FS_KIND_REAL,	/* a host file */
	FS_KIND_STANDIN /* the empty directory shown in place of another mount */
};

#define FS_NODE_PINNED 1u   /* named by the configuration: never freed, its fd never closed */
#define FS_NODE_UNHASHED 2u /* its inode number now belongs to another file */
#define FS_NODE_TOLD 4u	    /* the guest has just been made to look again: open it as it is */
#define FS_NODE_HELD 8u	    /* its name is gone: only its fd leads to it, and stays open */
#define FS_NODE_GONE 16u    /* its last name is gone: what it takes comes back at its end */

/* Who a file is. */
struct fs_key {
	uint64_t ino;
	uint32_t birth; /* hash of the birth time: tells a reused inode number; 0 if unknown */
	uint16_t dev;	/* index from fs_ino_dev() */
	uint16_t view;
	uint8_t kind;
	uint8_t type; /* FS_TYPE(mode) */
};

struct fs_node {
	struct fs_key key;
	uint64_t nlookup;
	char *name;
	uint32_t self, gen;
	uint32_t parent, children;
	uint32_t opens; /* files of fs_file.c */
	uint32_t hash_next;
	uint32_t lru_prev, lru_next; /* fs_cache.c's, valid while fd >= 0 and not pinned */
	int32_t fd;		     /* O_PATH, -1: closed */
	uint32_t stamp;		     /* fingerprint of the attributes the guest was given last */
	uint32_t flags;
};

struct fs_nodes {
	struct fs_node *chunk[FS_NODE_CHUNKS_MAX];
	uint32_t used; /* slots ever used */
	uint32_t free_head;
	uint32_t live;
	uint32_t *bucket;
	uint32_t nbuckets; /* a power of two */
	size_t bytes, max_bytes;
	/* Called before a node with a descriptor is freed. */
	void (*drop_fd)(void *arg, struct fs_node *n);
	void *arg;
};

/* fs_node_init() - an empty table that will take at most max_bytes; 0 or -ENOMEM. */
int fs_node_init(struct fs_nodes *t, size_t max_bytes);
void fs_node_destroy(struct fs_nodes *t);

/* fs_node_get() - the node of a guest's id, NULL if it is none. */
struct fs_node *fs_node_get(struct fs_nodes *t, uint64_t id);
uint64_t fs_node_id(const struct fs_node *n);

/* fs_node_at() - the node in a slot that is known to be in use. */
struct fs_node *fs_node_at(struct fs_nodes *t, uint32_t slot);

/* fs_node_find() - by identity, NULL if unknown. */
struct fs_node *fs_node_find(struct fs_nodes *t, const struct fs_key *key);

/*
 * fs_node_new() - adds a node below parent (FS_NODE_NONE for the root); lookup count 0: give it
 * a count or FS_NODE_PINNED, or take it back with fs_node_forget(t, n, 0).
 * Returns 0 or -ENOMEM.
 */
int fs_node_new(struct fs_nodes *t, const struct fs_key *key, uint32_t parent, const char *name,
		struct fs_node **out);

/* fs_node_seen_as() - remembers the latest parent and name of a node; 0 or -ENOMEM. */
int fs_node_seen_as(struct fs_nodes *t, struct fs_node *n, uint32_t parent, const char *name);

/* fs_node_forget() - takes count lookups away; n may be freed, and its parents after it.
 * Returns false if the guest forgot more than it had looked up. */
bool fs_node_forget(struct fs_nodes *t, struct fs_node *n, uint64_t count);

/* fs_node_unhash() - this identity is another file's now. */
void fs_node_unhash(struct fs_nodes *t, struct fs_node *n);

/* fs_node_reset() - frees everything that is not pinned: the guest's driver starts anew. */
void fs_node_reset(struct fs_nodes *t);

#endif
