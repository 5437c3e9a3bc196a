// SPDX-License-Identifier: Apache-2.0
// test_supervisor.c - the jailer's check of its configuration, and how a machine's processes end
// links: jailer/supervisor.c jailer/jail.c jailer/root.c jailer/userns.c jailer/caps.c jailer/landlock.c jailer/link.c jailer/notify.c jailer/seccomp.c jailer/statedir.c jailer/cgroup.c jailer/cgroup_find.c jailer/idrange.c proto/config_io.c proto/jail_link.c
#include "supervisor.h"

#include "jail.h"
#include "proto/config_io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static struct {
	Mayfly__JailConfig cfg;
	Mayfly__JailProcess p[9];
	Mayfly__JailProcess *pp[9];
	Mayfly__FdMap fd[JAIL_MAX_FDS + 1];
	Mayfly__FdMap *fdp[JAIL_MAX_FDS + 1];
	ProtobufCBinaryData words[513];
	struct err e;
} t;

static int setup(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	mayfly__jail_config__init(&t.cfg);
	t.cfg.version = CONFIG_VERSION;
	t.cfg.machine_id = (char *)"m-1";
	t.cfg.process = t.pp;
	t.cfg.n_process = 3;
	for (size_t i = 0; i < 9; i++) {
		t.pp[i] = &t.p[i];
		mayfly__jail_process__init(&t.p[i]);
		t.p[i].name = (char *)"fs";
		t.p[i].exec_fd = 3;
		t.p[i].argv = t.words;
		t.p[i].n_argv = 1;
		t.p[i].env = t.words;
		t.p[i].fd = t.fdp;
		t.p[i].n_fd = 2;
	}
	for (size_t i = 0; i <= JAIL_MAX_FDS; i++) {
		t.fdp[i] = &t.fd[i];
		mayfly__fd_map__init(&t.fd[i]);
		t.fd[i].from = 3;
	}
	return 0;
}

static void refused(const char *why)
{
	t.e.text[0] = '\0';
	assert_int_equal(supervisor_check(&t.cfg, &t.e), -EINVAL);
	if (!strstr(t.e.text, why))
		fail_msg("'%s' does not hold '%s'", t.e.text, why);
}

static void accepted(void)
{
	assert_int_equal(supervisor_check(&t.cfg, &t.e), 0);
}

static void test_good(void **state)
{
	(void)state;
	accepted();
	t.cfg.n_process = 1;
	accepted();
	t.cfg.n_process = 8;
	accepted();
	t.p[0].n_fd = 0;
	accepted();
}

static void test_version(void **state)
{
	(void)state;
	t.cfg.version = CONFIG_VERSION + 1;
	refused("version 2");
	t.cfg.version = 0;
	refused("version 0");
}

static void test_processes(void **state)
{
	(void)state;
	t.cfg.n_process = 0;
	refused("0 processes");
	t.cfg.n_process = 9;
	refused("9 processes");
}

static void test_id(void **state)
{
	(void)state;
	static const char *const bad[] = {"", ".", "..", "a/b", "../x", "A", "a b", "x\n"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		t.cfg.machine_id = (char *)(uintptr_t)bad[i];
		refused("is not a machine id");
	}
}

static void test_words(void **state)
{
	(void)state;
	t.p[2].n_argv = 0;
	refused("'fs'");
	t.p[2].n_argv = 512;
	accepted();
	t.p[2].n_argv = 513;
	refused("'fs'");
	t.p[2].n_argv = 1;
	t.p[2].n_env = 513;
	refused("'fs'");
	t.p[2].n_env = 0;
	t.p[2].name = (char *)"";
	refused("too many or too few");
}

static void test_descriptors(void **state)
{
	(void)state;
	static const int bad_from[] = {2, 0, -1, JAIL_MAX_FROM, INT_MAX, INT_MIN};
	static const int bad_to[] = {-1, JAIL_MAX_FD, INT_MAX, INT_MIN};
	for (size_t i = 0; i < sizeof(bad_from) / sizeof(bad_from[0]); i++) {
		t.p[1].exec_fd = bad_from[i];
		refused("'fs'");
		t.p[1].exec_fd = 3;
		t.fd[1].from = bad_from[i];
		refused("bad descriptor");
		t.fd[1].from = 3;
	}
	for (size_t i = 0; i < sizeof(bad_to) / sizeof(bad_to[0]); i++) {
		t.fd[1].to = bad_to[i];
		refused("bad descriptor");
	}
	t.fd[1].to = JAIL_MAX_FD - 1;
	t.fd[1].from = JAIL_MAX_FROM - 1;
	accepted();
	t.p[0].n_fd = JAIL_MAX_FDS;
	accepted();
	t.p[0].n_fd = JAIL_MAX_FDS + 1;
	refused("'fs'");
}

/* A machine of two shells, and what its supervisor says of it. */
static struct {
	int owner;
	pid_t pid;
	struct {
		char name[8];
		int status;
		bool told_to;
	} end[2];
	size_t n;
} m;

