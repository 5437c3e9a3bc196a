// SPDX-License-Identifier: Apache-2.0
// test_jail.c - real processes in real jails: what the kernel says of them, and starts that fail
// links: jailer/jail.c jailer/root.c jailer/userns.c jailer/caps.c jailer/landlock.c jailer/seccomp.c runtime/base/fdpass.c runtime/base/err.c
#include "jail.h"

#include "base/cleanup.h"
#include "landlock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define PLAIN_UID 12345
#define JAIL_UID 12399
#define WAIT_MS 10000

/* In children: what fails says so and ends them. */
#define need(ok) need_at((ok), #ok, __LINE__)
static void need_at(bool ok, const char *what, int line)
{
	if (ok)
		return;
	dprintf(2, "line %d: %s (errno %d)\n", line, what, errno);
	_exit(1);
}

/* A description: /bin/bash with what it needs, its output in a pipe. */
static struct {
	Mayfly__JailConfig cfg;
	Mayfly__JailProcess p;
	Mayfly__JailProcess *list[1];
	ProtobufCBinaryData argv[3];
	Mayfly__FdMap map[5];
	Mayfly__FdMap *map_ptr[5];
	Mayfly__JailFile file[2];
	Mayfly__JailFile *file_ptr[2];
	int32_t readable[1];
	int out[2], in[2];
	struct jail j;
	struct err e;
	int pidfd, listener;
} t;

static char *trees[] = {(char *)"/bin",	    (char *)"/lib",	(char *)"/lib64",
			(char *)"/usr/bin", (char *)"/usr/lib", (char *)"/usr/lib64"};

static void map_fd(int from, int to)
{
	size_t i = t.p.n_fd++;
	mayfly__fd_map__init(&t.map[i]);
	t.map[i].from = from;
	t.map[i].to = to;
	t.map_ptr[i] = &t.map[i];
}

static void word(unsigned i, const char *text)
{
	t.argv[i].data = (uint8_t *)(uintptr_t)text;
	t.argv[i].len = strlen(text);
}

static int setup(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	t.pidfd = t.listener = -1;
	mayfly__jail_config__init(&t.cfg);
	mayfly__jail_process__init(&t.p);
	t.list[0] = &t.p;
	t.cfg.process = t.list;
	t.cfg.n_process = 1;
	t.p.name = (char *)(uintptr_t) "prog";
	t.p.exec_fd = open("/bin/bash", O_RDONLY | O_CLOEXEC);
	t.p.argv = t.argv;
	t.p.n_argv = 3;
	word(0, "bash");
	word(1, "-c");
	t.p.fd = t.map_ptr;
	t.p.tree = trees;
	t.p.n_tree = sizeof(trees) / sizeof(trees[0]);
	t.p.own_ids = true;
	if (pipe2(t.out, O_CLOEXEC) < 0 || pipe2(t.in, O_CLOEXEC) < 0)
		return -1;
	map_fd(t.in[0], 0);
	map_fd(t.out[1], 1);
	map_fd(t.out[1], 2);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	close_fd(&t.p.exec_fd);
	for (unsigned i = 0; i < 2; i++) {
		close_fd(&t.out[i]);
		close_fd(&t.in[i]);
	}
	return 0;
}

static void become_plain(void)
{
	need(setgroups(0, NULL) == 0 && setresgid(PLAIN_UID, PLAIN_UID, PLAIN_UID) == 0);
	need(setresuid(PLAIN_UID, PLAIN_UID, PLAIN_UID) == 0);
	need(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0);
}

/*
 * A supervisor in a child: prepares, starts the process, runs what is to be seen from there, and
 * waits for the end of the process. Exit status 77: this host forbids it to this user.
 */
