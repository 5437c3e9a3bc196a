// SPDX-License-Identifier: Apache-2.0
// test_fs_lookup.c - names to nodes: hidden, not crossed, never followed, hard links, time-outs
#include "lib/fs_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
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

static void test_bad_names(void **state)
{
	(void)state;
	struct fuse_entry_out e;
	char longest[300];
	uint64_t dirs[] = {FUSE_ROOT_ID, fx_walk(&fx, "sys"), fx_walk(&fx, "etc")};
	memset(longest, 'a', sizeof(longest));
	longest[256] = '\0';
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(fx_lookup(&fx, dirs[i], "", &e), -EINVAL);
		assert_int_equal(fx_lookup(&fx, dirs[i], ".", &e), -EINVAL);
		assert_int_equal(fx_lookup(&fx, dirs[i], "..", &e), -EINVAL);
		assert_int_equal(fx_lookup(&fx, dirs[i], "d1/d2", &e), -EINVAL);
		assert_int_equal(fx_lookup(&fx, dirs[i], "/", &e), -EINVAL);
		assert_int_equal(fx_lookup(&fx, dirs[i], "../file", &e), -EINVAL);
		assert_int_equal(fx_lookup(&fx, dirs[i], longest, &e), -ENAMETOOLONG);
	}
	longest[255] = '\0';
	assert_int_equal(fx_lookup(&fx, fx_walk(&fx, "share"), longest, &e), -ENOENT);
	assert_int_equal(fx_lookup(&fx, fx_walk(&fx, "sys/file"), "x", &e), -ENOTDIR);
	assert_int_equal(fx_lookup(&fx, fx_walk(&fx, "sys/up"), "x", &e), -ENOTDIR);
}

static void test_forged_ids(void **state)
{
	(void)state;
	struct fuse_entry_out e;
	static const uint64_t forged[] = {0,	      2ull << 32, UINT64_MAX,
					  1ull << 63, 0xffffffff, 0x100000001ull};
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(fx_lookup(&fx, forged[i], "file", &e), -ESTALE);
	uint64_t id = fx_walk(&fx, "sys/d1");
	assert_int_equal(fx_lookup(&fx, id + (1ull << 32), "d2", &e), -ESTALE);
	fx_forget(&fx, id, 1);
	assert_int_equal(fx_lookup(&fx, id, "d2", &e), -ESTALE);
}

static void test_time_outs(void **state)
{
	(void)state;
	struct fuse_entry_out e;
	uint64_t sys = fx_walk(&fx, "sys");
	assert_int_equal(fx_lookup(&fx, sys, "file", &e), 0);
	assert_int_equal(e.entry_valid, 60);
	assert_int_equal(e.attr_valid, 60);
	assert_int_equal(fx_lookup(&fx, sys, "no", &e), 0);
	assert_int_equal(e.nodeid, 0);
	assert_int_equal(e.entry_valid, 60);
	uint64_t share = fx_walk(&fx, "share");
	assert_int_equal(fx_lookup(&fx, share, "file", &e), 0);
	assert_int_equal(e.entry_valid, 1);
	assert_int_equal(fx_lookup(&fx, share, "no", &e), -ENOENT);
	uint64_t now = fx_walk(&fx, "now");
	assert_int_equal(fx_lookup(&fx, now, "file", &e), 0);
	assert_int_equal(e.entry_valid + e.entry_valid_nsec + e.attr_valid + e.attr_valid_nsec, 0);
	/* Names of the configuration hold for long, what is behind them as long as its view says.
	 */
	assert_int_equal(fx_lookup(&fx, FUSE_ROOT_ID, "now", &e), 0);
	assert_true(e.entry_valid >= 3600);
	assert_int_equal(e.attr_valid, 0);
}

