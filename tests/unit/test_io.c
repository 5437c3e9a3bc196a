// SPDX-License-Identifier: Apache-2.0
// test_io.c - exact reads and writes, whole files, sealed memory files
// links:
#include "base/io.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define BIG (1u << 20)

static uint8_t big[BIG];
static uint8_t back[BIG];

static void *writer(void *arg)
{
	int fd = *(int *)arg;
	/* In pieces, so that the reader sees short reads. */
	for (size_t off = 0; off < BIG; off += 65536)
		if (io_write_full(fd, big + off, 65536) < 0)
			break;
	return NULL;
}

static void test_full(void **state)
{
	(void)state;
	int p[2];
	pthread_t th;
	for (size_t i = 0; i < BIG; i++)
		big[i] = (uint8_t)(i * 13 + i / 257);
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	assert_int_equal(pthread_create(&th, NULL, writer, &p[1]), 0);
	assert_int_equal(io_read_full(p[0], back, BIG), 0);
	pthread_join(th, NULL);
	assert_memory_equal(big, back, BIG);
	assert_int_equal(io_read_full(p[0], back, 0), 0);
	assert_int_equal(write(p[1], "abc", 3), 3);
	close(p[1]);
	assert_int_equal(io_read_full(p[0], back, 4), -ENODATA);
	assert_int_equal(io_read_full(p[0], back, 1), -ENODATA);
	close(p[0]);
	assert_int_equal(io_read_full(-1, back, 1), -EBADF);
	assert_int_equal(io_write_full(-1, back, 1), -EBADF);
}

static void test_write_to_nobody(void **state)
{
	(void)state;
	int p[2];
	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	close(p[0]);
	assert_int_equal(io_write_full(p[1], "x", 1), -EPIPE);
	close(p[1]);
	signal(SIGPIPE, SIG_DFL);
}

/* Standard output that another program has made non-blocking, and a reader that takes its time. */
static void test_write_wait(void **state)
{
	int p[2];
	size_t got = 0;
	ssize_t n;
	(void)state;
	assert_int_equal(pipe2(p, O_CLOEXEC | O_NONBLOCK), 0);
	pid_t pid = fork();
	if (pid == 0) {
		close(p[0]);
		_exit(io_write_wait(p[1], big, sizeof(big)) == 0 ? 0 : 1);
	}
	close(p[1]);
	assert_int_equal(io_set_nonblock(p[0], 0), 0);
	while ((n = read(p[0], back, 1000)) > 0)
		got += (size_t)n;
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(got, sizeof(big));
	close(p[0]);
	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(pipe2(p, O_CLOEXEC | O_NONBLOCK), 0);
	close(p[0]);
	assert_int_equal(io_write_wait(p[1], big, sizeof(big)), -EPIPE);
	close(p[1]);
}

static void test_read_all(void **state)
{
	(void)state;
	static const size_t sizes[] = {0, 1, 4095, 4096, 4097, 8192, 100000};
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		AUTO_CLOSE int fd = io_sealed_memfd("f", big, sizes[i]);
		AUTO_FREE char *data = NULL;
		size_t len = 1;
		assert_true(fd >= 0);
		assert_int_equal(io_read_all(fd, 100000, &data, &len), 0);
		assert_int_equal(len, sizes[i]);
		assert_memory_equal(data, big, len);
		assert_int_equal(data[len], 0);
	}
}

static void test_read_all_limits(void **state)
{
	(void)state;
	AUTO_CLOSE int fd = io_sealed_memfd("f", big, 1001);
	AUTO_FREE char *data = NULL;
	size_t len = 0;
	assert_int_equal(io_read_all(fd, 1000, &data, &len), -EFBIG);
	assert_null(data);
	assert_int_equal(io_read_all(fd, 1001, &data, &len), 0);
	assert_int_equal(len, 1001);
	AUTO_CLOSE int endless = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	AUTO_FREE char *zeros = NULL;
	assert_int_equal(io_read_all(endless, 1 << 20, &zeros, &len), -EFBIG);
	assert_null(zeros);
}

static void test_flags(void **state)
{
	(void)state;
	int p[2];
	assert_int_equal(pipe(p), 0);
	assert_int_equal(io_set_nonblock(p[0], 1), 0);
	assert_true(fcntl(p[0], F_GETFL) & O_NONBLOCK);
	assert_int_equal(read(p[0], back, 1), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(io_set_nonblock(p[0], 0), 0);
	assert_false(fcntl(p[0], F_GETFL) & O_NONBLOCK);
	assert_int_equal(io_set_cloexec(p[0], 1), 0);
	assert_true(fcntl(p[0], F_GETFD) & FD_CLOEXEC);
	assert_int_equal(io_set_cloexec(p[0], 0), 0);
	assert_false(fcntl(p[0], F_GETFD) & FD_CLOEXEC);
	close(p[0]);
	close(p[1]);
	assert_int_equal(io_set_nonblock(-1, 1), -EBADF);
	assert_int_equal(io_set_cloexec(-1, 1), -EBADF);
}

static void test_sealed(void **state)
{
	(void)state;
	AUTO_CLOSE int fd = io_sealed_memfd("f", "secret", 6);
	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(pwrite(fd, "X", 1, 0), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(fd, 3), -1);
	assert_int_equal(ftruncate(fd, 30), -1);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	assert_ptr_equal(mmap(NULL, 6, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
}

static void test_clock(void **state)
{
	(void)state;
	uint64_t a = io_now_ns();
	uint64_t b = io_now_ns();
	assert_true(a > 0 && b >= a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full),	 cmocka_unit_test(test_write_to_nobody),
		cmocka_unit_test(test_read_all), cmocka_unit_test(test_read_all_limits),
		cmocka_unit_test(test_flags),	 cmocka_unit_test(test_sealed),
		cmocka_unit_test(test_clock),	 cmocka_unit_test(test_write_wait),
	};
	alarm(30);
	return cmocka_run_group_tests_name("io", tests, NULL, NULL);
}
