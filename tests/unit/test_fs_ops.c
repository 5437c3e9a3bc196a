// SPDX-License-Identifier: Apache-2.0
// test_fs_ops.c - the operations table: negotiation, small ones, and what malformed requests get
#include "base/cleanup.h"
#include "fs/fs_ops.h"
#include "fs/fs_wire.h"
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
	return 0;
}

static int stop(void **state)
{
	(void)state;
	return fx_stop(&fx);
}

static int init(uint32_t major, uint32_t minor, uint32_t flags, struct fuse_init_out *out)
{
	struct fuse_init_in in = {
		.major = major, .minor = minor, .flags = flags, .max_readahead = 65536};
	int ret = fx_call(&fx, FUSE_INIT, 0, &in, sizeof(in));
	if (ret > 0)
		memcpy(out, fx_data(&fx), sizeof(*out));
	return ret;
}

static void test_init(void **state)
{
	(void)state;
	struct fuse_init_out out;
	assert_int_equal(init(7, 41, ~0u, &out), sizeof(out));
	assert_int_equal(out.major, 7);
	assert_true(out.minor >= 31 && out.minor <= 41);
	assert_int_equal(out.max_pages, 256);
	assert_true(out.flags & FUSE_DO_READDIRPLUS);
	assert_false(out.flags & (FUSE_EXPORT_SUPPORT | FUSE_POSIX_ACL | FUSE_WRITEBACK_CACHE |
				  FUSE_INIT_EXT | FUSE_SUBMOUNTS));
	assert_int_equal(init(7, 31, FUSE_ASYNC_READ, &out), sizeof(out));
	assert_int_equal(out.minor, 31);
	assert_int_equal(out.flags, FUSE_ASYNC_READ);
	assert_int_equal(init(8, 0, ~0u, &out), sizeof(out));
	assert_int_equal(out.major, 7);
	assert_int_equal(init(7, 30, ~0u, &out), -EPROTO);
	assert_int_equal(init(6, 99, ~0u, &out), -EPROTO);
}

static void test_statfs(void **state)
{
	(void)state;
	struct fuse_statfs_out out;
	assert_int_equal(fx_call(&fx, FUSE_STATFS, fx_walk(&fx, "sys"), NULL, 0), sizeof(out));
	memcpy(&out, fx_data(&fx), sizeof(out));
	assert_true(out.st.blocks > 0);
	assert_true(out.st.namelen >= 143);
	assert_int_equal(fx_call(&fx, FUSE_STATFS, FUSE_ROOT_ID, NULL, 0), sizeof(out));
}

static void test_access(void **state)
{
	(void)state;
	uint64_t file = fx_walk(&fx, "sys/file");
	struct fuse_access_in in = {.mask = R_OK};
	assert_int_equal(fx_call(&fx, FUSE_ACCESS, file, &in, sizeof(in)), 0);
	in.mask = W_OK;
	assert_int_equal(fx_call(&fx, FUSE_ACCESS, file, &in, sizeof(in)), -EROFS);
	assert_int_equal(fx_call(&fx, FUSE_ACCESS, 777, &in, sizeof(in)), -ESTALE);
}

static void test_unknown(void **state)
{
	(void)state;
	static const uint32_t ops[] = {0, 7, 19, 31, 39, 40, 48, 52, 100, 4096, UINT32_MAX};
	for (unsigned i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		assert_int_equal(fx_call(&fx, ops[i], 1, NULL, 0), -ENOSYS);
	/* The device's part. */
	struct fuse_read_in in = {0};
	assert_int_equal(fx_call(&fx, FUSE_READ, 1, &in, sizeof(in)), -ENOSYS);
}

static void test_little_room(void **state)
{
	(void)state;
	uint64_t file = fx_walk(&fx, "sys/file");
	uint64_t link = fx_walk(&fx, "sys/link");
	struct fuse_getattr_in attr = {0};
	struct fuse_open_in open = {0};
	size_t head = sizeof(struct fuse_out_header);
	for (size_t room = 0; room < head; room++)
		assert_int_equal(fx_call_room(&fx, FUSE_GETATTR, file, &attr, sizeof(attr), room),
				 -EPIPE);
	assert_int_equal(fx_call_room(&fx, FUSE_GETATTR, file, &attr, sizeof(attr), head), -EINVAL);
	assert_int_equal(fx_call_room(&fx, FUSE_LOOKUP, 1, "sys", 4, head + 10), -EINVAL);
	assert_int_equal(fx_call_room(&fx, FUSE_OPEN, file, &open, sizeof(open), head + 15),
			 -EINVAL);
	assert_int_equal(fx.reply_fd, -1);
	assert_int_equal(fx_call_room(&fx, FUSE_OPENDIR, 1, &open, sizeof(open), head), -EINVAL);
	assert_int_equal(fx_call_room(&fx, FUSE_READLINK, link, NULL, 0, head + 4), 4);
	assert_int_equal(fx_call_room(&fx, FUSE_READLINK, file, NULL, 0, 4096), -EINVAL);
}

static void test_frames(void **state)
{
	(void)state;
	uint8_t out[256];
	int fd;
	struct fuse_in_header in = {.len = sizeof(in) + 4, .opcode = FUSE_LOOKUP, .nodeid = 1};
	uint8_t msg[sizeof(in) + 4];
	memcpy(msg, &in, sizeof(in));
	memcpy(msg + sizeof(in), "sys", 4);
	for (size_t len = 0; len < sizeof(in); len++)
		assert_int_equal(fs_ops_serve(fx.fs, msg, len, out, sizeof(out), &fd), 0);
	for (size_t len = sizeof(in); len < sizeof(msg); len++) {
		struct fuse_out_header head;
		assert_int_equal(fs_ops_serve(fx.fs, msg, len, out, sizeof(out), &fd),
				 sizeof(head));
		memcpy(&head, out, sizeof(head));
		assert_int_equal(head.error, -EINVAL);
	}
	assert_true(fs_ops_serve(fx.fs, msg, sizeof(msg), out, sizeof(out), &fd) > 16);
	assert_int_equal(fd, -1);
}

/* Random bytes behind every opcode: no crash, no descriptor but from OPEN. */
static void test_random_bodies(void **state)
{
	(void)state;
	static uint8_t msg[512] __attribute__((aligned(8)));
	static uint8_t out[65536];
	uint32_t seed = 12345;
	fx_walk(&fx, "sys/d1/d2");
	fx_walk(&fx, "share/file");
	for (unsigned i = 0; i < 200000; i++) {
		for (unsigned k = 0; k < 128; k += 4) {
			seed = seed * 1664525 + 1013904223;
			memcpy(msg + k, &seed, 4);
		}
		size_t len = sizeof(struct fuse_in_header) + seed % 80;
		struct fuse_in_header in = {.len = (uint32_t)len,
					    .opcode = (seed >> 8) % 56,
					    .nodeid = 1 + (seed >> 16) % 12};
		if (in.nodeid > 1)
			in.nodeid |= 1ull << 32;
		memcpy(msg, &in, sizeof(in));
		int fd = -1;
		size_t n = fs_ops_serve(fx.fs, msg, len, out, (seed >> 4) % sizeof(out), &fd);
		assert_true(n <= sizeof(out));
		assert_true(fd == -1 || in.opcode == FUSE_OPEN);
		close_fd(&fd);
	}
	fx_walk(&fx, "sys/d1/d2/d3/deep");
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_init),	     T(test_statfs), T(test_access),	    T(test_unknown),
		T(test_little_room), T(test_frames), T(test_random_bodies),
	};
	return cmocka_run_group_tests_name("fs_ops", tests, NULL, NULL);
}