static void test_hard_links_are_one_node(void **state)
{
	(void)state;
	struct fuse_entry_out a, b, c;
	uint64_t sys = fx_walk(&fx, "sys");
	assert_int_equal(fx_lookup(&fx, sys, "file", &a), 0);
	assert_int_equal(fx_lookup(&fx, sys, "hard", &b), 0);
	assert_int_equal(a.nodeid, b.nodeid);
	assert_int_equal(a.attr.nlink, 2);
	/* In another view it is another node with the same number. */
	assert_int_equal(fx_lookup(&fx, fx_walk(&fx, "now"), "file", &c), 0);
	assert_int_not_equal(c.nodeid, a.nodeid);
	assert_int_equal(c.attr.ino, a.attr.ino);
	/* Two lookups, two to forget. */
	fx_forget(&fx, a.nodeid, 1);
	struct fuse_attr attr;
	assert_int_equal(fx_getattr(&fx, a.nodeid, &attr), 0);
	fx_forget(&fx, a.nodeid, 1);
	assert_int_equal(fx_getattr(&fx, a.nodeid, &attr), -ESTALE);
}

static void test_batch_forget(void **state)
{
	(void)state;
	struct {
		struct fuse_batch_forget_in head;
		struct fuse_forget_one one[3];
	} b = {.head = {.count = 3}};
	struct fuse_attr attr;
	uint64_t a = fx_walk(&fx, "sys/file");
	uint64_t c = fx_walk(&fx, "sys/suid");
	b.one[0] = (struct fuse_forget_one){.nodeid = a, .nlookup = 1};
	b.one[1] = (struct fuse_forget_one){.nodeid = 0xdead, .nlookup = 1};
	b.one[2] = (struct fuse_forget_one){.nodeid = c, .nlookup = UINT64_MAX};
	assert_int_equal(fx_call(&fx, FUSE_BATCH_FORGET, 0, &b, sizeof(b)), -EPIPE);
	assert_int_equal(fx_getattr(&fx, a, &attr), -ESTALE);
	assert_int_equal(fx_getattr(&fx, c, &attr), -ESTALE);
	/* The configuration's nodes can't be forgotten. */
	uint64_t sys = fx_walk(&fx, "sys");
	fx_forget(&fx, sys, UINT64_MAX);
	fx_forget(&fx, FUSE_ROOT_ID, UINT64_MAX);
	assert_int_equal(fx_walk(&fx, "sys"), sys);
}

static void test_symlinks_are_shown_not_followed(void **state)
{
	(void)state;
	struct fuse_entry_out e;
	uint64_t share = fx_walk(&fx, "share");
	assert_int_equal(fx_lookup(&fx, share, "link", &e), 0);
	assert_true(S_ISLNK(e.attr.mode));
	assert_int_equal(fx_call(&fx, FUSE_READLINK, e.nodeid, NULL, 0), 11);
	assert_memory_equal(fx_data(&fx), "/etc/passwd", 11);
	assert_int_equal(fx_open(&fx, e.nodeid, O_RDONLY), -ELOOP);
	assert_int_equal(fx_lookup(&fx, fx_walk(&fx, "share/up"), "passwd", &e), -ENOTDIR);
	assert_true(fx_opendir(&fx, fx_walk(&fx, "share/up")) == -ENOTDIR);
	/* A symlink that is itself an entry of the configuration. */
	assert_int_equal(fx_call(&fx, FUSE_READLINK, fx_walk(&fx, "etc/link"), NULL, 0), 11);
}

static void test_directory_swapped_for_symlink(void **state)
{
	(void)state;
	struct fuse_entry_out e;
	uint64_t d1 = fx_walk(&fx, "now/d1");
	uint64_t d2 = fx_walk(&fx, "now/d1/d2");
	assert_int_equal(renameat(fx.dirfd, "d1/d2", fx.dirfd, "d1/away"), 0);
	assert_int_equal(symlinkat("/etc", fx.dirfd, "d1/d2"), 0);
	assert_int_equal(fx_lookup(&fx, d2, "passwd", &e), -ESTALE);
	assert_int_equal(fx_lookup(&fx, d1, "d2", &e), 0);
	assert_true(S_ISLNK(e.attr.mode));
}

