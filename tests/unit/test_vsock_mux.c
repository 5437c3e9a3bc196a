// SPDX-License-Identifier: Apache-2.0
// test_vsock_mux.c - the CONNECT handshake, and guest ports to Unix sockets
// links: runtime/virtio/vsock_mux.c
#include "lib/dial_here.h"
#include "virtio/vsock_mux.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cmocka.h>

static struct {
	struct evloop loop;
	struct vsock_mux *mux;
	char dir[32];
	int old_dir;
	int control; /* the other end of the control connection */
	int got[4];  /* sockets handed out */
	uint32_t port[4];
	unsigned n;
	bool refuse;
} t;

static int on_connect(int sock, uint32_t port, void *arg)
{
	(void)arg;
	if (t.refuse || t.n == ARRAY_SIZE(t.got))
		return -EMFILE;
	t.got[t.n] = sock;
	t.port[t.n++] = port;
	return 0;
}

static void run(void)
{
	for (int i = 0; i < 1000; i++)
		if (evloop_once(&t.loop, 0) <= 0)
			return;
	fail_msg("the event loop does not come to rest");
}

static int listen_at(const char *name)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", name);
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	assert_int_equal(listen(fd, 128), 0);
	return fd;
}

static int dial(const char *name)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", name);
	assert_int_equal(connect(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	return fd;
}

static int setup(void **state)
{
	int pair[2];
	(void)state;
	memset(&t, 0, sizeof(t));
	snprintf(t.dir, sizeof(t.dir), "/tmp/mayfly-mux-XXXXXX");
	t.old_dir = open(".", O_PATH | O_CLOEXEC);
	if (!mkdtemp(t.dir) || chdir(t.dir) < 0 || evloop_init(&t.loop) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -1;
	t.control = pair[0];
	struct vsock_mux_events ev = {on_connect, NULL, NULL};
	return vsock_mux_create(&t.mux, &t.loop, listen_at("vsock.sock"), pair[1], &ev,
				&(struct vsock_dialer){dial_here, NULL});
}

static int teardown(void **state)
{
	(void)state;
	vsock_mux_destroy(t.mux);
	for (unsigned i = 0; i < t.n; i++)
		close(t.got[i]);
	close(t.control);
	evloop_close(&t.loop);
	unlink("vsock.sock");
	unlink("vsock.sock_5");
	int ret = fchdir(t.old_dir);
	close(t.old_dir);
	return ret < 0 ? ret : rmdir(t.dir);
}

static bool closed(int fd)
{
	char c;
	run();
	ssize_t n = recv(fd, &c, 1, MSG_DONTWAIT);
	return n == 0 || (n < 0 && errno == ECONNRESET);
}

static void test_parse(void **state)
{
	(void)state;
	uint32_t port = 0;
	static const struct {
		const char *line;
		uint32_t port;
	} good[] = {
		{"CONNECT 0\n", 0},
		{"CONNECT 1024\n", 1024},
		{"connect 7\n", 7},
		{"CoNnEcT 4294967295\n", UINT32_MAX},
	};
	static const char *const bad[] = {
		"",
		"\n",
		"CONNECT",
		"CONNECT\n",
		"CONNECT \n",
		"CONNECT 1",
		"CONNECT 1 \n",
		"CONNECT  1\n",
		"CONNECT -1\n",
		"CONNECT +1\n",
		"CONNECT 0x10\n",
		"CONNECT 1\r\n",
		" CONNECT 1\n",
		"CONNEC 1\n",
		"CONNECT1\n",
		"CONNECT 4294967296\n",
		"CONNECT 18446744073709551617\n",
		"OK 1\n",
		"CONNECT 1\n2\n",
	};
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(vsock_mux_parse(good[i].line, strlen(good[i].line), &port), 0);
		assert_int_equal(port, good[i].port);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(vsock_mux_parse(bad[i], strlen(bad[i]), &port), -EPROTO);
	assert_int_equal(vsock_mux_parse("CONNECT 1\0\n", 11, &port), -EPROTO);
}

static void test_handshake(void **state)
{
	(void)state;
	AUTO_CLOSE int fd = dial("vsock.sock");
	char buf[8] = "";
	assert_int_equal(send(fd, "CONNECT 77\nafter", 16, 0), 16);
	run();
	assert_int_equal(t.n, 1);
	assert_int_equal(t.port[0], 77);
	/* What follows the line belongs to the stream. */
	assert_int_equal(recv(t.got[0], buf, sizeof(buf), MSG_DONTWAIT), 5);
	assert_memory_equal(buf, "after", 5);
	assert_true(fcntl(t.got[0], F_GETFL) & O_NONBLOCK);
}

static void test_handshake_byte_by_byte(void **state)
{
	(void)state;
	static const char line[] = "CONNECT 123\n";
	AUTO_CLOSE int fd = dial("vsock.sock");
	for (size_t i = 0; i < sizeof(line) - 1; i++) {
		assert_int_equal(t.n, 0);
		assert_int_equal(send(fd, line + i, 1, 0), 1);
		run();
	}
	assert_int_equal(t.n, 1);
	assert_int_equal(t.port[0], 123);
}

static void test_bad_handshakes(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"GET / HTTP/1.0\r\n",
		"CONNECT x\n",
		"\n",
		"CONNECT 00000000000000000000000000000000000000000000000001\n",
		"no newline at all and longer than any line may be",
	};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		AUTO_CLOSE int fd = dial("vsock.sock");
		assert_int_equal(send(fd, bad[i], strlen(bad[i]), 0), strlen(bad[i]));
		assert_true(closed(fd));
	}
	/* Gone in the middle of the line. */
	int fd = dial("vsock.sock");
	assert_int_equal(send(fd, "CONN", 4, 0), 4);
	run();
	close(fd);
	run();
	assert_int_equal(t.n, 0);
}

