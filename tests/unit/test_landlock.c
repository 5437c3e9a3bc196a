// SPDX-License-Identifier: Apache-2.0
// test_landlock.c - children that restrict themselves, and then try
// links: jailer/landlock.c
#include "landlock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define PLAIN_UID 12345

/* DIR: in/file, in/sub/deep, in/prog (runs), in/out -> ../other, other */
static char dir[64];

/* In children: what fails says so and ends them. */
#define need(ok) need_at((ok), #ok, __LINE__)
static void need_at(bool ok, const char *what, int line)
{
	if (ok)
		return;
	dprintf(2, "line %d: %s (errno %d)\n", line, what, errno);
	_exit(1);
}

static void in_child(void (*fn)(void))
{
	int status = 0;
	if (landlock_version() == 0)
		skip();
	pid_t pid = fork();
	if (pid == 0) {
		fn();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void put(const char *name, const char *text, mode_t mode)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, mode);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static int make_tree(void **state)
{
	(void)state;
	umask(022);
	strcpy(dir, "/tmp/mayfly-landlock.XXXXXX");
	if (!mkdtemp(dir) || chmod(dir, 0755) < 0 || chdir(dir) < 0 || mkdir("in", 0777) < 0 ||
	    mkdir("in/sub", 0777) < 0 || symlink("../other", "in/out") < 0)
		return -1;
	chmod("in", 0777);
	put("in/file", "x", 0666);
	chmod("in/file", 0666);
	put("in/sub/deep", "x", 0644);
	put("in/prog", "#!/bin/true\n", 0755);
	put("other", "x", 0644);
	return 0;
}

static int remove_tree(void **state)
{
	static const char *const names[] = {"in/file", "in/sub/deep", "in/prog", "in/out", "other"};
	(void)state;
	for (size_t i = 0; i < 5; i++)
		unlink(names[i]);
	rmdir("in/sub");
	rmdir("in");
	return chdir("/") < 0 ? -1 : rmdir(dir);
}

static int try_open(const char *name, int flags)
{
	int fd = open(name, flags | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

static void enter(enum landlock_right right)
{
	need(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	int rules = landlock_create();
	int in = open("in", O_PATH | O_CLOEXEC);
	need(rules >= 0 && in >= 0);
	need(fcntl(rules, F_GETFD) == FD_CLOEXEC);
	need(landlock_allow(rules, in, right) == 0);
	need(landlock_enter(rules) == 0);
	close(rules);
	close(in);
}

static void files(void)
{
	int other = open(".", O_PATH | O_DIRECTORY);
	enter(LANDLOCK_READ);
	need(try_open("in/file", O_RDONLY) == 0);
	need(try_open("in/sub/deep", O_RDONLY) == 0);
	need(try_open("in/sub", O_RDONLY | O_DIRECTORY) == 0);
	need(try_open("in/file", O_RDWR) == -EACCES);
	need(try_open("in/file", O_WRONLY) == -EACCES);
	need(try_open("in/new", O_WRONLY | O_CREAT) == -EACCES);
	need(mkdir("in/new", 0700) < 0 && errno == EACCES);
	need(unlink("in/file") < 0 && errno == EACCES);
	need(rename("in/file", "in/file2") < 0 && errno == EACCES);
	need(link("in/file", "in/sub/l") < 0);
	need(symlink("x", "in/sub/l") < 0 && errno == EACCES);
	need(mknod("in/sub/p", S_IFIFO | 0600, 0) < 0 && errno == EACCES);
	need(truncate("in/file", 0) < 0 || landlock_version() < 3);
	/* What lies outside, by every way that leads there. */
	need(try_open("other", O_RDONLY) == -EACCES);
	need(try_open("in/out", O_RDONLY) == -EACCES);
	need(try_open("in/../other", O_RDONLY) == -EACCES);
	need(try_open("/etc/passwd", O_RDONLY) == -EACCES);
	need(try_open("/proc/self/status", O_RDONLY) == -EACCES);
	need(openat(other, "other", O_RDONLY) < 0 && errno == EACCES);
	need(try_open(".", O_RDONLY | O_DIRECTORY) == -EACCES);
}

static void test_files(void **state)
{
	(void)state;
	in_child(files);
}

/* Everything but devices, below, and nothing outside. */
static void writing(void)
{
	enter(LANDLOCK_WRITE);
	need(try_open("in/file", O_RDWR) == 0);
	need(truncate("in/file", 1) == 0);
	need(try_open("in/new", O_WRONLY | O_CREAT) == 0);
	need(rename("in/new", "in/new2") == 0 && unlink("in/new2") == 0);
	need(mkdir("in/d", 0700) == 0);
	need(mkfifo("in/p", 0600) == 0);
	need(symlink("x", "in/l") == 0);
	need(rename("in/p", "in/d/p") == 0 || (errno == EXDEV && landlock_version() < 2));
	unlink("in/p");
	unlink("in/d/p");
	need(rmdir("in/d") == 0 && unlink("in/l") == 0);
	need(mknod("in/c", S_IFCHR | 0600, 0x103) < 0 && (errno == EACCES || errno == EPERM));
	need(mknod("in/b", S_IFBLK | 0600, 0x700) < 0 && (errno == EACCES || errno == EPERM));
	need(try_open("other", O_WRONLY) == -EACCES);
	need(try_open("in/out", O_WRONLY) == -EACCES);
	need(try_open("outside", O_WRONLY | O_CREAT) == -EACCES);
	need(rename("in/file", "outside") < 0);
	need(link("in/file", "outside") < 0);
	need(unlink("other") < 0);
}

static void one_writable(void)
{
	need(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	int rules = landlock_create();
	int file = open("in/file", O_PATH);
	need(landlock_allow(rules, file, LANDLOCK_WRITE) == 0);
	need(landlock_enter(rules) == 0);
	need(try_open("in/file", O_RDWR) == 0);
	need(truncate("in/file", 1) == 0);
	need(unlink("in/file") < 0 && errno == EACCES);
	need(try_open("in/sub/deep", O_WRONLY) == -EACCES);
}

static void test_writing(void **state)
{
	(void)state;
	in_child(writing);
	in_child(one_writable);
}

static void one_file(void)
{
	need(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	int rules = landlock_create();
	int file = open("in/file", O_RDONLY);
	int link = open("in/out", O_PATH | O_NOFOLLOW);
	need(landlock_allow(rules, file, LANDLOCK_READ_EXEC) == 0);
	/* No rule can be made for it, and none is needed: it gives nothing. */
	need(landlock_allow(rules, link, LANDLOCK_READ) == 0);
	need(landlock_enter(rules) == 0);
	need(try_open("in/file", O_RDONLY) == 0);
	need(try_open("in/sub/deep", O_RDONLY) == -EACCES);
	need(try_open("in/out", O_RDONLY) == -EACCES);
	need(try_open("other", O_RDONLY) == -EACCES);
}

static void test_one_file(void **state)
{
	(void)state;
	in_child(one_file);
}

static void exec_after(enum landlock_right right, int want)
{
	enter(right);
	int fd = open("in/prog", O_PATH);
	need(fd >= 0);
	/* A script needs its interpreter, which no rule names: another error than the rule's. */
	need(faccessat(fd, "", X_OK, AT_EMPTY_PATH) == 0);
	execl("in/prog", "prog", NULL);
	need(errno == want);
}

static void read_only(void)
{
	exec_after(LANDLOCK_READ, EACCES);
}

static void interpreter_too(void)
{
	need(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	int rules = landlock_create();
	static const char *const all[] = {"in", "/bin/true", "/lib", "/lib64", "/usr/lib", "/etc"};
	for (size_t i = 0; i < 6; i++) {
		int fd = open(all[i], O_PATH);
		if (fd >= 0)
			need(landlock_allow(rules, fd, LANDLOCK_READ_EXEC) == 0);
	}
	need(landlock_enter(rules) == 0);
	unsetenv("LD_PRELOAD");
	execl("in/prog", "prog", NULL);
	need(false);
}

static void test_exec(void **state)
{
	(void)state;
	in_child(read_only);
	in_child(interpreter_too);
}

static void reach_others(void)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(9)};
	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int n = snprintf(un.sun_path + 1, sizeof(un.sun_path) - 1, "mayfly-landlock-%d", getpid());
	socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
	int host = socket(AF_UNIX, SOCK_STREAM, 0);
	need(bind(host, (struct sockaddr *)&un, len) == 0 && listen(host, 4) == 0);
	int before = socket(AF_UNIX, SOCK_STREAM, 0);
	need(connect(before, (struct sockaddr *)&un, len) == 0);
	need(kill(getppid(), 0) == 0);
	int v = landlock_version();
	pid_t pid = fork();
	if (pid == 0) {
		enter(LANDLOCK_READ);
		int s = socket(AF_INET, SOCK_STREAM, 0);
		if (v >= 4 && s >= 0)
			need(connect(s, (struct sockaddr *)&in, sizeof(in)) < 0 && errno == EACCES);
		in.sin_port = htons(0);
		if (v >= 4 && s >= 0)
			need(bind(s, (struct sockaddr *)&in, sizeof(in)) < 0 && errno == EACCES);
		int u = socket(AF_UNIX, SOCK_STREAM, 0);
		if (v >= 6)
			need(connect(u, (struct sockaddr *)&un, len) < 0 && errno == EPERM);
		if (v >= 6)
			need(kill(getppid(), 0) < 0 && errno == EPERM);
		need(kill(getpid(), 0) == 0);
		_exit(0);
	}
	int status = 0;
	need(waitpid(pid, &status, 0) == pid && status == 0);
}

static void test_outside(void **state)
{
	(void)state;
	in_child(reach_others);
}

static void needs_no_new_privs(void)
{
	need(geteuid() != 0 || (setresgid(PLAIN_UID, PLAIN_UID, PLAIN_UID) == 0 &&
				setresuid(PLAIN_UID, PLAIN_UID, PLAIN_UID) == 0));
	int rules = landlock_create();
	need(rules >= 0);
	need(landlock_enter(rules) == -EPERM);
	need(try_open("other", O_RDONLY) == 0);
	need(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	need(landlock_enter(rules) == 0);
	need(try_open("other", O_RDONLY) == -EACCES);
}

static void bad_descriptors(void)
{
	int rules = landlock_create();
	int file = open("other", O_RDONLY);
	need(landlock_allow(rules, -1, LANDLOCK_READ) == -EBADF);
	need(landlock_allow(-1, file, LANDLOCK_READ) == -EBADF);
	need(landlock_allow(file, file, LANDLOCK_READ) < 0);
	need(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	need(landlock_enter(-1) == -EBADF);
	need(landlock_enter(file) < 0);
}

static void test_refused(void **state)
{
	(void)state;
	in_child(needs_no_new_privs);
	in_child(bad_descriptors);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files),	cmocka_unit_test(test_one_file),
		cmocka_unit_test(test_exec),	cmocka_unit_test(test_outside),
		cmocka_unit_test(test_refused), cmocka_unit_test(test_writing),
	};
	alarm(60);
	return cmocka_run_group_tests_name("landlock", tests, make_tree, remove_tree);
}