static pid_t supervise(bool plain, void (*started)(pid_t pid))
{
	pid_t sup = fork();
	if (sup != 0)
		return sup;
	close_fd(&t.in[1]);
	close_fd(&t.out[0]);
	/* As jailer/main.c does: what this process was given is not the jail's. */
	need(close_range(3, ~0u, CLOSE_RANGE_CLOEXEC) == 0);
	if (plain)
		become_plain();
	bool other = geteuid() != 0;
	int ret = jail_prepare(&t.j, &t.cfg, JAIL_UID, &t.e);
	if (ret < 0 && other)
		_exit(77);
	if (ret < 0)
		dprintf(2, "%s\n", t.e.text);
	need(ret == 0);
	pid_t pid = jail_spawn(&t.j, &t.p, &t.pidfd, &t.listener, &t.e);
	started(pid);
	close_fd(&t.out[1]);
	need(waitpid(pid, NULL, 0) == pid);
	jail_free(&t.j);
	_exit(0);
}

static int status_of(pid_t pid)
{
	int status = 0;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip();
	return status;
}

static void runs(pid_t pid)
{
	if (pid < 0)
		dprintf(2, "%s\n", t.e.text);
	need(pid > 0 && t.pidfd >= 0 && t.listener == -1);
	need(fcntl(t.pidfd, F_GETFD) == FD_CLOEXEC);
}

/* All that the script says, up to its end. */
static const char *said(bool plain, const char *script)
{
	static char buf[8192];
	size_t len = 0;
	ssize_t n;
	word(2, script);
	pid_t sup = supervise(plain, runs);
	close_fd(&t.out[1]);
	close_fd(&t.in[0]);
	close_fd(&t.in[1]);
	while (len < sizeof(buf) - 1 && (n = read(t.out[0], buf + len, sizeof(buf) - 1 - len)) > 0)
		len += (size_t)n;
	buf[len] = '\0';
	int status = status_of(sup);
	if (status != 0)
		print_error("said: %s\n", buf);
	assert_int_equal(status, 0);
	return buf;
}

/* ---- what a process finds ---- */

static const char look[] = "echo /*; cd /; echo \"cwd $PWD\"; echo $$; id -u; id -G; env | sort; "
			   "[ -e /etc/passwd ] && echo passwd; echo x 2>&- >/new && echo wrote; "
			   "ulimit -c; uname -n; exit 0";

static void test_view(void **state)
{
	(void)state;
	bool root = geteuid() == 0;
	const char *s = said(false, look);
	assert_non_null(strstr(s, "/bin /lib /lib64 /usr\ncwd /\n1\n"));
	if (root)
		assert_non_null(strstr(s, "\n12399\n12399\n"));
	assert_null(strstr(s, "passwd"));
	assert_null(strstr(s, "wrote"));
	assert_non_null(strstr(s, "\n0\nmayfly\n"));
	assert_null(strstr(s, "HOME="));
	assert_null(strstr(s, "USER="));
}

static void test_view_plain(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	const char *s = said(true, look);
	assert_non_null(strstr(s, "/bin /lib /lib64 /usr\ncwd /\n1\n12345\n12345\n"));
	assert_null(strstr(s, "passwd"));
	assert_null(strstr(s, "wrote"));
}

/* Reduced: the same root as the caller's, but Landlock; as a user that needs no_new_privs first. */
static void reduced(bool plain)
{
	if (landlock_version() == 0)
		skip();
	t.cfg.mode = MAYFLY__JAIL_MODE__JAIL_REDUCED;
	const char *s = said(plain, "[ -e /etc/passwd ] && echo there; "
				    "(read x </etc/passwd) 2>&- && echo read; "
				    "(echo >/tmp/mayfly-was-here) 2>&- && echo wrote; id -u; "
				    "read x </bin/sh && echo tree; ulimit -c; cat /etc/shadow");
	assert_non_null(strstr(s, "there\n"));
	assert_null(strstr(s, "read\n"));
	assert_null(strstr(s, "wrote\n"));
	assert_null(strstr(s, "root:"));
	assert_non_null(strstr(s, plain ? "12345\n" : geteuid() == 0 ? "12399\n" : ""));
}

static void test_reduced(void **state)
{
	(void)state;
	reduced(false);
}

static void test_reduced_plain(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	reduced(true);
}

