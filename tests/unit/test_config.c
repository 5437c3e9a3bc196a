// SPDX-License-Identifier: Apache-2.0
// test_config.c - every option of `mayfly run`, good and bad values
// links: runtime/cli/config.c runtime/base/opt.c
#include "cli/config.h"

#include "base/checked.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct vm_config c;
static struct err e;
static char words[16][512];
static char *argv[17];

static int teardown(void **state)
{
	(void)state;
	config_free(&c);
	return 0;
}

/* Parses "run" and these arguments; strings are copied, as argv is ours to cut. */
static int parse(const char *const *args)
{
	int n = 0;
	config_free(&c);
	config_defaults(&c);
	memset(&e, 0, sizeof(e));
	snprintf(words[0], sizeof(words[0]), "run");
	for (n = 1; args[n - 1]; n++)
		snprintf(words[n], sizeof(words[n]), "%s", args[n - 1]);
	for (int i = 0; i < n; i++)
		argv[i] = words[i];
	argv[n] = NULL;
	return config_parse_run(&c, n, argv, &e);
}

#define PARSE(...) parse((const char *const[]){__VA_ARGS__, NULL})

static void good(const char *option, const char *value)
{
	if (PARSE(option, value, "--", "cmd") != 0)
		fail_msg("%s %s: %s", option, value, e.text);
}

static void bad(const char *option, const char *value)
{
	int ret = PARSE(option, value, "--", "cmd");
	if (ret >= 0)
		fail_msg("%s '%s' is accepted", option, value);
	if (!strstr(e.text, option))
		fail_msg("'%s' does not name %s", e.text, option);
}

static void all_bad(const char *option, const char *const *values)
{
	for (; *values; values++)
		bad(option, *values);
}

#define ALL_BAD(option, ...) all_bad(option, (const char *const[]){__VA_ARGS__, NULL})

static void test_defaults(void **state)
{
	(void)state;
	assert_int_equal(PARSE("uname", "-a"), 0);
	assert_int_equal(c.engine, ENGINE_AUTO);
	assert_int_equal(c.cpus, 1);
	assert_true(c.memory == 1ull << 30);
	assert_true(c.timeout_ns == 0);
	assert_true(c.boot_timeout_ns == 60000000000ull);
	assert_string_equal(c.hostname, "mayfly");
	assert_int_equal(c.uid, geteuid());
	assert_int_equal(c.gid, getegid());
	assert_false(c.user_given || c.no_cwd || c.console || c.timings || c.verbose);
	assert_false(c.boot || c.trace_exits);
	assert_int_equal(c.status_fd, -1);
	assert_int_equal(c.argc, 2);
	assert_string_equal(c.argv[0], "uname");
	assert_string_equal(c.argv[1], "-a");
	assert_null(c.argv[2]);
}

static void test_command(void **state)
{
	(void)state;
	assert_int_equal(PARSE("--verbose"), -EINVAL);
	assert_non_null(strstr(e.text, "no command"));
	assert_int_equal(PARSE("--"), -EINVAL);
	assert_int_equal(PARSE(""), -EINVAL);
	assert_int_equal(PARSE("--", ""), -EINVAL);
	assert_int_equal(PARSE("--", "--weird", "-x"), 0);
	assert_string_equal(c.argv[0], "--weird");
	assert_int_equal(PARSE("ls", "--cpus", "99999"), 0);
	assert_int_equal(c.argc, 3);
	/* Those of `mayfly boot` only. */
	assert_int_equal(PARSE("--append", "x", "ls"), -EINVAL);
	assert_int_equal(PARSE("--protocol", "pvh", "ls"), -EINVAL);
	assert_int_equal(PARSE("--nonsense", "ls"), -EINVAL);
	assert_non_null(strstr(e.text, "--nonsense"));
	assert_int_equal(PARSE("--help"), 0);
	assert_true(c.help);
}

static void test_engine(void **state)
{
	(void)state;
	good("--engine", "auto");
	assert_int_equal(c.engine, ENGINE_AUTO);
	good("--engine", "tcg");
	assert_int_equal(c.engine, ENGINE_TCG);
	good("--engine", "kvm");
	assert_int_equal(c.engine, ENGINE_KVM);
	ALL_BAD("--engine", "", "TCG", "qemu", "tc", "kvm ", "KVM");
	assert_non_null(strstr(e.text, "auto, tcg, kvm"));
}

