// SPDX-License-Identifier: Apache-2.0
// test_fs_handle.c - table of open files
#include "virtio/fs_handle.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#define LIMIT 3

static int file(void)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
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
		assert_int_equal(fs_handle_add(&t, fd[i], 7, &fh[i]), 0);
		assert_int_equal(fs_handle_fd(&t, 7, fh[i]), fd[i]);
	}
	int extra = file();
	assert_int_equal(fs_handle_add(&t, extra, 7, &none), -ENFILE);
	assert_int_equal(fs_handle_fd(&t, 8, fh[0]), -EBADF);
	assert_int_equal(fs_handle_fd(&t, 7, fh[0] + LIMIT), -EBADF);
	assert_int_equal(fs_handle_fd(&t, 7, UINT64_MAX), -EBADF);
	assert_int_equal(fs_handle_close(&t, 8, fh[1]), -EBADF);
	assert_int_equal(fs_handle_close(&t, 7, fh[1]), 0);
	assert_int_equal(fcntl(fd[1], F_GETFD), -1);
	assert_int_equal(fs_handle_close(&t, 7, fh[1]), -EBADF);
	assert_int_equal(fs_handle_add(&t, extra, 9, &again), 0);
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
	assert_int_equal(fs_handle_add(&t, fd, 1, &fh), -ENFILE);
	close(fd);
	fs_handle_destroy(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_none),
	};
	return cmocka_run_group_tests_name("fs_handle", tests, NULL, NULL);
}
