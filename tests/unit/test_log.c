// SPDX-License-Identifier: Apache-2.0
// test_log.c - levels, one clean line a message, the limit on what a hostile peer can cause
// links:
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define S 1000000000ull

static int real_stderr = -1;
static int capture = -1;
static char text[65536];

static int setup(void **state)
{
	(void)state;
	unsetenv("MAYFLY_LOG");
	real_stderr = dup(2);
	capture = memfd_create("stderr", MFD_CLOEXEC);
	return real_stderr < 0 || dup2(capture, 2) < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	dup2(real_stderr, 2);
	close(real_stderr);
	close(capture);
	return 0;
}

/* What was written since the last call. */
static const char *written(void)
{
	ssize_t n = pread(capture, text, sizeof(text) - 1, 0);
	text[n > 0 ? n : 0] = '\0';
	if (ftruncate(capture, 0) < 0 || lseek(capture, 0, SEEK_SET) < 0)
		abort();
	return text;
}

static unsigned lines(const char *s)
{
	unsigned n = 0;
	for (; *s; s++)
		n += *s == '\n';
	return n;
}

static void test_levels(void **state)
{
	(void)state;
	log_init("prog", LOG_WARN);
	log_error("e %d", 1);
	log_warn("w");
	log_info("i");
	log_debug("d");
	assert_string_equal(written(), "prog: e 1\nprog: w\n");
	log_init("prog", LOG_DEBUG);
	assert_int_equal(log_get_level(), LOG_DEBUG);
	log_debug("d");
	assert_string_equal(written(), "prog: d\n");
}

static void test_environment(void **state)
{
	(void)state;
	setenv("MAYFLY_LOG", "debug", 1);
	log_init("p", LOG_ERROR);
	assert_int_equal(log_get_level(), LOG_DEBUG);
	setenv("MAYFLY_LOG", "nonsense", 1);
	log_init("p", LOG_ERROR);
	assert_int_equal(log_get_level(), LOG_ERROR);
	unsetenv("MAYFLY_LOG");
}

static void test_names(void **state)
{
	(void)state;
	for (unsigned i = 0; i < LOG_LEVELS; i++)
		assert_int_equal(log_level_from_name(log_level_name((enum log_level)i)), i);
	assert_int_equal(log_level_from_name("loud"), LOG_LEVELS);
	assert_int_equal(log_level_from_name(""), LOG_LEVELS);
	assert_string_equal(log_level_name((enum log_level)99), "?");
}

static void test_control_bytes(void **state)
{
	(void)state;
	log_init("p", LOG_WARN);
	log_warn("a\nb\rc\033[31md\te\x7f%s", "\xc3\xa4");
	assert_string_equal(written(), "p: a?b?c?[31md\te?\xc3\xa4\n");
}

static void test_long_line(void **state)
{
	(void)state;
	static char big[5000];
	memset(big, 'x', sizeof(big) - 1);
	log_init("p", LOG_WARN);
	for (int n = 1000; n < 1040; n++) {
		log_warn("%.*s", n, big);
		const char *s = written();
		assert_true(strlen(s) <= 1024);
		assert_int_equal(lines(s), 1);
		assert_int_equal(s[strlen(s) - 1], '\n');
	}
	log_warn("%s", big);
	assert_int_equal(lines(written()), 1);
}

static void test_keeps_errno(void **state)
{
	(void)state;
	struct log_limit l = {0};
	log_init("p", LOG_WARN);
	close(2);
	errno = ENOTTY;
	log_warn("x");
	assert_int_equal(errno, ENOTTY);
	log_guest(&l, "x");
	assert_int_equal(errno, ENOTTY);
	dup2(capture, 2);
}

static void test_limit(void **state)
{
	(void)state;
	struct log_limit l = {0};
	uint64_t now = 1000 * S;
	for (int i = 0; i < LOG_LIMIT_BURST; i++)
		assert_true(log_limit_ok(&l, now));
	for (int i = 0; i < 100; i++)
		assert_false(log_limit_ok(&l, now + S / 2));
	assert_int_equal(l.dropped, 100);
	/* One a second, however long the quiet before was. */
	assert_true(log_limit_ok(&l, now + S));
	assert_false(log_limit_ok(&l, now + S));
	assert_true(log_limit_ok(&l, now + 3 * S));
	assert_true(log_limit_ok(&l, now + 3 * S));
	assert_false(log_limit_ok(&l, now + 3 * S));
	now += 100000 * S;
	for (int i = 0; i < LOG_LIMIT_BURST; i++)
		assert_true(log_limit_ok(&l, now));
	assert_false(log_limit_ok(&l, now));
	l.dropped = UINT32_MAX;
	assert_false(log_limit_ok(&l, now));
	assert_int_equal(l.dropped, UINT32_MAX);
}

static void test_guest(void **state)
{
	(void)state;
	struct log_limit l = {0};
	log_init("p", LOG_WARN);
	for (int i = 0; i < 1000; i++)
		log_guest(&l, "line %d", i);
	const char *s = written();
	/* The burst, and perhaps one for a second that passed meanwhile. */
	assert_in_range(lines(s), LOG_LIMIT_BURST, LOG_LIMIT_BURST + 3);
	assert_non_null(strstr(s, "p: line 0\n"));
	/* The next one that gets through says how many did not. */
	l = (struct log_limit){.dropped = 42};
	log_guest(&l, "again");
	assert_string_equal(written(), "p: (42 similar lines left out)\np: again\n");
	assert_int_equal(l.dropped, 0);
	/* Below the level nothing is counted. */
	log_init("p", LOG_ERROR);
	log_guest(&l, "quiet");
	assert_string_equal(written(), "");
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_levels),	   T(test_environment), T(test_names), T(test_control_bytes),
		T(test_long_line), T(test_keeps_errno), T(test_limit), T(test_guest),
	};
	alarm(30);
	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
