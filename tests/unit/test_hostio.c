// SPDX-License-Identifier: Apache-2.0
// test_hostio.c - mayfly's own streams: pipes, files, sockets, /dev/null; never blocking
// links: runtime/cli/hostio.c
#include "cli/hostio.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <cmocka.h>

static struct {
	struct evloop loop;
	struct hostio h;
	int fd[2]; /* [0]: what hostio is given, [1]: the other end */
	unsigned calls;
	uint8_t big[PROTO_WINDOW + 1];
} t;

static void on_ready(struct evsource *src, uint32_t events)
{
	(void)events;
	(void)src;
	t.calls++;
}

static void on_push(struct evsource *src, uint32_t events)
{
	(void)events;
	(void)src;
	t.calls++;
	hostio_push(&t.h);
}

static int setup(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	t.fd[0] = t.fd[1] = -1;
	for (size_t i = 0; i < sizeof(t.big); i++)
		t.big[i] = (uint8_t)(i * 19 + i / 241);
	return evloop_init(&t.loop);
}

static int teardown(void **state)
{
	(void)state;
	hostio_close(&t.h);
	hostio_close(&t.h);
	close_fd(&t.fd[0]);
	close_fd(&t.fd[1]);
	evloop_close(&t.loop);
	return 0;
}

static void run(void)
{
	for (int i = 0; i < 1000; i++)
		if (evloop_once(&t.loop, 0) <= 0)
			return;
	fail_msg("the event loop does not come to rest");
}

/* An output pipe; hostio takes every descriptor but 0 for one to write. */
static void out_pipe(void)
{
	int p[2];
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	t.fd[0] = p[1];
	t.fd[1] = p[0];
	assert_int_equal(hostio_open(&t.h, &t.loop, t.fd[0], on_push, NULL), 0);
	assert_int_equal(fcntl(t.fd[1], F_SETFL, O_NONBLOCK), 0);
}

static void flags_untouched(void)
{
	assert_false(fcntl(t.fd[0], F_GETFL) & O_NONBLOCK);
}

static void test_pipe_out(void **state)
{
	(void)state;
	char buf[16] = "";
	out_pipe();
	assert_int_equal(t.h.kind, HOSTIO_NONBLOCK);
	flags_untouched();
	assert_int_equal(hostio_add(&t.h, (const uint8_t *)"hello", 5), 0);
	assert_true(hostio_push(&t.h));
	assert_int_equal(t.h.owed, 5);
	assert_int_equal(read(t.fd[1], buf, sizeof(buf)), 5);
	assert_string_equal(buf, "hello");
	run();
	assert_int_equal(t.calls, 0);
}

static void test_slow_reader(void **state)
{
	(void)state;
	static uint8_t buf[65536];
	size_t got = 0;
	out_pipe();
	assert_int_equal(hostio_add(&t.h, t.big, PROTO_WINDOW), 0);
	assert_false(hostio_push(&t.h));
	flags_untouched();
	/* More than the window breaks the rules; nothing of it is taken. */
	assert_true(t.h.len + t.h.owed == PROTO_WINDOW);
	assert_int_equal(hostio_add(&t.h, t.big, PROTO_WINDOW), -EPROTO);
	while (got < PROTO_WINDOW) {
		ssize_t n = read(t.fd[1], buf, sizeof(buf));
		assert_true(n > 0);
		assert_memory_equal(buf, t.big + got, (size_t)n);
		got += (size_t)n;
		run();
	}
	assert_int_equal(t.h.owed, PROTO_WINDOW);
	assert_int_equal(t.h.len, 0);
	/* Nothing to write: not watched, so no busy loop on an always writable pipe. */
	t.calls = 0;
	run();
	assert_int_equal(t.calls, 0);
}

/* --output-limit: the first bytes of both together, exactly; the rest is as good as written. */
static void test_limit(void **state)
{
	(void)state;
	struct hostio_limit limit = {.left = 10};
	uint8_t buf[64];
	out_pipe();
	t.h.limit = &limit;
	assert_int_equal(hostio_add(&t.h, t.big, 4), 0);
	limit.left -= 3; /* the other output's */
	assert_int_equal(hostio_add(&t.h, t.big + 4, 3), 0);
	assert_false(limit.over);
	assert_int_equal(hostio_add(&t.h, t.big + 7, 1), 0);
	assert_true(limit.over);
	assert_int_equal(hostio_add(&t.h, t.big + 8, 30), 0);
	assert_true(hostio_push(&t.h));
	assert_int_equal(read(t.fd[1], buf, sizeof(buf)), 7);
	assert_memory_equal(buf, t.big, 7);
	assert_int_equal(t.h.owed, 38);
	assert_int_equal(t.h.moved, 38 + 7);
}

