// SPDX-License-Identifier: Apache-2.0
// test_fs_handle.c - table of open files
#include "virtio/fs_handle.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define LIMIT 3

static int file(void)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

/* A file for reading only, as before there were others. */
static int add(struct fs_handles *t, int fd, uint64_t node, uint64_t *fh)
{
	return fs_handle_add(t, &(struct fs_handle){.fd = fd, .node = node}, O_RDONLY, fh);
}

static void test_table(void **state)
{
	(void)state;
	struct fs_handles t;
	uint64_t fh[LIMIT], again, none;
	int fd[LIMIT];
	assert_int_equal(fs_handle_init(&t, LIMIT), 0);
	for (unsigned i = 0; i < LIMIT; i++) {
		fd[i] = file();
		assert_int_equal(add(&t, fd[i], 7, &fh[i]), 0);
		assert_int_equal(fs_handle_fd(&t, 7, fh[i]), fd[i]);
	}
	int extra = file();
	assert_int_equal(add(&t, extra, 7, &none), -ENFILE);
	assert_int_equal(fs_handle_fd(&t, 8, fh[0]), -EBADF);
	assert_int_equal(fs_handle_fd(&t, 7, fh[0] + LIMIT), -EBADF);
	assert_int_equal(fs_handle_fd(&t, 7, UINT64_MAX), -EBADF);
	assert_int_equal(fs_handle_close(&t, 8, fh[1]), -EBADF);
	assert_int_equal(fs_handle_close(&t, 7, fh[1]), 0);
	assert_int_equal(fcntl(fd[1], F_GETFD), -1);
	assert_int_equal(fs_handle_close(&t, 7, fh[1]), -EBADF);
	assert_int_equal(add(&t, extra, 9, &again), 0);
	assert_int_not_equal(again, fh[1]);
	assert_int_equal(fs_handle_fd(&t, 7, fh[1]), -EBADF);
	assert_int_equal(t.open, LIMIT);
	fs_handle_close_all(&t);
	assert_int_equal(t.open, 0);
	assert_int_equal(fcntl(extra, F_GETFD), -1);
	fs_handle_destroy(&t);
}

static void test_none(void **state)
{
	(void)state;
	struct fs_handles t;
	uint64_t fh;
	assert_int_equal(fs_handle_init(&t, 0), 0);
	int fd = file();
	assert_int_equal(add(&t, fd, 1, &fh), -ENFILE);
	close(fd);
	fs_handle_destroy(&t);
}

static int file_as(int flags)
{
	char name[] = "/tmp/mayfly-handle.XXXXXX";
	int fd = mkstemp(name);
	assert_true(fd >= 0);
	close(fd);
	fd = open(name, flags | O_CLOEXEC);
	assert_true(fd >= 0);
	unlink(name);
	return fd;
}

/* Exactly the rights that were asked for, on a regular file, with offsets that count. */
static void test_access(void **state)
{
	(void)state;
	static const int access[] = {O_RDONLY, O_WRONLY, O_RDWR};
	struct fs_handles t;
	uint64_t fh;
	assert_int_equal(fs_handle_init(&t, LIMIT), 0);
	for (unsigned has = 0; has < 3; has++)
		for (unsigned asked = 0; asked < 3; asked++) {
			struct fs_handle h = {.fd = file_as(access[has]), .node = 5, .rw = true};
			int ret = fs_handle_add(&t, &h, access[asked], &fh);
			assert_int_equal(ret, has == asked ? 0 : -EPROTO);
			if (ret < 0)
				close(h.fd);
			fs_handle_close_all(&t);
		}
	struct fs_handle h = {.fd = file_as(O_RDWR | O_APPEND), .node = 5};
	assert_int_equal(fs_handle_add(&t, &h, O_RDWR, &fh), -EPROTO);
	close(h.fd);
	h.fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	assert_int_equal(fs_handle_add(&t, &h, O_RDWR, &fh), -EPROTO);
	close(h.fd);
	h.fd = -1;
	assert_int_equal(fs_handle_add(&t, &h, O_RDWR, &fh), -EPROTO);
	fs_handle_destroy(&t);
}

/* What fs keeps comes for reading, or not at all if it was asked for writing alone. */
static void test_kept(void **state)
{
	(void)state;
	struct fs_handles t;
	uint64_t fh;
	assert_int_equal(fs_handle_init(&t, LIMIT), 0);
	struct fs_handle h = {.fd = file_as(O_RDWR), .node = 5, .kept = true, .remote = 99};
	assert_int_equal(fs_handle_add(&t, &h, O_RDWR, &fh), -EPROTO);
	close(h.fd);
	h.fd = file_as(O_RDONLY);
	assert_int_equal(fs_handle_add(&t, &h, O_WRONLY, &fh), -EPROTO);
	assert_int_equal(fs_handle_add(&t, &h, O_RDWR, &fh), 0);
	assert_int_equal(fs_handle_get(&t, 5, fh)->remote, 99);
	assert_int_equal(fs_handle_close(&t, 5, fh), 0);
	h.fd = -1;
	assert_int_equal(fs_handle_add(&t, &h, O_RDWR, &fh), -EPROTO);
	assert_int_equal(fs_handle_add(&t, &h, O_WRONLY, &fh), 0);
	assert_int_equal(fs_handle_fd(&t, 5, fh), -EBADF);
	assert_null(fs_handle_get(&t, 6, fh));
	assert_int_equal(fs_handle_close(&t, 5, fh), 0);
	assert_int_equal(t.open, 0);
	fs_handle_destroy(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_access),
		cmocka_unit_test(test_kept),
	};
	return cmocka_run_group_tests_name("fs_handle", tests, NULL, NULL);
}
