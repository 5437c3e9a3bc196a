// SPDX-License-Identifier: Apache-2.0
// test_link.c - what the supervisor does for a process, and what it does not let it do
// links: jailer/link.c jailer/notify.c jailer/seccomp.c proto/jail_link.c runtime/base/evloop.c runtime/base/fdpass.c
#include "link.h"

#include "base/cleanup.h"
#include "base/fdpass.h"
#include "base/log.h"
#include "proto/jail_link.h"
#include "seccomp_rig.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static struct {
	struct evloop loop;
	struct notify set;
	struct link link;
	int peer; /* the process's end */
	char dir[64];
} t;

static void on_call(void *arg, const struct notify_call *c)
{
	(void)arg;
	(void)c;
}

static int start(bool dials)
{
	int sv[2];
	memset(&t, 0, sizeof(t));
	strcpy(t.dir, "/tmp/mayfly-link.XXXXXX");
	if (!mkdtemp(t.dir) || chdir(t.dir) < 0 || evloop_init(&t.loop) < 0 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0)
		return -1;
	notify_init(&t.set, &t.loop, on_call, NULL);
	t.peer = sv[0];
	return link_start(&t.link, &t.loop, sv[1], "vmm", dials, &t.set);
}

static int setup(void **state)
{
	(void)state;
	return start(true);
}

static int setup_no_dials(void **state)
{
	(void)state;
	return start(false);
}

static int teardown(void **state)
{
	(void)state;
	link_close(&t.link);
	link_close(&t.link);
	notify_close(&t.set);
	evloop_close(&t.loop);
	close_fd(&t.peer);
	DIR *d = opendir(".");
	const struct dirent *de;
	while (d && (de = readdir(d)))
		unlink(de->d_name);
	closedir(d);
	return chdir("/") < 0 || rmdir(t.dir) < 0 ? -1 : 0;
}

static void turn(void)
{
	for (unsigned i = 0; i < 20; i++)
		assert_true(evloop_once(&t.loop, 0) >= 0);
}

static struct sockaddr_un address(unsigned port)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	snprintf(sun.sun_path, sizeof(sun.sun_path), "vsock.sock_%u", port);
	return sun;
}

static int bound(unsigned port)
{
	struct sockaddr_un sun = address(port);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	return fd;
}

/* One request, its answer; *fd the descriptor that came along, -1 without. */
static int dial(uint32_t port, int *fd)
{
	struct jail_link_request req = {.kind = JAIL_LINK_DIAL, .port = port};
	int32_t code = 1;
	struct iovec iov = {.iov_base = &code, .iov_len = sizeof(code)};
	assert_int_equal(send(t.peer, &req, sizeof(req), 0), sizeof(req));
	turn();
	assert_int_equal(fdpass_recv(t.peer, &iov, 1, fd, 1, NULL, MSG_DONTWAIT), sizeof(code));
	return code;
}

static int dial_error(uint32_t port)
{
	int fd;
	int ret = dial(port, &fd);
	assert_int_equal(fd, -1);
	return ret;
}

static void test_dial(void **state)
{
	int fd;
	char c = 0;
	(void)state;
	AUTO_CLOSE int host = bound(4000000000u);
	assert_int_equal(listen(host, 4), 0);
	assert_int_equal(dial(4000000000u, &fd), 0);
	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	AUTO_CLOSE int conn = accept(host, NULL, NULL);
	assert_int_equal(write(fd, "x", 1), 1);
	/* Nobody else holds the connection: it ends with the process's. */
	assert_int_equal(read(conn, &c, 1), 1);
	close(fd);
	assert_int_equal(read(conn, &c, 1), 0);
}

