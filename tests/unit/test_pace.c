// SPDX-License-Identifier: Apache-2.0
// test_pace.c - a peer that drips, one that is slow, and a host that was stopped meanwhile
// links: runtime/copy/pace.c
#include "copy/pace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define S 1000000000ull

/* Looks every gap_s seconds, with so much more each time; returns after how many seconds it is. */
static uint64_t slow_after(uint64_t gap_s, uint64_t entries, uint64_t bytes, uint64_t limit_s)
{
	struct pace p = {0};
	uint64_t n = 0;
	for (uint64_t at = 0; at <= limit_s; at += gap_s, n++)
		if (pace_too_slow(&p, (1000 + at) * S, n * entries, n * bytes))
			return at;
	return UINT64_MAX;
}

static void test_drip(void **state)
{
	(void)state;
	assert_int_equal(slow_after(1, 0, 0, 1000), 61);
	assert_int_equal(slow_after(9, 0, 1, 1000), 63);
	assert_in_range(slow_after(9, 1, 0, 1000), 61, 100);
	/* Half of the rate buys as much time again. */
	assert_in_range(slow_after(1, 0, PACE_BYTES_PER_S / 2, 1000), 100, 125);
}

static void test_honest(void **state)
{
	(void)state;
	assert_int_equal(slow_after(1, 0, 20000, 100000), UINT64_MAX);
	assert_int_equal(slow_after(1, 11, 0, 100000), UINT64_MAX);
	assert_int_equal(slow_after(5, 30, 5 * 8192, 100000), UINT64_MAX);
}

/* Ctrl-Z for a day is not the peer's. */
static void test_stopped(void **state)
{
	struct pace p = {0};
	(void)state;
	assert_false(pace_too_slow(&p, S, 0, 0));
	assert_false(pace_too_slow(&p, 86400 * S, 0, 0));
	assert_int_equal(p.busy_ns, PACE_GAP_NS);
	/* Time that runs backwards, and counts at the edge. */
	assert_false(pace_too_slow(&p, 5, 0, 0));
	p.busy_ns = UINT64_MAX / 2;
	assert_false(pace_too_slow(&p, 6, UINT64_MAX, UINT64_MAX));
	assert_true(pace_too_slow(&p, 6, 1000, 1000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_drip),
		cmocka_unit_test(test_honest),
		cmocka_unit_test(test_stopped),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
