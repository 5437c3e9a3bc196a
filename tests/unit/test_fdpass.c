// SPDX-License-Identifier: Apache-2.0
// test_fdpass.c - descriptors beside messages; nothing stays open after a refusal
// links:
#include "base/fdpass.h"

#include "base/cleanup.h"
#include "base/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

static int pair[2] = {-1, -1};
static int file = -1;
static int many[64];
static unsigned before;

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

static int setup_type(int type)
{
	if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair) < 0)
		return -1;
	file = io_sealed_memfd("f", "content", 7);
	for (size_t i = 0; i < sizeof(many) / sizeof(many[0]); i++)
		many[i] = file;
	before = open_fds();
	return file < 0 ? -1 : 0;
}

static int setup_stream(void **state)
{
	(void)state;
	return setup_type(SOCK_STREAM);
}

static int setup_packet(void **state)
{
	(void)state;
	return setup_type(SOCK_SEQPACKET);
}

static int teardown(void **state)
{
	(void)state;
	close_fd(&pair[0]);
	close_fd(&pair[1]);
	close_fd(&file);
	return 0;
}

static ssize_t send_text(const char *text, const int *fds, size_t nfds)
{
	struct iovec iov = {(void *)(uintptr_t)text, strlen(text)};
	return fdpass_send(pair[0], &iov, 1, fds, nfds, MSG_DONTWAIT);
}

static ssize_t take(char *buf, size_t room, int *fds, size_t max, size_t *n)
{
	struct iovec iov = {buf, room};
	return fdpass_recv(pair[1], &iov, 1, fds, max, n, MSG_DONTWAIT);
}

static void test_pass(void **state)
{
	(void)state;
	char buf[16] = "";
	int fds[FDPASS_MAX];
	size_t n = 9;
	assert_int_equal(send_text("hi", many, 3), 2);
	assert_int_equal(take(buf, sizeof(buf), fds, 5, &n), 2);
	assert_string_equal(buf, "hi");
	assert_int_equal(n, 3);
	for (size_t i = 0; i < 5; i++) {
		if (i >= 3) {
			assert_int_equal(fds[i], -1);
			continue;
		}
		assert_true(fcntl(fds[i], F_GETFD) & FD_CLOEXEC);
		assert_int_equal(pread(fds[i], buf, sizeof(buf), 0), 7);
		close(fds[i]);
	}
	/* The sender's stay the sender's. */
	assert_int_equal(open_fds(), before);
}

static void test_most(void **state)
{
	(void)state;
	char buf[4];
	int fds[FDPASS_MAX];
	size_t n = 0;
	assert_int_equal(send_text("x", many, FDPASS_MAX), 1);
	assert_int_equal(take(buf, 4, fds, FDPASS_MAX, &n), 1);
	assert_int_equal(n, FDPASS_MAX);
	for (size_t i = 0; i < n; i++)
		close(fds[i]);
	assert_int_equal(send_text("x", many, FDPASS_MAX + 1), -EINVAL);
}

static void test_without(void **state)
{
	(void)state;
	char buf[4];
	int fds[2];
	size_t n = 9;
	assert_int_equal(take(buf, 4, fds, 2, &n), -EAGAIN);
	assert_int_equal(fds[0], -1);
	assert_int_equal(n, 0);
	assert_int_equal(send_text("x", NULL, 0), 1);
	assert_int_equal(take(buf, 4, fds, 2, &n), 1);
	assert_int_equal(n, 0);
	assert_int_equal(send_text("x", NULL, 0), 1);
	assert_int_equal(take(buf, 4, NULL, 0, NULL), 1);
	close_fd(&pair[0]);
	assert_int_equal(take(buf, 4, fds, 2, &n), 0);
}

static void test_more_than_allowed(void **state)
{
	(void)state;
	char buf[4];
	int fds[2];
	size_t n = 9;
	assert_int_equal(send_text("x", many, 3), 1);
	assert_int_equal(take(buf, 4, fds, 2, &n), -EPROTO);
	assert_int_equal(n, 0);
	assert_int_equal(fds[0], -1);
	assert_int_equal(fds[1], -1);
	assert_int_equal(open_fds(), before);
	assert_int_equal(send_text("x", many, 1), 1);
	assert_int_equal(take(buf, 4, NULL, 0, NULL), -EPROTO);
	assert_int_equal(open_fds(), before);
}

/* More than our own sender would send: the kernel cuts the control data. */
static void test_hostile_sender(void **state)
{
	(void)state;
	char buf[4];
	int fds[FDPASS_MAX];
	size_t n = 9;
	char ctl[CMSG_SPACE(sizeof(many))] __attribute__((aligned(8))) = {0};
	struct iovec iov = {buf, 1};
	struct msghdr mh = {.msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = ctl,
			    .msg_controllen = sizeof(ctl)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&mh);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(many));
	memcpy(CMSG_DATA(c), many, sizeof(many));
	buf[0] = 'x';
	assert_int_equal(sendmsg(pair[0], &mh, 0), 1);
	assert_int_equal(take(buf, 4, fds, FDPASS_MAX, &n), -EPROTO);
	assert_int_equal(n, 0);
	assert_int_equal(open_fds(), before);
}

static void test_cut_datagram(void **state)
{
	(void)state;
	char buf[4];
	int fds[2];
	size_t n = 9;
	assert_int_equal(send_text("12345", many, 2), 5);
	assert_int_equal(take(buf, 4, fds, 2, &n), -EMSGSIZE);
	assert_int_equal(open_fds(), before);
	/* A stream is simply read in two steps. */
}

static void test_nobody_there(void **state)
{
	(void)state;
	close_fd(&pair[1]);
	/* No SIGPIPE: this program would be dead. */
	assert_int_equal(send_text("x", many, 1), -EPIPE);
}

static void test_stream_in_pieces(void **state)
{
	(void)state;
	char buf[8];
	int fds[2];
	size_t n = 9;
	assert_int_equal(send_text("12345", many, 1), 5);
	assert_int_equal(take(buf, 2, fds, 2, &n), 2);
	/* They come with the first byte. */
	assert_int_equal(n, 1);
	close(fds[0]);
	assert_int_equal(take(buf, 8, fds, 2, &n), 3);
	assert_int_equal(n, 0);
	assert_int_equal(open_fds(), before);
}

#define S(f) cmocka_unit_test_setup_teardown(f, setup_stream, teardown)
#define P(f) cmocka_unit_test_setup_teardown(f, setup_packet, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		S(test_pass),
		P(test_pass),
		S(test_most),
		P(test_most),
		S(test_without),
		P(test_without),
		S(test_more_than_allowed),
		P(test_more_than_allowed),
		S(test_hostile_sender),
		P(test_hostile_sender),
		P(test_cut_datagram),
		S(test_nobody_there),
		P(test_nobody_there),
		S(test_stream_in_pieces),
	};
	alarm(30);
	return cmocka_run_group_tests_name("fdpass", tests, NULL, NULL);
}
