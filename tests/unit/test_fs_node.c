// SPDX-License-Identifier: Apache-2.0
// test_fs_node.c - node table: ids, counts, parents, budget
#include "base/cleanup.h"
#include "fs/fs_node.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static struct fs_nodes t;

static struct fs_key key(uint64_t ino, mode_t type)
{
	return (struct fs_key){.ino = ino, .kind = FS_KIND_REAL, .type = FS_TYPE(type)};
}

static struct fs_node *add(uint64_t ino, mode_t type, uint32_t parent, const char *name)
{
	struct fs_key k = key(ino, type);
	struct fs_node *n = NULL;
	assert_int_equal(fs_node_new(&t, &k, parent, name, &n), 0);
	n->nlookup = 1;
	return n;
}

static int start(void **state)
{
	(void)state;
	if (fs_node_init(&t, 1 << 20) < 0)
		return -1;
	add(1, S_IFDIR, FS_NODE_NONE, "/")->flags |= FS_NODE_PINNED;
	return 0;
}

static int stop(void **state)
{
	(void)state;
	fs_node_destroy(&t);
	return 0;
}

static void test_root_is_one(void **state)
{
	(void)state;
	struct fs_node *root = fs_node_get(&t, 1);
	assert_non_null(root);
	assert_int_equal(fs_node_id(root), 1);
	assert_null(fs_node_get(&t, 0));
	assert_null(fs_node_get(&t, 2));
	assert_null(fs_node_get(&t, (1ull << 32) | 1));
	assert_null(fs_node_get(&t, UINT64_MAX));
}

static void test_generation(void **state)
{
	(void)state;
	struct fs_node *n = add(10, S_IFREG, 1, "a");
	uint64_t id = fs_node_id(n);
	assert_ptr_equal(fs_node_get(&t, id), n);
	assert_true(fs_node_forget(&t, n, 1));
	assert_null(fs_node_get(&t, id));
	struct fs_node *m = add(11, S_IFREG, 1, "b");
	assert_ptr_equal(m, n); /* the slot is used again */
	assert_int_not_equal(fs_node_id(m), id);
	assert_null(fs_node_get(&t, id));
}

static void test_counts(void **state)
{
	(void)state;
	struct fs_node *n = add(10, S_IFREG, 1, "a");
	uint64_t id = fs_node_id(n);
	n->nlookup = 3;
	assert_true(fs_node_forget(&t, n, 2));
	assert_ptr_equal(fs_node_get(&t, id), n);
	assert_false(fs_node_forget(&t, n, UINT64_MAX));
	assert_null(fs_node_get(&t, id));
	/* The root stays whatever is forgotten. */
	fs_node_forget(&t, fs_node_get(&t, 1), UINT64_MAX);
	assert_non_null(fs_node_get(&t, 1));
}

static void test_parents_outlive_forget(void **state)
{
	(void)state;
	struct fs_node *d = add(10, S_IFDIR, 1, "d");
	struct fs_node *e = add(11, S_IFDIR, d->self, "e");
	struct fs_node *f = add(12, S_IFREG, e->self, "f");
	uint64_t did = fs_node_id(d);
	uint64_t eid = fs_node_id(e);
	assert_true(fs_node_forget(&t, d, 1));
	assert_true(fs_node_forget(&t, e, 1));
	assert_non_null(fs_node_get(&t, did));
	assert_non_null(fs_node_get(&t, eid));
	assert_true(fs_node_forget(&t, f, 1));
	assert_null(fs_node_get(&t, did));
	assert_null(fs_node_get(&t, eid));
	assert_int_equal(t.live, 1);
	assert_int_equal(fs_node_get(&t, 1)->children, 0);
}

static void test_find_and_unhash(void **state)
{
	(void)state;
	struct fs_node *n = add(10, S_IFREG, 1, "a");
	struct fs_key k = key(10, S_IFREG);
	assert_ptr_equal(fs_node_find(&t, &k), n);
	k.view = 1;
	assert_null(fs_node_find(&t, &k));
	k.view = 0;
	k.birth = 7;
	assert_null(fs_node_find(&t, &k));
	k.birth = 0;
	fs_node_unhash(&t, n);
	fs_node_unhash(&t, n);
	assert_null(fs_node_find(&t, &k));
	assert_true(fs_node_forget(&t, n, 1));
}