static void test_special_files(void **state)
{
	(void)state;
	struct fuse_entry_out e;
	uint64_t now = fx_walk(&fx, "now");
	assert_int_equal(fx_lookup(&fx, now, "fifo", &e), 0);
	assert_true(S_ISFIFO(e.attr.mode));
	assert_int_equal(fx_open(&fx, e.nodeid, O_RDONLY), -ENXIO);
	assert_int_equal(fx_lookup(&fx, now, "suid", &e), 0);
	assert_int_equal(e.attr.mode, S_IFREG | 0755);
	if (mknodat(fx.dirfd, "null", S_IFCHR | 0666, makedev(1, 3)) < 0)
		skip();
	assert_int_equal(fx_lookup(&fx, now, "null", &e), -ENOENT);
}

static void test_inode_used_again(void **state)
{
	(void)state;
	/* Whatever number the second file gets, it must not be taken for the first. */
	struct fuse_entry_out a, b;
	uint64_t now = fx_walk(&fx, "now");
	for (unsigned i = 0; i < 20; i++) {
		fx_write(&fx, "one", "1");
		assert_int_equal(fx_lookup(&fx, now, "one", &a), 0);
		assert_int_equal(unlinkat(fx.dirfd, "one", 0), 0);
		assert_int_equal(symlinkat("x", fx.dirfd, "two"), 0);
		assert_int_equal(fx_lookup(&fx, now, "two", &b), 0);
		assert_int_not_equal(a.nodeid, b.nodeid);
		/* Still held open it is itself, else stale; never the other one. */
		int ret = fx_open(&fx, a.nodeid, O_RDONLY);
		char c = 0;
		if (ret == 0)
			assert_int_equal(pread(fx.reply_fd, &c, 1, 0), 1);
		assert_true(ret == 0 ? c == '1' : ret == -ESTALE);
		assert_int_equal(unlinkat(fx.dirfd, "two", 0), 0);
	}
}

static void test_mounts_are_not_crossed(void **state)
{
	(void)state;
	char path[128];
	struct fuse_entry_out e;
	struct fuse_attr attr;
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		skip();
	/* A view made in the new namespace: descriptors made before do not see its mounts. */
	fx_stop(&fx);
	fx_tree(&fx);
	fx_start_inline(&fx, &(struct fx_options){0});
	uint64_t early = fx_walk(&fx, "now/d1");
	snprintf(path, sizeof(path), "%s/d1", fx.dir);
	assert_int_equal(mount("t", path, "tmpfs", 0, NULL), 0);
	fx_write(&fx, "d1/inside", "no");
	assert_int_equal(fx_lookup(&fx, fx_walk(&fx, "share"), "d1", &e), 0);
	assert_true(S_ISDIR(e.attr.mode));
	assert_int_equal(fx_getattr(&fx, e.nodeid, &attr), 0);
	assert_int_equal(attr.mode, S_IFDIR | 0555);
	struct fuse_entry_out in;
	assert_int_equal(fx_lookup(&fx, e.nodeid, "inside", &in), -ENOENT);
	assert_true(fx_opendir(&fx, e.nodeid) >= 0);
	/* The node known before is the directory below the mount, or stale: never the mount. */
	assert_int_not_equal(fx_lookup(&fx, early, "inside", &in), 0);
	/* A bind mount of a file is hidden. */
	char file[128];
	char over[128];
	snprintf(file, sizeof(file), "%s/suid", fx.dir);
	snprintf(over, sizeof(over), "%s/file", fx.dir);
	assert_int_equal(mount(file, over, NULL, MS_BIND, NULL), 0);
	assert_int_equal(fx_lookup(&fx, fx_walk(&fx, "share"), "file", &e), -ENOENT);
	assert_int_equal(umount2(over, MNT_DETACH), 0);
	assert_int_equal(umount2(path, MNT_DETACH), 0);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_bad_names),
		T(test_forged_ids),
		T(test_time_outs),
		T(test_hard_links_are_one_node),
		T(test_batch_forget),
		T(test_symlinks_are_shown_not_followed),
		T(test_directory_swapped_for_symlink),
		T(test_special_files),
		T(test_inode_used_again),
		T(test_mounts_are_not_crossed),
	};
	return cmocka_run_group_tests_name("fs_lookup", tests, NULL, NULL);
}