static void test_cpus(void **state)
{
	(void)state;
	good("--cpus", "1");
	good("--cpus", "32");
	assert_int_equal(c.cpus, 32);
	assert_int_equal(c.cpu_permille, 0);
	good("--cpus", "1.5");
	assert_int_equal(c.cpus, 2);
	assert_int_equal(c.cpu_permille, 1500);
	good("--cpus", "0.05");
	assert_int_equal(c.cpus, 1);
	assert_int_equal(c.cpu_permille, 50);
	good("--cpus", "31.999");
	assert_int_equal(c.cpus, 32);
	assert_int_equal(c.cpu_permille, 31999);
	/* A whole number is one, however it is written. */
	good("--cpus", "3.000");
	assert_int_equal(c.cpus, 3);
	assert_int_equal(c.cpu_permille, 0);
	ALL_BAD("--cpus", "0", "33", "-1", "", "two", "4294967297", "1 ", "0.049", "32.001", "1.",
		".5", "1.5555", "1,5", "1e1", "nan", "0x1", "+1", "99999999999999999999.5",
		"1.5.5");
}

static void test_limits(void **state)
{
	(void)state;
	good("--pids", "4");
	assert_int_equal(c.pids, 4);
	ALL_BAD("--pids", "3", "0", "-1", "", "4194305", "many");
	good("--idle-timeout", "1.5s");
	assert_true(c.idle_timeout_ns == 1500000000ull);
	ALL_BAD("--idle-timeout", "0", "", "-1s", "soon");
	good("--output-limit", "1");
	good("--output-limit", "64M");
	assert_true(c.output_limit == 64ull << 20);
	ALL_BAD("--output-limit", "0", "", "-1", "much", "99999999999999999999");
	good("--disk-limit", "512M");
	assert_true(c.disk_limit == 512ull << 20);
	ALL_BAD("--disk-limit", "0", "", "1023K", "513M");
	assert_int_equal(PARSE("--disk-limit", "64M", "--scratch", "64M", "cmd"), -EINVAL);
	assert_non_null(strstr(e.text, "--scratch"));
	/* The order does not matter. */
	assert_int_equal(PARSE("--disk-limit", "600M", "--memory", "2G", "cmd"), 0);
	assert_int_equal(PARSE("--force-memory", "cmd"), 0);
	assert_true(c.force_memory);
	if (geteuid() != 0)
		assert_int_equal(PARSE("--no-jail", "--cpus", "0.5", "cmd"), -EINVAL);
}

static void test_memory(void **state)
{
	(void)state;
	good("--memory", "64M");
	good("--memory", "64G");
	assert_true(c.memory == CONFIG_MAX_MEMORY);
	good("-m", "268435456");
	assert_true(c.memory == 256ull << 20);
	ALL_BAD("--memory", "63M", "65G", "64", "100000001", "1T", "", "-1G", "65537K",
		"18446744073709551615");
}

static void test_times(void **state)
{
	(void)state;
	good("--timeout", "2s");
	assert_true(c.timeout_ns == 2000000000ull);
	good("--timeout", "1.5");
	assert_true(c.timeout_ns == 1500000000ull);
	good("--boot-timeout", "5m");
	assert_true(c.boot_timeout_ns == 300000000000ull);
	ALL_BAD("--timeout", "0", "-1s", "", "soon", "1w", "0.0000000001");
	ALL_BAD("--boot-timeout", "0", "x");
}

static void test_env(void **state)
{
	(void)state;
	assert_int_equal(PARSE("-e", "A=1", "--env", "B", "-eC=", "--env=D=x=y", "cmd"), 0);
	assert_int_equal(c.n_env, 4);
	assert_string_equal(c.env[0], "A=1");
	assert_string_equal(c.env[1], "B");
	assert_string_equal(c.env[2], "C=");
	assert_string_equal(c.env[3], "D=x=y");
	ALL_BAD("--env", "", "=", "=x");
}

