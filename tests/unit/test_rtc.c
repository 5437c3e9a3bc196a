// SPDX-License-Identifier: Apache-2.0
// test_rtc.c - the CMOS clock: dates against the C library, one second at a time, hostile writes
// links: runtime/device/rtc.c
#include "device/rtc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static struct rtc r;
static int64_t now;

static int64_t test_clock(void)
{
	return now;
}

static int setup(void **state)
{
	(void)state;
	return rtc_init(&r);
}

static int setup_test_clock(void **state)
{
	int ret = setup(state);
	r.clock = test_clock;
	return ret;
}

static int teardown(void **state)
{
	(void)state;
	rtc_destroy(&r);
	return 0;
}

static void out(uint64_t port, uint8_t v)
{
	rtc_write(&r, port, &v, 1);
}

static uint8_t get(uint8_t index)
{
	uint8_t v = 0xee;
	out(0, index);
	rtc_read(&r, 1, &v, 1);
	return v;
}

static void set(uint8_t index, uint8_t v)
{
	out(0, index);
	out(1, v);
}

static unsigned bcd(uint8_t v)
{
	assert_true((v & 0xf) < 10 && v >> 4 < 10);
	return (v >> 4) * 10u + (v & 0xfu);
}

static void check_date(int64_t t)
{
	struct tm tm;
	time_t tt = t;
	now = t;
	assert_non_null(gmtime_r(&tt, &tm));
	assert_int_equal(bcd(get(0)), tm.tm_sec);
	assert_int_equal(bcd(get(2)), tm.tm_min);
	assert_int_equal(bcd(get(4)), tm.tm_hour);
	assert_int_equal(bcd(get(6)), tm.tm_wday + 1);
	assert_int_equal(bcd(get(7)), tm.tm_mday);
	assert_int_equal(bcd(get(8)), tm.tm_mon + 1);
	assert_int_equal(bcd(get(9)), tm.tm_year % 100);
	assert_int_equal(bcd(get(0x32)), (tm.tm_year + 1900) / 100);
}

static void test_dates(void **state)
{
	(void)state;
	const int64_t special[] = {
		0,	    59,		3600,	     86399,	 86400,	     68169600,
		951782399,  951782400,	951868799,   951868800,	 978307199,  978307200,
		1709164800, 1709251200, 2147483647,  2147483648, 4102444799, 4107542399,
		4107542400, 4107628800, 13574563200, 4294967295, 4294967296, 253402300799,
	};
	for (size_t i = 0; i < sizeof(special) / sizeof(special[0]); i++)
		check_date(special[i]);
	srand(1);
	for (int i = 0; i < 2000; i++)
		check_date(((int64_t)rand() << 8 | rand() % 256) % 253402300800);
	for (int64_t day = 0; day < 366 * 140; day++)
		check_date(day * 86400 + day % 86400);
}

/* A host's clock that is set to nonsense gives some date, not a crash. */
static void test_impossible_dates(void **state)
{
	(void)state;
	now = -1;
	assert_int_equal(bcd(get(0)), 0);
	assert_int_equal(bcd(get(9)), 70);
	now = INT64_MAX;
	assert_int_equal(bcd(get(0)), 59);
	assert_int_equal(bcd(get(9)), 99);
	assert_int_equal(bcd(get(0x32)), 99);
	now = INT64_MIN;
	assert_int_equal(bcd(get(0)), 0);
}

static void test_wall_clock(void **state)
{
	(void)state;
	struct tm tm = {0};
	time_t before = time(NULL);
	tm.tm_sec = (int)bcd(get(0));
	tm.tm_min = (int)bcd(get(2));
	tm.tm_hour = (int)bcd(get(4));
	tm.tm_mday = (int)bcd(get(7));
	tm.tm_mon = (int)bcd(get(8)) - 1;
	tm.tm_year = (int)(bcd(get(9)) + bcd(get(0x32)) * 100) - 1900;
	time_t t = timegm(&tm);
	assert_true(t >= before && t <= time(NULL));
}

