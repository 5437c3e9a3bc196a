// SPDX-License-Identifier: Apache-2.0
// test_jail_link.c - requests of a hostile process, answers of a confused or silent supervisor
// links: proto/jail_link.c runtime/base/fdpass.c runtime/base/io.c
#include "proto/jail_link.h"

#include "base/cleanup.h"
#include "base/fdpass.h"
#include "base/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* The process's end and the supervisor's. */
static int near, far;

static int setup(void **state)
{
	int sv[2];
	(void)state;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0)
		return -1;
	near = sv[0];
	far = sv[1];
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	close_fd(&near);
	close_fd(&far);
	return 0;
}

static unsigned open_fds(void)
{
	unsigned n = 0;
	DIR *d = opendir("/proc/self/fd");
	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void send_raw(int sock, const void *data, size_t len, unsigned nfds)
{
	struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = len};
	int fds[FDPASS_MAX];
	int fd = eventfd(0, EFD_CLOEXEC);
	for (unsigned i = 0; i < nfds; i++)
		fds[i] = fd;
	assert_int_equal(fdpass_send(sock, &iov, 1, fds, nfds, 0), len);
	close(fd);
}

/* What the supervisor makes of a message with so many descriptors; none may stay open. */
static int received(const void *data, size_t len, unsigned nfds)
{
	struct jail_link_request got;
	int fd = 99;
	unsigned before = open_fds();
	send_raw(near, data, len, nfds);
	int ret = jail_link_receive(far, &got, &fd);
	if (ret == 1) {
		assert_memory_equal(&got, data, sizeof(got));
		if (nfds) {
			assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
			close(fd);
		} else {
			assert_int_equal(fd, -1);
		}
	} else {
		assert_int_equal(fd, -1);
	}
	assert_int_equal(open_fds(), before);
	return ret;
}

static struct jail_link_request dial_to(uint32_t port)
{
	return (struct jail_link_request){.kind = JAIL_LINK_DIAL, .port = port};
}

static struct jail_link_request listener_of(const char *label)
{
	struct jail_link_request r = {.kind = JAIL_LINK_LISTENER};
	memcpy(r.label, label, strnlen(label, sizeof(r.label)));
	return r;
}

static void test_good(void **state)
{
	(void)state;
	struct jail_link_request r = dial_to(UINT32_MAX);
	assert_int_equal(received(&r, sizeof(r), 0), 1);
	r = listener_of("vcpu31");
	assert_int_equal(received(&r, sizeof(r), 1), 1);
	r = listener_of("a-0123456789-zz");
	assert_int_equal(received(&r, sizeof(r), 1), 1);
}

static void test_length(void **state)
{
	(void)state;
	char room[4096] = {0};
	struct jail_link_request r = dial_to(1);
	memcpy(room, &r, sizeof(r));
	/* A message of no bytes is what the end looks like. */
	for (size_t len = 1; len < sizeof(r); len++)
		assert_int_equal(received(room, len, 0), -EPROTO);
	assert_int_equal(received(room, sizeof(r) + 1, 0), -EPROTO);
	assert_int_equal(received(room, sizeof(room), 0), -EPROTO);
	assert_int_equal(received(room, sizeof(r) - 1, 1), -EPROTO);
	assert_int_equal(received(room, sizeof(room), 1), -EPROTO);
}

static void test_kind(void **state)
{
	(void)state;
	static const uint32_t bad[] = {0, 3, 0x100, 0x80000001u, UINT32_MAX};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct jail_link_request r = listener_of("main");
		r.kind = bad[i];
		assert_int_equal(received(&r, sizeof(r), 0), -EPROTO);
		assert_int_equal(received(&r, sizeof(r), 1), -EPROTO);
	}
}

static void test_descriptors(void **state)
{
	(void)state;
	struct jail_link_request r = listener_of("main");
	assert_int_equal(received(&r, sizeof(r), 0), -EPROTO);
	assert_int_equal(received(&r, sizeof(r), 2), -EPROTO);
	assert_int_equal(received(&r, sizeof(r), FDPASS_MAX), -EPROTO);
	r = dial_to(1);
	assert_int_equal(received(&r, sizeof(r), 1), -EPROTO);
	assert_int_equal(received(&r, sizeof(r), FDPASS_MAX), -EPROTO);
}

static void test_label(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"", "Main", "a b", "a/b", "a\n", "\x1b[2J", "..", "a_b", "\xc3\xa4", "%s",
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct jail_link_request r = listener_of(bad[i]);
		assert_int_equal(received(&r, sizeof(r), 1), -EPROTO);
	}
	/* Without its end. */
	struct jail_link_request r = listener_of("");
	memset(r.label, 'a', sizeof(r.label));
	assert_int_equal(received(&r, sizeof(r), 1), -EPROTO);
	/* What is behind the end is nobody's business. */
	r = listener_of("ok");
	r.label[8] = '/';
	assert_int_equal(received(&r, sizeof(r), 1), 1);
}

static void test_nothing_and_end(void **state)
{
	(void)state;
	struct jail_link_request r;
	int fd = 99;
	assert_int_equal(jail_link_receive(far, &r, &fd), -EAGAIN);
	close_fd(&near);
	assert_int_equal(jail_link_receive(far, &r, &fd), 0);
	assert_int_equal(fd, -1);
}

