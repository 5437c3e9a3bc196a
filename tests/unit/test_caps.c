// SPDX-License-Identifier: Apache-2.0
// test_caps.c - children that give their capabilities up, as root, as a user, in a user namespace
// links: jailer/caps.c jailer/userns.c runtime/base/err.c
#include "caps.h"

#include "userns.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/securebits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define PLAIN_UID 12345

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
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(status, 0);
}

static void become_plain(void)
{
	if (geteuid() != 0)
		return;
	need(setgroups(0, NULL) == 0);
	need(setresgid(PLAIN_UID, PLAIN_UID, PLAIN_UID) == 0);
	need(setresuid(PLAIN_UID, PLAIN_UID, PLAIN_UID) == 0);
	/* Its files in /proc are its own again. */
	need(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0);
}

static unsigned long long set_of(const char *name)
{
	char line[256];
	unsigned long long v = ~0ull;
	FILE *f = fopen("/proc/self/status", "re");
	need(f != NULL);
	while (fgets(line, sizeof(line), f))
		if (strncmp(line, name, strlen(name)) == 0)
			v = strtoull(line + strlen(name) + 1, NULL, 16);
	fclose(f);
	return v;
}

static void all_empty(bool bounds)
{
	static const char *const sets[] = {"CapInh", "CapPrm", "CapEff", "CapAmb"};
	for (size_t i = 0; i < 4; i++)
		if (set_of(sets[i]) != 0)
			need_at(false, sets[i], __LINE__);
	need(!bounds || set_of("CapBnd") == 0);
}

/* Needs the rights that uid 0 alone doesn't give. */
static void powerless(void)
{
	need(sethostname("x", 1) < 0 && errno == EPERM);
	need(chown("/proc/self/comm", 1, 1) < 0);
	need(setgroups(0, NULL) < 0 && errno == EPERM);
	need(prctl(PR_SET_SECUREBITS, 0, 0, 0, 0) < 0 && errno == EPERM);
}

static void drop_all(void)
{
	need(caps_close() == 0);
	need(caps_drop() == 0);
	all_empty(true);
	need(prctl(PR_GET_SECUREBITS) & SECBIT_NOROOT);
	need(prctl(PR_GET_SECUREBITS) & SECBIT_NOROOT_LOCKED);
	need(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0) < 0);
	powerless();
	/* Again is harmless. */
	need(caps_close() == 0);
	need(caps_drop() == 0);
}

static void test_root(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	in_child(drop_all);
}

/* Ambient ones survive a program that is not set-uid, the others come back to uid 0. */
static void run_status(void)
{
	cap_value_t k = CAP_NET_RAW;
	cap_t c = cap_get_proc();
	need(cap_set_flag(c, CAP_INHERITABLE, 1, &k, CAP_SET) == 0 && cap_set_proc(c) == 0);
	need(cap_set_ambient(k, CAP_SET) == 0);
	need(set_of("CapAmb") != 0);
	cap_free(c);
	need(caps_close() == 0);
	need(caps_drop() == 0);
	unsetenv("LD_PRELOAD");
	/* 1: no such line. */
	execl("/bin/grep", "grep", "-E", "^Cap(Inh|Prm|Eff|Bnd|Amb):.*[1-9a-f]",
	      "/proc/self/status", NULL);
	_exit(99);
}

static void test_exec_gives_none_back(void **state)
{
	int status = 0;
	(void)state;
	if (geteuid() != 0)
		skip();
	pid_t pid = fork();
	if (pid == 0)
		run_status();
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 1);
}

static void drop_plain(void)
{
	become_plain();
	unsigned long long bounds = set_of("CapBnd");
	need(caps_close() == 0);
	need(set_of("CapBnd") == bounds);
	need(caps_drop() == 0);
	all_empty(false);
	need(caps_supervise() == 0);
	all_empty(false);
}

static void test_plain(void **state)
{
	(void)state;
	in_child(drop_plain);
}

static void drop_in_userns(void)
{
	struct err e = {0};
	become_plain();
	/* A host that forbids it: test_userns.c. */
	if (userns_enter(&e) < 0)
		_exit(77);
	need(set_of("CapEff") != 0);
	drop_all();
}

static void test_userns(void **state)
{
	(void)state;
	in_child(drop_in_userns);
}

/* The right to remove what is in others' directories may wait, out of force. */
#define KILL_BIT (1ull << CAP_KILL)
#define SPARE_BIT (1ull << CAP_DAC_OVERRIDE)

static void keep_kill(void)
{
	need(caps_supervise() == 0);
	need(set_of("CapEff") == KILL_BIT);
	need((set_of("CapPrm") & ~SPARE_BIT) == KILL_BIT);
	need(set_of("CapInh") == 0 && set_of("CapAmb") == 0);
	powerless();
	pid_t pid = fork();
	if (pid == 0) {
		pause();
		_exit(0);
	}
	int status = 0;
	need(kill(pid, SIGKILL) == 0);
	need(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
	/* In the end that right, and still no other. */
	need(caps_clean_up() == 0);
	need(set_of("CapEff") == (KILL_BIT | SPARE_BIT));
	need(set_of("CapPrm") == (KILL_BIT | SPARE_BIT));
	powerless();
}

static void keep_kill_of_another(void)
{
	int ready[2];
	char c;
	need(pipe(ready) == 0);
	pid_t pid = fork();
	if (pid == 0) {
		become_plain();
		need(write(ready[1], "x", 1) == 1);
		pause();
		_exit(0);
	}
	need(read(ready[0], &c, 1) == 1);
	need(caps_supervise() == 0);
	need(kill(pid, SIGKILL) == 0);
	need(waitpid(pid, NULL, 0) == pid);
}

static void test_supervisor(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	in_child(keep_kill);
	in_child(keep_kill_of_another);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_root),	   cmocka_unit_test(test_exec_gives_none_back),
		cmocka_unit_test(test_plain),	   cmocka_unit_test(test_userns),
		cmocka_unit_test(test_supervisor),
	};
	alarm(60);
	return cmocka_run_group_tests_name("caps", tests, NULL, NULL);
}
