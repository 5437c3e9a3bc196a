// SPDX-License-Identifier: Apache-2.0
// test_fs_setattr.c - modes without set-ID bits, owners that stay, sizes, times
#include "fs/fs_setattr.h"

#include "lib/fs_fixture.h"
#include "lib/fs_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static struct fs_fixture fx;
static struct fuse_attr attr;

static int start(void **state)
{
	(void)state;
	fx_tree(&fx);
	fx_start_inline(&fx, &(struct fx_options){.writable = true, .map_ids = true});
	return 0;
}

static int stop(void **state)
{
	(void)state;
	return fx_stop(&fx);
}

static int set(const char *path, struct fuse_setattr_in in)
{
	return fx_setattr(&fx, fx_walk(&fx, path), &in, &attr);
}

static mode_t mode_of(const char *name)
{
	struct stat st;
	assert_int_equal(fstatat(fx.dirfd, name, &st, AT_SYMLINK_NOFOLLOW), 0);
	return st.st_mode & 07777;
}

static void test_mode(void **state)
{
	(void)state;
	assert_int_equal(
		set("share/file", (struct fuse_setattr_in){.valid = FATTR_MODE, .mode = 07751}), 0);
	assert_int_equal(mode_of("file"), 01751);
	assert_int_equal(attr.mode & 07777, 01751);
	assert_int_equal(
		set("share/empty", (struct fuse_setattr_in){.valid = FATTR_MODE, .mode = 06775}),
		0);
	assert_int_equal(mode_of("empty"), 02775);
	assert_int_equal(attr.mode & 07777, 02775);
	assert_int_equal(
		set("share/link", (struct fuse_setattr_in){.valid = FATTR_MODE, .mode = 0700}),
		-EOPNOTSUPP);
	assert_int_equal(
		set("sys/file", (struct fuse_setattr_in){.valid = FATTR_MODE, .mode = 0700}),
		-EROFS);
	assert_int_equal(set("etc", (struct fuse_setattr_in){.valid = FATTR_MODE, .mode = 0700}),
			 -EROFS);
}

static void test_owner(void **state)
{
	(void)state;
	/* As the guest sees it the file is 4242's: that is no change, and 1 is nobody here. */
	assert_int_equal(set("share/file", (struct fuse_setattr_in){.valid = FATTR_UID | FATTR_GID,
								    .uid = 4242,
								    .gid = 4343}),
			 0);
	assert_int_equal(attr.uid, 4242);
	assert_int_equal(set("share/file", (struct fuse_setattr_in){.valid = FATTR_UID, .uid = 1}),
			 -EPERM);
	assert_int_equal(set("share/file", (struct fuse_setattr_in){.valid = FATTR_GID, .gid = 0}),
			 -EPERM);
	assert_int_equal(
		set("share/link", (struct fuse_setattr_in){.valid = FATTR_UID, .uid = 4242}), 0);
	struct stat st;
	assert_int_equal(fstatat(fx.dirfd, "file", &st, 0), 0);
	assert_int_equal(st.st_uid, geteuid());
	assert_int_equal(st.st_gid, getegid());
}

static void test_size(void **state)
{
	(void)state;
	assert_int_equal(
		set("share/file", (struct fuse_setattr_in){.valid = FATTR_SIZE, .size = 5}), 0);
	assert_int_equal(attr.size, 5);
	assert_int_equal(
		set("share/file", (struct fuse_setattr_in){.valid = FATTR_SIZE, .size = 1 << 20}),
		0);
	assert_int_equal(attr.size, 1 << 20);
	assert_int_equal(set("share/file",
			     (struct fuse_setattr_in){.valid = FATTR_SIZE, .size = UINT64_MAX}),
			 -EFBIG);
	assert_int_equal(set("share/d1", (struct fuse_setattr_in){.valid = FATTR_SIZE}), -EISDIR);
	assert_int_equal(set("share/fifo", (struct fuse_setattr_in){.valid = FATTR_SIZE}), -EINVAL);
	assert_int_equal(set("share/link", (struct fuse_setattr_in){.valid = FATTR_SIZE}), -EINVAL);
	/* The device does what has a handle, but for those that fs keeps: there are none here. */
	assert_int_equal(
		set("share/file", (struct fuse_setattr_in){.valid = FATTR_SIZE | FATTR_FH}),
		-EBADF);
}

static void test_times(void **state)
{
	(void)state;
	struct fuse_setattr_in in = {.valid = FATTR_ATIME | FATTR_MTIME,
				     .atime = 1000,
				     .atimensec = 7,
				     .mtime = 2000,
				     .mtimensec = 999999999};
	assert_int_equal(set("share/link", in), 0);
	assert_int_equal(set("share/file", in), 0);
	assert_int_equal(attr.atime, 1000);
	assert_int_equal(attr.mtimensec, 999999999);
	in.mtimensec = 1000000000;
	assert_int_equal(set("share/file", in), -EINVAL);
	in.valid = FATTR_MTIME | FATTR_MTIME_NOW;
	assert_int_equal(set("share/file", in), 0);
	assert_int_equal(attr.atime, 1000);
	assert_true(attr.mtime > 1000000000);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {T(test_mode), T(test_owner), T(test_size),
					   T(test_times)};
	return cmocka_run_group_tests_name("fs_setattr", tests, NULL, NULL);
}