static void test_files(void **state)
{
	char name[] = "/tmp/mayfly-jail.XXXXXX";
	(void)state;
	int fd = mkstemp(name);
	assert_int_equal(write(fd, "kernel\n", 7), 7);
	mayfly__jail_file__init(&t.file[0]);
	t.file[0].fd = fd;
	t.file[0].name = (char *)(uintptr_t) "kernel";
	t.file_ptr[0] = &t.file[0];
	t.p.file = t.file_ptr;
	t.p.n_file = 1;
	unlink(name);
	assert_non_null(strstr(said(false, "cat /kernel; ls -l /kernel"), "kernel\n-r--r--r--"));
	close(fd);
}

/* ---- descriptors ---- */

static void tell_pid(pid_t pid)
{
	runs(pid);
	need(write(t.out[1], &pid, sizeof(pid)) == sizeof(pid));
}

static void list_fds(pid_t pid, char *text, size_t size)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	bool has[1024] = {false};
	const struct dirent *de;
	DIR *d = opendir(path);
	assert_non_null(d);
	while ((de = readdir(d)))
		if (de->d_name[0] != '.')
			has[atoi(de->d_name) & 1023] = true;
	closedir(d);
	text[0] = '\0';
	for (unsigned i = 0; i < 1024; i++)
		if (has[i])
			snprintf(text + strlen(text), size - strlen(text), "%u ", i);
}

/* What is wanted and nothing else, also where numbers cross. */
static void test_descriptors(void **state)
{
	(void)state;
	char got[256], want[64], link[64], path[64];
	int a = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int b = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	int extra = fcntl(a, F_DUPFD_CLOEXEC, 100);
	pid_t pid;
	map_fd(a, b);
	map_fd(b, a);
	word(2, "read x; exit 0");
	pid_t sup = supervise(false, tell_pid);
	close_fd(&t.out[1]);
	if (read(t.out[0], &pid, sizeof(pid)) != sizeof(pid))
		status_of(sup);
	snprintf(want, sizeof(want), "0 1 2 %d %d ", a < b ? a : b, a < b ? b : a);
	/* The shell's loader has a library open for a moment. */
	for (unsigned i = 0; i < 500; i++) {
		list_fds(pid, got, sizeof(got));
		if (strcmp(got, want) == 0)
			break;
		usleep(10000);
	}
	assert_string_equal(got, want);
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, a);
	memset(link, 0, sizeof(link));
	assert_true(readlink(path, link, sizeof(link) - 1) > 0);
	assert_string_equal(link, "/dev/zero");
	close_fd(&t.in[0]);
	close_fd(&t.in[1]);
	assert_int_equal(status_of(sup), 0);
	close(a);
	close(b);
	close(extra);
}

/* ---- starts that fail ---- */

static const char *fail_step;

static void fails(pid_t pid)
{
	char want[64];
	snprintf(want, sizeof(want), "can't start prog (%s", fail_step);
	if (pid > 0 || strncmp(t.e.text, want, strlen(want)) != 0)
		dprintf(2, "'%s' and not '%s'\n", t.e.text, want);
	need(pid < 0 && strncmp(t.e.text, want, strlen(want)) == 0);
	/* Nothing stays: no process, no descriptor. */
	need(t.pidfd == -1 && t.listener == -1);
	need(waitpid(-1, NULL, 0) < 0 && errno == ECHILD);
	_exit(0);
}

static void step_named(const char *step)
{
	fail_step = step;
	word(2, "exit 0");
	assert_int_equal(status_of(supervise(false, fails)), 0);
}

static void test_step_exec(void **state)
{
	(void)state;
	close_fd(&t.p.exec_fd);
	t.p.exec_fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
	step_named("exec");
	/* Without its libraries. */
	close_fd(&t.p.exec_fd);
	t.p.exec_fd = open("/bin/bash", O_RDONLY | O_CLOEXEC);
	t.p.n_tree = 0;
	step_named("exec");
}

static void test_step_table(void **state)
{
	(void)state;
	t.p.table = (char *)(uintptr_t) "nonesuch";
	step_named("system call table");
}

