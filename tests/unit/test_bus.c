// SPDX-License-Identifier: Apache-2.0
// test_bus.c - windows next to each other, accesses of every length around their borders, counts
// links: runtime/engine/bus.c
#include "engine/bus.h"

#include "base/checked.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct bus b;

/* What a device saw last. */
static struct seen {
	unsigned reads, writes;
	uint64_t off;
	unsigned len;
	uint8_t data[8];
	bool zeroed;
} dev[2];

/* Answers each byte with its offset, the second device plus 0x80. */
static void on_read(void *arg, uint64_t off, void *data, unsigned len)
{
	struct seen *s = arg;
	uint8_t *p = data;
	s->reads++;
	s->off = off;
	s->len = len;
	s->zeroed = true;
	for (unsigned i = 0; i < len; i++) {
		s->zeroed = s->zeroed && p[i] == 0;
		p[i] = (uint8_t)(off + i + (s == &dev[1] ? 0x80 : 0));
	}
}

static void on_write(void *arg, uint64_t off, const void *data, unsigned len)
{
	struct seen *s = arg;
	s->writes++;
	s->off = off;
	s->len = len;
	memset(s->data, 0, sizeof(s->data));
	memcpy(s->data, data, len);
}

static struct bus_window window(unsigned i)
{
	return (struct bus_window){
		.name = i ? "second" : "first", .arg = &dev[i], .read = on_read, .write = on_write};
}

static int add(uint64_t base, uint64_t len)
{
	struct bus_window w = window(0);
	return bus_add(&b, base, len, &w);
}

static int setup(void **state)
{
	(void)state;
	memset(&b, 0, sizeof(b));
	memset(dev, 0, sizeof(dev));
	return 0;
}

/* [0x100, 0x110) and [0x110, 0x120), of two devices. */
static int setup_two(void **state)
{
	setup(state);
	struct bus_window one = window(0);
	struct bus_window two = window(1);
	if (bus_add(&b, 0x100, 0x10, &one) < 0)
		return -1;
	return bus_add(&b, 0x110, 0x10, &two);
}

static uint64_t get(uint64_t addr, unsigned len)
{
	/* Bytes behind the access stay as they are. */
	uint8_t buf[9];
	uint64_t v = 0;
	memset(buf, 0x5a, sizeof(buf));
	bus_read(&b, addr, buf, len);
	for (unsigned i = len; i < sizeof(buf); i++)
		assert_int_equal(buf[i], 0x5a);
	memcpy(&v, buf, len);
	return v;
}

static uint64_t ones(unsigned len)
{
	return ~0ull >> (64 - 8 * len);
}

