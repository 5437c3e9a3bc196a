// SPDX-License-Identifier: Apache-2.0
// test_fs_server.c - the process's loop: bad messages, end of the socket, few descriptors
#include "base/cleanup.h"
#include "base/fdpass.h"
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
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static struct fs_fixture fx;

static void test_serves_and_ends(void **state)
{
	(void)state;
	fx_tree(&fx);
	fx_start_child(&fx, &(struct fx_options){0});
	assert_true(fx_init(&fx) > 0);
	char buf[16];
	assert_int_equal(fx_open(&fx, fx_walk(&fx, "share/d1/d2/d3/deep"), O_RDONLY), 0);
	assert_int_equal(read(fx.reply_fd, buf, sizeof(buf)), 5);
	assert_int_equal(fx_stop(&fx), 0);
}

static void raw(const void *data, size_t len, const int *fds, size_t nfds)
{
	struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = len};
	assert_true(fdpass_send(fx.sock, &iov, 1, fds, nfds, 0) >= 0);
}

static void test_bad_messages(void **state)
{
	(void)state;
	static uint8_t big[FS_WIRE_MAX + 4096];
	fx_tree(&fx);
	fx_start_child(&fx, &(struct fx_options){0});
	struct {
		struct fs_wire_req req;
		struct fuse_in_header in;
	} m = {.req = {.len = sizeof(m), .room = 100, .tag = 1},
	       .in = {.len = sizeof(m.in), .opcode = FUSE_STATFS, .nodeid = 1}};
	for (unsigned i = 0; i < 20; i++) {
		raw("x", 1, NULL, 0);
		m.req.len = sizeof(m) + 1;
		raw(&m, sizeof(m), NULL, 0);
		raw(big, sizeof(big), NULL, 0);
		m.req.len = sizeof(m);
		raw(&m, sizeof(m), &fx.dirfd, 1); /* descriptors are not wanted */
		m.req.len = sizeof(m.req);
		raw(&m, sizeof(m.req), NULL, 0); /* no FUSE header */
		m.req.len = sizeof(m);
		m.req.room = 0;
		raw(&m, sizeof(m), NULL, 0); /* no room: no reply */
	}
	/* None of them was answered, and the next good one is. */
	assert_true(fx_init(&fx) > 0);
	fx_walk(&fx, "sys/file");
	assert_int_equal(fx_stop(&fx), 0);
}

static void test_few_descriptors(void **state)
{
	(void)state;
	static uint64_t node[300];
	char name[64];
	fx_tree(&fx);
	/* 32 in all, and a cache that believes it may hold 400. */
	fx_start_child(&fx, &(struct fx_options){.nofile = 32});
	assert_true(fx_init(&fx) > 0);
	for (unsigned i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "d%u", i + 10);
		assert_int_equal(mkdirat(fx.dirfd, name, 0755), 0);
		snprintf(name, sizeof(name), "d%u/f", i + 10);
		fx_write(&fx, name, name);
		snprintf(name, sizeof(name), "now/d%u/f", i + 10);
		node[i] = fx_walk(&fx, name);
	}
	for (unsigned i = 0; i < 300; i++)
		assert_int_equal(fx_open(&fx, node[(i * 7) % 300], O_RDONLY), 0);
	assert_int_equal(fx_stop(&fx), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_serves_and_ends),
		cmocka_unit_test(test_bad_messages),
		cmocka_unit_test(test_few_descriptors),
	};
	return cmocka_run_group_tests_name("fs_server", tests, NULL, NULL);
}
