// SPDX-License-Identifier: Apache-2.0
// test_ratelimit.c - token bucket: burst, refill, debt, waiting times, values at the edges
// links: runtime/base/ratelimit.c
#include "base/ratelimit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define S 1000000000ull

static struct ratelimit r;

static void test_full_at_start(void **state)
{
	(void)state;
	ratelimit_init(&r, 100, 0, 10, 5 * S);
	assert_true(ratelimit_take(&r, 60, 5 * S));
	assert_true(ratelimit_take(&r, 40, 5 * S));
	assert_false(ratelimit_take(&r, 1, 5 * S));
	assert_true(ratelimit_take(&r, 0, 5 * S));
}

static void test_refill(void **state)
{
	(void)state;
	ratelimit_init(&r, 100, 0, 10, 0);
	assert_true(ratelimit_take(&r, 100, 0));
	assert_false(ratelimit_take(&r, 1, S / 10 - 1));
	assert_true(ratelimit_take(&r, 1, S / 10));
	assert_false(ratelimit_take(&r, 1, S / 10));
	/* A refused operation takes nothing. */
	assert_false(ratelimit_take(&r, 20, 2 * S));
	assert_true(ratelimit_take(&r, 19, 2 * S));
	assert_false(ratelimit_take(&r, 1, 2 * S));
	/* Never more than the bucket holds. */
	assert_true(ratelimit_take(&r, 100, 1000 * S));
	assert_false(ratelimit_take(&r, 1, 1000 * S));
}

static void test_burst_once(void **state)
{
	(void)state;
	ratelimit_init(&r, 100, 50, 10, 0);
	/* 30 of the burst, then its last 20 and 60 of the bucket. */
	assert_true(ratelimit_take(&r, 30, 0));
	assert_true(ratelimit_take(&r, 80, 0));
	assert_true(ratelimit_take(&r, 40, 0));
	assert_false(ratelimit_take(&r, 1, 0));
	/* It is not refilled. */
	assert_true(ratelimit_take(&r, 100, 100 * S));
	assert_false(ratelimit_take(&r, 1, 100 * S));
}

static void test_refused_keeps_burst(void **state)
{
	(void)state;
	ratelimit_init(&r, 100, 0, 10, 0);
	assert_true(ratelimit_take(&r, 100, 0));
	r.burst = 5;
	assert_false(ratelimit_take(&r, 6, 0));
	assert_true(ratelimit_take(&r, 5, 0));
}

static void test_larger_than_bucket(void **state)
{
	(void)state;
	ratelimit_init(&r, 100, 0, 10, 0);
	assert_true(ratelimit_take(&r, 350, 0));
	/* 250 of debt are 25 s; the token after that is 0.1 s more. */
	assert_int_equal(ratelimit_wait_ns(&r, 1, 0), 25 * S + S / 10);
	assert_false(ratelimit_take(&r, 1, 25 * S));
	assert_false(ratelimit_take(&r, 1000, 25 * S));
	assert_true(ratelimit_take(&r, 1, 25 * S + S / 10));
	/* Not only from a full bucket: one token is enough. */
	assert_true(ratelimit_take(&r, 1000, 25 * S + S / 5));
	assert_false(ratelimit_take(&r, 1000, 26 * S));
}

static void test_wait_is_exact(void **state)
{
	(void)state;
	uint64_t now = 0;
	ratelimit_init(&r, 64, 0, 7, now);
	assert_true(ratelimit_take(&r, 64, now));
	srand(1);
	for (int i = 0; i < 10000; i++) {
		uint64_t amount = 1 + (uint64_t)rand() % 80;
		uint64_t wait = ratelimit_wait_ns(&r, amount, now);
		if (wait > 0) {
			assert_false(ratelimit_take(&r, amount, now));
			assert_false(ratelimit_take(&r, amount, now + wait - 1));
		}
		now += wait;
		assert_true(ratelimit_take(&r, amount, now));
		now += (uint64_t)rand() % 1000;
	}
}