static void test_ring_wraps(void **state)
{
	(void)state;
	static uint8_t buf[65536];
	size_t sent = 0;
	size_t got = 0;
	out_pipe();
	while (got < 4 * PROTO_WINDOW) {
		size_t n = 9973;
		size_t at = sent % PROTO_WINDOW;
		n = MIN(n, PROTO_WINDOW - at);
		if (n <= PROTO_WINDOW - t.h.len && sent - got < PROTO_WINDOW) {
			assert_int_equal(hostio_add(&t.h, t.big + at, n), 0);
			sent += n;
			hostio_push(&t.h);
			if (sent % 7 != 0)
				continue;
		}
		ssize_t r = read(t.fd[1], buf, 8191);
		for (ssize_t i = 0; i < r; i++)
			assert_int_equal(buf[i], t.big[(got + (size_t)i) % PROTO_WINDOW]);
		got += (size_t)MAX(r, 0);
		run();
	}
}

static void test_reader_gone(void **state)
{
	(void)state;
	out_pipe();
	assert_int_equal(hostio_add(&t.h, t.big, 100000), 0);
	hostio_push(&t.h);
	close_fd(&t.fd[1]);
	assert_true(hostio_push(&t.h));
	assert_true(t.h.done);
	assert_int_equal(t.h.error, EPIPE);
	/* What is dropped counts as written, else the guest would wait for ever. */
	assert_int_equal(t.h.owed, 100000);
	assert_int_equal(hostio_add(&t.h, t.big, PROTO_WINDOW), 0);
	assert_int_equal(t.h.owed, 100000 + PROTO_WINDOW);
	assert_int_equal(t.h.len, 0);
	assert_true(hostio_push(&t.h));
	run();
	assert_int_equal(t.calls, 0);
}

static void test_pipe_in(void **state)
{
	(void)state;
	char buf[16];
	int p[2];
	int saved = fcntl(0, F_DUPFD_CLOEXEC, 3);
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	assert_int_equal(dup2(p[0], 0), 0);
	close(p[0]);
	t.fd[1] = p[1];
	assert_int_equal(hostio_open(&t.h, &t.loop, 0, on_ready, NULL), 0);
	assert_int_equal(t.h.kind, HOSTIO_NONBLOCK);
	assert_false(fcntl(0, F_GETFL) & O_NONBLOCK);
	assert_int_equal(hostio_read(&t.h, buf, sizeof(buf)), -EAGAIN);
	assert_int_equal(write(p[1], "hello", 5), 5);
	run();
	assert_int_equal(t.calls, 0);
	hostio_want(&t.h, EPOLLIN);
	assert_int_equal(evloop_once(&t.loop, 0), 1);
	assert_int_equal(hostio_read(&t.h, buf, sizeof(buf)), 5);
	hostio_want(&t.h, 0);
	close_fd(&t.fd[1]);
	/* Its end is not reported while nobody wants to know. */
	t.calls = 0;
	run();
	assert_int_equal(t.calls, 0);
	hostio_want(&t.h, EPOLLIN);
	assert_int_equal(evloop_once(&t.loop, 0), 1);
	assert_int_equal(hostio_read(&t.h, buf, sizeof(buf)), 0);
	hostio_close(&t.h);
	dup2(saved, 0);
	close(saved);
}

static void test_file(void **state)
{
	(void)state;
	char buf[16] = "";
	t.fd[0] = memfd_create("file", MFD_CLOEXEC);
	assert_int_equal(hostio_open(&t.h, &t.loop, t.fd[0], on_ready, NULL), 0);
	assert_int_equal(t.h.kind, HOSTIO_FILE);
	assert_int_equal(hostio_add(&t.h, (const uint8_t *)"text", 4), 0);
	assert_true(hostio_push(&t.h));
	assert_int_equal(pread(t.fd[0], buf, sizeof(buf), 0), 4);
	assert_int_equal(lseek(t.fd[0], 1, SEEK_SET), 1);
	assert_int_equal(hostio_read(&t.h, buf, sizeof(buf)), 3);
	assert_int_equal(hostio_read(&t.h, buf, sizeof(buf)), 0);
	hostio_want(&t.h, EPOLLIN);
	run();
	assert_int_equal(t.calls, 0);
}