static void test_share(void **state)
{
	(void)state;
	static const struct {
		const char *text, *host, *guest;
	} rows[] = {
		{"/data", "/data", NULL}, {"data", "data", NULL},
		{"/a:/b", "/a", "/b"},	  {"/a:/b:ro", "/a", "/b"},
		{"/a:ro", "/a", NULL},	  {"/with:colon:/b", "/with:colon", "/b"},
		{".", ".", NULL},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		good("--share", rows[i].text);
		assert_int_equal(c.n_share, 1);
		assert_string_equal(c.share[0].host, rows[i].host);
		if (rows[i].guest)
			assert_string_equal(c.share[0].guest, rows[i].guest);
		else
			assert_null(c.share[0].guest);
	}
	ALL_BAD("--share", "", ":", ":/b", "/a:", "/a:b", "/a:b:ro", ":ro", ":rw", ":rw,size=1M",
		"/a:b:rw", "/a:rw,", "/a:rw,x", "/a:rw,size=", "/a:rw,size=1", "/a:ro,size=1M",
		"/a:rw,cache=all", "/a:rwx");
	good("--share", "/a:/b:rw,size=2M,cache=none");
	assert_string_equal(c.share[0].host, "/a");
	assert_string_equal(c.share[0].guest, "/b");
	assert_true(c.share[0].writable && c.share[0].uncached);
	assert_int_equal(c.share[0].quota, 2 << 20);
	good("--share", "/a:rw");
	assert_null(c.share[0].guest);
	assert_true(c.share[0].writable && !c.share[0].uncached && c.share[0].quota == 0);
	good("--share", "/a:/rw");
	assert_false(c.share[0].writable);
	good("--share", "/a:ro,cache=auto");
	assert_false(c.share[0].writable || c.share[0].uncached);
}

static void test_too_many_shares(void **state)
{
	(void)state;
	static char text[CONFIG_MAX_SHARES + 1][8];
	char *args[2 * CONFIG_MAX_SHARES + 5];
	int n = 0;
	args[n++] = (char *)"run";
	for (int i = 0; i <= CONFIG_MAX_SHARES; i++) {
		snprintf(text[i], sizeof(text[i]), "/s%d", i);
		args[n++] = (char *)"--share";
		args[n++] = text[i];
	}
	args[n++] = (char *)"cmd";
	args[n] = NULL;
	config_defaults(&c);
	assert_int_equal(config_parse_run(&c, n, args, &e), -EINVAL);
	assert_non_null(strstr(e.text, "--share"));
	config_defaults(&c);
	for (int i = 0; i <= CONFIG_MAX_SHARES; i++)
		snprintf(text[i], sizeof(text[i]), "/s%d", i);
	args[2 * CONFIG_MAX_SHARES + 1] = (char *)"cmd";
	args[2 * CONFIG_MAX_SHARES + 2] = NULL;
	assert_int_equal(config_parse_run(&c, 2 * CONFIG_MAX_SHARES + 2, args, &e), 0);
	assert_int_equal(c.n_share, CONFIG_MAX_SHARES);
}

static void test_paths(void **state)
{
	(void)state;
	good("--workdir", "/src");
	assert_string_equal(c.workdir, "/src");
	ALL_BAD("--workdir", "", "src", "./x");
	good("--rootfs", "dir");
	assert_string_equal(c.rootfs, "dir");
	bad("--rootfs", "");
	good("--kernel", "k");
	assert_string_equal(c.kernel, "k");
	bad("--kernel", "");
	good("--init", "i");
	assert_string_equal(c.init, "i");
	bad("--init", "");
}

static void test_disks(void **state)
{
	(void)state;
	good("--disk", "a.img");
	assert_int_equal(c.n_disk, 1);
	assert_string_equal(c.disk[0].path, "a.img");
	assert_false(c.disk[0].read_only);
	char ro[] = "b:ro";
	good("--disk", ro);
	assert_string_equal(c.disk[0].path, "b");
	assert_true(c.disk[0].read_only);
	char twice[] = "b:ro:ro";
	good("--disk", twice);
	assert_string_equal(c.disk[0].path, "b:ro");
	char only[] = ":ro";
	bad("--disk", only);
	bad("--disk", "");
	assert_int_equal(PARSE("--disk", "a", "--disk", "b", "--disk", "c", "cmd"), 0);
	assert_int_equal(PARSE("--disk", "a", "--disk", "b", "--disk", "c", "--disk", "d", "cmd"),
			 -EINVAL);
	assert_int_equal(PARSE("--disk", "a", "--disk", "b", "--disk", "c", "--scratch", "1G", "x"),
			 -EINVAL);
	assert_non_null(strstr(e.text, "at most 3"));
	assert_int_equal(PARSE("--disk", "a", "--disk", "b", "--scratch", "1G", "cmd"), 0);
	assert_int_equal(c.scratch, 1ull << 30);
	assert_null(c.scratch_dir);
	char at[] = "64M:/big/disk";
	good("--scratch", at);
	assert_int_equal(c.scratch, 64ull << 20);
	assert_string_equal(c.scratch_dir, "/big/disk");
	char nowhere[] = "1G:";
	bad("--scratch", nowhere);
	ALL_BAD("--scratch", "", "0", "1K", "15M", "17000G", "16777217", "-1G", "x");
}

