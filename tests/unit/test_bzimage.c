// SPDX-License-Identifier: Apache-2.0
// test_bzimage.c - bzImage: where it goes, each field when it is wrong, cut files
// links: runtime/boot/bzimage.c runtime/boot/place.c runtime/vmm/gmem.c
#include "boot/bzimage.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "lib/boot_rig.h"

#include <asm/bootparam.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define PAGE 4096u
#define RAM (16 * MIB)
#define PREF 0x200000ull
#define SECTS 7u
#define PAYLOAD_AT ((SECTS + 1) * 512u)
#define PAYLOAD_LEN (2 * PAGE + 0x50)
#define FILE_LEN (PAYLOAD_AT + PAYLOAD_LEN)
#define INIT_SIZE 0x300000u
/* As kernels of protocol 2.15 have it: 0x202 + 0x6a. */
#define JUMP 0x6au

#define H(field) (0x1f1 + offsetof(struct setup_header, field))

static struct {
	uint8_t f[FILE_LEN + 4096];
	struct gmem m;
	struct boot_kernel k;
	struct err e;
} t;

static void make(void)
{
	struct setup_header h = {
		.setup_sects = SECTS,
		.root_flags = 1,
		.syssize = PAYLOAD_LEN / 16,
		.boot_flag = 0xaa55,
		.jump = 0xeb | JUMP << 8,
		.header = 0x53726448,
		.version = 0x020f,
		.loadflags = LOADED_HIGH,
		.initrd_addr_max = 0x7fffffff,
		.kernel_alignment = 0x200000,
		.relocatable_kernel = 1,
		.xloadflags = XLF_KERNEL_64,
		.cmdline_size = 2047,
		.pref_address = PREF,
		.init_size = INIT_SIZE,
	};
	memset(&t.f, 0, sizeof(t.f));
	memcpy(t.f + 0x1f1, &h, sizeof(h));
	for (size_t i = 0; i < PAYLOAD_LEN; i++)
		t.f[PAYLOAD_AT + i] = (uint8_t)(1 + i % 251);
}

static int setup(void **state)
{
	(void)state;
	make();
	memset(&t.k, 0x5a, sizeof(t.k));
	memset(&t.e, 0, sizeof(t.e));
	boot_rig_ram(&t.m, RAM);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	gmem_clear(&t.m);
	return 0;
}

static int load_cut(size_t len, uint64_t told, enum boot_protocol want)
{
	int fd = boot_rig_file(&t.f, len);
	int ret = bzimage_load(&t.m, fd, told, "k", want, &t.k, &t.e);
	close(fd);
	return ret;
}

static int load(void)
{
	return load_cut(FILE_LEN, FILE_LEN, BOOT_AUTO);
}

static void set(size_t at, size_t len, uint64_t value)
{
	memcpy(t.f + at, &value, len);
}

/* Refused with this text, and neither memory nor result are touched. */
static void refused(int ret, int want, const char *text)
{
	struct boot_kernel same;
	memset(&same, 0x5a, sizeof(same));
	if (ret != want || !strstr(t.e.text, text))
		fail_msg("%d, '%s' instead of %d, '%s'", ret, t.e.text, want, text);
	assert_ptr_equal(strstr(t.e.text, "kernel 'k'"), t.e.text);
	assert_null(strchr(t.e.text, '\n'));
	assert_int_equal(boot_rig_touched(&t.m, 0, RAM), 0);
	assert_memory_equal(&t.k, &same, sizeof(same));
}

static void loaded(uint64_t at)
{
	assert_int_equal(t.k.protocol, BOOT_LINUX64);
	assert_true(t.k.is_bzimage);
	assert_int_equal(t.k.start, at);
	assert_int_equal(t.k.entry, at + 0x200);
	assert_int_equal(t.k.end, at + INIT_SIZE);
	assert_memory_equal(gmem_ptr(&t.m, GPA(at), 1), t.f + PAYLOAD_AT, PAYLOAD_LEN);
	assert_true(boot_rig_zero(&t.m, at + PAYLOAD_LEN, 0x1000));
}