/* The clock ticks between any two registers of a reader: it sees one second or the next. */
static void test_consistent(void **state)
{
	(void)state;
	now = 946684799; /* the last second of 1999 */
	assert_int_equal(get(0), 0x59);
	now++;
	assert_int_equal(get(2), 0x59);
	assert_int_equal(get(4), 0x23);
	assert_int_equal(get(7), 0x31);
	assert_int_equal(get(8), 0x12);
	assert_int_equal(get(9), 0x99);
	assert_int_equal(get(0x32), 0x19);
	/* The reader looks at the seconds again, as Linux does, and starts over. */
	assert_int_equal(get(0), 0);
	assert_int_equal(get(9), 0);
	assert_int_equal(get(0x32), 0x20);
	/* One that begins with register A. */
	now += 59;
	assert_int_equal(get(0), 0x59);
	now++;
	assert_int_equal(get(2), 0);
	assert_int_equal(get(0xa), 0x26);
	assert_int_equal(get(2), 1);
	/* One that asks for the minutes only. */
	now += 60;
	assert_int_equal(get(2), 2);
	/* The host's clock was set back. */
	now -= 120;
	assert_int_equal(get(2), 0);
}

static void test_control_registers(void **state)
{
	(void)state;
	assert_int_equal(get(0xa), 0x26);
	assert_int_equal(get(0xb), 0x02);
	assert_int_equal(get(0xc), 0);
	assert_int_equal(get(0xd), 0x80);
	set(0xa, 0xff);
	assert_int_equal(get(0xa), 0x7f);
	for (uint8_t reg = 0xb; reg <= 0xd; reg++)
		set(reg, 0x55);
	assert_int_equal(get(0xb), 0x02);
	assert_int_equal(get(0xc), 0);
	assert_int_equal(get(0xd), 0x80);
}

static void test_clock_cannot_be_set(void **state)
{
	(void)state;
	static const uint8_t regs[] = {0, 2, 4, 6, 7, 8, 9, 0x32};
	now = 951782400;
	for (size_t i = 0; i < sizeof(regs); i++)
		set(regs[i], 0x11);
	check_date(951782400);
}

static void test_memory(void **state)
{
	(void)state;
	for (unsigned i = 0x0e; i < 128; i++)
		set((uint8_t)i, (uint8_t)(i + 1));
	set(1, 0x77);
	for (unsigned i = 0x0e; i < 128; i++)
		if (i != 0x32)
			assert_int_equal(get((uint8_t)i), i + 1);
	assert_int_equal(get(1), 0x77);
	/* Bit 7 is the NMI mask, not an address. */
	assert_int_equal(get(0x80 | 0x0f), 0x10);
	set(0xff, 3);
	assert_int_equal(get(0x7f), 3);
}

static void test_wide_access(void **state)
{
	(void)state;
	uint8_t v[8];
	rtc_write(&r, 0, "\x0f\x0a", 2);
	assert_int_equal(get(0x0f), 0x0a);
	rtc_read(&r, 0, v, 8);
	assert_memory_equal(v, "\xff\x0a\xff\xff\xff\xff\xff\xff", 8);
	rtc_read(&r, 1, v, 4);
	assert_memory_equal(v, "\x0a\xff\xff\xff", 4);
	rtc_write(&r, 1, "\x0b\x0c\x0d\x0e\x0f\x10\x11\x12", 8);
	assert_int_equal(get(0x0f), 0x0b);
}

static void *noise(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;
	for (int i = 0; i < 50000; i++) {
		uint8_t v[4];
		memset(v, rand_r(&seed), sizeof(v));
		rtc_write(&r, seed % 2, v, 1u << seed % 3);
		rtc_read(&r, seed % 2, v, 1u << seed % 3);
	}
	return NULL;
}

static void test_threads(void **state)
{
	(void)state;
	pthread_t t[2];
	for (uintptr_t i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&t[i], NULL, noise, (void *)(i + 1)), 0);
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	assert_int_equal(get(0xb), 0x02);
	assert_int_equal(get(0xa) & 0x80, 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup_test_clock, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_dates),
		T(test_impossible_dates),
		cmocka_unit_test_setup_teardown(test_wall_clock, setup, teardown),
		T(test_consistent),
		T(test_control_registers),
		T(test_clock_cannot_be_set),
		T(test_memory),
		T(test_wide_access),
		cmocka_unit_test_setup_teardown(test_threads, setup, teardown),
	};
	alarm(30);
	return cmocka_run_group_tests_name("rtc", tests, NULL, NULL);
}