static void test_overlap(void **state)
{
	(void)state;
	static const struct {
		uint64_t base, len;
		int want;
	} rows[] = {
		{0x1000, 0x100, 0},    {0x1000, 0x100, -EEXIST},
		{0x1010, 1, -EEXIST},  {0xfff, 2, -EEXIST},
		{0x10ff, 1, -EEXIST},  {0x10ff, 0x100, -EEXIST},
		{0, 0x10000, -EEXIST}, {0xfff, 1, 0},
		{0x1100, 0x100, 0},    {0xff0, 0x220, -EEXIST},
		{0, ~0ull, -EEXIST},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(add(rows[i].base, rows[i].len), rows[i].want);
	assert_int_equal(b.n, 3);
}

static void test_bad_windows(void **state)
{
	(void)state;
	assert_int_equal(add(5, 0), -EINVAL);
	assert_int_equal(add(~0ull, 1), -EINVAL);
	assert_int_equal(add(1, ~0ull), -EINVAL);
	assert_int_equal(add(1ull << 63, 1ull << 63), -EINVAL);
	assert_int_equal(b.n, 0);
	assert_int_equal(add(~0ull - 1, 1), 0);
}

static void test_full(void **state)
{
	(void)state;
	for (unsigned i = 0; i < BUS_MAX_WINDOWS; i++)
		assert_int_equal(add(i * 2, 1), 0);
	assert_int_equal(add(0x1000, 1), -ENOSPC);
	assert_int_equal(add(0, 1), -EEXIST);
	assert_int_equal(b.n, BUS_MAX_WINDOWS);
	assert_int_equal(get(2 * (BUS_MAX_WINDOWS - 1), 1), 0);
	assert_int_equal(dev[0].reads, 1);
}

/* Two windows side by side: each address reaches its own device, with its own offset. */
static void test_dispatch(void **state)
{
	(void)state;
	static const uint8_t bytes[8] = {1, 2, 3, 4, 5, 6, 7, 8};
	for (unsigned len = 1; len <= 8; len *= 2) {
		for (uint64_t off = 0; off + len <= 0x10; off++) {
			assert_true((get(0x100 + off, len) & 0xff) == off);
			assert_true(dev[0].zeroed && dev[0].off == off && dev[0].len == len);
			assert_true((get(0x110 + off, len) & 0xff) == (off | 0x80));
			assert_true(dev[1].off == off && dev[1].len == len);
			bus_write(&b, 0x110 + off, bytes, len);
			assert_true(dev[1].off == off && dev[1].len == len);
			assert_memory_equal(dev[1].data, bytes, len);
		}
	}
	assert_int_equal(dev[0].writes, 0);
	assert_int_equal(atomic_load(&b.unclaimed), 0);
}

/* No CPU makes such an access; if one did, no device would have to cope with it. */
static void test_odd_lengths(void **state)
{
	(void)state;
	static const unsigned lens[] = {3, 5, 6, 7};
	static const uint8_t zero[8];
	for (unsigned i = 0; i < ARRAY_SIZE(lens); i++) {
		assert_true(get(0x100, lens[i]) == ones(lens[i]));
		bus_write(&b, 0x100, zero, lens[i]);
		assert_int_equal(atomic_load(&b.unclaimed), 2 * (i + 1));
	}
	assert_int_equal(dev[0].reads + dev[0].writes, 0);
	assert_int_equal(atomic_load(&b.window[0].accesses), 0);
}

/* An access is one device's as a whole or nobody's, also where the next window follows at once. */
static void test_crossing(void **state)
{
	(void)state;
	static const uint8_t zero[8];
	unsigned n = 0;
	for (unsigned len = 2; len <= 8; len *= 2) {
		for (uint64_t addr = 0x120 - len + 1; addr < 0x120; addr++) {
			assert_true(get(addr, len) == ones(len));
			assert_true(get(addr - 0x10, len) == ones(len));
			assert_true(get(addr - 0x20, len) == ones(len));
			bus_write(&b, addr, zero, len);
			bus_write(&b, addr - 0x20, zero, len);
			n += 5;
		}
	}
	assert_int_equal(atomic_load(&b.unclaimed), n);
	assert_int_equal(dev[0].reads + dev[0].writes + dev[1].reads + dev[1].writes, 0);
}

static void test_nobody(void **state)
{
	(void)state;
	static const uint64_t addrs[] = {0, 0xff, 0x120, 0x10100, ~0ull, ~0ull - 7, 1ull << 63};
	static const uint8_t zero[8];
	for (unsigned i = 0; i < ARRAY_SIZE(addrs); i++) {
		for (unsigned len = 1; len <= 8; len *= 2) {
			assert_true(get(addrs[i], len) == ones(len));
			bus_write(&b, addrs[i], zero, len);
		}
	}
	assert_int_equal(atomic_load(&b.unclaimed), 8 * ARRAY_SIZE(addrs));
	assert_int_equal(dev[0].reads + dev[0].writes + dev[1].reads + dev[1].writes, 0);
}

/* An access at the top of the address space must not wrap into a window at its bottom. */
static void test_wrap(void **state)
{
	(void)state;
	assert_int_equal(add(0, 0x10), 0);
	assert_int_equal(add(~0ull - 4, 4), 0);
	assert_true(get(~0ull - 3, 8) == ones(8));
	assert_true(get(~0ull - 4, 4) == 0x03020100);
	assert_true(get(~0ull, 1) == 0xff);
	assert_int_equal(dev[0].reads, 1);
}

static void test_counts(void **state)
{
	(void)state;
	static const uint8_t v;
	for (unsigned i = 0; i < 5; i++)
		get(0x100, 4);
	bus_write(&b, 0x10f, &v, 1);
	get(0x11f, 1);
	get(0x11f, 2);
	bus_write(&b, 0x200, &v, 1);
	assert_int_equal(atomic_load(&b.window[0].accesses), 6);
	assert_int_equal(atomic_load(&b.window[1].accesses), 1);
	assert_int_equal(atomic_load(&b.unclaimed), 2);
	assert_string_equal(b.window[1].name, "second");
}

/* A device that answers nothing reads 0: it is there, it has just nothing to say. */
static void test_without_handlers(void **state)
{
	(void)state;
	const struct bus_window w = {.name = "quiet"};
	const uint32_t v = 7;
	assert_int_equal(bus_add(&b, 0x80, 4, &w), 0);
	assert_true(get(0x80, 4) == 0);
	bus_write(&b, 0x80, &v, 4);
	assert_int_equal(atomic_load(&b.window[0].accesses), 2);
}

#define T(f) cmocka_unit_test_setup(f, setup)
#define T2(f) cmocka_unit_test_setup(f, setup_two)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_overlap),      T(test_bad_windows),	T(test_full),	 T2(test_dispatch),
		T2(test_odd_lengths), T2(test_crossing),	T2(test_nobody), T(test_wrap),
		T2(test_counts),      T(test_without_handlers),
	};
	alarm(30);
	return cmocka_run_group_tests_name("bus", tests, NULL, NULL);
}
