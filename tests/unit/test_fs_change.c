// SPDX-License-Identifier: Apache-2.0
// test_fs_change.c - names made, removed and moved; nodes that lose their name
#include "fs/fs_change.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "lib/fs_fixture.h"
#include "lib/fs_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cmocka.h>

static struct fs_fixture fx;
static uint64_t share;

static int start_with(const struct fx_options *o)
{
	fx_tree(&fx);
	fx_start_inline(&fx, o);
	umask(0);
	share = fx_walk(&fx, "share");
	return 0;
}

static int start(void **state)
{
	(void)state;
	return start_with(&(struct fx_options){.writable = true});
}

/* So few descriptors that every node is closed and found again all the time. */
static int start_small(void **state)
{
	(void)state;
	return start_with(&(struct fx_options){.writable = true, .limits = {.max_cached = 1}});
}

static int stop(void **state)
{
	(void)state;
	return fx_stop(&fx);
}

static bool there(const char *name)
{
	return faccessat(fx.dirfd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static mode_t mode_of(const char *name)
{
	struct stat st;
	assert_int_equal(fstatat(fx.dirfd, name, &st, AT_SYMLINK_NOFOLLOW), 0);
	return st.st_mode;
}

static void test_make(void **state)
{
	(void)state;
	struct fuse_entry_out e;
	assert_int_equal(fx_create(&fx, share, "new", O_RDWR | O_EXCL, 06644, &e), 0);
	assert_int_equal(fcntl(fx.reply_fd, F_GETFL) & (O_ACCMODE | O_APPEND), O_RDWR);
	assert_int_equal(pwrite(fx.reply_fd, "abc", 3, 0), 3);
	assert_int_equal(mode_of("new"), S_IFREG | 0644);
	assert_int_equal(fx_create(&fx, share, "new", O_RDWR | O_EXCL, 0644, &e), -EEXIST);
	/* Somebody on the host was faster: opened, and emptied if that was asked for. */
	assert_int_equal(fx_create(&fx, share, "new", O_WRONLY | O_TRUNC, 0600, &e), 0);
	assert_int_equal(e.attr.size, 0);
	struct stat st;
	assert_int_equal(fstatat(fx.dirfd, "new", &st, 0), 0);
	assert_int_equal(st.st_size, 0);
	assert_int_equal(fx_create(&fx, share, "link", O_RDWR, 0600, &e), -ESTALE);
	assert_int_equal(fx_create(&fx, share, "x", O_ACCMODE, 0600, &e), -EINVAL);
	assert_int_equal(fx_mknod(&fx, share, "made", S_IFREG | 06755, &e), 0);
	assert_int_equal(mode_of("made"), S_IFREG | 0755);
	assert_int_equal(fx_mknod(&fx, share, "pipe", S_IFIFO | 0600, &e), 0);
	assert_int_equal(fx_mknod(&fx, share, "sock", S_IFSOCK | 0600, &e), 0);
	assert_int_equal(fx_mknod(&fx, share, "chr", S_IFCHR | 0600, &e), -EPERM);
	assert_int_equal(fx_mknod(&fx, share, "blk", S_IFBLK | 0600, &e), -EPERM);
	assert_int_equal(fx_mkdir(&fx, share, "dir", 07755, &e), 0);
	assert_int_equal(mode_of("dir") & 07777, 01755);
	assert_int_equal(fx_names(&fx, FUSE_SYMLINK, share, NULL, 0, "sym", "../../x"), 144 - 16);
	assert_int_equal(mode_of("sym") & S_IFMT, S_IFLNK);
	uint64_t file = fx_walk(&fx, "share/file");
	struct fuse_link_in in = {.oldnodeid = file};
	assert_true(fx_names(&fx, FUSE_LINK, share, &in, sizeof(in), "third", NULL) > 0);
	assert_int_equal(fx_walk(&fx, "share/third"), file);
	in.oldnodeid = fx_walk(&fx, "sys/file");
	assert_int_equal(fx_names(&fx, FUSE_LINK, share, &in, sizeof(in), "no", NULL), -EXDEV);
	in.oldnodeid = 4711;
	assert_int_equal(fx_names(&fx, FUSE_LINK, share, &in, sizeof(in), "no", NULL), -ESTALE);
}

static void test_bad_names(void **state)
{
	(void)state;
	static const char *const bad[] = {"", ".", "..", "a/b", "/", "../x"};
	struct fuse_entry_out e;
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		struct fuse_rename_in to = {.newdir = share};
		assert_int_equal(fx_create(&fx, share, bad[i], O_RDWR, 0600, &e), -EINVAL);
		assert_int_equal(fx_mknod(&fx, share, bad[i], S_IFREG, &e), -EINVAL);
		assert_int_equal(fx_mkdir(&fx, share, bad[i], 0700, &e), -EINVAL);
		assert_int_equal(fx_remove(&fx, share, bad[i], false), -EINVAL);
		assert_int_equal(fx_remove(&fx, share, bad[i], true), -EINVAL);
		assert_int_equal(fx_names(&fx, FUSE_SYMLINK, share, NULL, 0, bad[i], "x"), -EINVAL);
		assert_int_equal(fx_names(&fx, FUSE_RENAME, share, &to, sizeof(to), bad[i], "x"),
				 -EINVAL);
		assert_int_equal(fx_names(&fx, FUSE_RENAME, share, &to, sizeof(to), "file", bad[i]),
				 -EINVAL);
	}
	assert_int_equal(fx_mkdir(&fx, fx_walk(&fx, "share/file"), "x", 0700, &e), -ENOTDIR);
	assert_int_equal(fx_mkdir(&fx, FUSE_ROOT_ID, "x", 0700, &e), -EROFS);
	assert_int_equal(fx_mkdir(&fx, fx_walk(&fx, "sys"), "x", 0700, &e), -EROFS);
	assert_int_equal(fx_mkdir(&fx, fx_walk(&fx, "sys/d1"), "x", 0700, &e), -EROFS);
	assert_int_equal(fx_mkdir(&fx, 4711, "x", 0700, &e), -ESTALE);
}

/* Device nodes of the host are not shown; neither are they removed, moved or replaced. */
static void test_hidden(void **state)
{
	(void)state;
	if (mknodat(fx.dirfd, "null", S_IFCHR | 0666, makedev(1, 3)) < 0)
		skip();
	assert_int_equal(fx_remove(&fx, share, "null", false), -ENOENT);
	assert_int_equal(fx_rename(&fx, share, "null", share, "x", 0), -ENOENT);
	assert_int_equal(fx_rename(&fx, share, "file", share, "null", 0), -EPERM);
	assert_int_equal(fx_rename(&fx, share, "file", share, "null", RENAME_EXCHANGE), -EPERM);
	assert_true(there("null") && there("file"));
}

static void test_unlinked_lives(void **state)
{
	(void)state;
	uint64_t file = fx_walk(&fx, "share/suid");
	uint64_t dir = fx_walk(&fx, "share/empty");
	struct fuse_attr attr;
	assert_int_equal(fx_remove(&fx, share, "suid", false), 0);
	assert_int_equal(fx_remove(&fx, share, "empty", true), 0);
	assert_int_equal(fx_remove(&fx, share, "empty", true), -ENOENT);
	/* Nodes that push others out of the cache. */
	fx_walk(&fx, "share/d1/d2/d3/deep");
	fs_cache_shrink(fx.fs, 1000);
	assert_int_equal(fx_getattr(&fx, file, &attr), 0);
	assert_int_equal(attr.nlink, 0);
	assert_int_equal(fx_open(&fx, file, O_RDWR), 0);
	assert_int_equal(fx_getattr(&fx, dir, &attr), 0);
	struct fuse_entry_out e;
	assert_int_equal(fx_mkdir(&fx, dir, "x", 0700, &e), -ENOENT);
	assert_int_equal(fx.fs->cache.held, 2);
	fx_forget(&fx, file, 1);
	fx_forget(&fx, dir, 1);
	assert_int_equal(fx.fs->cache.held, 0);
	assert_int_equal(fx_getattr(&fx, file, &attr), -ESTALE);
}

/* A new file with the number of one that is gone is another file. */
static void test_number_used_again(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 50; i++) {
		struct fuse_entry_out a;
		struct fuse_entry_out b;
		assert_int_equal(fx_mknod(&fx, share, "one", S_IFREG | 0600, &a), 0);
		assert_int_equal(fx_remove(&fx, share, "one", false), 0);
		assert_int_equal(fx_mknod(&fx, share, "one", S_IFREG | 0600, &b), 0);
		assert_int_not_equal(a.nodeid, b.nodeid);
		assert_int_equal(fx_remove(&fx, share, "one", false), 0);
		fx_forget(&fx, a.nodeid, 1);
		fx_forget(&fx, b.nodeid, 1);
	}
	assert_int_equal(fx.fs->cache.held, 0);
}

