// SPDX-License-Identifier: Apache-2.0
// test_config_io.c - configurations in sealed memfds, datagrams with descriptors
// links: proto/config_io.c
#include "proto/config_io.h"

#include "base/cleanup.h"
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <cmocka.h>

static int pair[2];

static int setup(void **state)
{
	(void)state;
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);
}

static int teardown(void **state)
{
	(void)state;
	close_fd(&pair[0]);
	close_fd(&pair[1]);
	return 0;
}

static void test_memfd(void **state)
{
	(void)state;
	Mayfly__VmmConfig cfg = MAYFLY__VMM_CONFIG__INIT;
	ProtobufCMessage *out = NULL;
	struct err e;
	cfg.version = CONFIG_VERSION;
	cfg.guest_cid = 3;
	cfg.console_fd = cfg.initrd_fd = -1;
	cfg.engine = MAYFLY__VMM_CONFIG__ENGINE__KVM;
	cfg.memory = 64ull << 30;
	cfg.kernel_name = (char *)"vmlinux";
	cfg.cmdline = (char *)"console=ttyS0 -- x";
	AUTO_CLOSE int fd = config_memfd("test", &cfg.base);
	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	int want = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;
	assert_int_equal(fcntl(fd, F_GET_SEALS) & want, want);
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	assert_int_equal(ftruncate(fd, 0), -1);
	/* Twice: reading must not depend on the file position. */
	for (int i = 0; i < 2; i++) {
		assert_int_equal(config_load(fd, &mayfly__vmm_config__descriptor, &out, &e), 0);
		const Mayfly__VmmConfig *got = (const Mayfly__VmmConfig *)out;
		assert_int_equal(got->version, CONFIG_VERSION);
		assert_int_equal(got->guest_cid, 3);
		assert_int_equal(got->console_fd, -1);
		assert_int_equal(got->initrd_fd, -1);
		assert_int_equal(got->engine, MAYFLY__VMM_CONFIG__ENGINE__KVM);
		assert_true(got->memory == 64ull << 30);
		assert_string_equal(got->kernel_name, "vmlinux");
		assert_string_equal(got->initrd_name, "");
		assert_string_equal(got->cmdline, "console=ttyS0 -- x");
		protobuf_c_message_free_unpacked(out, NULL);
	}
}

static void test_empty_message(void **state)
{
	(void)state;
	Mayfly__VmmConfig cfg = MAYFLY__VMM_CONFIG__INIT;
	ProtobufCMessage *out = NULL;
	AUTO_CLOSE int fd = config_memfd("test", &cfg.base);
	assert_true(fd >= 0);
	assert_int_equal(config_load(fd, &mayfly__vmm_config__descriptor, &out, NULL), 0);
	assert_int_equal(((const Mayfly__VmmConfig *)out)->version, 0);
	protobuf_c_message_free_unpacked(out, NULL);
}

static void test_load_garbage(void **state)
{
	(void)state;
	ProtobufCMessage *out = NULL;
	struct err e;
	AUTO_CLOSE int fd = io_sealed_memfd("junk", "\xff\xff\xff\xff\xff", 5);
	assert_int_equal(config_load(fd, &mayfly__vmm_config__descriptor, &out, &e), -EPROTO);
	assert_non_null(strstr(e.text, "VmmConfig"));
	assert_int_equal(config_load(-1, &mayfly__vmm_config__descriptor, &out, &e), -EBADF);
	assert_non_null(strstr(e.text, "Bad file"));
	assert_int_equal(config_load(pair[0], &mayfly__vmm_config__descriptor, &out, &e), -ESPIPE);
}

static void test_load_too_large(void **state)
{
	(void)state;
	ProtobufCMessage *out = NULL;
	struct err e;
	AUTO_CLOSE int fd = memfd_create("large", MFD_CLOEXEC);
	assert_int_equal(ftruncate(fd, CONFIG_MAX_BYTES + 1), 0);
	assert_int_equal(config_load(fd, &mayfly__vmm_config__descriptor, &out, &e), -EFBIG);
}

static int receive(Mayfly__JailEvent **ev, int *fds, size_t max, size_t *n)
{
	ProtobufCMessage *out = NULL;
	int ret = config_recv(pair[1], &mayfly__jail_event__descriptor, &out, fds, max, n);
	*ev = (Mayfly__JailEvent *)out;
	return ret;
}

static void test_datagrams(void **state)
{
	(void)state;
	Mayfly__JailEvent ev = MAYFLY__JAIL_EVENT__INIT;
	Mayfly__JailEvent *got;
	int fds[4];
	size_t n = 0;
	char buf[16];
	assert_int_equal(receive(&got, fds, 4, &n), -EAGAIN);
	ev.kind = MAYFLY__JAIL_EVENT__KIND__EXITED;
	ev.text = (char *)"why";
	AUTO_CLOSE int file = io_sealed_memfd("file", "content", 7);
	int out[2] = {file, pair[0]};
	assert_int_equal(config_send(pair[0], &ev.base, out, 2), 0);
	assert_int_equal(config_send(pair[0], &ev.base, NULL, 0), 0);
	assert_int_equal(receive(&got, fds, 4, &n), 1);
	assert_int_equal(n, 2);
	assert_string_equal(got->text, "why");
	assert_true(fcntl(fds[0], F_GETFD) & FD_CLOEXEC);
	assert_int_equal(pread(fds[0], buf, 16, 0), 7);
	assert_int_equal(fds[2], -1);
	mayfly__jail_event__free_unpacked(got, NULL);
	close(fds[0]);
	close(fds[1]);
	assert_int_equal(receive(&got, fds, 4, &n), 1);
	assert_int_equal(n, 0);
	mayfly__jail_event__free_unpacked(got, NULL);
	close_fd(&pair[0]);
	assert_int_equal(receive(&got, fds, 4, &n), 0);
}

