// SPDX-License-Identifier: Apache-2.0
// test_power.c - what ends the machine from inside
// links: init/power.c
#include "power.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void test_signals(void **state)
{
	(void)state;
	Mayfly__Goodbye__Why why;
	sigset_t set;
	assert_true(power_signal_why(SIGUSR2, &why) && why == MAYFLY__GOODBYE__WHY__POWEROFF);
	assert_true(power_signal_why(SIGUSR1, &why) && why == MAYFLY__GOODBYE__WHY__HALT);
	assert_true(power_signal_why(SIGTERM, &why) && why == MAYFLY__GOODBYE__WHY__REBOOT);
	assert_true(power_signal_why(SIGRTMIN + 3, &why) && why == MAYFLY__GOODBYE__WHY__HALT);
	assert_true(power_signal_why(SIGRTMIN + 4, &why) && why == MAYFLY__GOODBYE__WHY__POWEROFF);
	assert_true(power_signal_why(SIGRTMIN + 5, &why) && why == MAYFLY__GOODBYE__WHY__REBOOT);
	assert_false(power_signal_why(SIGCHLD, &why));
	assert_false(power_signal_why(SIGHUP, &why));
	sigemptyset(&set);
	power_signals(&set);
	for (int n = 1; n <= SIGRTMAX; n++)
		assert_int_equal(sigismember(&set, n) == 1, power_signal_why(n, &why));
}

static void test_initctl(void **state)
{
	(void)state;
	Mayfly__Goodbye__Why why;
	int32_t request[POWER_REQUEST_SIZE / 4] = {0x03091969, 1, '0', 0};
	assert_true(power_request_why(request, sizeof(request), &why));
	assert_int_equal(why, MAYFLY__GOODBYE__WHY__POWEROFF);
	request[2] = '6';
	assert_true(power_request_why(request, sizeof(request), &why));
	assert_int_equal(why, MAYFLY__GOODBYE__WHY__REBOOT);
	request[2] = '3';
	assert_false(power_request_why(request, sizeof(request), &why));
	request[2] = '0';
	assert_false(power_request_why(request, sizeof(request) - 1, &why));
	assert_false(power_request_why(request, 0, &why));
	request[1] = 2;
	assert_false(power_request_why(request, sizeof(request), &why));
	request[1] = 1;
	request[0]++;
	assert_false(power_request_why(request, sizeof(request), &why));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_signals),
		cmocka_unit_test(test_initctl),
	};
	alarm(30);
	return cmocka_run_group_tests_name("power", tests, NULL, NULL);
}
