// SPDX-License-Identifier: Apache-2.0
// test_exec_config.c - the options of mayfly exec and attach
// links: runtime/cli/exec_config.c
#include "cli/exec_config.h"

#include "base/checked.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#define ARGS_MAX 12

static struct exec_config c;
static struct err e;
static char *args[ARGS_MAX + 2];

static int parse(bool attach, const char *const *list)
{
	int n = 1;
	exec_config_free(&c);
	exec_config_defaults(&c);
	c.attach = attach;
	memset(&e, 0, sizeof(e));
	args[0] = (char *)"exec";
	for (; list[n - 1]; n++)
		args[n] = (char *)(uintptr_t)list[n - 1];
	args[n] = NULL;
	return exec_config_parse(&c, n, args, &e);
}

#define GOOD(...) assert_int_equal(parse(false, (const char *const[]){__VA_ARGS__, NULL}), 0)
#define BAD(pattern, ...)                                                                          \
	do {                                                                                       \
		assert_int_equal(parse(false, (const char *const[]){__VA_ARGS__, NULL}), -EINVAL); \
		assert_non_null(strstr(e.text, pattern));                                          \
	} while (0)
#define ATTACH(...) parse(true, (const char *const[]){__VA_ARGS__, NULL})

static void test_words(void **state)
{
	(void)state;
	GOOD("m", "--", "ls", "-l");
	assert_string_equal(c.machine, "m");
	assert_int_equal(c.argc, 2);
	assert_string_equal(c.argv[1], "-l");
	GOOD("m", "ls", "--", "-x");
	assert_int_equal(c.argc, 3);
	GOOD("--", "m", "--", "--");
	assert_string_equal(c.argv[0], "--");
	BAD("no machine", "-i");
	BAD("no machine", "");
	BAD("no command", "m");
	BAD("no command", "m", "--");
	BAD("empty", "m", "--", "");
	BAD("unknown", "-Z", "m", "ls");
}

static void test_flags(void **state)
{
	(void)state;
	GOOD("-it", "m", "ls");
	assert_true(c.interactive && c.tty && !c.detach);
	assert_int_equal(c.keys.n, 2);
	GOOD("-d", "--no-stdin", "--detach-keys=none", "m", "ls");
	assert_true(c.detach && c.no_stdin);
	assert_int_equal(c.keys.n, 0);
	BAD("--no-stdin", "-i", "--no-stdin", "m", "ls");
	BAD("--no-stdin", "-t", "--no-stdin", "m", "ls");
	BAD("detach-keys", "--detach-keys", "f12", "m", "ls");
	GOOD("--timeout", "1.5s", "-e", "A=b", "-e", "C", "-w", "/x", "m", "ls");
	assert_true(c.timeout_ns == 1500000000);
	assert_int_equal(c.n_env, 2);
	assert_string_equal(c.workdir, "/x");
	BAD("name", "-e", "=b", "m", "ls");
	BAD("absolute", "-w", "x", "m", "ls");
	BAD("timeout", "--timeout", "soon", "m", "ls");
}

static void test_numbers(void **state)
{
	(void)state;
	GOOD("m", "ls");
	assert_int_equal(c.umask, 0);
	GOOD("--umask", "0", "--pids", "5", "m", "ls");
	assert_int_equal(c.umask, 1);
	assert_int_equal(c.pids_max, 5);
	GOOD("--umask", "0777", "m", "ls");
	assert_int_equal(c.umask, 0777 + 1);
	BAD("umask", "--umask", "8", "m", "ls");
	BAD("umask", "--umask", "1000", "m", "ls");
	BAD("umask", "--umask", "00022", "m", "ls");
	BAD("umask", "--umask", "", "m", "ls");
	BAD("pids", "--pids", "0", "m", "ls");
	BAD("pids", "--pids", "x", "m", "ls");
	GOOD("-u", "1000:staff", "m", "ls");
	assert_string_equal(c.user, "1000:staff");
	BAD("user", "-u", "", "m", "ls");
	BAD("user", "-u", ":1", "m", "ls");
	BAD("user", "-u", "1:", "m", "ls");
	assert_true(parse(false, (const char *const[]){"--status-fd", "999", "m", "ls", NULL}) < 0);
	assert_non_null(strstr(e.text, "status-fd"));
}

static void test_ulimits(void **state)
{
	(void)state;
	GOOD("--ulimit", "nofile=100", "--ulimit", "fsize=1M:unlimited", "m", "ls");
	assert_int_equal(c.n_ulimit, 2);
	assert_int_equal(c.ulimit[0].resource, RLIMIT_NOFILE);
	assert_true(c.ulimit[0].soft == 100 && c.ulimit[0].hard == 100);
	assert_int_equal(c.ulimit[1].resource, RLIMIT_FSIZE);
	assert_true(c.ulimit[1].soft == 1 << 20 && c.ulimit[1].hard == UINT64_MAX);
	GOOD("--ulimit", "core=unlimited", "m", "ls");
	assert_true(c.ulimit[0].soft == UINT64_MAX);
	BAD("no limit", "--ulimit", "files=1", "m", "ls");
	BAD("NAME=SOFT", "--ulimit", "nofile", "m", "ls");
	BAD("NAME=SOFT", "--ulimit", "nofile=", "m", "ls");
	BAD("NAME=SOFT", "--ulimit", "nofile=1:", "m", "ls");
	BAD("soft limit", "--ulimit", "nofile=2:1", "m", "ls");
	BAD("ulimit", "--ulimit", "nofile=-1", "m", "ls");
	BAD("ulimit", "--ulimit", "nofile=1:2:3", "m", "ls");
	size_t n = 0;
	exec_config_free(&c);
	exec_config_defaults(&c);
	char *list[2 * (PROTO_RLIMITS_MAX + 1) + 4] = {(char *)"exec"};
	for (n = 1; n < 2 * (PROTO_RLIMITS_MAX + 1); n += 2) {
		list[n] = (char *)"--ulimit";
		list[n + 1] = (char *)"core=0";
	}
	assert_int_equal(exec_config_parse(&c, (int)n, list, &e), -EINVAL);
	assert_non_null(strstr(e.text, "more than"));
}

static void test_attach(void **state)
{
	(void)state;
	assert_int_equal(ATTACH("m"), 0);
	assert_true(c.session == 0);
	assert_int_equal(ATTACH("--no-stdin", "--detach-keys", "ctrl-x", "m", "12"), 0);
	assert_true(c.session == 12 && c.no_stdin);
	assert_int_equal(c.keys.key[0], 24);
	assert_int_equal(ATTACH("m", "0"), -EINVAL);
	assert_int_equal(ATTACH("m", "x"), -EINVAL);
	assert_int_equal(ATTACH("m", "1", "2"), -EINVAL);
	assert_int_equal(ATTACH("-i", "m"), -EINVAL);
}

static int teardown(void **state)
{
	(void)state;
	exec_config_free(&c);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),	cmocka_unit_test(test_flags),
		cmocka_unit_test(test_numbers), cmocka_unit_test(test_ulimits),
		cmocka_unit_test(test_attach),
	};
	return cmocka_run_group_tests(tests, NULL, teardown);
}