static void test_good(void **state)
{
	(void)state;
	assert_int_equal(load(), 0);
	loaded(PREF);
	assert_int_equal(t.k.mapped, 2 * PAGE);
	assert_int_equal(t.k.copied, 0x50);
	assert_int_equal(t.k.cmdline_max, 2047);
	assert_int_equal(t.k.initrd_end, 0x80000000);
	assert_int_equal(t.k.setup_header_len, 0x202 + JUMP - 0x1f1);
	assert_memory_equal(t.k.setup_header, t.f + 0x1f1, t.k.setup_header_len);
	assert_int_equal(boot_rig_touched(&t.m, 0, PREF), 0);
	assert_int_equal(boot_rig_touched(&t.m, PREF + INIT_SIZE, RAM), 0);
	assert_int_equal(load_cut(FILE_LEN, FILE_LEN, BOOT_LINUX64), 0);
}

static void test_no_pvh(void **state)
{
	(void)state;
	refused(load_cut(FILE_LEN, FILE_LEN, BOOT_PVH), -ENOEXEC,
		"kernel 'k' is a bzImage, which has no PVH entry");
}

struct patch {
	size_t at, len;
	uint64_t value;
	const char *text;
};

static void test_fields(void **state)
{
	(void)state;
	const struct patch rows[] = {
		{H(header), 4, 0x53726449, "bzImage header 0x53726449 is not \"HdrS\""},
		{H(boot_flag), 2, 0x55aa, "bzImage boot_flag 0x55aa is not 0xaa55"},
		{H(version), 2, 0x020b, "bzImage version 2.11: the 64-bit entry needs"},
		{H(version), 2, 0, "bzImage version 0.00"},
		{H(jump), 2, 0x65eb,
		 "bzImage jump: the setup header ends at 0x267,"
		 " boot protocol 2.12 needs 0x268"},
		{H(jump), 2, 0, "bzImage jump: the setup header ends at 0x202"},
		{H(loadflags), 1, 0, "bzImage loadflags 0x00: bit 0"},
		{H(loadflags), 1, 0xfe, "bzImage loadflags 0xfe: bit 0"},
		{H(xloadflags), 2, 0xfffe, "bzImage xloadflags 0xfffe: bit 0 is clear"},
		{H(cmdline_size), 4, 0, "bzImage cmdline_size is 0"},
		{H(syssize), 4, 0, "bzImage syssize 0x0: no room for the 64-bit entry"},
		{H(syssize), 4, 0x20, "bzImage syssize 0x20: no room"},
		{H(syssize), 4, PAYLOAD_LEN / 16 + 1,
		 "bzImage setup_sects 7 + syssize 0x206: the file should have 12384 bytes,"
		 " it has 12368"},
		{H(syssize), 4, UINT32_MAX,
		 "bzImage setup_sects 7 + syssize 0xffffffff: the file"
		 " should have 68719480816 bytes"},
		{H(setup_sects), 1, 8, "bzImage setup_sects 8 + syssize 0x205"},
		{H(setup_sects), 1, 255, "bzImage setup_sects 255: the file ends before"},
		{H(init_size), 4, 0, "bzImage init_size is 0"},
		{H(init_size), 4, UINT32_MAX,
		 "bzImage pref_address 0x200000 + init_size 0xffffffff"
		 " reaches above 1 GiB"},
		{H(init_size), 4, 0x3fe00001, "reaches above 1 GiB"},
		{H(kernel_alignment), 4, 0, "bzImage kernel_alignment 0x0 is no power of two"},
		{H(kernel_alignment), 4, 0x200001, "kernel_alignment 0x200001 is no power of two"},
		{H(kernel_alignment), 4, 0x600000, "kernel_alignment 0x600000 is no power of two"},
		{H(kernel_alignment), 4, 0x800, "kernel_alignment 0x800 is no power of two"},
		{H(kernel_alignment), 4, 0x80000000, "is no power of two from 4 KiB to 1 GiB"},
		{H(kernel_alignment), 4, 0x40000000, "reaches above 1 GiB"},
		{H(pref_address), 8, GIB + 1, "bzImage pref_address 0x40000001 lies above 1 GiB"},
		{H(pref_address), 8, GIB, "reaches above 1 GiB"},
		{H(pref_address), 8, UINT64_MAX, "pref_address 0xffffffffffffffff lies above"},
		{H(pref_address), 8, UINT64_MAX - INIT_SIZE + 1, "lies above 1 GiB"},
		{H(pref_address), 8, 1ull << 32, "lies above 1 GiB"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		make();
		set(rows[i].at, rows[i].len, rows[i].value);
		refused(load(), -ENOEXEC, rows[i].text);
	}
}

static void test_fixed_address(void **state)
{
	(void)state;
	t.f[H(relocatable_kernel)] = 0;
	set(H(pref_address), 8, MIB - 1);
	refused(load(), -ENOEXEC, "bzImage pref_address 0xfffff lies below 1 MiB");
	set(H(pref_address), 8, 0);
	refused(load(), -ENOEXEC, "bzImage pref_address 0x0 lies below 1 MiB");
	set(H(pref_address), 8, MIB);
	assert_int_equal(load(), 0);
	loaded(MIB);
}

/* Where it is loaded: the preferred address, aligned, and never below 1 MiB. */
static void test_relocatable(void **state)
{
	(void)state;
	const struct {
		uint64_t pref;
		uint32_t align;
		uint64_t at;
	} rows[] = {
		{0, 0x1000, 0x100000},		{0, 0x200000, 0x200000},
		{0xfffff, 0x1000, 0x100000},	{0x100000, 0x1000, 0x100000},
		{0x100001, 0x1000, 0x101000},	{0x400000, 0x400000, 0x400000},
		{0x400001, 0x400000, 0x800000},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		set(H(pref_address), 8, rows[i].pref);
		set(H(kernel_alignment), 4, rows[i].align);
		assert_int_equal(load(), 0);
		loaded(rows[i].at);
	}
}

static void test_too_little_memory(void **state)
{
	(void)state;
	set(H(init_size), 4, RAM - PREF + 1);
	refused(load(), -ENOMEM,
		"kernel 'k' needs at least 17 MiB of memory, the machine has 16 MiB");
	set(H(init_size), 4, RAM - PREF);
	assert_int_equal(load(), 0);
	assert_int_equal(t.k.end, RAM);
}

/* What the file has counts if init_size says less. */
static void test_small_init_size(void **state)
{
	(void)state;
	set(H(init_size), 4, 1);
	assert_int_equal(load(), 0);
	assert_int_equal(t.k.end, PREF + PAYLOAD_LEN);
	assert_memory_equal(gmem_ptr(&t.m, GPA(PREF), 1), t.f + PAYLOAD_AT, PAYLOAD_LEN);
}

static void test_limits_of_fields(void **state)
{
	(void)state;
	set(H(cmdline_size), 4, 4095);
	set(H(initrd_addr_max), 4, UINT32_MAX);
	assert_int_equal(load(), 0);
	assert_int_equal(t.k.cmdline_max, 4095);
	assert_int_equal(t.k.initrd_end, 4 * GIB);
	set(H(cmdline_size), 4, UINT32_MAX);
	set(H(initrd_addr_max), 4, 0);
	assert_int_equal(load(), 0);
	assert_int_equal(t.k.cmdline_max, 4095);
	assert_int_equal(t.k.initrd_end, 1);
	set(H(cmdline_size), 4, 1);
	assert_int_equal(load(), 0);
	assert_int_equal(t.k.cmdline_max, 1);
}

/* A header of a later protocol is taken as far as the zero page has room for it. */
static void test_long_header(void **state)
{
	(void)state;
	t.f[0x201] = 0xff;
	t.f[0x28f] = 0xab;
	t.f[0x290] = 0xcd;
	assert_int_equal(load(), 0);
	assert_int_equal(t.k.setup_header_len, BOOT_SETUP_HEADER_MAX);
	assert_int_equal(t.k.setup_header[BOOT_SETUP_HEADER_MAX - 1], 0xab);
	t.f[0x201] = 0x66;
	assert_int_equal(load(), 0);
	assert_int_equal(t.k.setup_header_len, 0x268 - 0x1f1);
	assert_int_equal(t.k.setup_header[BOOT_SETUP_HEADER_MAX - 1], 0);
}

/* 0 stands for 4; the payload then does not begin on a page, so that nothing can be mapped. */
static void test_old_setup_sects(void **state)
{
	(void)state;
	t.f[H(setup_sects)] = 0;
	set(H(init_size), 4, INIT_SIZE);
	assert_int_equal(load(), 0);
	assert_memory_equal(gmem_ptr(&t.m, GPA(PREF), 1), t.f + 5 * 512, PAYLOAD_LEN);
	assert_int_equal(t.k.mapped, 0);
	assert_int_equal(t.k.copied, PAYLOAD_LEN);
}

/* A signature behind the kernel is not loaded. */
static void test_longer_file(void **state)
{
	(void)state;
	memset(t.f + FILE_LEN, 0xee, 4096);
	assert_int_equal(load_cut(FILE_LEN + 4096, FILE_LEN + 4096, BOOT_AUTO), 0);
	loaded(PREF);
}

/* Every length but the full one is refused; so is a file that got shorter meanwhile. */
static void test_cut(void **state)
{
	(void)state;
	for (size_t len = 0; len < FILE_LEN; len++)
		refused(load_cut(len, len, BOOT_AUTO), -ENOEXEC, "kernel 'k': bzImage ");
	for (size_t len = 0; len < FILE_LEN; len += 7) {
		assert_true(load_cut(len, FILE_LEN, BOOT_AUTO) < 0);
		assert_ptr_equal(strstr(t.e.text, "kernel 'k': "), t.e.text);
	}
}

static void test_real(void **state)
{
	(void)state;
	uint64_t size;
	AUTO_CLOSE int fd = boot_rig_open("build/guest/bzImage", &size);
	if (fd < 0)
		skip();
	const uint8_t *f = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	assert_ptr_not_equal(f, MAP_FAILED);
	struct setup_header h;
	memcpy(&h, f + 0x1f1, sizeof(h));
	gmem_clear(&t.m);
	boot_rig_ram(&t.m, 64 * MIB);
	assert_int_equal(bzimage_load(&t.m, fd, size, "k", BOOT_AUTO, &t.k, &t.e), 0);
	assert_int_equal(t.k.start, h.pref_address);
	assert_int_equal(t.k.entry, h.pref_address + 0x200);
	assert_int_equal(t.k.end, h.pref_address + h.init_size);
	assert_int_equal(t.k.cmdline_max, h.cmdline_size);
	assert_memory_equal(gmem_ptr(&t.m, GPA(t.k.start), h.syssize * 16ull),
			    f + (h.setup_sects + 1) * 512u, h.syssize * 16ull);
	assert_int_equal(t.k.mapped + t.k.copied, h.syssize * 16ull);
	munmap((void *)(uintptr_t)f, size);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_good),
		T(test_no_pvh),
		T(test_fields),
		T(test_fixed_address),
		T(test_relocatable),
		T(test_too_little_memory),
		T(test_small_init_size),
		T(test_limits_of_fields),
		T(test_long_header),
		T(test_old_setup_sects),
		T(test_longer_file),
		T(test_cut),
		T(test_real),
	};
	alarm(60);
	return cmocka_run_group_tests_name("bzimage", tests, NULL, NULL);
}
