// SPDX-License-Identifier: Apache-2.0
// test_config_boot.c - every option of `mayfly boot`, good and bad values
// links: runtime/cli/config_boot.c runtime/cli/config.c runtime/base/opt.c
#include "cli/config.h"

#include "base/checked.h"
#include "boot/boot.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct vm_config c;
static struct err e;
static char words[16][512];
static char *argv[17];

static int parse(const char *const *args)
{
	int n = 0;
	config_free(&c);
	config_defaults(&c);
	memset(&e, 0, sizeof(e));
	snprintf(words[0], sizeof(words[0]), "boot");
	for (n = 1; args[n - 1]; n++)
		snprintf(words[n], sizeof(words[n]), "%s", args[n - 1]);
	for (int i = 0; i < n; i++)
		argv[i] = words[i];
	argv[n] = NULL;
	return config_parse_boot(&c, n, argv, &e);
}

#define PARSE(...) parse((const char *const[]){__VA_ARGS__, NULL})

static int teardown(void **state)
{
	(void)state;
	config_free(&c);
	return 0;
}

static void good(const char *option, const char *value)
{
	if (PARSE(option, value) != 0)
		fail_msg("%s %s: %s", option, value, e.text);
}

static void all_bad(const char *option, const char *const *values)
{
	for (; *values; values++) {
		if (PARSE(option, *values) >= 0)
			fail_msg("%s '%s' is accepted", option, *values);
		if (!strstr(e.text, option))
			fail_msg("'%s' does not name %s", e.text, option);
	}
}

#define ALL_BAD(option, ...) all_bad(option, (const char *const[]){__VA_ARGS__, NULL})

static void test_defaults(void **state)
{
	(void)state;
	assert_int_equal(parse((const char *const[]){NULL}), 0);
	assert_true(c.boot && c.console);
	assert_int_equal(c.engine, ENGINE_AUTO);
	assert_int_equal(c.cpus, 1);
	assert_true(c.memory == 1ull << 30);
	assert_int_equal(c.protocol, BOOT_AUTO);
	assert_null(c.kernel);
	assert_null(c.init);
	assert_null(c.append);
	assert_true(c.timeout_ns == 0);
	assert_int_equal(c.status_fd, -1);
	assert_false(c.trace_exits || c.timings || c.verbose || c.help);
}

static void test_files(void **state)
{
	(void)state;
	assert_int_equal(PARSE("-k", "K", "-i", "I", "-a", "quiet x=1"), 0);
	assert_string_equal(c.kernel, "K");
	assert_string_equal(c.init, "I");
	assert_string_equal(c.append, "quiet x=1");
	assert_int_equal(PARSE("--kernel=K", "--initrd=I", "--append=a", "--append", "b"), 0);
	assert_string_equal(c.kernel, "K");
	assert_string_equal(c.init, "I");
	assert_string_equal(c.append, "b");
	good("--append", "");
	ALL_BAD("--kernel", "");
	ALL_BAD("--initrd", "");
}

static void test_protocol(void **state)
{
	(void)state;
	good("--protocol", "auto");
	assert_int_equal(c.protocol, BOOT_AUTO);
	good("--protocol", "linux");
	assert_int_equal(c.protocol, BOOT_LINUX64);
	good("--protocol", "pvh");
	assert_int_equal(c.protocol, BOOT_PVH);
	ALL_BAD("--protocol", "", "PVH", "linux64", "pv", "auto ");
}

/* The rows that it has in common with `mayfly run` are wired to the same values. */
static void test_machine(void **state)
{
	(void)state;
	good("--engine", "kvm");
	assert_int_equal(c.engine, ENGINE_KVM);
	good("--engine", "tcg");
	assert_int_equal(c.engine, ENGINE_TCG);
	good("--cpus", "32");
	assert_int_equal(c.cpus, 32);
	good("-m", "128M");
	assert_true(c.memory == 128ull << 20);
	good("--timeout", "2s");
	assert_true(c.timeout_ns == 2000000000ull);
	ALL_BAD("--engine", "qemu", "");
	ALL_BAD("--cpus", "0", "33", "x");
	ALL_BAD("--memory", "63M", "65G", "100000001");
	ALL_BAD("--timeout", "0", "soon");
	ALL_BAD("--status-fd", "0", "x", "1048575");
	assert_int_equal(PARSE("--trace-exits", "--timings", "-v"), 0);
	assert_true(c.trace_exits && c.timings && c.verbose);
}

/* What only a command has is not there, and said so: nothing is ignored. */
static void test_not_of_run(void **state)
{
	(void)state;
	static const char *const foreign[] = {
		"--share=/x", "--env=A",      "--user=0",	   "--workdir=/", "--rootfs=/",
		"--no-cwd",   "--hostname=h", "--boot-timeout=1s", "--init=x",	  "--console"};
	for (size_t i = 0; i < ARRAY_SIZE(foreign); i++) {
		char name[32];
		snprintf(name, sizeof(name), "%s", foreign[i]);
		name[strcspn(name, "=")] = '\0';
		assert_int_equal(PARSE(foreign[i]), -EINVAL);
		assert_non_null(strstr(e.text, name));
	}
}

static void test_words(void **state)
{
	(void)state;
	assert_int_equal(PARSE("x"), -EINVAL);
	assert_non_null(strstr(e.text, "'x'"));
	assert_non_null(strstr(e.text, "boot takes options only"));
	assert_int_equal(PARSE("--cpus", "2", "vmlinux", "--memory", "64M"), -EINVAL);
	assert_non_null(strstr(e.text, "'vmlinux'"));
	assert_int_equal(PARSE("--", "x"), -EINVAL);
	assert_non_null(strstr(e.text, "'x'"));
	assert_int_equal(PARSE("--"), 0);
	assert_int_equal(PARSE("--append"), -EINVAL);
	assert_int_equal(PARSE("--verbose=yes"), -EINVAL);
}

static void test_help(void **state)
{
	(void)state;
	/* It is shown whatever else is there. */
	assert_int_equal(PARSE("--help", "x"), 0);
	assert_true(c.help);
	assert_int_equal(PARSE("-h"), 0);
	assert_true(c.help);
}

#define T(f) cmocka_unit_test_teardown(f, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_defaults), T(test_files),      T(test_protocol), T(test_machine),
		T(test_words),	  T(test_not_of_run), T(test_help),
	};
	alarm(30);
	return cmocka_run_group_tests_name("config_boot", tests, NULL, NULL);
}