static void test_renamed_stays(void **state)
{
	(void)state;
	struct fuse_attr attr;
	uint64_t deep = fx_walk(&fx, "share/d1/d2/d3/deep");
	uint64_t d2 = fx_walk(&fx, "share/d1/d2");
	uint64_t d1 = fx_walk(&fx, "share/d1");
	assert_int_equal(fx_rename(&fx, d1, "d2", share, "moved", 0), 0);
	fs_cache_shrink(fx.fs, 1000);
	assert_int_equal(fx_getattr(&fx, deep, &attr), 0);
	assert_int_equal(fx_open(&fx, deep, O_WRONLY), 0);
	assert_int_equal(fx_walk(&fx, "share/moved"), d2);
	/* Below itself it can't go; a full directory is not replaced. */
	assert_int_equal(fx_rename(&fx, share, "moved", d2, "x", 0), -EINVAL);
	assert_int_equal(fx_rename(&fx, share, "empty", share, "moved", 0), -ENOTEMPTY);
	assert_int_equal(fx_rename(&fx, share, "empty", share, "file", RENAME_NOREPLACE), -EEXIST);
	assert_int_equal(fx_rename(&fx, share, "file", share, "new", 4), -EINVAL);
	assert_int_equal(fx_rename(&fx, share, "missing", share, "new", 0), -ENOENT);
	/* Over another file: that one lives on without a name. */
	uint64_t old = fx_walk(&fx, "share/suid");
	uint64_t file = fx_walk(&fx, "share/file");
	assert_int_equal(fx_rename(&fx, share, "file", share, "suid", 0), 0);
	fs_cache_shrink(fx.fs, 1000);
	assert_int_equal(fx_getattr(&fx, old, &attr), 0);
	assert_int_equal(attr.nlink, 0);
	assert_int_equal(fx_walk(&fx, "share/suid"), file);
	assert_int_equal(fx_getattr(&fx, file, &attr), 0);
	assert_int_equal(attr.nlink, 2);
}