static void test_moved_directories_make_no_ring(void **state)
{
	(void)state;
	/* Host: a/b, then b moves out, a moves into b; the guest looks b/a up. */
	struct fs_node *a = add(10, S_IFDIR, 1, "a");
	struct fs_node *b = add(11, S_IFDIR, a->self, "b");
	uint32_t aslot = a->self;
	assert_int_equal(fs_node_seen_as(&t, a, b->self, "a"), 0);
	assert_int_equal(a->parent, b->self);
	assert_int_equal(b->parent, FS_NODE_NONE);
	assert_int_equal(a->children, 0);
	assert_int_equal(b->children, 1);
	/* A lookup of b in the root repairs it. */
	assert_int_equal(fs_node_seen_as(&t, b, 1, "b"), 0);
	assert_int_equal(b->parent, 1);
	assert_true(fs_node_forget(&t, b, 1));
	assert_int_equal(fs_node_at(&t, aslot)->parent, b->self);
	assert_true(fs_node_forget(&t, a, 1));
	assert_int_equal(t.live, 1);
}

static void test_ring_with_unlooked_node(void **state)
{
	(void)state;
	/* The node that moves is alive only through its child, the new parent. */
	struct fs_node *a = add(10, S_IFDIR, 1, "a");
	struct fs_node *b = add(11, S_IFDIR, a->self, "b");
	uint64_t aid = fs_node_id(a);
	assert_true(fs_node_forget(&t, a, 1));
	assert_int_equal(fs_node_seen_as(&t, a, b->self, "x"), 0);
	a->nlookup++;
	assert_ptr_equal(fs_node_get(&t, aid), a);
	assert_true(fs_node_forget(&t, a, 1));
	assert_true(fs_node_forget(&t, b, 1));
	assert_int_equal(t.live, 1);
}

static void test_names(void **state)
{
	(void)state;
	struct fs_node *n = add(10, S_IFREG, 1, "a");
	size_t bytes = t.bytes;
	assert_int_equal(fs_node_seen_as(&t, n, 1, "longer name"), 0);
	assert_string_equal(n->name, "longer name");
	assert_int_equal(t.bytes, bytes + strlen("longer name") - 1);
	assert_true(fs_node_forget(&t, n, 1));
}

static void test_budget(void **state)
{
	(void)state;
	char name[256];
	memset(name, 'x', 255);
	name[255] = '\0';
	struct fs_node *n;
	uint64_t count = 0;
	int ret;
	do {
		struct fs_key k = key(100 + count++, S_IFREG);
		ret = fs_node_new(&t, &k, 1, name, &n);
		if (ret == 0)
			n->nlookup = 1;
	} while (ret == 0);
	assert_int_equal(ret, -ENOMEM);
	assert_true(count > 1000);
	assert_true(t.bytes <= t.max_bytes);
	/* Forgetting makes room again. */
	struct fs_key k = key(100, S_IFREG);
	assert_true(fs_node_forget(&t, fs_node_find(&t, &k), 1));
	assert_int_equal(fs_node_new(&t, &k, 1, name, &n), 0);
	fs_node_reset(&t);
	assert_int_equal(t.live, 1);
	assert_int_equal(fs_node_new(&t, &k, 1, name, &n), 0);
	fs_node_reset(&t);
}

static void test_many(void **state)
{
	(void)state;
	fs_node_destroy(&t);
	assert_int_equal(fs_node_init(&t, 64 << 20), 0);
	add(1, S_IFDIR, FS_NODE_NONE, "/")->flags |= FS_NODE_PINNED;
	for (uint64_t i = 2; i < 50000; i++)
		add(i, S_IFREG, 1, "n");
	for (uint64_t i = 2; i < 50000; i++) {
		struct fs_key k = key(i, S_IFREG);
		struct fs_node *n = fs_node_find(&t, &k);
		assert_non_null(n);
		assert_int_equal(n->key.ino, i);
	}
	fs_node_reset(&t);
	assert_int_equal(t.live, 1);
	assert_int_equal(fs_node_get(&t, 1)->children, 0);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_root_is_one),
		T(test_generation),
		T(test_counts),
		T(test_parents_outlive_forget),
		T(test_find_and_unhash),
		T(test_moved_directories_make_no_ring),
		T(test_ring_with_unlooked_node),
		T(test_names),
		T(test_budget),
		T(test_many),
	};
	return cmocka_run_group_tests_name("fs_node", tests, NULL, NULL);
}
