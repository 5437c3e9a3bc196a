// SPDX-License-Identifier: Apache-2.0
// test_opt.c - option rows: every spelling, every mistake, and the numbers that users type
// links: runtime/base/opt.c
#include "base/opt.h"

#include "base/checked.h"
#include "base/cleanup.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct result {
	const char *name;
	char size[32];
	unsigned quiet, verbose, may;
};

static int set_name(void *ctx, const char *v, struct err *e)
{
	if (strcmp(v, "bad") == 0)
		return err_set(e, EINVAL, "'bad' is not a name");
	((struct result *)ctx)->name = v;
	return 0;
}

static int set_size(void *ctx, const char *v, struct err *e)
{
	(void)e;
	snprintf(((struct result *)ctx)->size, 32, "%s", v);
	return 0;
}

static int set_quiet(void *ctx, const char *v, struct err *e)
{
	(void)e;
	assert_null(v);
	((struct result *)ctx)->quiet++;
	return 0;
}

static int set_verbose(void *ctx, const char *v, struct err *e)
{
	(void)e;
	assert_null(v);
	((struct result *)ctx)->verbose++;
	return 0;
}

static int set_may(void *ctx, const char *v, struct err *e)
{
	struct result *got = ctx;
	(void)e;
	got->may++;
	snprintf(got->size, 32, "%s", v ? v : "none");
	return 0;
}

static const struct opt rows[] = {
	{"may", 'm', "=X[:Y]", "with or without", set_may},
	{"name", 'n', "NAME", "a name", set_name},
	{"size", 's', "SIZE", "a size\nover two lines", set_size},
	{"quiet", 'q', NULL, "say nothing", set_quiet},
	{"verbose", 0, NULL, "say more", set_verbose},
	{"a-rather-long-option-name", 0, "WITH-A-LONG-ARGUMENT", "goes to the next line", set_name},
};

static struct result r;
static struct err e;
static int rest;

#define PARSE(...) parse((const char *[]){"prog", __VA_ARGS__, NULL})

typedef int parse_fn(const struct opt *rows, size_t n, void *ctx, int argc, char **argv, int *rest,
		     struct err *e);

static int parse_by(parse_fn *by, const char **argv)
{
	int argc = 0;
	memset(&r, 0, sizeof(r));
	e.text[0] = '\0';
	rest = -1;
	while (argv[argc])
		argc++;
	return by(rows, ARRAY_SIZE(rows), &r, argc, (char **)(uintptr_t)argv, &rest, &e);
}

static int parse(const char **argv)
{
	return parse_by(opt_parse, argv);
}

static void test_spellings(void **state)
{
	(void)state;
	assert_int_equal(PARSE("--name", "x", "--size=5", "-q", "word", "--name", "y"), 0);
	assert_string_equal(r.name, "x");
	assert_string_equal(r.size, "5");
	assert_int_equal(r.quiet, 1);
	assert_int_equal(rest, 5);
	assert_int_equal(PARSE("-nx", "-s", "7", "-qq", "-qnz"), 0);
	assert_string_equal(r.name, "z");
	assert_string_equal(r.size, "7");
	assert_int_equal(r.quiet, 3);
	assert_int_equal(rest, 6);
	/* A value may be empty, look like an option, or hold '='. */
	assert_int_equal(PARSE("--name=", "--size", "--", "--verbose"), 0);
	assert_string_equal(r.name, "");
	assert_string_equal(r.size, "--");
	assert_int_equal(PARSE("--name=a=b"), 0);
	assert_string_equal(r.name, "a=b");
}

static void test_where_it_ends(void **state)
{
	(void)state;
	assert_int_equal(PARSE("-q", "--", "-q"), 0);
	assert_int_equal(rest, 3);
	assert_int_equal(r.quiet, 1);
	assert_int_equal(PARSE("-"), 0);
	assert_int_equal(rest, 1);
	assert_int_equal(PARSE("ls", "-q"), 0);
	assert_int_equal(rest, 1);
	assert_int_equal(r.quiet, 0);
	const char *none[] = {"prog", NULL};
	assert_int_equal(parse(none), 0);
	assert_int_equal(rest, 1);
}

