// SPDX-License-Identifier: Apache-2.0
// test_fs_quota.c - what counts, what is refused, what comes back
#include "fs/fs_quota.h"

#include "base/cleanup.h"
#include "fs/fs_wire.h"
#include "lib/fs_fixture.h"
#include "lib/fs_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define LIMIT (256 << 10)
#define PART (32 << 10)

static struct fs_fixture fx;
static uint64_t share;

static int start(void **state)
{
	(void)state;
	fx_tree(&fx);
	fx_start_inline(&fx, &(struct fx_options){.writable = true, .quota = LIMIT});
	share = fx_walk(&fx, "share");
	return 0;
}

static int stop(void **state)
{
	(void)state;
	return fx_stop(&fx);
}

static int64_t grown(void)
{
	return fs_tree_view(fx.fs, fs_node_get(&fx.fs->nodes, share))->grown;
}

static uint64_t make(const char *name, uint64_t *fh)
{
	struct fuse_entry_out e;
	assert_int_equal(fx_create(&fx, share, name, O_RDWR | O_EXCL, 0, &e), 0);
	/* The file's own mode forbids everything, and yet it can be read and written. */
	assert_int_equal(fcntl(fx.reply_fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	*fh = fx_fh(&fx);
	return e.nodeid;
}

static int fill(uint64_t node, uint64_t fh)
{
	for (unsigned i = 0; i < 2 * LIMIT / PART; i++) {
		int ret = fx_pwrite(&fx, node, fh, PART, (uint64_t)i * PART);
		if (ret < 0)
			return ret;
		assert_int_equal(ret, PART);
	}
	return 0;
}

static void test_write(void **state)
{
	(void)state;
	uint64_t fh;
	uint64_t node = make("a", &fh);
	assert_int_equal(fill(node, fh), -EDQUOT);
	assert_in_range(grown(), LIMIT - PART, LIMIT);
	/* What is there already may be written again, and a hole may be, where there is room. */
	assert_int_equal(fx_pwrite(&fx, node, fh, PART, 100), PART);
	assert_int_equal(fx_pwrite(&fx, node, fh, PART, 1 << 30), -EDQUOT);
	assert_int_equal(fx_pwrite(&fx, node, fh, 1, UINT64_MAX), -EFBIG);
	assert_int_equal(fx_pwrite(&fx, node, fh + 1, 1, 0), -EBADF);
	assert_int_equal(fx_pwrite(&fx, share, fh, 1, 0), -EBADF);
	struct fuse_setattr_in cut = {.valid = FATTR_SIZE | FATTR_FH, .fh = fh, .size = PART};
	struct fuse_attr attr;
	assert_int_equal(fx_setattr(&fx, node, &cut, &attr), 0);
	assert_in_range(grown(), PART, 2 * PART);
	assert_int_equal(fx_release(&fx, node, fh), 0);
	assert_int_equal(fx_release(&fx, node, fh), -EBADF);
	assert_int_equal(fx_remove(&fx, share, "a", false), 0);
	fx_forget(&fx, node, 1);
	assert_in_range(grown() + LIMIT, LIMIT - 4096, LIMIT + 4096);
}

/* A file without a name counts until it is closed and forgotten, in either order. */
static void test_without_name(void **state)
{
	(void)state;
	for (unsigned order = 0; order < 2; order++) {
		uint64_t fh;
		uint64_t other;
		uint64_t node = make("a", &fh);
		assert_int_equal(fill(node, fh), -EDQUOT);
		assert_int_equal(fx_remove(&fx, share, "a", false), 0);
		assert_in_range(grown(), LIMIT - PART, LIMIT);
		uint64_t second = make("b", &other);
		assert_int_equal(fx_pwrite(&fx, second, other, FS_WIRE_WRITE_MAX, 0), -EDQUOT);
		if (order == 0)
			fx_release(&fx, node, fh);
		fx_forget(&fx, node, 1);
		if (order == 1) {
			assert_in_range(grown(), LIMIT - PART, LIMIT);
			/* Forgotten, and still it can be written and closed. */
			assert_int_equal(fx_pwrite(&fx, node, fh, 10, 0), 10);
			assert_int_equal(fx_release(&fx, node, fh), 0);
		}
		assert_in_range(grown() + LIMIT, LIMIT - 4096, LIMIT + 4096);
		assert_int_equal(fx_pwrite(&fx, second, other, PART, 0), PART);
		fx_release(&fx, second, other);
		fx_remove(&fx, share, "b", false);
		fx_forget(&fx, second, 1);
	}
	assert_int_equal(fx.fs->cache.held, 0);
}

static void test_allocate(void **state)
{
	(void)state;
	uint64_t fh;
	uint64_t node = make("a", &fh);
	struct fuse_fallocate_in in = {.fh = fh, .length = 2 * LIMIT};
	assert_int_equal(fx_call(&fx, FUSE_FALLOCATE, node, &in, sizeof(in)), -EDQUOT);
	in.length = LIMIT / 2;
	int ret = fx_call(&fx, FUSE_FALLOCATE, node, &in, sizeof(in));
	if (ret == -EOPNOTSUPP)
		skip();
	assert_int_equal(ret, 0);
	assert_in_range(grown(), LIMIT / 2, LIMIT / 2 + 8192);
	in.offset = UINT64_MAX;
	assert_int_equal(fx_call(&fx, FUSE_FALLOCATE, node, &in, sizeof(in)), -EFBIG);
	in = (struct fuse_fallocate_in){
		.fh = fh, .length = LIMIT / 2, .mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE};
	assert_int_equal(fx_call(&fx, FUSE_FALLOCATE, node, &in, sizeof(in)), 0);
	assert_in_range(grown() + LIMIT, LIMIT - 8192, LIMIT + 8192);
}

static void test_replaced(void **state)
{
	(void)state;
	uint64_t fh;
	uint64_t node = make("a", &fh);
	assert_int_equal(fill(node, fh), -EDQUOT);
	fx_release(&fx, node, fh);
	fx_forget(&fx, node, 1);
	struct fuse_entry_out e;
	assert_int_equal(fx_mkdir(&fx, share, "d", 0700, &e), grown() > LIMIT - 4096 ? -EDQUOT : 0);
	/* By a name of the host's that the guest never looked up. */
	assert_int_equal(fx_rename(&fx, share, "file", share, "a", 0), 0);
	assert_in_range(grown() + LIMIT, LIMIT - 4096, LIMIT + 8192);
	assert_int_equal(fx_mkdir(&fx, share, "e", 0700, &e), 0);
}

static void test_statfs(void **state)
{
	(void)state;
	struct fuse_statfs_out out;
	uint64_t fh;
	uint64_t node = make("a", &fh);
	assert_int_equal(fx_pwrite(&fx, node, fh, LIMIT / 8, 0), LIMIT / 8);
	assert_true(fx_call(&fx, FUSE_STATFS, share, NULL, 0) > 0);
	memcpy(&out, fx_data(&fx), sizeof(out));
	assert_int_equal(out.st.blocks * out.st.frsize, LIMIT);
	assert_in_range(out.st.bavail * out.st.frsize, LIMIT / 4 * 3, LIMIT / 8 * 7);
}

static void test_few_handles(void **state)
{
	(void)state;
	uint64_t file = fx_walk(&fx, "share/file");
	int ret = 0;
	unsigned n = 0;
	for (; ret == 0 && n < 200; n++) {
		struct fuse_open_in in = {.flags = O_RDWR};
		ret = fx_call(&fx, FUSE_OPEN, file, &in, sizeof(in));
		ret = ret < 0 ? ret : 0;
	}
	assert_int_equal(ret, -ENFILE);
	assert_int_equal(n, 65);
	struct fuse_init_in in = {.major = 7, .minor = 41};
	assert_true(fx_call(&fx, FUSE_INIT, 0, &in, sizeof(in)) > 0);
	struct fuse_init_out out;
	memcpy(&out, fx_data(&fx), sizeof(out));
	assert_int_equal(out.max_write, FS_WIRE_WRITE_MAX);
	assert_int_equal(fx_open(&fx, fx_walk(&fx, "share/file"), O_RDWR), 0);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_write),	  T(test_without_name), T(test_allocate),
		T(test_replaced), T(test_statfs),	T(test_few_handles),
	};
	return cmocka_run_group_tests_name("fs_quota", tests, NULL, NULL);
}
