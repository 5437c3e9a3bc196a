// SPDX-License-Identifier: Apache-2.0
// test_fs_hide.c - what is hidden is found by no name, in no view, and in no listing
// links: runtime/fs/fs_hide.c
#include "lib/fs_fixture.h"

#include "fs/fs_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static struct fs_fixture fx;
static const char *const views[] = {"sys", "share", "now"};

static void start(const char *hide)
{
	fx_tree(&fx);
	fx_start_inline(&fx, &(struct fx_options){.hide = hide});
	assert_true(fx_init(&fx) > 0);
}

static int stop(void **state)
{
	(void)state;
	return fx_stop(&fx);
}

static int look(const char *view, const char *name)
{
	struct fuse_entry_out e;
	int ret = fx_lookup(&fx, fx_walk(&fx, view), name, &e);
	/* Where names are cached long, no node is how it is said that there is none. */
	return ret == 0 && e.nodeid == 0 ? -ENOENT : ret;
}

/* In all views that show the directory. */
static void expect(const char *name, int want)
{
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(look(views[i], name), want);
}

static void test_file(void **state)
{
	(void)state;
	start("file");
	expect("file", -ENOENT);
	/* Its other name as well. */
	expect("hard", -ENOENT);
	expect("suid", 0);
}

static void test_directory(void **state)
{
	(void)state;
	start("d1");
	expect("d1", -ENOENT);
	expect("empty", 0);
	/* Under its new name, and what takes its place. */
	assert_int_equal(renameat(fx.dirfd, "d1", fx.dirfd, "moved"), 0);
	assert_int_equal(mkdirat(fx.dirfd, "d1", 0755), 0);
	expect("moved", -ENOENT);
	expect("d1", -ENOENT);
	assert_int_equal(renameat(fx.dirfd, "moved", fx.dirfd, "empty/moved"), 0);
	struct fuse_entry_out e;
	assert_int_equal(fx_lookup(&fx, fx_walk(&fx, "now/empty"), "moved", &e), -ENOENT);
	/* The same name elsewhere is another matter. */
	assert_int_equal(mkdirat(fx.dirfd, "empty/d1", 0755), 0);
	assert_int_equal(fx_lookup(&fx, fx_walk(&fx, "now/empty"), "d1", &e), 0);
}

static void test_not_there_yet(void **state)
{
	(void)state;
	start("later");
	expect("later", -ENOENT);
	fx_write(&fx, "later", "secret");
	expect("later", -ENOENT);
	expect("file", 0);
}

static bool listed(bool plus, const char *name)
{
	static uint8_t buf[65536];
	uint64_t fh;
	struct fs_node *n = fs_node_get(&fx.fs->nodes, fx_walk(&fx, "now"));
	assert_non_null(n);
	assert_int_equal(fs_dir_open(fx.fs, n, &fh), 0);
	int len = fs_dir_read(fx.fs, n, fh, 0, buf, sizeof(buf), plus);
	assert_true(len > 0);
	assert_int_equal(fs_dir_close(fx.fs, fs_node_id(n), fh), 0);
	return memmem(buf, (size_t)len, name, strlen(name)) != NULL;
}

static void test_listings(void **state)
{
	(void)state;
	start("file");
	for (int plus = 0; plus < 2; plus++) {
		assert_false(listed(plus, "file"));
		assert_false(listed(plus, "hard"));
		assert_true(listed(plus, "suid"));
		assert_true(listed(plus, "empty"));
	}
}

#define T(f) cmocka_unit_test_teardown(f, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_file),
		T(test_directory),
		T(test_not_there_yet),
		T(test_listings),
	};
	return cmocka_run_group_tests_name("fs_hide", tests, NULL, NULL);
}
