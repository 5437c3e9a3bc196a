// SPDX-License-Identifier: Apache-2.0
// test_e820.c - the memory map of machines from 64 MiB to 64 GiB
// links: runtime/arch/x86_64/e820.c runtime/vmm/gmem.c
#include "arch/x86_64/e820.h"

#include "arch/x86_64/layout.h"
#include "base/checked.h"
#include "lib/boot_rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void map_is(uint64_t ram, const struct e820_entry *want, int n)
{
	struct gmem m;
	struct e820_entry list[E820_MAX];
	uint64_t sum = 0;
	boot_rig_ram(&m, ram);
	assert_int_equal(e820_build(&m, list, ARRAY_SIZE(list)), n);
	for (int i = 0; i < n; i++) {
		assert_int_equal(list[i].addr, want[i].addr);
		assert_int_equal(list[i].size, want[i].size);
		assert_int_equal(list[i].type, want[i].type);
		if (list[i].type == E820_RAM)
			sum += list[i].size;
		/* What is called RAM is there. */
		assert_true(list[i].type != E820_RAM ||
			    gmem_ptr(&m, GPA(list[i].addr), list[i].size));
	}
	/* Nothing is lost but the EBDA and what lies between it and 1 MiB. */
	assert_int_equal(sum, ram - (MIB - 0x9fc00));
	gmem_clear(&m);
}

static void test_sizes(void **state)
{
	(void)state;
	struct e820_entry e[4] = {
		{0, 0x9fc00, 1},
		{0x9fc00, 0x60400, 2},
		{0x100000, 0, 1},
		{0x100000000, 0, 1},
	};
	const struct {
		uint64_t ram, low, high;
	} rows[] = {
		{64 * MIB, 63 * MIB, 0},
		{128 * MIB, 127 * MIB, 0},
		{GIB, GIB - MIB, 0},
		{3 * GIB, 3 * GIB - MIB, 0},
		{3 * GIB + 4096, 3 * GIB - MIB, 4096},
		{3 * GIB + 512 * MIB, 3 * GIB - MIB, 512 * MIB},
		{4 * GIB, 3 * GIB - MIB, GIB},
		{5 * GIB, 3 * GIB - MIB, 2 * GIB},
		{64 * GIB, 3 * GIB - MIB, 61 * GIB},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		e[2].size = rows[i].low;
		e[3].size = rows[i].high;
		map_is(rows[i].ram, e, rows[i].high ? 4 : 3);
	}
}

static void test_no_room(void **state)
{
	(void)state;
	struct gmem m;
	struct e820_entry list[4], same[4];
	boot_rig_ram(&m, 5 * GIB);
	for (size_t max = 0; max < 4; max++) {
		memset(list, 0x5a, sizeof(list));
		memset(same, 0x5a, sizeof(same));
		assert_int_equal(e820_build(&m, list, max), -ENOSPC);
		assert_memory_equal(list + max, same + max, (4 - max) * sizeof(list[0]));
	}
	assert_int_equal(e820_build(&m, list, 4), 4);
	gmem_clear(&m);
}

static void test_little(void **state)
{
	(void)state;
	struct gmem m;
	struct e820_entry list[4];
	boot_rig_ram(&m, MIB);
	assert_int_equal(e820_build(&m, list, 4), 2);
	gmem_clear(&m);
	boot_rig_ram(&m, 0x8000);
	assert_int_equal(e820_build(&m, list, 4), 2);
	assert_int_equal(list[0].size, 0x8000);
	assert_int_equal(list[1].type, E820_RESERVED);
	gmem_clear(&m);
	assert_int_equal(e820_build(&m, list, 4), 0);
}

/* As many regions as there can be. */
static void test_most(void **state)
{
	(void)state;
	struct gmem m = {.n = GMEM_MAX_REGIONS};
	struct e820_entry list[E820_MAX];
	for (unsigned i = 0; i < m.n; i++) {
		m.region[i].gpa = i * 4 * MIB;
		m.region[i].size = 2 * MIB;
	}
	assert_int_equal(e820_build(&m, list, ARRAY_SIZE(list)), E820_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_no_room),
		cmocka_unit_test(test_little),
		cmocka_unit_test(test_most),
	};
	alarm(60);
	return cmocka_run_group_tests_name("e820", tests, NULL, NULL);
}
