// SPDX-License-Identifier: Apache-2.0
// test_fs_open.c - what may be opened, with what descriptor, and how fresh it is
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

static int start(void **state)
{
	(void)state;
	fx_tree(&fx);
	fx_start_inline(&fx, &(struct fx_options){0});
	return fx_init(&fx) > 0 ? 0 : -1;
}

static int stop(void **state)
{
	(void)state;
	return fx_stop(&fx);
}

static uint32_t open_flags(void)
{
	struct fuse_open_out out;
	memcpy(&out, fx_data(&fx), sizeof(out));
	return out.open_flags;
}

static void test_descriptor(void **state)
{
	(void)state;
	struct stat st, want;
	char buf[16];
	uint64_t file = fx_walk(&fx, "sys/file");
	assert_int_equal(fx_open(&fx, file, O_RDONLY | O_NONBLOCK | O_APPEND), 0);
	int fl = fcntl(fx.reply_fd, F_GETFL);
	assert_int_equal(fl & O_ACCMODE, O_RDONLY);
	assert_int_equal(fl & (O_NONBLOCK | O_PATH | O_APPEND), 0);
	assert_int_equal(fstat(fx.reply_fd, &st), 0);
	assert_int_equal(fstatat(fx.dirfd, "file", &want, 0), 0);
	assert_int_equal(st.st_ino, want.st_ino);
	assert_int_equal(pread(fx.reply_fd, buf, sizeof(buf), 0), 9);
	assert_int_equal(write(fx.reply_fd, "x", 1), -1);
	assert_int_equal(open_flags(), FOPEN_KEEP_CACHE);
	assert_int_equal(fx_open(&fx, fx_walk(&fx, "now/file"), O_RDONLY), 0);
	assert_int_equal(open_flags(), 0);
	assert_int_equal(fx_open(&fx, fx_walk(&fx, "etc/one"), O_RDONLY), 0);
}

static void test_read_only(void **state)
{
	(void)state;
	static const uint32_t bad[] = {O_WRONLY, O_RDWR,    O_ACCMODE,		 O_RDONLY | O_TRUNC,
				       O_CREAT,	 O_TMPFILE, O_WRONLY | O_APPEND, UINT32_MAX};
	uint64_t file = fx_walk(&fx, "sys/file");
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(fx_open(&fx, file, bad[i]), -EROFS);
	static const uint32_t writers[] = {
		FUSE_SETATTR, FUSE_SYMLINK,   FUSE_MKNOD,   FUSE_MKDIR,		  FUSE_UNLINK,
		FUSE_RMDIR,   FUSE_RENAME,    FUSE_LINK,    FUSE_SETXATTR,	  FUSE_REMOVEXATTR,
		FUSE_CREATE,  FUSE_FALLOCATE, FUSE_RENAME2, FUSE_COPY_FILE_RANGE, FUSE_TMPFILE};
	for (unsigned i = 0; i < sizeof(writers) / sizeof(writers[0]); i++)
		assert_int_equal(fx_call(&fx, writers[i], file, "xxxxxxxxxxxxxxxx", 17), -EROFS);
}

static void test_only_regular_files(void **state)
{
	(void)state;
	assert_int_equal(fx_open(&fx, FUSE_ROOT_ID, O_RDONLY), -EISDIR);
	assert_int_equal(fx_open(&fx, fx_walk(&fx, "etc"), O_RDONLY), -EISDIR);
	assert_int_equal(fx_open(&fx, fx_walk(&fx, "sys"), O_RDONLY), -EISDIR);
	assert_int_equal(fx_open(&fx, fx_walk(&fx, "sys/link"), O_RDONLY), -ELOOP);
	assert_int_equal(fx_open(&fx, fx_walk(&fx, "sys/fifo"), O_RDONLY), -ENXIO);
	assert_int_equal(fx_open(&fx, 0x1234567800000001ull, O_RDONLY), -ESTALE);
}

/* What Linux does on ESTALE: look up again, open again. */
static void test_change_is_seen_at_open(void **state)
{
	(void)state;
	struct fuse_entry_out e;
	uint64_t share = fx_walk(&fx, "share");
	uint64_t file = fx_walk(&fx, "share/file");
	assert_int_equal(fx_open(&fx, file, O_RDONLY), 0);
	fx_write(&fx, "file", "something longer than before\n");
	assert_int_equal(fx_open(&fx, file, O_RDONLY), -ESTALE);
	assert_int_equal(fx_lookup(&fx, share, "file", &e), 0);
	assert_int_equal(e.nodeid, file);
	assert_int_equal(e.attr.size, 29);
	assert_int_equal(fx_open(&fx, file, O_RDONLY), 0);
	/* It is said once: a file that changes all the time can be opened nevertheless. */
	fx_write(&fx, "file", "1");
	assert_int_equal(fx_open(&fx, file, O_RDONLY), -ESTALE);
	fx_write(&fx, "file", "22");
	assert_int_equal(fx_open(&fx, file, O_RDONLY), 0);
}