#define ROWS 24
#define LINES 20

/* All that a guest can make the vmm say fits into the one datagram that it has. */
static void test_largest_report(void **state)
{
	(void)state;
	static char line[256];
	static char name[32];
	Mayfly__VmmReport r = MAYFLY__VMM_REPORT__INIT;
	Mayfly__ExitCount row[ROWS];
	Mayfly__ExitCount *rows[ROWS];
	char *lines[LINES];
	ProtobufCMessage *out = NULL;
	memset(line, 'x', sizeof(line) - 1);
	memset(name, 'n', sizeof(name) - 1);
	for (unsigned i = 0; i < ROWS; i++) {
		mayfly__exit_count__init(&row[i]);
		row[i].name = name;
		row[i].count = row[i].until_ready = UINT64_MAX - i;
		rows[i] = &row[i];
	}
	for (unsigned i = 0; i < LINES; i++)
		lines[i] = line;
	r.end = MAYFLY__VMM_REPORT__END__GUEST_SHUTDOWN;
	r.panic_line = r.detail = line;
	r.console_tail = lines;
	r.n_console_tail = LINES;
	r.exit = rows;
	r.n_exit = ROWS;
	r.entered_ns = r.left_ns = UINT64_MAX;
	assert_int_equal(config_send(pair[0], &r.base, NULL, 0), 0);
	assert_int_equal(config_recv(pair[1], &mayfly__vmm_report__descriptor, &out, NULL, 0, NULL),
			 1);
	const Mayfly__VmmReport *got = (const Mayfly__VmmReport *)out;
	assert_true(got->n_exit == ROWS && got->n_console_tail == LINES);
	assert_true(got->exit[ROWS - 1]->count == UINT64_MAX - (ROWS - 1));
	assert_string_equal(got->detail, line);
	protobuf_c_message_free_unpacked(out, NULL);
	/* The other way: one bit. */
	Mayfly__VmmRequest q = MAYFLY__VMM_REQUEST__INIT;
	q.ready = 1;
	assert_int_equal(config_send(pair[1], &q.base, NULL, 0), 0);
	assert_int_equal(
		config_recv(pair[0], &mayfly__vmm_request__descriptor, &out, NULL, 0, NULL), 1);
	assert_true(((const Mayfly__VmmRequest *)out)->ready);
	protobuf_c_message_free_unpacked(out, NULL);
}

static void test_datagram_too_large(void **state)
{
	(void)state;
	static char text[CONFIG_DATAGRAM_MAX + 1];
	Mayfly__JailEvent ev = MAYFLY__JAIL_EVENT__INIT;
	Mayfly__JailEvent *got;
	int fds[1];
	size_t n;
	memset(text, 'x', CONFIG_DATAGRAM_MAX);
	ev.text = text;
	assert_int_equal(config_send(pair[0], &ev.base, NULL, 0), -EMSGSIZE);
	assert_int_equal(send(pair[0], text, sizeof(text), 0), sizeof(text));
	assert_int_equal(receive(&got, fds, 1, &n), -EMSGSIZE);
	Mayfly__JailEvent none = MAYFLY__JAIL_EVENT__INIT;
	assert_int_equal(config_send(pair[0], &none.base, NULL, 0), -EINVAL);
}

static void test_datagram_garbage(void **state)
{
	(void)state;
	Mayfly__JailEvent *got;
	int fds[2];
	size_t n;
	struct iovec iov = {(void *)(uintptr_t) "\xff\xff\xff", 3};
	char ctl[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8))) = {0};
	struct msghdr mh = {.msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = ctl,
			    .msg_controllen = sizeof(ctl)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&mh);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &pair[0], sizeof(int));
	int before = dup(0);
	close(before);
	assert_int_equal(sendmsg(pair[0], &mh, 0), 3);
	assert_int_equal(receive(&got, fds, 2, &n), -EPROTO);
	assert_null(got);
	/* Its descriptor is closed: the lowest free number is the same as before. */
	int after = dup(0);
	assert_int_equal(after, before);
	close(after);
	/* More descriptors than asked for. */
	assert_int_equal(sendmsg(pair[0], &mh, 0), 3);
	assert_int_equal(receive(&got, fds, 0, &n), -EPROTO);
	after = dup(0);
	assert_int_equal(after, before);
	close(after);
}

static void test_fd_arg(void **state)
{
	(void)state;
	static const struct {
		const char *option, *value;
		int want;
	} rows[] = {
		{"--config-fd", "3", 3},
		{"--config-fd", "1048576", 1 << 20},
		{"--config-fd", "1048577", -EINVAL},
		{"--config-fd", "2", -EINVAL},
		{"--config-fd", "-3", -EINVAL},
		{"--config-fd", "", -EINVAL},
		{"--config-fd", "3x", -EINVAL},
		{"--config-fd", "99999999999999999999", -EINVAL},
		{"--config", "3", -EINVAL},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *argv[] = {"p", rows[i].option, rows[i].value, NULL};
		assert_int_equal(config_fd_arg(3, (char **)(uintptr_t)argv), rows[i].want);
		assert_int_equal(config_fd_arg(2, (char **)(uintptr_t)argv), -EINVAL);
	}
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_memfd),
		T(test_empty_message),
		T(test_load_garbage),
		T(test_load_too_large),
		T(test_datagrams),
		T(test_largest_report),
		T(test_datagram_too_large),
		T(test_datagram_garbage),
		T(test_fd_arg),
	};
	alarm(30);
	return cmocka_run_group_tests_name("config_io", tests, NULL, NULL);
}
