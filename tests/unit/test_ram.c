// SPDX-License-Identifier: Apache-2.0
// test_ram.c - guest memory of every size around the hole, what the guest is told of it, bad sizes
// links: runtime/vmm/ram.c runtime/vmm/gmem.c runtime/arch/x86_64/e820.c
#include "vmm/ram.h"

#include "arch/x86_64/e820.h"
#include "base/checked.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define MIB (1ull << 20)
#define GIB (1ull << 30)
#define HOLE (3 * GIB)
#define ABOVE (4 * GIB)

static struct gmem m;
static struct err e;

/* With what this process has mapped, in pages: [0] reserved, [1] resident. */
static void statm(unsigned long v[2])
{
	FILE *f = fopen("/proc/self/statm", "re");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%lu %lu", &v[0], &v[1]), 2);
	fclose(f);
}

static void check_region(unsigned i, uint64_t gpa, uint64_t size)
{
	const struct gmem_region *r = &m.region[i];
	static const uint64_t mark = 0x123456789abcdef;
	uint64_t v = 0;
	assert_true(r->gpa == gpa && r->size == size);
	assert_true(r->map == r->host && r->map_len == size);
	/* Or KVM could not map huge pages. */
	assert_true((uintptr_t)r->host % (2 * MIB) == gpa % (2 * MIB));
	/* First and last bytes are there, zero, and can be written. */
	assert_int_equal(gmem_read(&m, GPA(gpa), &v, sizeof(v)), 0);
	assert_true(v == 0);
	assert_int_equal(gmem_read(&m, GPA(gpa + size - 8), &v, sizeof(v)), 0);
	assert_true(v == 0);
	assert_int_equal(gmem_write(&m, GPA(gpa + size - 8), &mark, sizeof(mark)), 0);
	/* There is no more behind it. */
	assert_null(gmem_ptr(&m, GPA(gpa + size - 8), 9));
	assert_null(gmem_ptr(&m, GPA(gpa + size), 1));
}

/* The guest is told of all its memory but the EBDA and the ROMs' place, and of nothing else. */
static void check_map(uint64_t size)
{
	struct e820_entry list[E820_MAX];
	uint64_t ram = 0;
	uint64_t last = 0;
	int n = e820_build(&m, list, E820_MAX);
	assert_true(n > 0);
	for (int i = 0; i < n; i++) {
		assert_true(list[i].addr >= last);
		last = list[i].addr + list[i].size;
		if (list[i].type != E820_RAM)
			continue;
		ram += list[i].size;
		assert_true(last <= HOLE || list[i].addr >= ABOVE);
		assert_non_null(gmem_ptr(&m, GPA(list[i].addr), list[i].size));
	}
	assert_true(ram == size - (MIB - 0x9fc00));
}

static void test_sizes(void **state)
{
	(void)state;
	static const struct {
		uint64_t size, high;
	} rows[] = {
		{64 * MIB, 0},		 {128 * MIB, 0},     {GIB, 0},
		{HOLE - MIB, 0},	 {HOLE, 0},	     {HOLE + MIB, MIB},
		{3584 * MIB, 512 * MIB}, {5 * GIB, 2 * GIB}, {64 * GIB, 61 * GIB},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(ram_map(&m, rows[i].size, &e), 0);
		assert_int_equal(m.n, rows[i].high ? 2 : 1);
		check_region(0, 0, rows[i].size - rows[i].high);
		if (rows[i].high)
			check_region(1, ABOVE, rows[i].high);
		assert_null(gmem_ptr(&m, GPA(HOLE), 1));
		assert_null(gmem_ptr(&m, GPA(ABOVE - 1), 1));
		check_map(rows[i].size);
		gmem_clear(&m);
	}
}

/* A machine costs what its guest touches, not what it was given. */
static void test_costs_nothing(void **state)
{
	(void)state;
	unsigned long before[2];
	unsigned long with[2];
	unsigned long after[2];
	statm(before);
	assert_int_equal(ram_map(&m, 64 * GIB, &e), 0);
	ram_advise(&m);
	statm(with);
	assert_true(with[0] - before[0] >= 64 * GIB / 4096);
	assert_true(with[1] - before[1] < MIB / 4096);
	gmem_clear(&m);
	statm(after);
	assert_true(after[0] < before[0] + MIB / 4096);
	assert_int_equal(m.n, 0);
}

/* Nobody else's, and in no core dump. */
static void test_private(void **state)
{
	(void)state;
	char line[512];
	char range[64];
	bool inside = false;
	bool found = false;
	assert_int_equal(ram_map(&m, 64 * MIB, &e), 0);
	ram_advise(&m);
	/* The kernel may merge it with a neighbour that is dumped as little. */
	uintptr_t host = (uintptr_t)m.region[0].host;
	FILE *f = fopen("/proc/self/smaps", "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		uintptr_t from;
		uintptr_t to;
		if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %63s", &from, &to, range) == 3) {
			inside = from <= host && host < to;
			if (inside)
				assert_string_equal(range, "rw-p");
		} else if (inside && strncmp(line, "VmFlags:", 8) == 0) {
			found = true;
			assert_non_null(strstr(line, " dd"));
		}
	}
	fclose(f);
	assert_true(found);
	gmem_clear(&m);
}

static void test_bad_sizes(void **state)
{
	(void)state;
	static const uint64_t sizes[] = {0, 1, 4096, MIB - 4096, MIB + 1, 64 * MIB + 4095, ~0ull};
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		char number[32];
		e.text[0] = '\0';
		assert_int_equal(ram_map(&m, sizes[i], &e), -EINVAL);
		snprintf(number, sizeof(number), "%" PRIu64 " bytes", sizes[i]);
		assert_non_null(strstr(e.text, number));
		assert_int_equal(m.n, 0);
	}
}

/* More than the host has addresses for: what is below the hole is given back. */
static void test_no_room(void **state)
{
	(void)state;
	unsigned long before[2];
	unsigned long after[2];
	statm(before);
	assert_int_equal(ram_map(&m, HOLE + (1ull << 47), &e), -ENOMEM);
	statm(after);
	assert_int_equal(m.n, 0);
	assert_true(after[0] < before[0] + MIB / 4096);
	assert_non_null(strstr(e.text, "134217728 MiB"));
	assert_non_null(strstr(e.text, "--memory"));
	assert_int_equal(ram_map(&m, ~0ull - 4095, NULL), -ENOMEM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),	cmocka_unit_test(test_costs_nothing),
		cmocka_unit_test(test_private), cmocka_unit_test(test_bad_sizes),
		cmocka_unit_test(test_no_room),
	};
	alarm(30);
	return cmocka_run_group_tests_name("ram", tests, NULL, NULL);
}
