// SPDX-License-Identifier: Apache-2.0
// test_pvh.c - PVH start info: read back byte by byte as a kernel does
// links: runtime/arch/x86_64/pvh.c runtime/arch/x86_64/zeropage.c runtime/arch/x86_64/e820.c
// links: runtime/vmm/gmem.c
#include "arch/x86_64/pvh.h"

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

static struct {
	struct gmem m;
	struct boot_kernel k;
	uint64_t info;
	struct err e;
} t;

static int setup(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	t.k.cmdline_max = 2047;
	boot_rig_ram(&t.m, 5 * GIB);
	/* What was there before must not shine through. */
	memset(gmem_ptr(&t.m, GPA(0), MIB), 0xee, MIB);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	gmem_clear(&t.m);
	return 0;
}

static uint32_t get32(uint64_t at)
{
	uint32_t v = 0;
	assert_int_equal(gmem_read(&t.m, GPA(at), &v, sizeof(v)), 0);
	return v;
}

static uint64_t get64(uint64_t at)
{
	return get32(at) | (uint64_t)get32(at + 4) << 32;
}

static void test_no_initrd(void **state)
{
	(void)state;
	assert_int_equal(pvh_write(&t.m, &t.k, "quiet", NULL, &t.info, &t.e), 0);
	assert_true(t.info >= LAYOUT_IDT && t.info + 56 <= LAYOUT_EBDA);
	assert_int_equal(get32(t.info), 0x336ec578);
	assert_int_equal(get32(t.info + 4), 1);
	assert_int_equal(get32(t.info + 8), 0);
	assert_int_equal(get32(t.info + 12), 0);
	assert_int_equal(get64(t.info + 16), 0);
	assert_string_equal((char *)gmem_ptr(&t.m, GPA(get64(t.info + 24)), 6), "quiet");
	assert_int_equal(get64(t.info + 32), 0);
	assert_int_equal(get32(t.info + 52), 0);
}

static void test_initrd(void **state)
{
	(void)state;
	struct boot_initrd rd = {.gpa = 0x123456789000, .size = 0x1fedcba98};
	assert_int_equal(pvh_write(&t.m, &t.k, "", &rd, &t.info, &t.e), 0);
	assert_int_equal(get32(t.info + 12), 1);
	uint64_t mod = get64(t.info + 16);
	assert_int_equal(get64(mod), rd.gpa);
	assert_int_equal(get64(mod + 8), rd.size);
	assert_int_equal(get64(mod + 16), 0);
	assert_int_equal(get64(mod + 24), 0);
}

static void test_memory_map(void **state)
{
	(void)state;
	struct e820_entry list[E820_MAX];
	assert_int_equal(pvh_write(&t.m, &t.k, "", NULL, &t.info, &t.e), 0);
	uint64_t map = get64(t.info + 40);
	assert_int_equal(get32(t.info + 48), 4);
	assert_int_equal(e820_build(&t.m, list, ARRAY_SIZE(list)), 4);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(get64(map + 24 * i), list[i].addr);
		assert_int_equal(get64(map + 24 * i + 8), list[i].size);
		assert_int_equal(get32(map + 24 * i + 16), list[i].type);
		assert_int_equal(get32(map + 24 * i + 20), 0);
	}
}

/* The structures lie in RAM that is nothing else's, and behind each other. */
static void test_places(void **state)
{
	(void)state;
	struct boot_initrd rd = {.gpa = 0x100000, .size = 1};
	assert_int_equal(pvh_write(&t.m, &t.k, "x", &rd, &t.info, &t.e), 0);
	const struct {
		uint64_t at, len;
	} used[] = {
		{t.info, 56},
		{get64(t.info + 16), 32},
		{get64(t.info + 40), E820_MAX * 24},
		{LAYOUT_CMDLINE, LAYOUT_CMDLINE_MAX},
		{LAYOUT_GDT, 0x20},
		{LAYOUT_IDT, 16},
		{LAYOUT_ZERO_PAGE, 0x1000},
		{0x8000, LAYOUT_STACK - 0x8000},
		{LAYOUT_PML4, 0x1000},
		{LAYOUT_PDPT, 0x1000},
		{LAYOUT_PD, 0x1000},
		{LAYOUT_EBDA, LAYOUT_EBDA_SIZE},
	};
	for (size_t i = 0; i < ARRAY_SIZE(used); i++)
		for (size_t j = 0; j < i; j++)
			assert_true(used[i].at >= used[j].at + used[j].len ||
				    used[j].at >= used[i].at + used[i].len);
	const uint8_t *p = gmem_ptr(&t.m, GPA(0), MIB);
	for (size_t a = 0; a < MIB; a++) {
		bool ours = a - LAYOUT_CMDLINE < 2;
		for (size_t i = 0; i < 3; i++)
			ours |= a - used[i].at < used[i].len;
		if (!ours)
			assert_int_equal(p[a], 0xee);
	}
}

static void test_refused(void **state)
{
	(void)state;
	struct gmem none = {0};
	uint64_t info = 5;
	t.k.cmdline_max = 2;
	assert_int_equal(pvh_write(&t.m, &t.k, "xxx", NULL, &info, &t.e), -E2BIG);
	assert_string_equal(t.e.text, "the kernel's command line has 3 bytes,"
				      " this kernel takes 2 at most");
	assert_int_equal(pvh_write(&none, &t.k, "", NULL, &info, &t.e), -EFAULT);
	t.m.region[0].gpa = LAYOUT_CMDLINE;
	assert_int_equal(pvh_write(&t.m, &t.k, "", NULL, &info, &t.e), -EFAULT);
	assert_string_equal(t.e.text, "writing the kernel's PVH start info: Bad address");
	assert_int_equal(info, 5);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_no_initrd), T(test_initrd),  T(test_memory_map),
		T(test_places),	   T(test_refused),
	};
	alarm(60);
	return cmocka_run_group_tests_name("pvh", tests, NULL, NULL);
}