static void test_dial_fails(void **state)
{
	(void)state;
	assert_int_equal(dial_error(1), -ENOENT);
	AUTO_CLOSE int deaf = bound(2);
	assert_int_equal(dial_error(2), -ECONNREFUSED);
	close(open("vsock.sock_3", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	assert_int_equal(dial_error(3), -ECONNREFUSED);
	assert_int_equal(symlink("vsock.sock_4", "vsock.sock_4"), 0);
	assert_int_equal(dial_error(4), -ELOOP);
	/* Still served. */
	assert_int_equal(dial_error(1), -ENOENT);
	assert_int_equal(t.link.dropped, 0);
}

/* fs and QEMU have no business with host programs: asking is a wrong request, without an answer. */
static void test_no_dials(void **state)
{
	(void)state;
	struct jail_link_request req = {.kind = JAIL_LINK_DIAL, .port = 9};
	AUTO_CLOSE int host = bound(9);
	assert_int_equal(listen(host, 4), 0);
	assert_int_equal(send(t.peer, &req, sizeof(req), 0), sizeof(req));
	turn();
	assert_int_equal(t.link.dropped, 1);
	assert_int_equal(recv(t.peer, &req, sizeof(req), MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(fcntl(host, F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(accept(host, NULL, NULL), -1);
}

/* A host program that takes no connections must not hold the supervisor up. */
static void test_dial_full(void **state)
{
	int fd;
	unsigned n = 0;
	(void)state;
	AUTO_CLOSE int host = bound(5);
	assert_int_equal(listen(host, 0), 0);
	alarm(20);
	while (n < 16 && dial(5, &fd) == 0) {
		close(fd);
		n++;
	}
	assert_in_range(n, 1, 15);
	assert_int_equal(fd, -1);
	assert_int_equal(dial_error(5), -EAGAIN);
}

static void hand_over(int fd, const char *label)
{
	assert_int_equal(jail_link_listener(t.peer, fd, label), 0);
	turn();
}

static void stay(void)
{
	for (volatile unsigned i = 0;; i++)
		;
}

static void test_listener(void **state)
{
	int listener;
	(void)state;
	pid_t pid = seccomp_rig_start(SECCOMP_FS, stay, &listener);
	assert_true(pid > 0);
	hand_over(listener, "main");
	close(listener);
	assert_int_equal(notify_count(&t.set), 1);
	assert_int_equal(t.link.dropped, 0);
	assert_string_equal(t.set.source[0].process, "vmm");
	assert_string_equal(t.set.source[0].thread, "main");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* Anything else, above all what would wait for ever or speak for somebody else. */
static void test_no_listener(void **state)
{
	(void)state;
	int sv[2];
	int fds[] = {eventfd(0, EFD_CLOEXEC), open("/dev/null", O_RDWR | O_CLOEXEC),
		     open("/", O_PATH | O_CLOEXEC), (int)syscall(SYS_pidfd_open, getpid(), 0)};
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	for (unsigned i = 0; i < 4; i++) {
		hand_over(fds[i], "main");
		assert_int_equal(t.link.dropped, i + 1);
		close(fds[i]);
	}
	hand_over(sv[0], "main");
	assert_int_equal(t.link.dropped, 5);
	/* It was closed on this side, not kept. */
	close(sv[0]);
	assert_int_equal(read(sv[1], sv, 1), 0);
	close(sv[1]);
	assert_int_equal(notify_count(&t.set), 0);
	assert_int_equal(dial_error(1), -ENOENT);
}

static void test_too_many_wrong(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 16; i++) {
		assert_int_equal(send(t.peer, "wrong", 5, 0), 5);
		turn();
		assert_int_equal(t.link.dropped, i + 1);
	}
	assert_int_equal(dial_error(1), -ENOENT);
	assert_int_equal(send(t.peer, "wrong", 5, 0), 5);
	turn();
	assert_int_equal(t.link.src.fd, -1);
	assert_int_equal(send(t.peer, "x", 1, MSG_NOSIGNAL), -1);
	assert_int_equal(errno, EPIPE);
}

/* Asks for much and takes no answer: counted as breaking the rules, and never waited for. */
static void test_never_reads(void **state)
{
	(void)state;
	struct jail_link_request req = {.kind = JAIL_LINK_DIAL, .port = 1};
	alarm(20);
	unsigned n = 0;
	while (t.link.src.fd >= 0 && n < 100000) {
		if (send(t.peer, &req, sizeof(req), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			assert_true(errno == EAGAIN || errno == EPIPE);
		evloop_once(&t.loop, 0);
		n++;
	}
	assert_int_equal(t.link.src.fd, -1);
}

static void test_end(void **state)
{
	(void)state;
	close_fd(&t.peer);
	turn();
	assert_int_equal(t.link.src.fd, -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_dial, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dial_fails, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_dials, setup_no_dials, teardown),
		cmocka_unit_test_setup_teardown(test_dial_full, setup, teardown),
		cmocka_unit_test_setup_teardown(test_listener, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_listener, setup, teardown),
		cmocka_unit_test_setup_teardown(test_too_many_wrong, setup, teardown),
		cmocka_unit_test_setup_teardown(test_never_reads, setup, teardown),
		cmocka_unit_test_setup_teardown(test_end, setup, teardown),
	};
	log_init("test_link", LOG_ERROR);
	alarm(60);
	return cmocka_run_group_tests_name("link", tests, NULL, NULL);
}
