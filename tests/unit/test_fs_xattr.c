// SPDX-License-Identifier: Apache-2.0
// test_fs_xattr.c - only user. attributes are shown
#include "lib/fs_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

static struct fs_fixture fx;

static int get(const char *path, const char *name, uint32_t size)
{
	struct {
		struct fuse_getxattr_in in;
		char name[200];
	} a = {.in = {.size = size}};
	strcpy(a.name, name);
	return fx_call(&fx, FUSE_GETXATTR, fx_walk(&fx, path), &a, sizeof(a.in) + strlen(name) + 1);
}

static int list(const char *path, uint32_t size)
{
	struct fuse_getxattr_in in = {.size = size};
	return fx_call(&fx, FUSE_LISTXATTR, fx_walk(&fx, path), &in, sizeof(in));
}

static uint32_t told_size(void)
{
	struct fuse_getxattr_out out;
	memcpy(&out, fx_data(&fx), sizeof(out));
	return out.size;
}

static void start(bool no_xattr)
{
	fx_tree(&fx);
	fx_start_inline(&fx, &(struct fx_options){.no_xattr = no_xattr});
	assert_true(fx_init(&fx) > 0);
}

static void test_user_space(void **state)
{
	(void)state;
	char path[128];
	start(false);
	snprintf(path, sizeof(path), "%s/file", fx.dir);
	if (setxattr(path, "user.one", "value", 5, 0) < 0) {
		fx_stop(&fx);
		skip();
	}
	assert_int_equal(setxattr(path, "user.two", "", 0, 0), 0);
	(void)setxattr(path, "trusted.hidden", "x", 1, 0);
	(void)setxattr(path, "security.hidden", "x", 1, 0);
	assert_int_equal(get("sys/file", "user.one", 100), 5);
	assert_memory_equal(fx_data(&fx), "value", 5);
	assert_int_equal(get("sys/file", "user.one", 0), sizeof(struct fuse_getxattr_out));
	assert_int_equal(told_size(), 5);
	assert_int_equal(get("sys/file", "user.one", 3), -ERANGE);
	assert_int_equal(get("sys/file", "user.none", 100), -ENODATA);
	assert_int_equal(get("sys/file", "trusted.hidden", 100), -ENODATA);
	assert_int_equal(get("sys/file", "security.hidden", 100), -ENODATA);
	assert_int_equal(get("sys/file", "system.posix_acl_access", 100), -ENODATA);
	assert_int_equal(get("sys/link", "user.one", 100), -ENODATA);
	assert_int_equal(get("etc", "user.one", 100), -ENODATA);
	assert_int_equal(list("sys/file", 0), sizeof(struct fuse_getxattr_out));
	assert_int_equal(told_size(), 18);
	assert_int_equal(list("sys/file", 100), 18);
	assert_null(memmem(fx_data(&fx), 18, "hidden", 6));
	assert_int_equal(list("sys/file", 17), -ERANGE);
	assert_int_equal(list("sys/d1", 100), 0);
	assert_int_equal(list("sys/link", 100), 0);
	assert_int_equal(list("etc", 100), 0);
	fx_stop(&fx);
}

static void test_switched_off(void **state)
{
	(void)state;
	start(true);
	assert_int_equal(get("sys/file", "user.one", 100), -ENOSYS);
	assert_int_equal(list("sys/file", 100), -ENOSYS);
	fx_stop(&fx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_user_space),
		cmocka_unit_test(test_switched_off),
	};
	return cmocka_run_group_tests_name("fs_xattr", tests, NULL, NULL);
}
