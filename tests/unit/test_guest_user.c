// SPDX-License-Identifier: Apache-2.0
// test_guest_user.c - the guest's user, home and environment: tokens stay outside
// links: runtime/cli/guest_user.c
#include "cli/guest_user.h"

#include "base/checked.h"
#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static struct {
	char dir[32];
	int root;
	struct vm_config c;
	struct guest_user u;
	char **env;
	struct err e;
} t;

static void put(const char *path, const char *text)
{
	AUTO_CLOSE int fd = openat(t.root, path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static int setup(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	snprintf(t.dir, sizeof(t.dir), "/tmp/mayfly-user-XXXXXX");
	if (!mkdtemp(t.dir))
		return -1;
	t.root = open(t.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	clearenv();
	setenv("PATH", "/bin:/opt/bin", 1);
	t.c.uid = 4321;
	t.c.gid = 5432;
	return mkdirat(t.root, "etc", 0755);
}

static int teardown(void **state)
{
	char cmd[64];
	(void)state;
	guest_user_env_free(t.env);
	close_fd(&t.root);
	snprintf(cmd, sizeof(cmd), "/bin/rm -rf %s", t.dir);
	return system(cmd);
}

/* The value of a variable in the guest; NULL if it is not there, fails if it is there twice. */
static const char *env(const char *name)
{
	const char *found = NULL;
	size_t n = strlen(name);
	for (size_t i = 0; t.env[i]; i++)
		if (strncmp(t.env[i], name, n) == 0 && t.env[i][n] == '=') {
			assert_null(found);
			found = t.env[i] + n + 1;
		}
	return found;
}

static void make_env(void)
{
	guest_user_env_free(t.env);
	assert_int_equal(guest_user_env(&t.u, &t.c, &t.env, &t.e), 0);
}

static void test_unknown_user(void **state)
{
	(void)state;
	put("etc/passwd", "root:x:0:0::/root:/bin/sh\n");
	put("etc/group", "root:x:0:\n");
	guest_user_find(&t.u, &t.c, t.root);
	assert_int_equal(t.u.uid, 4321);
	assert_int_equal(t.u.gid, 5432);
	assert_string_equal(t.u.passwd_line, "user:x:4321:5432::/home/user:/bin/sh");
	assert_string_equal(t.u.group_line, "user:x:5432:");
	assert_string_equal(t.u.home, "/home/user");
}

static void test_known_user(void **state)
{
	(void)state;
	put("etc/passwd", "junk\nann:x:4321:1:Ann:/people/ann:/bin/sh\nother:x:4321:1::/x:\n");
	put("etc/group", "staff:x:5432:ann\n");
	/* The caller's HOME has no meaning in another root. */
	setenv("HOME", "/home/caller", 1);
	guest_user_find(&t.u, &t.c, t.root);
	assert_string_equal(t.u.name, "ann");
	assert_string_equal(t.u.home, "/people/ann");
	assert_string_equal(t.u.passwd_line, "");
	assert_string_equal(t.u.group_line, "");
}

static void test_hostile_root(void **state)
{
	(void)state;
	/* Links in a foreign root must not lead to the host's own files. */
	assert_int_equal(symlinkat("../../../../../../etc/passwd", t.root, "etc/passwd"), 0);
	assert_int_equal(symlinkat("/etc/group", t.root, "etc/group"), 0);
	t.c.uid = t.c.gid = 0;
	guest_user_find(&t.u, &t.c, t.root);
	assert_string_equal(t.u.name, "user");
	assert_true(t.u.passwd_line[0] != '\0');
	unlinkat(t.root, "etc/passwd", 0);
	/* What would break out of its line. */
	put("etc/passwd", "ann:x:0:0::relative:/bin/sh\n");
	guest_user_find(&t.u, &t.c, t.root);
	assert_string_equal(t.u.home, "/home/user");
}

static void test_fifo_does_not_hang(void **state)
{
	(void)state;
	assert_int_equal(mkfifoat(t.root, "etc/passwd", 0644), 0);
	guest_user_find(&t.u, &t.c, t.root);
	assert_string_equal(t.u.name, "user");
}

static void test_caller_home(void **state)
{
	(void)state;
	t.c.uid = geteuid();
	t.c.gid = getegid();
	setenv("HOME", "/work/me", 1);
	guest_user_find(&t.u, &t.c, -1);
	assert_string_equal(t.u.home, "/work/me");
	/* Another user's home is not the caller's. */
	t.c.user_given = true;
	t.c.uid = 4321;
	guest_user_find(&t.u, &t.c, -1);
	assert_string_equal(t.u.home, "/home/user");
	assert_int_equal(t.u.n_groups, 0);
	/* Nor is one that could not stand in a passwd line. */
	t.c.user_given = false;
	static const char *const bad[] = {"/a:b", "/a\nb", "relative", ""};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		setenv("HOME", bad[i], 1);
		guest_user_find(&t.u, &t.c, -1);
		assert_null(strpbrk(t.u.home, ":\n"));
		assert_int_equal(t.u.home[0], '/');
	}
}

static void test_env_default(void **state)
{
	(void)state;
	static const char *const outside[] = {
		"SECRET_TOKEN",	 "AWS_SECRET_ACCESS_KEY",
		"SSH_AUTH_SOCK", "LD_LIBRARY_PATH",
		"PWD",		 "LANGUAGE",
		"XLC_ALL",	 "MAYFLY_LOG",
		"SHELL",
	};
	for (size_t i = 0; i < ARRAY_SIZE(outside); i++)
		setenv(outside[i], "s3cret", 1);
	setenv("TERM", "xterm", 1);
	setenv("TZ", "UTC", 1);
	setenv("LANG", "C.UTF-8", 1);
	setenv("LC_ALL", "de_DE", 1);
	setenv("LC_TIME", "", 1);
	guest_user_find(&t.u, &t.c, t.root);
	make_env();
	assert_string_equal(env("PATH"), "/bin:/opt/bin");
	assert_string_equal(env("HOME"), "/home/user");
	assert_string_equal(env("USER"), "user");
	assert_string_equal(env("TERM"), "xterm");
	assert_string_equal(env("TZ"), "UTC");
	assert_string_equal(env("LANG"), "C.UTF-8");
	assert_string_equal(env("LC_ALL"), "de_DE");
	assert_string_equal(env("LC_TIME"), "");
	for (size_t i = 0; i < ARRAY_SIZE(outside); i++)
		assert_null(env(outside[i]));
	for (size_t i = 0; t.env[i]; i++)
		assert_null(strstr(t.env[i], "s3cret"));
}

static void test_env_no_path(void **state)
{
	(void)state;
	unsetenv("PATH");
	make_env();
	assert_non_null(strstr(env("PATH"), "/usr/bin"));
	setenv("PATH", "", 1);
	make_env();
	assert_non_null(strstr(env("PATH"), "/usr/bin"));
	setenv("PATH", "/bin", 1);
}

static void test_env_options(void **state)
{
	(void)state;
	const char *given[] = {"TOKEN", "MISSING", "HOME=/elsewhere", "PATH=/p",
			       "A=1",	"A=2=3",   "EMPTY=",	      "HOMER=x"};
	setenv("TOKEN", "passed", 1);
	setenv("SECRET", "kept", 1);
	t.c.env = given;
	t.c.n_env = ARRAY_SIZE(given);
	guest_user_find(&t.u, &t.c, t.root);
	make_env();
	assert_string_equal(env("TOKEN"), "passed");
	assert_null(env("MISSING"));
	assert_string_equal(env("HOME"), "/elsewhere");
	assert_string_equal(env("HOMER"), "x");
	assert_string_equal(env("PATH"), "/p");
	assert_string_equal(env("A"), "2=3");
	assert_string_equal(env("EMPTY"), "");
	assert_null(env("SECRET"));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_unknown_user), T(test_known_user),	  T(test_hostile_root),
		T(test_caller_home),  T(test_env_default),	  T(test_env_no_path),
		T(test_env_options),  T(test_fifo_does_not_hang),
	};
	alarm(10);
	return cmocka_run_group_tests_name("guest_user", tests, NULL, NULL);
}
