// SPDX-License-Identifier: Apache-2.0
// test_tree.c - names, links, replacing, whiteouts of the tree in memory
// links: runtime/image/tree.c
#include "image/tree.h"

#include "base/checked.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static struct tree t;
static struct err e;

static int setup(void **state)
{
	(void)state;
	return tree_init(&t);
}

static int teardown(void **state)
{
	(void)state;
	tree_free(&t);
	return 0;
}

static int add(const char *path, mode_t mode, uint32_t layer, const char *target)
{
	const struct tree_inode proto = {.mode = mode, .size = 1, .layer = layer};
	struct tree_inode *i;
	return tree_add(&t, path, &proto, target, &i, &e);
}

static int dir(const char *path, uint32_t layer)
{
	return add(path, S_IFDIR | 0700, layer, NULL);
}

static int file(const char *path, uint32_t layer)
{
	return add(path, S_IFREG | 0600, layer, NULL);
}

static bool there(const char *path)
{
	return tree_find(&t, path) != NULL;
}

static void test_names(void **state)
{
	(void)state;
	assert_int_equal(file("/abs//x/./y/", 1), 0);
	assert_true(there("abs/x/y"));
	assert_int_equal(tree_find(&t, "abs")->inode->mode, S_IFDIR | 0755);
	assert_int_equal(file("./a", 1), 0);
	assert_true(there("a"));
	assert_int_equal(dir("./", 1), 0);
	assert_int_equal(t.root->inode->mode, S_IFDIR | 0700);
	assert_int_equal(file("..", 1), -EINVAL);
	assert_int_equal(file("a/../../b", 1), -EINVAL);
	assert_int_equal(file("a/b", 1), -ENOTDIR);
	assert_int_equal(file(".", 1), -EINVAL);
	assert_int_equal(file("..x", 1), 0);
	assert_int_equal(file("x..", 1), 0);
	assert_true(there("..x"));
}

static void test_lengths(void **state)
{
	(void)state;
	char name[300];
	char path[5000];
	memset(name, 'n', sizeof(name));
	name[255] = '\0';
	assert_int_equal(file(name, 1), 0);
	name[255] = 'n';
	name[256] = '\0';
	assert_int_equal(file(name, 1), -ENAMETOOLONG);
	snprintf(path, sizeof(path), "%s/x", name);
	assert_int_equal(file(path, 1), -ENAMETOOLONG);
	for (size_t i = 0; i < sizeof(path) - 1; i++)
		path[i] = i % 2 ? '/' : 'd';
	path[4096] = '\0';
	assert_int_equal(file(path, 1), -ENAMETOOLONG);
	path[4095] = '\0';
	assert_int_equal(file(path, 1), 0);
	assert_true(t.entries > 2000);
}

static void test_links_on_the_way(void **state)
{
	(void)state;
	assert_int_equal(add("bin", S_IFLNK | 0777, 1, "usr/bin"), 0);
	assert_int_equal(file("bin/x", 1), 0);
	assert_true(there("usr/bin/x"));
	assert_true(there("bin/x"));
	assert_int_equal(add("out", S_IFLNK | 0777, 1, "../../../../tmp"), 0);
	assert_int_equal(file("out/y", 1), 0);
	assert_true(there("tmp/y"));
	assert_int_equal(add("usr/abs", S_IFLNK | 0777, 1, "/etc"), 0);
	assert_int_equal(file("usr/abs/z", 1), 0);
	assert_true(there("etc/z"));
	assert_int_equal(add("l1", S_IFLNK | 0777, 1, "l2"), 0);
	assert_int_equal(add("l2", S_IFLNK | 0777, 1, "l1"), 0);
	assert_int_equal(file("l1/x", 1), -ELOOP);
	/* The last name is replaced, not followed. */
	assert_int_equal(file("bin", 1), 0);
	assert_true(there("usr/bin/x"));
	assert_true(S_ISREG(tree_find(&t, "bin")->inode->mode));
	assert_int_equal(add("e", S_IFLNK | 0777, 1, ""), -EINVAL);
	assert_int_equal(add("e", S_IFLNK | 0777, 1, NULL), -EINVAL);
}

static void test_long_way_of_links(void **state)
{
	(void)state;
	char target[4000];
	memset(target, 'a', sizeof(target));
	for (size_t i = 100; i < sizeof(target); i += 100)
		target[i] = '/';
	target[sizeof(target) - 1] = '\0';
	assert_int_equal(add("l", S_IFLNK | 0777, 1, target), 0);
	char path[4000] = "l";
	for (int i = 0; i < 1900; i++)
		strcat(path, "/d");
	assert_int_equal(file(path, 1), 0);
	assert_int_equal(add("l2", S_IFLNK | 0777, 1, path), 0);
	/* All the way to its end, which is a file. */
	assert_int_equal(file("l2/x", 1), -ENOTDIR);
}