/* Three that open and append: each open is told at most once, whoever comes between. */
static void test_told_each_caller_once(void **state)
{
	(void)state;
	struct fuse_entry_out e;
	uint64_t share = fx_walk(&fx, "share");
	uint64_t file = fx_walk(&fx, "share/file");
	fx.caller = 7;
	fx_write(&fx, "file", "a change");
	assert_int_equal(fx_open(&fx, file, O_RDONLY), -ESTALE);
	fx.caller = 8;
	assert_int_equal(fx_open(&fx, file, O_RDONLY), 0);
	fx_write(&fx, "file", "another one");
	fx.caller = 9;
	assert_int_equal(fx_open(&fx, file, O_RDONLY), -ESTALE);
	fx.caller = 8;
	assert_int_equal(fx_open(&fx, file, O_RDONLY), 0);
	fx_write(&fx, "file", "and a third");
	fx.caller = 7;
	assert_int_equal(fx_lookup(&fx, share, "file", &e), 0);
	fx_write(&fx, "file", "and the last of all");
	assert_int_equal(fx_open(&fx, file, O_RDONLY), 0);
	fx.caller = 9;
	assert_int_equal(fx_open(&fx, file, O_RDONLY), 0);
	/* Of the next change all are told again. */
	fx_write(&fx, "file", "-");
	assert_int_equal(fx_open(&fx, file, O_RDONLY), -ESTALE);
	fx.caller = 0;
}

static void test_replacement_is_seen_at_open(void **state)
{
	(void)state;
	uint64_t file = fx_walk(&fx, "share/suid");
	assert_int_equal(fx_open(&fx, file, O_RDONLY), 0);
	fx_write(&fx, "tmp", "new");
	assert_int_equal(renameat(fx.dirfd, "tmp", fx.dirfd, "suid"), 0);
	assert_int_equal(fx_open(&fx, file, O_RDONLY), -ESTALE);
	uint64_t again = fx_walk(&fx, "share/suid");
	assert_int_not_equal(again, file);
	assert_int_equal(fx_open(&fx, again, O_RDONLY), 0);
	/* The system view is cached for long: the old one stays what it is. */
	uint64_t old = fx_walk(&fx, "sys/hard");
	assert_int_equal(fx_open(&fx, old, O_RDONLY), 0);
	fx_write(&fx, "hard", "changed in place");
	assert_int_equal(fx_open(&fx, old, O_RDONLY), 0);
}

/* Replaced again between the guest's second lookup and its second open. */
static void test_race_after_stale(void **state)
{
	(void)state;
	char buf[8] = "";
	struct fuse_entry_out e;
	uint64_t share = fx_walk(&fx, "share");
	uint64_t file = fx_walk(&fx, "share/suid");
	fx_write(&fx, "tmp", "second");
	assert_int_equal(renameat(fx.dirfd, "tmp", fx.dirfd, "suid"), 0);
	assert_int_equal(fx_open(&fx, file, O_RDONLY), -ESTALE);
	assert_int_equal(fx_lookup(&fx, share, "suid", &e), 0);
	fx_write(&fx, "tmp", "third");
	assert_int_equal(renameat(fx.dirfd, "tmp", fx.dirfd, "suid"), 0);
	assert_int_equal(fx_open(&fx, e.nodeid, O_RDONLY), 0);
	assert_int_equal(pread(fx.reply_fd, buf, sizeof(buf), 0), 6);
	assert_memory_equal(buf, "second", 6);
	assert_int_equal(fx_open(&fx, e.nodeid, O_RDONLY), -ESTALE);
	/* A directory that only its child keeps alive, looked up with care. */
	assert_int_equal(fx_lookup(&fx, share, "d1", &e), 0);
	uint64_t d1 = e.nodeid;
	assert_int_equal(fx_lookup(&fx, d1, "d2", &e), 0);
	fx_forget(&fx, d1, 1);
	assert_int_equal(fx_lookup(&fx, d1, "d2", &e), 0);
	assert_int_equal(fx_lookup(&fx, d1, "none", &e), -ENOENT);
	fx_forget(&fx, e.nodeid, 99);
}

static void test_unreadable(void **state)
{
	(void)state;
	assert_int_equal(fchmodat(fx.dirfd, "file", 0, 0), 0);
	int ret = fx_open(&fx, fx_walk(&fx, "sys/file"), O_RDONLY);
	assert_int_equal(ret, geteuid() == 0 ? 0 : -EACCES);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_descriptor),
		T(test_read_only),
		T(test_only_regular_files),
		T(test_change_is_seen_at_open),
		T(test_told_each_caller_once),
		T(test_replacement_is_seen_at_open),
		T(test_race_after_stale),
		T(test_unreadable),
	};
	return cmocka_run_group_tests_name("fs_open", tests, NULL, NULL);
}