/* The end with something unread is a reset. */
static void test_reset(void **state)
{
	(void)state;
	struct jail_link_request r;
	int fd;
	assert_int_equal(jail_link_answer(far, -ENOENT), 0);
	close_fd(&near);
	assert_int_equal(jail_link_receive(far, &r, &fd), 0);
}

static void test_listener_sends(void **state)
{
	(void)state;
	struct jail_link_request r;
	int fd;
	AUTO_CLOSE int mine = eventfd(7, EFD_CLOEXEC | EFD_NONBLOCK);
	assert_int_equal(jail_link_listener(near, mine, "fs-device"), 0);
	assert_int_equal(jail_link_receive(far, &r, &fd), 1);
	assert_int_equal(r.kind, JAIL_LINK_LISTENER);
	assert_string_equal(r.label, "fs-device");
	uint64_t v = 0;
	assert_int_equal(read(fd, &v, sizeof(v)), sizeof(v));
	assert_int_equal(v, 7);
	close(fd);
	/* Its own descriptor stays. */
	assert_int_not_equal(fcntl(mine, F_GETFD), -1);
	close_fd(&far);
	assert_int_equal(jail_link_listener(near, mine, "main"), -EPIPE);
}

static int dial_result;

static void *dialler(void *arg)
{
	(void)arg;
	dial_result = jail_link_dial(near, 77);
	return NULL;
}

static pthread_t start_dial(void)
{
	pthread_t th;
	struct jail_link_request r;
	int fd;
	assert_int_equal(pthread_create(&th, NULL, dialler, NULL), 0);
	int ret = -EAGAIN;
	for (unsigned i = 0; ret == -EAGAIN && i < 5000; i++) {
		ret = jail_link_receive(far, &r, &fd);
		usleep(1000);
	}
	assert_int_equal(ret, 1);
	assert_int_equal(r.kind, JAIL_LINK_DIAL);
	assert_int_equal(r.port, 77);
	return th;
}

static void test_dial(void **state)
{
	(void)state;
	AUTO_CLOSE int sock = eventfd(5, EFD_CLOEXEC);
	pthread_t th = start_dial();
	assert_int_equal(jail_link_answer(far, sock), 0);
	pthread_join(th, NULL);
	assert_true(dial_result >= 0);
	assert_int_equal(fcntl(dial_result, F_GETFD), FD_CLOEXEC);
	close(dial_result);
	assert_int_not_equal(fcntl(sock, F_GETFD), -1);

	th = start_dial();
	assert_int_equal(jail_link_answer(far, -ECONNREFUSED), 0);
	pthread_join(th, NULL);
	assert_int_equal(dial_result, -ECONNREFUSED);
}

static void answer_is_wrong(const void *data, size_t len, unsigned nfds, int want)
{
	unsigned before = open_fds();
	pthread_t th = start_dial();
	send_raw(far, data, len, nfds);
	pthread_join(th, NULL);
	assert_int_equal(dial_result, want);
	assert_int_equal(open_fds(), before);
}

static void test_wrong_answers(void **state)
{
	(void)state;
	int32_t zero[2] = {0};
	int32_t fail = -ENOENT;
	int32_t more = 5;
	answer_is_wrong(zero, sizeof(zero[0]), 0, -EPROTO);
	answer_is_wrong(&fail, sizeof(fail), 1, -EPROTO);
	answer_is_wrong(&more, sizeof(more), 0, -EPROTO);
	answer_is_wrong(&more, sizeof(more), 1, -EPROTO);
	answer_is_wrong(zero, 3, 1, -EPROTO);
	answer_is_wrong(zero, sizeof(zero), 1, -EMSGSIZE);
	answer_is_wrong(zero, sizeof(zero[0]), 2, -EPROTO);
}

static void test_gone_while_waiting(void **state)
{
	(void)state;
	pthread_t th = start_dial();
	close_fd(&far);
	pthread_join(th, NULL);
	assert_int_equal(dial_result, -EPROTO);
	assert_int_equal(jail_link_dial(near, 1), -EPIPE);
}

/* The caller gives the link up then (runtime/vmm/main.c): a late answer is another question's. */
static void test_timeout(void **state)
{
	(void)state;
	uint64_t t0 = io_now_ns();
	assert_int_equal(jail_link_dial(near, 1), -ETIMEDOUT);
	uint64_t ms = (io_now_ns() - t0) / 1000000;
	assert_true(ms >= 1000 && ms < 3000);
}

/* A process that asks and never reads doesn't make the supervisor wait. */
static void test_answer_never_waits(void **state)
{
	(void)state;
	int ret = 0;
	unsigned n = 0;
	while (ret == 0 && n < 100000) {
		ret = jail_link_answer(far, -ENOENT);
		n++;
	}
	assert_int_equal(ret, -EAGAIN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_good, setup, teardown),
		cmocka_unit_test_setup_teardown(test_length, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kind, setup, teardown),
		cmocka_unit_test_setup_teardown(test_descriptors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_label, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nothing_and_end, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reset, setup, teardown),
		cmocka_unit_test_setup_teardown(test_listener_sends, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dial, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wrong_answers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_gone_while_waiting, setup, teardown),
		cmocka_unit_test_setup_teardown(test_timeout, setup, teardown),
		cmocka_unit_test_setup_teardown(test_answer_never_waits, setup, teardown),
	};
	alarm(60);
	return cmocka_run_group_tests_name("jail_link", tests, NULL, NULL);
}
