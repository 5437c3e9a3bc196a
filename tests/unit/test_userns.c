// SPDX-License-Identifier: Apache-2.0
// test_userns.c - a user namespace with one id, and hosts that forbid it
// links: jailer/userns.c runtime/base/err.c
#include "userns.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define PLAIN_UID 12345
#define PLAIN_GID 12346
#define OVERFLOW_ID 65534

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
	pid_t pid = fork();
	if (pid == 0) {
		fn();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void become_plain(void)
{
	if (geteuid() != 0)
		return;
	need(setgroups(0, NULL) == 0);
	need(setresgid(PLAIN_GID, PLAIN_GID, PLAIN_GID) == 0);
	need(setresuid(PLAIN_UID, PLAIN_UID, PLAIN_UID) == 0);
	/* Its files in /proc are its own again. */
	need(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0);
}

/* As the host lets this caller do it, or not. */
static bool allowed(void)
{
	int status = 0;
	pid_t pid = fork();
	if (pid == 0) {
		become_plain();
		_exit(unshare(CLONE_NEWUSER) < 0);
	}
	return waitpid(pid, &status, 0) == pid && status == 0;
}

static void one_id(void)
{
	struct err e = {0};
	struct stat before, after;
	char map[128] = "";
	char want[64];
	become_plain();
	uid_t uid = geteuid();
	gid_t gid = getegid();
	need(stat("/proc/self/ns/user", &before) == 0);
	need(userns_enter(&e) == 0);
	need(stat("/proc/self/ns/user", &after) == 0 && before.st_ino != after.st_ino);
	need(geteuid() == uid && getuid() == uid && getegid() == gid && getgid() == gid);
	int fd = open("/proc/self/uid_map", O_RDONLY);
	need(read(fd, map, sizeof(map) - 1) > 0);
	close(fd);
	snprintf(want, sizeof(want), "%10u %10u %10u\n", uid, uid, 1);
	need(strcmp(map, want) == 0);
	/* Nobody else is there: neither to become, nor to give a file to. */
	need(setresuid(0, 0, 0) < 0 && errno == EINVAL);
	need(setresgid(0, 0, 0) < 0 && errno == EINVAL);
	need(setgroups(0, NULL) < 0 && errno == EPERM);
	need(stat("/", &after) == 0 && after.st_uid == OVERFLOW_ID);
	/* It may make the other namespaces now. */
	need(unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS) == 0);
}

static void test_one_id(void **state)
{
	(void)state;
	if (!allowed())
		skip();
	in_child(one_id);
}

static void no_more_namespaces(void)
{
	struct err e = {0};
	become_plain();
	/* A namespace of our own, in which we may set the limit. */
	need(userns_enter(&e) == 0);
	int fd = open("/proc/sys/user/max_user_namespaces", O_WRONLY);
	if (fd < 0)
		_exit(0);
	need(write(fd, "0", 1) == 1);
	close(fd);
	e = (struct err){0};
	need(userns_enter(&e) == -ENOSPC);
	need(strstr(e.text, "this host forbids user namespaces to uid ") != NULL);
	need(strstr(e.text, "--jail reduced") != NULL);
	need(strstr(e.text, "mayfly doctor") != NULL);
	need(strchr(e.text, '\n') == NULL);
}

static void test_forbidden(void **state)
{
	(void)state;
	if (!allowed())
		skip();
	in_child(no_more_namespaces);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_id),
		cmocka_unit_test(test_forbidden),
	};
	alarm(60);
	return cmocka_run_group_tests_name("userns", tests, NULL, NULL);
}