static void test_step_landlock(void **state)
{
	(void)state;
	if (landlock_version() == 0)
		skip();
	t.readable[0] = 4000;
	t.p.readable = t.readable;
	t.p.n_readable = 1;
	step_named("Landlock");
}

static void test_step_descriptors(void **state)
{
	struct rlimit old;
	(void)state;
	map_fd(t.out[1], 511);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	struct rlimit low = {512, old.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	step_named("descriptor limit, see ulimit -n");
	t.map[3].to = 64;
	setrlimit(RLIMIT_NOFILE, &old);
	t.map[3].from = 4000;
	step_named("descriptor limit, see ulimit -n");
}

static void test_step_root(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		mayfly__jail_file__init(&t.file[i]);
		t.file[i].fd = t.p.exec_fd;
		t.file[i].name = (char *)(uintptr_t) "same";
		t.file_ptr[i] = &t.file[i];
	}
	t.p.file = t.file_ptr;
	t.p.n_file = 2;
	step_named("root");
}

/* ---- the death of the supervisor ---- */

/* End of file on the pipe: nobody has its other end any more, so no process of the jail lives. */
static bool ended(int fd, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char c;
	return poll(&p, 1, ms) == 1 && read(fd, &c, 1) == 0;
}

static void tell(pid_t pid)
{
	runs(pid);
	need(write(t.out[1], "r", 1) == 1);
}

static void dies_with(bool plain)
{
	char c;
	word(2, "read x; exit 0");
	pid_t sup = supervise(plain, tell);
	close_fd(&t.out[1]);
	struct pollfd p = {.fd = t.out[0], .events = POLLIN};
	assert_int_equal(poll(&p, 1, WAIT_MS), 1);
	if (read(t.out[0], &c, 1) != 1)
		status_of(sup);
	assert_false(ended(t.out[0], 200));
	kill(sup, SIGKILL);
	assert_true(ended(t.out[0], WAIT_MS));
	waitpid(sup, NULL, 0);
}

/* A change of ids undoes the signal: so it was asked for after that. */
static void test_dies_with_supervisor(void **state)
{
	(void)state;
	dies_with(false);
}

static void test_dies_with_supervisor_plain(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	dies_with(true);
}

/* At any moment from the clone to the exec: the delays cover all of a start and more. */
static void test_dies_before_exec(void **state)
{
	(void)state;
	word(2, "read x; exit 0");
	for (unsigned i = 0; i < 60; i++) {
		int pipe_fd[2];
		assert_int_equal(pipe2(pipe_fd, O_CLOEXEC), 0);
		t.map[1].from = t.map[2].from = pipe_fd[1];
		int old[2] = {t.out[0], t.out[1]};
		t.out[0] = pipe_fd[0];
		t.out[1] = pipe_fd[1];
		pid_t sup = supervise(false, runs);
		close(pipe_fd[1]);
		usleep(i * 300);
		kill(sup, SIGKILL);
		if (!ended(pipe_fd[0], WAIT_MS))
			fail_msg("killed after %u us, something lives on", i * 300);
		waitpid(sup, NULL, 0);
		close(pipe_fd[0]);
		t.out[0] = old[0];
		t.out[1] = old[1];
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_view, setup, teardown),
		cmocka_unit_test_setup_teardown(test_view_plain, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reduced, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reduced_plain, setup, teardown),
		cmocka_unit_test_setup_teardown(test_files, setup, teardown),
		cmocka_unit_test_setup_teardown(test_descriptors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_step_exec, setup, teardown),
		cmocka_unit_test_setup_teardown(test_step_table, setup, teardown),
		cmocka_unit_test_setup_teardown(test_step_landlock, setup, teardown),
		cmocka_unit_test_setup_teardown(test_step_descriptors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_step_root, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dies_with_supervisor, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dies_with_supervisor_plain, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dies_before_exec, setup, teardown),
	};
	alarm(120);
	return cmocka_run_group_tests_name("jail", tests, NULL, NULL);
}
