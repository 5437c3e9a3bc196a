// SPDX-License-Identifier: Apache-2.0
// test_gmem.c - guest memory regions: overlap, wrap, bounds of every accessor
// links: runtime/vmm/gmem.c
#include "vmm/gmem.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

static uint8_t low[4096];
static uint8_t high[8192];

static void two_regions(struct gmem *m)
{
	struct gmem_region a = {.gpa = 0x1000, .size = sizeof(low), .uaddr = 0x7000, .host = low};
	struct gmem_region b = {
		.gpa = 0x100000, .size = sizeof(high), .uaddr = 0x90000, .host = high};
	m->n = 0;
	assert_int_equal(gmem_add(m, &a), 0);
	assert_int_equal(gmem_add(m, &b), 0);
}

static void test_bad_regions(void **state)
{
	(void)state;
	struct gmem m = {0};
	struct gmem_region r = {.gpa = 0, .size = 0, .host = low};
	assert_int_equal(gmem_add(&m, &r), -EINVAL);
	r = (struct gmem_region){.gpa = 0, .size = 16, .host = NULL};
	assert_int_equal(gmem_add(&m, &r), -EINVAL);
	r = (struct gmem_region){.gpa = UINT64_MAX - 7, .size = 16, .host = low};
	assert_int_equal(gmem_add(&m, &r), -EINVAL);
	r = (struct gmem_region){.gpa = 0, .size = 16, .uaddr = UINT64_MAX - 7, .host = low};
	assert_int_equal(gmem_add(&m, &r), -EINVAL);
	assert_int_equal(m.n, 0);
}

static void test_overlap(void **state)
{
	(void)state;
	struct gmem m;
	two_regions(&m);
	const struct {
		uint64_t gpa, size;
		int want;
	} rows[] = {
		{0x1000, 4096, -EINVAL}, {0x0, 0x1001, -EINVAL},   {0x1fff, 1, -EINVAL},
		{0x1800, 16, -EINVAL},	 {0x0, 0x200000, -EINVAL}, {0xff000, 0x1001, -EINVAL},
		{0x0, 0x1000, 0},	 {0x2000, 0x1000, 0},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct gmem_region r = {.gpa = rows[i].gpa, .size = rows[i].size, .host = low};
		assert_int_equal(gmem_add(&m, &r), rows[i].want);
	}
	assert_int_equal(m.n, 4);
}

static void test_too_many(void **state)
{
	(void)state;
	struct gmem m = {0};
	for (unsigned i = 0; i <= GMEM_MAX_REGIONS; i++) {
		struct gmem_region r = {.gpa = i * 0x1000ull, .size = 0x1000, .host = low};
		assert_int_equal(gmem_add(&m, &r), i < GMEM_MAX_REGIONS ? 0 : -ENOSPC);
	}
}

static void test_ptr_bounds(void **state)
{
	(void)state;
	struct gmem m;
	two_regions(&m);
	assert_ptr_equal(gmem_ptr(&m, GPA(0x1000), 1), low);
	assert_ptr_equal(gmem_ptr(&m, GPA(0x1000), 4096), low);
	assert_ptr_equal(gmem_ptr(&m, GPA(0x1fff), 1), low + 4095);
	assert_ptr_equal(gmem_ptr(&m, GPA(0x100010), 16), high + 16);
	assert_null(gmem_ptr(&m, GPA(0xfff), 1));
	assert_null(gmem_ptr(&m, GPA(0x2000), 1));
	assert_null(gmem_ptr(&m, GPA(0x1000), 4097));
	assert_null(gmem_ptr(&m, GPA(0x1fff), 2));
	assert_null(gmem_ptr(&m, GPA(0x1008), UINT64_MAX));
	assert_null(gmem_ptr(&m, GPA(0x1008), UINT64_MAX - 7));
	assert_null(gmem_ptr(&m, GPA(UINT64_MAX), 1));
	assert_null(gmem_ptr(&m, GPA(UINT64_MAX), UINT64_MAX));
}

/* Two regions that touch in guest addresses need not touch in ours. */
static void test_no_span(void **state)
{
	(void)state;
	struct gmem m = {0};
	struct gmem_region a = {.gpa = 0, .size = 4096, .host = high};
	struct gmem_region b = {.gpa = 4096, .size = 4096, .host = low};
	assert_int_equal(gmem_add(&m, &a), 0);
	assert_int_equal(gmem_add(&m, &b), 0);
	assert_null(gmem_ptr(&m, GPA(4095), 2));
	assert_ptr_equal(gmem_ptr(&m, GPA(4096), 1), low);
}

static void test_read_write(void **state)
{
	(void)state;
	struct gmem m;
	char back[8] = "";
	two_regions(&m);
	assert_int_equal(gmem_write(&m, GPA(0x1ff8), "sevenby", 8), 0);
	assert_int_equal(gmem_read(&m, GPA(0x1ff8), back, 8), 0);
	assert_string_equal(back, "sevenby");
	/* Never in part. */
	memset(low, 'x', sizeof(low));
	assert_int_equal(gmem_write(&m, GPA(0x1ff9), "sevenby", 8), -EFAULT);
	for (size_t i = 0; i < sizeof(low); i++)
		assert_int_equal(low[i], 'x');
	assert_int_equal(gmem_read(&m, GPA(0x1ff9), back, 8), -EFAULT);
	assert_string_equal(back, "sevenby");
}

static void test_from_uaddr(void **state)
{
	(void)state;
	struct gmem m;
	struct gpa g = GPA(1);
	two_regions(&m);
	assert_int_equal(gmem_from_uaddr(&m, 0x7010, 16, &g), 0);
	assert_int_equal(g.v, 0x1010);
	assert_int_equal(gmem_from_uaddr(&m, 0x91fff, 1, &g), 0);
	assert_int_equal(g.v, 0x101fff);
	assert_int_equal(gmem_from_uaddr(&m, 0x91fff, 2, &g), -EFAULT);
	assert_int_equal(gmem_from_uaddr(&m, 0x6fff, 1, &g), -EFAULT);
	assert_int_equal(gmem_from_uaddr(&m, UINT64_MAX, UINT64_MAX, &g), -EFAULT);
	assert_int_equal(g.v, 0x101fff);
}

static void test_clear_unmaps(void **state)
{
	(void)state;
	struct gmem m = {0};
	size_t len = (size_t)sysconf(_SC_PAGESIZE);
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(p, MAP_FAILED);
	struct gmem_region r = {.gpa = 0, .size = len, .host = p, .map = p, .map_len = len};
	assert_int_equal(gmem_add(&m, &r), 0);
	gmem_clear(&m);
	assert_int_equal(m.n, 0);
	assert_null(gmem_ptr(&m, GPA(0), 1));
	assert_int_equal(msync(p, len, MS_ASYNC), -1);
	assert_int_equal(errno, ENOMEM);
	gmem_clear(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad_regions), cmocka_unit_test(test_overlap),
		cmocka_unit_test(test_too_many),    cmocka_unit_test(test_ptr_bounds),
		cmocka_unit_test(test_no_span),	    cmocka_unit_test(test_read_write),
		cmocka_unit_test(test_from_uaddr),  cmocka_unit_test(test_clear_unmaps),
	};
	alarm(30);
	return cmocka_run_group_tests_name("gmem", tests, NULL, NULL);
}
