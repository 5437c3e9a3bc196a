// SPDX-License-Identifier: Apache-2.0
// test_fs_tree.c - configurations that are right and wrong
#include "base/checked.h"
#include "base/cleanup.h"
#include "fs/fs.h"
#include "proto/config.pb-c.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const struct fs_limits limits = {.max_bytes = 1 << 20, .max_cached = 16, .max_dirs = 4};

struct conf {
	Mayfly__FsConfig cfg;
	Mayfly__FsEntry root, a, b;
	Mayfly__FsEntry *top[2];
};

static void conf_init(struct conf *c)
{
	mayfly__fs_config__init(&c->cfg);
	mayfly__fs_entry__init(&c->root);
	mayfly__fs_entry__init(&c->a);
	mayfly__fs_entry__init(&c->b);
	c->cfg.version = 1;
	c->cfg.root = &c->root;
	c->root.fd = c->a.fd = c->b.fd = -1;
	c->a.name = (char *)(uintptr_t) "a";
	c->b.name = (char *)(uintptr_t) "b";
	c->top[0] = &c->a;
	c->top[1] = &c->b;
	c->root.entry = c->top;
	c->root.n_entry = 2;
}

static int try(struct conf *c, struct err *err)
{
	static struct fs fs;
	memset(&fs, 0, sizeof(fs));
	err->text[0] = '\0';
	int ret = fs_init(&fs, &c->cfg, &limits, err);
	fs_destroy(&fs);
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(ret < 0, err->text[0] != '\0');
	return ret;
}

static void test_good(void **state)
{
	(void)state;
	struct conf c;
	struct err err;
	conf_init(&c);
	assert_int_equal(try(&c, &err), 0);
	c.a.fd = open("/usr", O_PATH | O_CLOEXEC);
	c.a.entry = NULL;
	assert_int_equal(try(&c, &err), 0);
	/* The descriptor was ours and is closed. */
	assert_int_equal(fcntl(c.a.fd, F_GETFD), -1);
	/* The root itself may be a directory of the host. */
	conf_init(&c);
	c.root.n_entry = 0;
	c.root.fd = open("/usr", O_PATH | O_CLOEXEC);
	assert_int_equal(try(&c, &err), 0);
}

static void test_bad_names(void **state)
{
	(void)state;
	static const char *const bad[] = {"", ".", "..", "a/b", "/", "b"};
	struct conf c;
	struct err err;
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		conf_init(&c);
		c.a.name = (char *)(uintptr_t)bad[i];
		assert_true(try(&c, &err) < 0);
	}
}

static void test_bad_descriptors(void **state)
{
	(void)state;
	struct conf c;
	struct err err;
	conf_init(&c);
	c.a.fd = 9999;
	assert_int_equal(try(&c, &err), -EBADF);
	conf_init(&c);
	AUTO_CLOSE int readable = open("/usr", O_RDONLY | O_CLOEXEC);
	c.a.fd = readable;
	assert_int_equal(try(&c, &err), -EINVAL);
	conf_init(&c);
	AUTO_CLOSE int null = open("/dev/null", O_PATH | O_CLOEXEC);
	c.a.fd = null;
	assert_int_equal(try(&c, &err), -EINVAL);
	conf_init(&c);
	c.root.fd = readable;
	assert_int_equal(try(&c, &err), -EINVAL); /* and entries */
}

static void test_too_much(void **state)
{
	(void)state;
	struct conf c;
	struct err err;
	static Mayfly__FsEntry deep[FS_TREE_DEPTH_MAX + 2];
	static Mayfly__FsEntry *link[FS_TREE_DEPTH_MAX + 2];
	conf_init(&c);
	c.cfg.version = 2;
	assert_int_equal(try(&c, &err), -EPROTO);
	conf_init(&c);
	c.cfg.root = NULL;
	assert_int_equal(try(&c, &err), -EINVAL);
	conf_init(&c);
	for (unsigned i = 0; i < ARRAY_SIZE(deep); i++) {
		mayfly__fs_entry__init(&deep[i]);
		deep[i].fd = -1;
		deep[i].name = (char *)(uintptr_t) "d";
		link[i] = &deep[i];
		if (i > 0) {
			deep[i - 1].entry = &link[i];
			deep[i - 1].n_entry = 1;
		}
	}
	c.cfg.root = &deep[0];
	assert_int_equal(try(&c, &err), -E2BIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad_names),
		cmocka_unit_test(test_bad_descriptors),
		cmocka_unit_test(test_too_much),
	};
	return cmocka_run_group_tests_name("fs_tree", tests, NULL, NULL);
}
