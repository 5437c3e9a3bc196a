// SPDX-License-Identifier: Apache-2.0
// test_exec_signal.c - names of signals as people type them
#include "cli/exec_signal.h"

#include "base/checked.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_names(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		int number;
	} good[] = {
		{"TERM", SIGTERM},  {"term", SIGTERM}, {"SIGTERM", SIGTERM},
		{"sigHup", SIGHUP}, {"KILL", SIGKILL}, {"USR1", SIGUSR1},
		{"1", 1},	    {"64", 64},
	};
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct err e = {0};
		int number = 0;
		assert_int_equal(exec_signal_number(good[i].name, &number, &e), 0);
		assert_int_equal(number, good[i].number);
	}
}

static void test_no_names(void **state)
{
	(void)state;
	static const char *const bad[] = {"",	 "SIG", "0",  "65",    "-1",	     "1x",
					  "TER", "+1",	" 1", "TERM ", "SIGSIGTERM", "SIG15"};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct err e = {0};
		int number = 0;
		assert_int_equal(exec_signal_number(bad[i], &number, &e), -EINVAL);
		assert_non_null(strstr(e.text, bad[i]));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_no_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