static void test_exchange(void **state)
{
	(void)state;
	struct fuse_attr attr;
	uint64_t deep = fx_walk(&fx, "share/d1/d2/d3/deep");
	uint64_t file = fx_walk(&fx, "share/file");
	uint64_t d3 = fx_walk(&fx, "share/d1/d2/d3");
	uint64_t d2 = fx_walk(&fx, "share/d1/d2");
	assert_int_equal(fx_rename(&fx, share, "file", d2, "d3", RENAME_EXCHANGE), 0);
	fs_cache_shrink(fx.fs, 1000);
	assert_int_equal(fx_getattr(&fx, deep, &attr), 0);
	assert_int_equal(fx_walk(&fx, "share/file"), d3);
	assert_int_equal(fx_walk(&fx, "share/d1/d2/d3"), file);
	assert_int_equal(fx_rename(&fx, share, "file", share, "none", RENAME_EXCHANGE), -ENOENT);
}

/* One name of two goes: the file is found by the other, and held until then. */
static void test_other_name(void **state)
{
	(void)state;
	struct fuse_attr attr;
	uint64_t file = fx_walk(&fx, "share/hard");
	assert_int_equal(fx_remove(&fx, share, "hard", false), 0);
	fs_cache_shrink(fx.fs, 1000);
	assert_int_equal(fx_getattr(&fx, file, &attr), 0);
	assert_int_equal(attr.nlink, 1);
	assert_int_equal(fx.fs->cache.held, 1);
	assert_int_equal(fx_walk(&fx, "share/file"), file);
	assert_int_equal(fx.fs->cache.held, 0);
	fs_cache_shrink(fx.fs, 1000);
	assert_int_equal(fx_getattr(&fx, file, &attr), 0);
}

/* More files without a name than may be held: the rest is stale, nothing else breaks. */
static void test_many_held(void **state)
{
	(void)state;
	char name[16];
	struct fuse_entry_out e;
	for (unsigned i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "n%u", i);
		assert_int_equal(fx_mknod(&fx, share, name, S_IFREG | 0600, &e), 0);
		assert_int_equal(fx_remove(&fx, share, name, false), 0);
	}
	assert_true(fx.fs->cache.held <= FS_CACHE_MIN);
	fx_walk(&fx, "share/d1/d2/d3/deep");
	struct fuse_init_in in = {.major = 7, .minor = 41};
	assert_true(fx_call(&fx, FUSE_INIT, 0, &in, sizeof(in)) > 0);
	assert_int_equal(fx.fs->cache.held, 0);
}

static void test_between_views(void **state)
{
	(void)state;
	uint64_t now = fx_walk(&fx, "now");
	assert_int_equal(fx_rename(&fx, share, "file", now, "x", 0), -EXDEV);
	assert_int_equal(fx_rename(&fx, share, "file", fx_walk(&fx, "sys"), "x", 0), -EROFS);
	assert_int_equal(fx_rename(&fx, fx_walk(&fx, "sys"), "file", share, "x", 0), -EROFS);
	assert_int_equal(fx_rename(&fx, share, "file", 99, "x", 0), -ESTALE);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, start, stop)
#define SMALL(fn) cmocka_unit_test_setup_teardown(fn, start_small, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_make),		T(test_bad_names),	   T(test_hidden),
		T(test_unlinked_lives), T(test_number_used_again), T(test_renamed_stays),
		T(test_exchange),	T(test_other_name),	   T(test_between_views),
		SMALL(test_make),	SMALL(test_renamed_stays), SMALL(test_exchange),
		SMALL(test_other_name), SMALL(test_many_held),
	};
	return cmocka_run_group_tests_name("fs_change", tests, NULL, NULL);
}