static void test_mixed(void **state)
{
	(void)state;
	const char *between[] = {"prog", "one", "-q", "two", "--name", "x", "three", "-s7", NULL};
	assert_int_equal(parse_by(opt_parse_mixed, between), 0);
	assert_int_equal(rest, 5);
	assert_string_equal(between[5], "one");
	assert_string_equal(between[6], "two");
	assert_string_equal(between[7], "three");
	assert_string_equal(r.name, "x");
	assert_string_equal(r.size, "7");
	assert_int_equal(r.quiet, 1);
	/* What is behind "--" is a word whatever it looks like, a second "--" too. */
	const char *ended[] = {"prog", "one", "-q", "--", "-q", "--", "-", NULL};
	assert_int_equal(parse_by(opt_parse_mixed, ended), 0);
	assert_int_equal(rest, 3);
	assert_string_equal(ended[3], "one");
	assert_string_equal(ended[4], "-q");
	assert_string_equal(ended[5], "--");
	assert_string_equal(ended[6], "-");
	assert_int_equal(r.quiet, 1);
	const char *none[] = {"prog", NULL};
	assert_int_equal(parse_by(opt_parse_mixed, none), 0);
	assert_int_equal(rest, 1);
	const char *all[] = {"prog", "a", "-", "b", NULL};
	assert_int_equal(parse_by(opt_parse_mixed, all), 0);
	assert_int_equal(rest, 1);
	assert_string_equal(all[2], "-");
	const char *wrong[] = {"prog", "a", "--nome", NULL};
	assert_int_equal(parse_by(opt_parse_mixed, wrong), -EINVAL);
	const char *short_of[] = {"prog", "a", "--name", NULL};
	assert_int_equal(parse_by(opt_parse_mixed, short_of), -EINVAL);
}

/* Never takes the next word. */
static void test_value_that_may_be(void **state)
{
	(void)state;
	assert_int_equal(PARSE("--may", "word"), 0);
	assert_int_equal(rest, 2);
	assert_string_equal(r.size, "none");
	assert_int_equal(PARSE("--may=a=b", "--may"), 0);
	assert_int_equal(r.may, 2);
	assert_int_equal(PARSE("--may=a=b"), 0);
	assert_string_equal(r.size, "a=b");
	assert_int_equal(PARSE("--may="), 0);
	assert_string_equal(r.size, "");
	assert_int_equal(PARSE("-qmq", "word"), 0);
	assert_string_equal(r.size, "none");
	assert_int_equal(r.quiet, 2);
}

static void must_fail(int ret, const char *text)
{
	assert_int_equal(ret, -EINVAL);
	if (!strstr(e.text, text))
		fail_msg("'%s' does not hold '%s'", e.text, text);
}

static void test_mistakes(void **state)
{
	(void)state;
	must_fail(PARSE("--nam", "x"), "'--nam'");
	must_fail(PARSE("--names", "x"), "'--names'");
	must_fail(PARSE("--nam=x"), "'--nam'");
	must_fail(PARSE("-x"), "'-x'");
	must_fail(PARSE("-qx"), "'-x'");
	must_fail(PARSE("--name"), "--name needs a value: NAME");
	must_fail(PARSE("-n"), "-n needs a value: NAME");
	must_fail(PARSE("--quiet=1"), "--quiet takes no value");
	must_fail(PARSE("--name", "bad"), "option --name: 'bad' is not a name");
	must_fail(PARSE("-nbad"), "option --name: 'bad'");
	must_fail(PARSE("--=x"), "'--'");
	must_fail(PARSE("---"), "'---'");
}