static void test_owner_refuses(void **state)
{
	(void)state;
	AUTO_CLOSE int fd = dial("vsock.sock");
	t.refuse = true;
	assert_int_equal(send(fd, "CONNECT 1\n", 10, 0), 10);
	assert_true(closed(fd));
}

static void test_handshakes_are_bounded(void **state)
{
	(void)state;
	int fd[VSOCK_MUX_MAX_PENDING + 1];
	for (size_t i = 0; i < ARRAY_SIZE(fd); i++) {
		fd[i] = dial("vsock.sock");
		run();
	}
	assert_true(closed(fd[VSOCK_MUX_MAX_PENDING]));
	assert_false(closed(fd[0]));
	/* One that ends makes room for another. */
	close(fd[3]);
	run();
	fd[3] = dial("vsock.sock");
	assert_int_equal(send(fd[3], "CONNECT 9\n", 10, 0), 10);
	run();
	assert_int_equal(t.n, 1);
	for (size_t i = 0; i < ARRAY_SIZE(fd); i++)
		close(fd[i]);
}

static void test_expire(void **state)
{
	(void)state;
	AUTO_CLOSE int fd = dial("vsock.sock");
	run();
	uint64_t now = io_now_ns();
	vsock_mux_expire(t.mux, now + 1000000000ull);
	assert_false(closed(fd));
	vsock_mux_expire(t.mux, now + 3000000000ull);
	assert_true(closed(fd));
}

static void test_control_port(void **state)
{
	(void)state;
	assert_int_equal(vsock_mux_dial(t.mux, VSOCK_CONTROL_PORT, 1024), -ECONNREFUSED);
	assert_int_equal(vsock_mux_dial(t.mux, VSOCK_CONTROL_PORT, UINT32_MAX), -ECONNREFUSED);
	AUTO_CLOSE int fd = vsock_mux_dial(t.mux, VSOCK_CONTROL_PORT, 1023);
	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_int_equal(send(fd, "x", 1, 0), 1);
	char c = 0;
	assert_int_equal(recv(t.control, &c, 1, MSG_DONTWAIT), 1);
	/* Once a boot, and not through a socket that somebody put beside it. */
	AUTO_CLOSE int fake = listen_at("vsock.sock_1024");
	assert_int_equal(vsock_mux_dial(t.mux, VSOCK_CONTROL_PORT, 1), -ECONNREFUSED);
	unlink("vsock.sock_1024");
}

static void test_dial(void **state)
{
	(void)state;
	assert_int_equal(vsock_mux_dial(t.mux, 5, 1), -ENOENT);
	AUTO_CLOSE int listener = listen_at("vsock.sock_5");
	AUTO_CLOSE int fd = vsock_mux_dial(t.mux, 5, 99999);
	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	AUTO_CLOSE int peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_int_equal(send(fd, "x", 1, 0), 1);
	char c = 0;
	assert_int_equal(recv(peer, &c, 1, MSG_DONTWAIT), 1);
	close_fd(&listener);
	assert_int_equal(vsock_mux_dial(t.mux, 5, 1), -ECONNREFUSED);
}

/* A program that accepts nothing must not make the device wait. */
static void test_dial_full_backlog(void **state)
{
	(void)state;
	int fd[300];
	size_t n = 0;
	AUTO_CLOSE int listener = listen_at("vsock.sock_5");
	assert_int_equal(listen(listener, 4), 0);
	int ret = 0;
	while (n < ARRAY_SIZE(fd) && (ret = vsock_mux_dial(t.mux, 5, 1)) >= 0)
		fd[n++] = ret;
	assert_int_equal(ret, -EAGAIN);
	for (size_t i = 0; i < n; i++)
		close(fd[i]);
}

static void test_nothing_given(void **state)
{
	(void)state;
	struct vsock_mux *m = NULL;
	struct vsock_mux_events ev = {on_connect, NULL, NULL};
	assert_int_equal(
		vsock_mux_create(&m, &t.loop, -1, -1, &ev, &(struct vsock_dialer){NULL, NULL}), 0);
	assert_int_equal(vsock_mux_dial(m, 5, 1), -ECONNREFUSED);
	assert_int_equal(vsock_mux_dial(m, VSOCK_CONTROL_PORT, 1), -ECONNREFUSED);
	vsock_mux_destroy(m);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_parse),
		T(test_handshake),
		T(test_handshake_byte_by_byte),
		T(test_bad_handshakes),
		T(test_owner_refuses),
		T(test_handshakes_are_bounded),
		T(test_expire),
		T(test_control_port),
		T(test_dial),
		T(test_dial_full_backlog),
		T(test_nothing_given),
	};
	alarm(30);
	log_init("test", LOG_ERROR);
	return cmocka_run_group_tests_name("vsock_mux", tests, NULL, NULL);
}