static void test_hostname(void **state)
{
	(void)state;
	char longest[65];
	memset(longest, 'a', 64);
	longest[63] = '\0';
	good("--hostname", "build-1.example");
	assert_string_equal(c.hostname, "build-1.example");
	good("--hostname", longest);
	longest[63] = 'a';
	longest[64] = '\0';
	bad("--hostname", longest);
	ALL_BAD("--hostname", "", "-x", ".x", "a b", "a_b", "a/b", "a\n", "\xc3\xa4");
}

static void test_user(void **state)
{
	(void)state;
	good("--user", "0");
	assert_int_equal(c.uid, 0);
	assert_int_equal(c.gid, 0);
	assert_true(c.user_given);
	good("--user", "12345:23456");
	assert_int_equal(c.uid, 12345);
	assert_int_equal(c.gid, 23456);
	/* Nobody's number: a group of the same number, as useradd would make one. */
	good("-u", "3999999999");
	assert_int_equal(c.uid, 3999999999u);
	assert_int_equal(c.gid, 3999999999u);
	good("--user", "root:root");
	assert_int_equal(c.uid, 0);
	const struct passwd *pw = getpwnam("nobody");
	if (pw) {
		good("--user", "nobody");
		assert_int_equal(c.uid, pw->pw_uid);
		assert_int_equal(c.gid, pw->pw_gid);
	}
	ALL_BAD("--user", "", ":", ":5", "5:", "no-such-user-here", "0:no-such-group", "-1",
		"4294967295", "4294967296", "1:4294967295", "1:2:3", "1x");
}

static void test_flags(void **state)
{
	(void)state;
	assert_int_equal(PARSE("--no-cwd", "--console", "--timings", "-v", "--trace-exits", "cmd"),
			 0);
	assert_true(c.no_cwd && c.console && c.timings && c.verbose && c.trace_exits);
	assert_null(c.timings_svg);
	assert_int_equal(PARSE("--timings=svg", "cmd"), 0);
	assert_true(!c.timings && strcmp(c.timings_svg, "mayfly-timings.svg") == 0);
	assert_int_equal(PARSE("--timings", "--timings=svg:a:b", "cmd"), 0);
	assert_true(c.timings && strcmp(c.timings_svg, "a:b") == 0);
	assert_int_equal(PARSE("--timings=", "cmd"), -EINVAL);
	assert_int_equal(PARSE("--timings=svg:", "cmd"), -EINVAL);
	assert_int_equal(PARSE("--timings=text", "cmd"), -EINVAL);
	assert_int_equal(PARSE("--console=yes", "cmd"), -EINVAL);
}

static void test_status_fd(void **state)
{
	(void)state;
	char text[16];
	int p[2];
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	snprintf(text, sizeof(text), "%d", p[1]);
	good("--status-fd", text);
	assert_int_equal(c.status_fd, p[1]);
	snprintf(text, sizeof(text), "%d", p[0]);
	bad("--status-fd", text); /* open for reading only */
	close(p[0]);
	close(p[1]);
	snprintf(text, sizeof(text), "%d", p[1]);
	bad("--status-fd", text);
	ALL_BAD("--status-fd", "", "0", "-1", "x", "99999999", "1048575");
}

#define T(f) cmocka_unit_test_teardown(f, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_defaults), T(test_command),   T(test_engine),
		T(test_cpus),	  T(test_memory),    T(test_times),
		T(test_env),	  T(test_share),     T(test_paths),
		T(test_disks),	  T(test_hostname),  T(test_user),
		T(test_flags),	  T(test_status_fd), T(test_too_many_shares),
		T(test_limits),
	};
	alarm(30);
	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
