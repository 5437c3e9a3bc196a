// SPDX-License-Identifier: Apache-2.0
// test_mptable.c - the MP table, found and read as a kernel does, for every number of CPUs
// links: runtime/arch/x86_64/mptable.c runtime/vmm/gmem.c
#include "arch/x86_64/mptable.h"

#include "arch/x86_64/layout.h"
#include "lib/boot_rig.h"

#include <endian.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct gmem m;

static struct {
	unsigned cpus, bsps, buses, ioapics;
	uint32_t pins;	/* bit i: interrupt i arrives at pin i */
	uint32_t lints; /* bit 0: ExtINT at 0, bit 1: NMI at 1 */
	uint8_t ioapic_id;
} seen;

static int setup(void **state)
{
	(void)state;
	memset(&seen, 0, sizeof(seen));
	boot_rig_ram(&m, 64 * MIB);
	memset(gmem_ptr(&m, GPA(0), MIB), 0xee, MIB);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	gmem_clear(&m);
	return 0;
}

static uint8_t sum(const uint8_t *p, size_t len)
{
	uint8_t s = 0;
	while (len-- > 0)
		s = (uint8_t)(s + *p++);
	return s;
}

static uint32_t get(const uint8_t *p, size_t len)
{
	uint32_t v = 0;
	memcpy(&v, p, len);
	return le32toh(v);
}

/* Where Linux looks second, after the first KiB. */
static const uint8_t *find(void)
{
	const uint8_t *p = gmem_ptr(&m, GPA(639 * 1024), 1024);
	for (size_t i = 0; i < 1024; i += 16)
		if (memcmp(p + i, "_MP_", 4) == 0 && p[i + 8] == 1 && sum(p + i, 16) == 0)
			return p + i;
	return NULL;
}

static void route(const uint8_t *p)
{
	assert_int_equal(get(p + 2, 2), 0);
	assert_int_equal(p[4], 0);
	if (p[0] == 3) {
		assert_int_equal(p[1], 0);
		assert_int_equal(p[5], p[7]);
		assert_int_equal(p[6], seen.ioapic_id);
		assert_false(seen.pins & 1u << p[7]);
		seen.pins |= 1u << p[7];
	} else {
		assert_int_equal(p[1], p[7] == 0 ? 3 : 1);
		assert_int_equal(p[6], 0xff);
		seen.lints |= 1u << p[7];
	}
}

/* Returns the length of the entry. */
static size_t entry(const uint8_t *p)
{
	switch (p[0]) {
	case 0:
		assert_int_equal(p[1], seen.cpus);
		assert_int_equal(p[2], 0x14);
		assert_true(p[3] & 1);
		seen.bsps += (p[3] & 2) != 0;
		assert_int_equal((p[3] & 2) != 0, seen.cpus == 0);
		assert_int_equal(get(p + 12, 4) | get(p + 16, 4), 0);
		seen.cpus++;
		return 20;
	case 1:
		assert_int_equal(p[1], 0);
		assert_memory_equal(p + 2, "ISA   ", 6);
		seen.buses++;
		return 8;
	case 2:
		seen.ioapic_id = p[1];
		assert_int_equal(p[2], 0x11);
		assert_int_equal(p[3], 1);
		assert_int_equal(get(p + 4, 4), 0xfec00000);
		seen.ioapics++;
		return 8;
	case 3:
	case 4: route(p); return 8;
	default: fail_msg("entry of type %u", p[0]); return 0;
	}
}

static void check(unsigned cpus)
{
	const uint8_t *fp = find();
	assert_non_null(fp);
	assert_int_equal(fp[9], 4);
	assert_int_equal(get(fp + 11, 4) | fp[15], 0);
	uint32_t at = get(fp + 4, 4);
	assert_int_equal(at, 639 * 1024 + 16);
	const uint8_t *h = gmem_ptr(&m, GPA(at), 44);
	size_t len = get(h + 4, 2);
	assert_memory_equal(h, "PCMP", 4);
	assert_true(at + len <= 640 * 1024);
	assert_int_equal(sum(h, len), 0);
	assert_int_equal(h[6], 4);
	assert_int_equal(get(h + 36, 4), 0xfee00000);
	assert_int_equal(get(h + 28, 4) | get(h + 32, 2) | get(h + 40, 4), 0);
	unsigned n = 0;
	size_t off = 44;
	uint8_t type = 0;
	for (; off < len; n++) {
		/* The specification wants them in the order of their types. */
		assert_true(h[off] >= type);
		type = h[off];
		off += entry(h + off);
	}
	assert_int_equal(off, len);
	assert_int_equal(n, get(h + 34, 2));
	assert_int_equal(seen.cpus, cpus);
	assert_int_equal(seen.bsps, 1);
	assert_int_equal(seen.buses, 1);
	assert_int_equal(seen.ioapics, 1);
	assert_int_equal(seen.ioapic_id, cpus);
	assert_int_equal(seen.pins, 0xffffff);
	assert_int_equal(seen.lints, 3);
	/* Nothing else is written. */
	const uint8_t *all = gmem_ptr(&m, GPA(0), MIB);
	for (size_t a = 0; a < MIB; a++)
		if (a - 639 * 1024 >= 16 + len)
			assert_int_equal(all[a], 0xee);
}

static void test_cpus(void **state)
{
	for (unsigned cpus = 1; cpus <= 32; cpus++) {
		assert_int_equal(mptable_write(&m, cpus, NULL), 0);
		check(cpus);
		teardown(state);
		setup(state);
	}
}

static void test_refused(void **state)
{
	(void)state;
	struct err e;
	struct gmem none = {0};
	assert_int_equal(mptable_write(&m, 0, &e), -EINVAL);
	assert_string_equal(e.text, "a machine has 1 to 32 CPUs, not 0");
	assert_int_equal(mptable_write(&m, 33, &e), -EINVAL);
	assert_string_equal(e.text, "a machine has 1 to 32 CPUs, not 33");
	assert_int_equal(mptable_write(&m, 257, &e), -EINVAL);
	assert_null(find());
	assert_int_equal(mptable_write(&none, 1, &e), -EFAULT);
	assert_string_equal(e.text, "writing the MP table: Bad address");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_cpus, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
	};
	alarm(60);
	return cmocka_run_group_tests_name("mptable", tests, NULL, NULL);
}