static void test_dev_null(void **state)
{
	(void)state;
	t.fd[0] = open("/dev/null", O_RDWR | O_CLOEXEC);
	assert_int_equal(hostio_open(&t.h, &t.loop, t.fd[0], on_ready, NULL), 0);
	assert_int_equal(hostio_add(&t.h, t.big, PROTO_WINDOW), 0);
	assert_true(hostio_push(&t.h));
	assert_int_equal(t.h.owed, PROTO_WINDOW);
	assert_false(t.h.done);
}

static void test_dev_full(void **state)
{
	(void)state;
	t.fd[0] = open("/dev/full", O_WRONLY | O_CLOEXEC);
	assert_int_equal(hostio_open(&t.h, &t.loop, t.fd[0], on_ready, NULL), 0);
	assert_int_equal(hostio_add(&t.h, t.big, 100), 0);
	assert_true(hostio_push(&t.h));
	assert_true(t.h.done);
	assert_int_equal(t.h.error, ENOSPC);
	assert_int_equal(t.h.owed, 100);
}

static void test_socket(void **state)
{
	(void)state;
	static uint8_t buf[65536];
	size_t got = 0;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, t.fd), 0);
	assert_int_equal(hostio_open(&t.h, &t.loop, t.fd[0], on_push, NULL), 0);
	assert_int_equal(t.h.kind, HOSTIO_SOCKET);
	assert_int_equal(hostio_read(&t.h, buf, 1), -EAGAIN);
	/* The window may fit into the socket as a whole; what counts is that nothing blocks. */
	int small = 4096;
	setsockopt(t.fd[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	assert_int_equal(hostio_add(&t.h, t.big, PROTO_WINDOW), 0);
	assert_false(hostio_push(&t.h));
	while (got < PROTO_WINDOW) {
		ssize_t n = recv(t.fd[1], buf, sizeof(buf), MSG_DONTWAIT);
		assert_true(n > 0);
		assert_memory_equal(buf, t.big + got, (size_t)n);
		got += (size_t)n;
		run();
	}
	assert_int_equal(send(t.fd[1], "back", 4, 0), 4);
	assert_int_equal(hostio_read(&t.h, buf, sizeof(buf)), 4);
	flags_untouched();
	close_fd(&t.fd[1]);
	assert_int_equal(hostio_read(&t.h, buf, sizeof(buf)), 0);
	assert_int_equal(hostio_add(&t.h, t.big, 10), 0);
	assert_true(hostio_push(&t.h));
	assert_true(t.h.done);
}

/* A pipe that can't be opened a second time: no reader at that moment. */
static void test_careful(void **state)
{
	(void)state;
	static uint8_t buf[65536];
	size_t got = 0;
	out_pipe();
	hostio_close(&t.h);
	t.h = (struct hostio){
		.loop = &t.loop, .src = {.fd = t.fd[0], .fn = on_push}, .kind = HOSTIO_CAREFUL};
	assert_int_equal(hostio_add(&t.h, t.big, PROTO_WINDOW), 0);
	/* The descriptor itself may block: this call must come back all the same. */
	assert_false(hostio_push(&t.h));
	while (got < PROTO_WINDOW) {
		ssize_t n = read(t.fd[1], buf, sizeof(buf));
		assert_true(n > 0);
		assert_memory_equal(buf, t.big + got, (size_t)n);
		got += (size_t)n;
		run();
	}
	assert_int_equal(t.h.owed, PROTO_WINDOW);
}

static void test_closed_descriptor(void **state)
{
	(void)state;
	assert_int_equal(hostio_open(&t.h, &t.loop, 1000, on_ready, NULL), -EBADF);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_pipe_out),    T(test_slow_reader),	T(test_ring_wraps),
		T(test_reader_gone), T(test_pipe_in),		T(test_file),
		T(test_dev_null),    T(test_dev_full),		T(test_socket),
		T(test_careful),     T(test_closed_descriptor), T(test_limit),
	};
	alarm(30);
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("hostio", tests, NULL, NULL);
}
