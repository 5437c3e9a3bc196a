// SPDX-License-Identifier: Apache-2.0
// test_fs_attr.c - attributes as the guest sees them, and whose files they are
#include "fs/fs_attr.h"
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
#include <unistd.h>

#include <cmocka.h>

static struct fs_fixture fx;

static void start(bool map_ids)
{
	fx_tree(&fx);
	fx_start_inline(&fx, &(struct fx_options){.map_ids = map_ids});
	assert_true(fx_init(&fx) > 0);
}

static void test_as_stat_says(void **state)
{
	(void)state;
	struct fuse_attr a;
	struct stat st;
	start(false);
	assert_int_equal(fx_getattr(&fx, fx_walk(&fx, "sys/file"), &a), 0);
	assert_int_equal(fstatat(fx.dirfd, "file", &st, 0), 0);
	assert_int_equal(a.ino, st.st_ino);
	assert_int_equal(a.size, 9);
	assert_int_equal(a.blocks, st.st_blocks);
	assert_int_equal(a.mode, st.st_mode);
	assert_int_equal(a.nlink, 2);
	assert_int_equal(a.mtime, st.st_mtim.tv_sec);
	assert_int_equal(a.mtimensec, st.st_mtim.tv_nsec);
	assert_int_equal(a.uid, st.st_uid);
	assert_int_equal(a.rdev, 0);
	assert_int_equal(fx_getattr(&fx, FUSE_ROOT_ID, &a), 0);
	assert_int_equal(a.mode, S_IFDIR | 0555);
	fx_stop(&fx);
}

static void test_set_id_bits_are_gone(void **state)
{
	(void)state;
	struct fuse_attr a;
	start(false);
	assert_int_equal(fchmodat(fx.dirfd, "d1", 07777, 0), 0);
	assert_int_equal(fchmodat(fx.dirfd, "suid", 06711, 0), 0);
	assert_int_equal(fx_getattr(&fx, fx_walk(&fx, "now/d1"), &a), 0);
	assert_int_equal(a.mode, S_IFDIR | 01777);
	assert_int_equal(fx_getattr(&fx, fx_walk(&fx, "now/suid"), &a), 0);
	assert_int_equal(a.mode, S_IFREG | 0711);
	fx_stop(&fx);
}

static void test_own_ids_are_mapped(void **state)
{
	(void)state;
	struct fuse_attr a;
	start(true);
	assert_int_equal(fx_getattr(&fx, fx_walk(&fx, "now/file"), &a), 0);
	assert_int_equal(a.uid, 4242);
	assert_int_equal(a.gid, 4343);
	if (fchownat(fx.dirfd, "suid", 12, 34, 0) == 0) {
		assert_int_equal(fx_getattr(&fx, fx_walk(&fx, "now/suid"), &a), 0);
		assert_int_equal(a.uid, 0);
		assert_int_equal(a.gid, 0);
	}
	fx_stop(&fx);
	start(false);
	if (fchownat(fx.dirfd, "suid", 12, 34, 0) == 0) {
		assert_int_equal(fx_getattr(&fx, fx_walk(&fx, "now/suid"), &a), 0);
		assert_int_equal(a.uid, 12);
		assert_int_equal(a.gid, 34);
	}
	fx_stop(&fx);
}

static void test_stamp(void **state)
{
	(void)state;
	struct statx a = {.stx_size = 1, .stx_mtime = {.tv_sec = 5}};
	struct statx b = a;
	assert_int_equal(fs_attr_stamp(&a), fs_attr_stamp(&b));
	b.stx_mtime.tv_nsec = 1;
	assert_int_not_equal(fs_attr_stamp(&a), fs_attr_stamp(&b));
	b = a;
	b.stx_size = 2;
	assert_int_not_equal(fs_attr_stamp(&a), fs_attr_stamp(&b));
	b = a;
	b.stx_atime.tv_sec = 9;
	assert_int_equal(fs_attr_stamp(&a), fs_attr_stamp(&b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_as_stat_says),
		cmocka_unit_test(test_set_id_bits_are_gone),
		cmocka_unit_test(test_own_ids_are_mapped),
		cmocka_unit_test(test_stamp),
	};
	return cmocka_run_group_tests_name("fs_attr", tests, NULL, NULL);
}