static void test_replacing(void **state)
{
	(void)state;
	assert_int_equal(dir("d", 1), 0);
	assert_int_equal(file("d/x", 1), 0);
	assert_int_equal(dir("d", 2), 0);
	assert_true(there("d/x"));
	assert_int_equal(file("d", 2), 0);
	assert_false(there("d/x"));
	assert_int_equal(dir("d", 3), 0);
	assert_true(S_ISDIR(tree_find(&t, "d")->inode->mode));
	assert_int_equal(t.entries, 2);
}

static void test_hard_links(void **state)
{
	(void)state;
	assert_int_equal(file("f", 1), 0);
	assert_int_equal(tree_link(&t, "g", "f", 1, &e), 0);
	assert_ptr_equal(tree_find(&t, "f")->inode, tree_find(&t, "g")->inode);
	/* Replacing one leaves the other's content. */
	struct tree_inode *old = tree_find(&t, "g")->inode;
	assert_int_equal(file("f", 2), 0);
	assert_ptr_equal(tree_find(&t, "g")->inode, old);
	assert_int_equal(old->refs, 1);
	/* Onto itself. */
	assert_int_equal(tree_link(&t, "g", "g", 2, &e), 0);
	assert_ptr_equal(tree_find(&t, "g")->inode, old);
	assert_int_equal(tree_link(&t, "x", "none", 1, &e), -ENOENT);
	assert_int_equal(tree_link(&t, "x", "../f", 1, &e), -EINVAL);
	assert_int_equal(dir("d", 1), 0);
	assert_int_equal(tree_link(&t, "x", "d", 1, &e), -EISDIR);
	assert_int_equal(tree_link(&t, ".", "f", 1, &e), -EINVAL);
	/* In the place of the directory in which its target was. */
	assert_int_equal(file("d/t", 1), 0);
	assert_int_equal(tree_link(&t, "d", "d/t", 1, &e), 0);
	assert_true(S_ISREG(tree_find(&t, "d")->inode->mode));
}

static void test_whiteouts(void **state)
{
	(void)state;
	assert_int_equal(file("d/old", 1), 0);
	assert_int_equal(file("d/sub/old", 1), 0);
	assert_int_equal(file("d/sub/new", 2), 0);
	assert_int_equal(file("d/new", 2), 0);
	assert_int_equal(tree_opaque(&t, "d", 2, &e), 0);
	assert_true(there("d/new") && there("d/sub/new"));
	assert_false(there("d/old") || there("d/sub/old"));
	/* What this layer has put there is not meant. */
	assert_int_equal(tree_whiteout(&t, "d/new", 2, &e), 0);
	assert_true(there("d/new"));
	assert_int_equal(tree_whiteout(&t, "d", 3, &e), 0);
	assert_false(there("d"));
	assert_int_equal(tree_whiteout(&t, "d", 3, &e), 0);
	assert_int_equal(tree_whiteout(&t, "", 3, &e), -EINVAL);
	assert_int_equal(tree_whiteout(&t, "a/..", 3, &e), -EINVAL);
	assert_int_equal(tree_opaque(&t, "none", 3, &e), 0);
	assert_int_equal(t.entries, 1);
	assert_int_equal(t.text, 0);
}

static void test_xattrs(void **state)
{
	(void)state;
	static char big[65535];
	assert_int_equal(file("f", 1), 0);
	struct tree_inode *i = tree_find(&t, "f")->inode;
	assert_int_equal(tree_xattr(&t, i, "user.b", "1", 1, &e), 0);
	assert_int_equal(tree_xattr(&t, i, "user.a", "", 0, &e), 0);
	assert_int_equal(tree_xattr(&t, i, "user.b", "22", 2, &e), 0);
	assert_string_equal(i->xattrs->name, "user.a");
	assert_string_equal(i->xattrs->next->name, "user.b");
	assert_int_equal(i->xattrs->next->value_len, 2);
	assert_null(i->xattrs->next->next);
	assert_int_equal(i->xattr_bytes, 6 + 6 + 2);
	assert_int_equal(tree_xattr(&t, i, "user.c", big, sizeof(big), &e), -E2BIG);
	tree_clear_xattrs(&t, i);
	assert_int_equal(t.text, 1);
}

static char order[64];

static void note(struct tree_node *n, void *arg)
{
	(void)arg;
	strcat(order, n->name);
}

static void test_order(void **state)
{
	(void)state;
	static const char *const names[] = {"b", "\xff", "a", "B", "-", "aa"};
	for (size_t k = 0; k < ARRAY_SIZE(names); k++)
		assert_int_equal(file(names[k], 1), 0);
	order[0] = '\0';
	tree_children(t.root, note, NULL);
	assert_string_equal(order, "-Baaab\xff");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_names, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lengths, setup, teardown),
		cmocka_unit_test_setup_teardown(test_links_on_the_way, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long_way_of_links, setup, teardown),
		cmocka_unit_test_setup_teardown(test_replacing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hard_links, setup, teardown),
		cmocka_unit_test_setup_teardown(test_whiteouts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_xattrs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_order, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