static void *shell(const char *script)
{
	ProtobufCBinaryData *argv = calloc(3, sizeof(*argv));
	const char *const word[] = {"sh", "-c", script};
	assert_non_null(argv);
	for (size_t i = 0; i < 3; i++)
		argv[i] = (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)word[i],
						.len = strlen(word[i])};
	return argv;
}

static _Noreturn void supervise_here(const char *dir, int owner, int owner_pidfd, const char *qemu,
				     const char *vmm)
{
	const char *const name[] = {"qemu", "vmm"};
	const char *const script[] = {qemu, vmm};
	t.cfg.mode = MAYFLY__JAIL_MODE__JAIL_NONE;
	t.cfg.base_dir_fd = open(dir, O_DIRECTORY | O_CLOEXEC);
	t.cfg.owner_fd = owner;
	t.cfg.owner_pidfd = owner_pidfd;
	t.cfg.n_process = 2;
	for (size_t i = 0; i < 2; i++) {
		t.p[i].name = (char *)(uintptr_t)name[i];
		t.p[i].n_fd = 0;
		t.p[i].argv = shell(script[i]);
		t.p[i].n_argv = 3;
		t.p[i].exec_fd = open("/bin/sh", O_PATH | O_CLOEXEC);
	}
	int ret = supervisor_check(&t.cfg, &t.e);
	if (ret == 0)
		ret = supervisor_run(&t.cfg, &t.e);
	if (ret < 0)
		dprintf(2, "# %s\n", t.e.text);
	_exit(ret < 0);
}

static void take_events(void)
{
	bool clean = false;
	while (!clean) {
		ProtobufCMessage *msg = NULL;
		int fds[8];
		size_t nfds = 0;
		struct pollfd pfd = {.fd = m.owner, .events = POLLIN};
		assert_int_equal(poll(&pfd, 1, 20000), 1);
		assert_true(config_recv(m.owner, &mayfly__jail_event__descriptor, &msg, fds, 8,
					&nfds) > 0);
		const Mayfly__JailEvent *ev = (const Mayfly__JailEvent *)msg;
		while (nfds > 0)
			close(fds[--nfds]);
		assert_int_not_equal(ev->kind, MAYFLY__JAIL_EVENT__KIND__FAILED);
		if (ev->kind == MAYFLY__JAIL_EVENT__KIND__EXITED) {
			assert_in_range(m.n, 0, 1);
			snprintf(m.end[m.n].name, sizeof(m.end[0].name), "%s", ev->process);
			m.end[m.n].status = ev->status;
			m.end[m.n++].told_to = ev->told_to;
		}
		clean = ev->kind == MAYFLY__JAIL_EVENT__KIND__CLEAN;
		protobuf_c_message_free_unpacked(msg, NULL);
	}
}

static void run_machine(const char *qemu, const char *vmm)
{
	char dir[] = "/tmp/mayfly-test.XXXXXX";
	int sk[2];
	int status;
	int self = (int)syscall(SYS_pidfd_open, getpid(), 0);
	assert_true(self >= 0);
	memset(&m, 0, sizeof(m));
	assert_non_null(mkdtemp(dir));
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sk), 0);
	m.owner = sk[0];
	m.pid = fork();
	assert_true(m.pid >= 0);
	if (m.pid == 0) {
		close(sk[0]);
		supervise_here(dir, sk[1], self, qemu, vmm);
	}
	close(sk[1]);
	close(self);
	take_events();
	assert_int_equal(waitpid(m.pid, &status, 0), m.pid);
	assert_int_equal(status, 0);
	close(m.owner);
	assert_int_equal(rmdir(dir), 0);
	assert_int_equal(m.n, 2);
}

static void ended(size_t i, const char *name, int status, bool told_to)
{
	assert_string_equal(m.end[i].name, name);
	assert_int_equal(m.end[i].status, status);
	assert_int_equal(m.end[i].told_to, told_to);
}

/* Whoever is on the way out already is not killed once more: it could not be told from that. */
static void test_killed_is_seen_late(void **state)
{
	(void)state;
	run_machine("exit 1", "sleep 0.1; kill -9 $$");
	ended(0, "qemu", 1 << 8, false);
	ended(1, "vmm", SIGKILL, false);
}

static void test_does_not_follow(void **state)
{
	(void)state;
	run_machine("exit 1", "exec sleep 30");
	ended(0, "qemu", 1 << 8, false);
	ended(1, "vmm", SIGKILL, true);
}

static void test_one_is_killed(void **state)
{
	(void)state;
	run_machine("exec sleep 30", "sleep 0.1; kill -9 $$");
	ended(0, "vmm", SIGKILL, false);
	ended(1, "qemu", SIGKILL, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_good, setup),
		cmocka_unit_test_setup(test_version, setup),
		cmocka_unit_test_setup(test_processes, setup),
		cmocka_unit_test_setup(test_id, setup),
		cmocka_unit_test_setup(test_words, setup),
		cmocka_unit_test_setup(test_descriptors, setup),
		cmocka_unit_test_setup(test_killed_is_seen_late, setup),
		cmocka_unit_test_setup(test_does_not_follow, setup),
		cmocka_unit_test_setup(test_one_is_killed, setup),
	};
	alarm(30);
	return cmocka_run_group_tests_name("supervisor", tests, NULL, NULL);
}
