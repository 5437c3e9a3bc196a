// SPDX-License-Identifier: Apache-2.0
// fs_node.c - node table in chunks that grow on demand, a hash over identities, a memory budget
#include "fs/fs_node.h"

#include "base/checked.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define BUCKETS_FIRST 256u
#define CHUNK_BYTES (FS_NODE_CHUNK * sizeof(struct fs_node))
#define MALLOC_OVERHEAD 16u

/* How far up fs_node_seen_as() looks for a loop, and so how deep a tree may be. */
#define CLIMB_MAX 4096u

static uint64_t mix(uint64_t x)
{
	x ^= x >> 31;
	x *= 0x9e3779b97f4a7c15ull;
	x ^= x >> 29;
	x *= 0xbf58476d1ce4e5b9ull;
	return x ^ (x >> 32);
}

static uint32_t bucket_of(const struct fs_nodes *t, const struct fs_key *k)
{
	uint64_t who = ((uint64_t)k->kind << 32) | ((uint64_t)k->view << 16) | k->dev;
	return (uint32_t)(mix(k->ino + mix(who)) & (t->nbuckets - 1));
}

static bool same_key(const struct fs_key *a, const struct fs_key *b)
{
	return a->ino == b->ino && a->birth == b->birth && a->dev == b->dev && a->view == b->view &&
	       a->kind == b->kind && a->type == b->type;
}

static bool budget_take(struct fs_nodes *t, size_t bytes)
{
	if (bytes > t->max_bytes - t->bytes)
		return false;
	t->bytes += bytes;
	return true;
}

int fs_node_init(struct fs_nodes *t, size_t max_bytes)
{
	memset(t, 0, sizeof(*t));
	t->max_bytes = max_bytes;
	t->used = 1; /* slot 0 is nobody */
	if (!budget_take(t, BUCKETS_FIRST * sizeof(uint32_t)))
		return -ENOMEM;
	t->bucket = calloc(BUCKETS_FIRST, sizeof(uint32_t));
	if (!t->bucket)
		return -ENOMEM;
	t->nbuckets = BUCKETS_FIRST;
	return 0;
}

struct fs_node *fs_node_at(struct fs_nodes *t, uint32_t slot)
{
	return &t->chunk[slot / FS_NODE_CHUNK][slot % FS_NODE_CHUNK];
}

struct fs_node *fs_node_get(struct fs_nodes *t, uint64_t id)
{
	uint32_t slot = (uint32_t)id;
	if (slot == FS_NODE_NONE || slot >= t->used)
		return NULL;
	struct fs_node *n = fs_node_at(t, slot);
	if (n->key.kind == FS_KIND_FREE || n->gen != (uint32_t)(id >> 32))
		return NULL;
	return n;
}

uint64_t fs_node_id(const struct fs_node *n)
{
	return ((uint64_t)n->gen << 32) | n->self;
}

struct fs_node *fs_node_find(struct fs_nodes *t, const struct fs_key *key)
{
	uint32_t slot = t->bucket[bucket_of(t, key)];
	while (slot != FS_NODE_NONE) {
		struct fs_node *n = fs_node_at(t, slot);
		if (same_key(&n->key, key))
			return n;
		slot = n->hash_next;
	}
	return NULL;
}

static void hash_insert(struct fs_nodes *t, struct fs_node *n)
{
	uint32_t *head = &t->bucket[bucket_of(t, &n->key)];
	n->hash_next = *head;
	*head = n->self;
}

/* A table that can't grow still works, only slower: failure is not reported. */
static void hash_grow(struct fs_nodes *t)
{
	uint32_t want = t->nbuckets * 2;
	if (t->live <= t->nbuckets || !budget_take(t, t->nbuckets * sizeof(uint32_t)))
		return;
	uint32_t *bigger = calloc(want, sizeof(uint32_t));
	if (!bigger) {
		t->bytes -= t->nbuckets * sizeof(uint32_t);
		return;
	}
	free(t->bucket);
	t->bucket = bigger;
	t->nbuckets = want;
	for (uint32_t i = 1; i < t->used; i++) {
		struct fs_node *n = fs_node_at(t, i);
		if (n->key.kind != FS_KIND_FREE && !(n->flags & FS_NODE_UNHASHED))
			hash_insert(t, n);
	}
}

void fs_node_unhash(struct fs_nodes *t, struct fs_node *n)
{
	if (n->flags & FS_NODE_UNHASHED)
		return;
	n->flags |= FS_NODE_UNHASHED;
	uint32_t *link = &t->bucket[bucket_of(t, &n->key)];
	while (*link != n->self)
		link = &fs_node_at(t, *link)->hash_next;
	*link = n->hash_next;
}

static int slot_take(struct fs_nodes *t, struct fs_node **out)
{
	if (t->free_head != FS_NODE_NONE) {
		*out = fs_node_at(t, t->free_head);
		t->free_head = (*out)->hash_next;
		return 0;
	}
	uint32_t chunk = t->used / FS_NODE_CHUNK;
	if (chunk >= FS_NODE_CHUNKS_MAX)
		return -ENOMEM;
	if (!t->chunk[chunk]) {
		if (!budget_take(t, CHUNK_BYTES))
			return -ENOMEM;
		t->chunk[chunk] = calloc(FS_NODE_CHUNK, sizeof(struct fs_node));
		if (!t->chunk[chunk]) {
			t->bytes -= CHUNK_BYTES;
			return -ENOMEM;
		}
	}
	*out = fs_node_at(t, t->used);
	(*out)->self = t->used;
	/* The root's id must be 1, so its generation is 0. */
	(*out)->gen = t->used == FS_NODE_ROOT ? 0 : 1;
	t->used++;
	return 0;
}