/* However often it is asked, no time is lost or won: the frac of a token is kept. */
static void test_no_drift(void **state)
{
	(void)state;
	const uint64_t rates[] = {1, 3, 999, 1000003, 3 * S + 1};
	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		uint64_t taken = 0;
		uint64_t now = 0;
		ratelimit_init(&r, 1000, 0, rates[i], 0);
		r.used = 1000;
		for (int k = 0; k < 100000; k++) {
			now += 333;
			while (ratelimit_take(&r, 1, now))
				taken++;
		}
		assert_int_equal(taken, (unsigned __int128)now * rates[i] / S);
	}
}

static void test_give(void **state)
{
	(void)state;
	ratelimit_init(&r, 100, 0, 10, 0);
	assert_true(ratelimit_take(&r, 100, 0));
	ratelimit_give(&r, 30);
	assert_false(ratelimit_take(&r, 31, 0));
	assert_true(ratelimit_take(&r, 30, 0));
	ratelimit_give(&r, UINT64_MAX);
	assert_true(ratelimit_take(&r, 100, 0));
	assert_false(ratelimit_take(&r, 1, 0));
}

static void test_no_limit(void **state)
{
	(void)state;
	ratelimit_init(&r, 0, 0, 0, 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(ratelimit_wait_ns(&r, UINT64_MAX, 0), 0);
		assert_true(ratelimit_take(&r, UINT64_MAX, 0));
	}
}

static void test_no_refill(void **state)
{
	(void)state;
	ratelimit_init(&r, 10, 0, 0, 0);
	assert_true(ratelimit_take(&r, 10, 0));
	assert_false(ratelimit_take(&r, 1, UINT64_MAX));
	assert_true(ratelimit_wait_ns(&r, 1, UINT64_MAX) == UINT64_MAX);
}

static void test_clock_goes_back(void **state)
{
	(void)state;
	ratelimit_init(&r, 10, 0, 10, 10 * S);
	assert_true(ratelimit_take(&r, 10, 10 * S));
	assert_false(ratelimit_take(&r, 1, 0));
	assert_false(ratelimit_take(&r, 1, 10 * S));
	assert_true(ratelimit_take(&r, 1, 10 * S + S / 10));
}

static void test_huge_values(void **state)
{
	(void)state;
	ratelimit_init(&r, UINT64_MAX, UINT64_MAX, UINT64_MAX, 0);
	assert_true(ratelimit_take(&r, UINT64_MAX, 0));
	assert_true(ratelimit_take(&r, UINT64_MAX, 0));
	assert_false(ratelimit_take(&r, 1, 0));
	assert_true(ratelimit_take(&r, UINT64_MAX, UINT64_MAX));
	/* The largest debt there is: longer than a clock can say. */
	ratelimit_init(&r, 1, 0, 1, 0);
	assert_true(ratelimit_take(&r, UINT64_MAX, 0));
	assert_true(ratelimit_wait_ns(&r, 1, 0) == UINT64_MAX);
	assert_false(ratelimit_take(&r, UINT64_MAX, S));
	/* A debt on top of one can't wrap into credit. */
	ratelimit_init(&r, UINT64_MAX - 1, 0, 0, 0);
	assert_true(ratelimit_take(&r, UINT64_MAX - 2, 0));
	assert_true(ratelimit_take(&r, UINT64_MAX, 0));
	assert_false(ratelimit_take(&r, 1, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full_at_start),
		cmocka_unit_test(test_refill),
		cmocka_unit_test(test_burst_once),
		cmocka_unit_test(test_refused_keeps_burst),
		cmocka_unit_test(test_larger_than_bucket),
		cmocka_unit_test(test_wait_is_exact),
		cmocka_unit_test(test_no_drift),
		cmocka_unit_test(test_give),
		cmocka_unit_test(test_no_limit),
		cmocka_unit_test(test_no_refill),
		cmocka_unit_test(test_clock_goes_back),
		cmocka_unit_test(test_huge_values),
	};
	alarm(30);
	return cmocka_run_group_tests_name("ratelimit", tests, NULL, NULL);
}