static void test_help(void **state)
{
	(void)state;
	AUTO_FREE char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	opt_help(f, rows, ARRAY_SIZE(rows));
	fclose(f);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char name[64];
		snprintf(name, sizeof(name), "--%s", rows[i].name);
		assert_non_null(strstr(text, name));
	}
	assert_non_null(strstr(text, "  -n, --name NAME           a name\n"));
	assert_non_null(strstr(text, "  -m, --may[=X[:Y]]         with or without\n"));
	assert_non_null(strstr(text, "a size\n                            over two lines\n"));
	assert_non_null(strstr(text, "ARGUMENT\n                            goes"));
}

static void test_u64(void **state)
{
	(void)state;
	uint64_t v = 99;
	static const char *const bad[] = {"",	"x",   "1x", " 1",   "-1",  "+1",
					  "1 ", "0x5", "0",  "1025", "1.5", "18446744073709551616"};
	assert_int_equal(opt_u64("1", 1, 1024, &v, &e), 0);
	assert_int_equal(v, 1);
	assert_int_equal(opt_u64("1024", 1, 1024, &v, &e), 0);
	assert_int_equal(v, 1024);
	assert_int_equal(opt_u64("18446744073709551615", 0, UINT64_MAX, &v, &e), 0);
	assert_true(v == UINT64_MAX);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		v = 99;
		assert_int_equal(opt_u64(bad[i], 1, 1024, &v, &e), -EINVAL);
		assert_non_null(strstr(e.text, bad[i]));
		assert_int_equal(v, 99);
	}
}

static void test_bytes(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		uint64_t want;
	} good[] = {
		{"0", 0},
		{"1", 1},
		{"1K", 1024},
		{"3k", 3072},
		{"512M", 512ull << 20},
		{"512m", 512ull << 20},
		{"2G", 2ull << 30},
		{"2GiB", 2ull << 30},
		{"64MB", 64ull << 20},
		{"17179869183G", 17179869183ull << 30},
	};
	static const char *const bad[] = {"",
					  "M",
					  "-1M",
					  "1T",
					  "1MM",
					  "1Mi",
					  "1 M",
					  "0x10M",
					  "1.5G",
					  "17179869184G",
					  "99999999999999999999",
					  "1B",
					  "1Kx"};
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		uint64_t v = 7;
		assert_int_equal(opt_bytes(good[i].text, &v, &e), 0);
		assert_true(v == good[i].want);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		uint64_t v = 7;
		assert_int_equal(opt_bytes(bad[i], &v, &e), -EINVAL);
		assert_true(v == 7);
	}
}

static void test_duration(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		uint64_t want;
	} good[] = {
		{"10", 10000000000ull},	   {"10s", 10000000000ull}, {"1.5s", 1500000000ull},
		{"200ms", 200000000ull},   {"5m", 300000000000ull}, {"2h", 7200000000000ull},
		{"1d", 86400000000000ull}, {"0.001", 1000000ull},
	};
	static const char *const bad[] = {"",	  "0",	 "0s",	   "-1s",   "+1s",  "s",
					  "1 s",  "1x",	 "inf",	   "nan",   "1S",   ".5s",
					  "1e30", "1sm", "1.2.3s", "0x10s", "1e3s", "0.0000000001"};
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		uint64_t v = 7;
		assert_int_equal(opt_duration(good[i].text, &v, &e), 0);
		assert_true(v == good[i].want);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		uint64_t v = 7;
		if (opt_duration(bad[i], &v, &e) != -EINVAL)
			fail_msg("'%s' is taken as %llu ns", bad[i], (unsigned long long)v);
		assert_true(v == 7);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_spellings), cmocka_unit_test(test_where_it_ends),
		cmocka_unit_test(test_mixed),	  cmocka_unit_test(test_value_that_may_be),
		cmocka_unit_test(test_mistakes),  cmocka_unit_test(test_help),
		cmocka_unit_test(test_u64),	  cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_duration),
	};
	alarm(30);
	return cmocka_run_group_tests_name("opt", tests, NULL, NULL);
}