static size_t name_cost(const char *name)
{
	return strlen(name) + 1 + MALLOC_OVERHEAD;
}

static int name_set(struct fs_nodes *t, struct fs_node *n, const char *name)
{
	size_t cost = name_cost(name);
	if (!budget_take(t, cost))
		return -ENOMEM;
	char *copy = strdup(name);
	if (!copy) {
		t->bytes -= cost;
		return -ENOMEM;
	}
	if (n->name) {
		t->bytes -= name_cost(n->name);
		free(n->name);
	}
	n->name = copy;
	return 0;
}

int fs_node_new(struct fs_nodes *t, const struct fs_key *key, uint32_t parent, const char *name,
		struct fs_node **out)
{
	struct fs_node *n;
	int ret = slot_take(t, &n);
	if (ret < 0)
		return ret;
	uint32_t gen = n->gen;
	uint32_t self = n->self;
	*n = (struct fs_node){.key = *key, .self = self, .gen = gen, .parent = parent, .fd = -1};
	ret = name_set(t, n, name);
	if (ret < 0) {
		n->key.kind = FS_KIND_FREE;
		n->hash_next = t->free_head;
		t->free_head = self;
		return ret;
	}
	if (parent != FS_NODE_NONE)
		fs_node_at(t, parent)->children++;
	t->live++;
	hash_insert(t, n);
	hash_grow(t);
	*out = n;
	return 0;
}

static void node_free(struct fs_nodes *t, struct fs_node *n)
{
	if (n->fd >= 0 && t->drop_fd)
		t->drop_fd(t->arg, n);
	fs_node_unhash(t, n);
	t->bytes -= name_cost(n->name);
	free(n->name);
	n->name = NULL;
	n->key.kind = FS_KIND_FREE;
	n->gen++;
	n->hash_next = t->free_head;
	t->free_head = n->self;
	t->live--;
}

/* Frees n and then each ancestor that only its child kept alive. */
static void free_unused(struct fs_nodes *t, struct fs_node *n)
{
	while (n->nlookup == 0 && n->children == 0 && n->opens == 0 &&
	       !(n->flags & FS_NODE_PINNED)) {
		uint32_t parent = n->parent;
		node_free(t, n);
		if (parent == FS_NODE_NONE)
			return;
		n = fs_node_at(t, parent);
		n->children--;
	}
}

static void parent_drop(struct fs_nodes *t, struct fs_node *n)
{
	uint32_t old = n->parent;
	n->parent = FS_NODE_NONE;
	if (old == FS_NODE_NONE)
		return;
	fs_node_at(t, old)->children--;
	free_unused(t, fs_node_at(t, old));
}

/* Is n among the parents of slot? Too deep counts as yes. */
static bool is_above(struct fs_nodes *t, const struct fs_node *n, uint32_t slot)
{
	for (unsigned i = 0; i < CLIMB_MAX; i++) {
		if (slot == n->self)
			return true;
		if (slot == FS_NODE_NONE)
			return false;
		slot = fs_node_at(t, slot)->parent;
	}
	return true;
}

int fs_node_seen_as(struct fs_nodes *t, struct fs_node *n, uint32_t parent, const char *name)
{
	if (n->flags & FS_NODE_PINNED)
		return 0;
	if (strcmp(n->name, name) != 0) {
		int ret = name_set(t, n, name);
		if (ret < 0)
			return ret;
	}
	if (n->parent == parent)
		return 0;
	/*
	 * Directories that moved on the host can make what we remember a ring. Then the link
	 * above the new parent is out of date: cut it, the next lookup of that one repairs it.
	 * Both nodes are in use by our caller: hold them while links are cut.
	 */
	fs_node_at(t, parent)->children++;
	n->nlookup++;
	if (n->key.type == FS_TYPE(S_IFDIR) && is_above(t, n, parent))
		parent_drop(t, fs_node_at(t, parent));
	parent_drop(t, n);
	n->parent = parent;
	n->nlookup--;
	return 0;
}

bool fs_node_forget(struct fs_nodes *t, struct fs_node *n, uint64_t count)
{
	bool honest = count <= n->nlookup;
	n->nlookup -= MIN(count, n->nlookup);
	free_unused(t, n);
	return honest;
}

void fs_node_reset(struct fs_nodes *t)
{
	for (uint32_t i = 1; i < t->used; i++) {
		struct fs_node *n = fs_node_at(t, i);
		if (n->key.kind == FS_KIND_FREE || (n->flags & FS_NODE_PINNED))
			continue;
		node_free(t, n);
	}
	for (uint32_t i = 1; i < t->used; i++)
		fs_node_at(t, i)->children = 0;
	/* Pinned nodes are below pinned nodes only. */
	for (uint32_t i = 1; i < t->used; i++) {
		struct fs_node *n = fs_node_at(t, i);
		if (n->key.kind != FS_KIND_FREE && n->parent != FS_NODE_NONE)
			fs_node_at(t, n->parent)->children++;
	}
}

void fs_node_destroy(struct fs_nodes *t)
{
	for (uint32_t i = 1; i < t->used; i++) {
		struct fs_node *n = fs_node_at(t, i);
		if (n->key.kind == FS_KIND_FREE)
			continue;
		if (n->fd >= 0 && t->drop_fd)
			t->drop_fd(t->arg, n);
		free(n->name);
	}
	for (uint32_t i = 0; i < FS_NODE_CHUNKS_MAX && t->chunk[i]; i++)
		free(t->chunk[i]);
	free(t->bucket);
	t->used = 1;
	t->bucket = NULL;
}
