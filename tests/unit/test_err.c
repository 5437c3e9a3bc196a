// SPDX-License-Identifier: Apache-2.0
// test_err.c - texts, wrapping, truncation at the end of the room
// links:
#include "base/err.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void test_set(void **state)
{
	(void)state;
	struct err e;
	assert_int_equal(err_set(&e, EINVAL, "bad %s %d", "thing", 7), -EINVAL);
	assert_string_equal(e.text, "bad thing 7");
	assert_int_equal(err_set(NULL, EPERM, "nobody reads this"), -EPERM);
}

static void test_errno(void **state)
{
	(void)state;
	struct err e;
	assert_int_equal(err_errno(&e, ENOENT, "can't open '%s'", "x"), -ENOENT);
	assert_string_equal(e.text, "can't open 'x': No such file or directory");
	assert_int_equal(err_errno(NULL, ENOENT, "x"), -ENOENT);
}

static void test_wrap(void **state)
{
	(void)state;
	struct err e;
	err_set(&e, EINVAL, "inner");
	assert_int_equal(err_wrap(&e, -EINVAL, "option --%s", "cpus"), -EINVAL);
	assert_string_equal(e.text, "option --cpus: inner");
	assert_int_equal(err_wrap(&e, -ENOMEM, "outer"), -ENOMEM);
	assert_string_equal(e.text, "outer: option --cpus: inner");
	assert_int_equal(err_wrap(NULL, -7, "x"), -7);
}

/* Every length around the end of the room: always terminated, never written past. */
static void test_truncation(void **state)
{
	(void)state;
	struct {
		struct err e;
		char canary[16];
	} s;
	char longest[ERR_TEXT_MAX + 32];
	memset(longest, 'x', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	for (size_t n = ERR_TEXT_MAX - 60; n < sizeof(longest) - 1; n++) {
		memset(s.canary, 'c', sizeof(s.canary));
		err_set(&s.e, EINVAL, "%.*s", (int)n, longest);
		assert_true(strlen(s.e.text) < ERR_TEXT_MAX);
		err_errno(&s.e, ENOENT, "%.*s", (int)n, longest);
		assert_true(strlen(s.e.text) < ERR_TEXT_MAX);
		assert_true(strlen(s.e.text) >= (n < ERR_TEXT_MAX ? n : ERR_TEXT_MAX - 1));
		err_set(&s.e, EINVAL, "inner");
		err_wrap(&s.e, -1, "%.*s", (int)n, longest);
		assert_true(strlen(s.e.text) < ERR_TEXT_MAX);
		for (size_t i = 0; i < sizeof(s.canary); i++)
			assert_int_equal(s.canary[i], 'c');
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_errno),
		cmocka_unit_test(test_wrap),
		cmocka_unit_test(test_truncation),
	};
	alarm(30);
	return cmocka_run_group_tests_name("err", tests, NULL, NULL);
}
