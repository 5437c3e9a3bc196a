// SPDX-License-Identifier: Apache-2.0
// test_guest_stats.c - what the guest uses, and that its random numbers are seeded
// links: init/guest_stats.c init/entropy.c
#include "entropy.h"
#include "guest_stats.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void test_meminfo(void **state)
{
	(void)state;
	static const char text[] =
		"MemTotal:         507624 kB\nMemFree:  1 kB\nMemAvailable: 12 kB\n";
	assert_int_equal(guest_stats_meminfo(text, "MemTotal"), 507624ull * 1024);
	assert_int_equal(guest_stats_meminfo(text, "MemAvailable"), 12 * 1024);
	assert_int_equal(guest_stats_meminfo(text, "Mem"), 0);
	assert_int_equal(guest_stats_meminfo("", "MemTotal"), 0);
	assert_int_equal(guest_stats_meminfo("\n", "MemTotal"), 0);
}

static void test_stats(void **state)
{
	(void)state;
	Mayfly__GuestStats m = MAYFLY__GUEST_STATS__INIT;
	guest_stats(&m, -1);
	assert_int_equal(m.memory_total, 0);
	guest_stats_init();
	/* The file is read anew each time. */
	for (int i = 0; i < 2; i++) {
		m.memory_available = 0;
		guest_stats(&m, -1);
		assert_true(m.memory_available > 0);
	}
	assert_true(m.memory_total > m.memory_available && m.memory_available > 0);
	assert_true(m.uptime_ns > 0);
	assert_int_equal(m.changes_used, 0);
}

static void test_seeded(void **state)
{
	(void)state;
	struct err e = {0};
	assert_int_equal(entropy_ready(&e), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_meminfo),
		cmocka_unit_test(test_stats),
		cmocka_unit_test(test_seeded),
	};
	alarm(30);
	return cmocka_run_group_tests_name("guest_stats", tests, NULL, NULL);
}
