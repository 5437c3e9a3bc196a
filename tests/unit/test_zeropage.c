// SPDX-License-Identifier: Apache-2.0
// test_zeropage.c - boot_params and the command line, as the kernel finds them
// links: runtime/arch/x86_64/zeropage.c runtime/arch/x86_64/e820.c runtime/vmm/gmem.c
#include "arch/x86_64/zeropage.h"

#include "arch/x86_64/layout.h"
#include "base/checked.h"
#include "lib/boot_rig.h"

#include <asm/bootparam.h>
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
	struct boot_params p;
	struct err e;
} t;

static int setup(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	t.k.start = 0x1000000;
	t.k.cmdline_max = 2047;
	boot_rig_ram(&t.m, 64 * MIB);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	gmem_clear(&t.m);
	return 0;
}

static int put(const char *cmdline, const struct boot_initrd *rd)
{
	int ret = zeropage_write(&t.m, &t.k, cmdline, rd, &t.e);
	assert_int_equal(gmem_read(&t.m, GPA(LAYOUT_ZERO_PAGE), &t.p, sizeof(t.p)), 0);
	return ret;
}

static const char *cmdline(void)
{
	return gmem_ptr(&t.m, GPA(t.p.hdr.cmd_line_ptr), LAYOUT_CMDLINE_MAX);
}

static void test_vmlinux(void **state)
{
	(void)state;
	/* What was there before must not shine through. */
	memset(gmem_ptr(&t.m, GPA(0), MIB), 0xee, MIB);
	assert_int_equal(put("console=ttyS0 quiet", NULL), 0);
	assert_int_equal(t.p.hdr.boot_flag, 0xaa55);
	assert_memory_equal(&t.p.hdr.header, "HdrS", 4);
	assert_int_equal(t.p.hdr.version, 0x020c);
	assert_int_equal(t.p.hdr.type_of_loader, 0xff);
	assert_int_equal(t.p.hdr.loadflags, LOADED_HIGH);
	assert_int_equal(t.p.hdr.kernel_alignment, 0x1000000);
	assert_int_equal(t.p.hdr.cmd_line_ptr, 0x20000);
	assert_int_equal(t.p.ext_cmd_line_ptr, 0);
	assert_string_equal(cmdline(), "console=ttyS0 quiet");
	assert_int_equal(t.p.hdr.ramdisk_image, 0);
	assert_int_equal(t.p.hdr.ramdisk_size, 0);
	/* A sentinel that is not 0 makes the kernel drop fields. */
	assert_int_equal(t.p.sentinel, 0);
	assert_int_equal(t.p.screen_info.orig_video_isVGA, 0);
	assert_int_equal(t.p.hdr.setup_data, 0);
	assert_int_equal(t.p.acpi_rsdp_addr, 0);
	/* Nothing but the page and the command line is written. */
	const uint8_t *p = gmem_ptr(&t.m, GPA(0), MIB);
	for (size_t i = 0; i < MIB; i++)
		if (i - 0x7000 >= 0x1000 && i - 0x20000 >= sizeof("console=ttyS0 quiet"))
			assert_int_equal(p[i], 0xee);
}

static void test_memory_map(void **state)
{
	(void)state;
	gmem_clear(&t.m);
	boot_rig_ram(&t.m, 5 * GIB);
	assert_int_equal(put("", NULL), 0);
	assert_int_equal(t.p.e820_entries, 4);
	assert_int_equal(t.p.e820_table[0].addr, 0);
	assert_int_equal(t.p.e820_table[0].size, 0x9fc00);
	assert_int_equal(t.p.e820_table[0].type, 1);
	assert_int_equal(t.p.e820_table[1].addr, 0x9fc00);
	assert_int_equal(t.p.e820_table[1].type, 2);
	assert_int_equal(t.p.e820_table[2].size, 3 * GIB - MIB);
	assert_int_equal(t.p.e820_table[3].addr, 4 * GIB);
	assert_int_equal(t.p.e820_table[3].size, 2 * GIB);
	assert_int_equal(t.p.e820_table[4].size, 0);
	assert_string_equal(cmdline(), "");
}

static void test_initrd(void **state)
{
	(void)state;
	struct boot_initrd rd = {.gpa = 0x3f00000, .size = 0xb5d88};
	assert_int_equal(put("", &rd), 0);
	assert_int_equal(t.p.hdr.ramdisk_image, 0x3f00000);
	assert_int_equal(t.p.hdr.ramdisk_size, 0xb5d88);
	assert_int_equal(t.p.ext_ramdisk_image, 0);
	assert_int_equal(t.p.ext_ramdisk_size, 0);
	rd = (struct boot_initrd){.gpa = 0x123456789000, .size = 0x1fedcba98};
	assert_int_equal(put("", &rd), 0);
	assert_int_equal(t.p.hdr.ramdisk_image, 0x56789000);
	assert_int_equal(t.p.ext_ramdisk_image, 0x1234);
	assert_int_equal(t.p.hdr.ramdisk_size, 0xfedcba98);
	assert_int_equal(t.p.ext_ramdisk_size, 1);
}

/* The file's header, but for what the loader has to say. */
static void test_bzimage(void **state)
{
	(void)state;
	struct setup_header h = {
		.setup_sects = 31,
		.root_flags = 1,
		.boot_flag = 0xaa55,
		.header = 0x53726448,
		.version = 0x020f,
		.loadflags = LOADED_HIGH | KASLR_FLAG,
		.ramdisk_image = 7,
		.ramdisk_size = 7,
		.kernel_alignment = 0x200000,
		.xloadflags = XLF_KERNEL_64,
		.setup_data = 0x1234,
		.pref_address = 0x1000000,
		.init_size = 0xfb7000,
		.kernel_info_offset = 0x1111,
	};
	t.k.is_bzimage = true;
	t.k.start = 0x2000000;
	t.k.setup_header_len = sizeof(h);
	memset(t.k.setup_header, 0xee, sizeof(t.k.setup_header));
	memcpy(t.k.setup_header, &h, sizeof(h));
	struct boot_initrd rd = {.gpa = 0x3000, .size = 0x22};
	assert_int_equal(put("a", &rd), 0);
	h.type_of_loader = 0xff;
	h.code32_start = 0x2000000;
	h.cmd_line_ptr = 0x20000;
	h.ramdisk_image = 0x3000;
	h.ramdisk_size = 0x22;
	h.setup_data = 0;
	assert_memory_equal(&t.p.hdr, &h, sizeof(h));
	const uint8_t *behind = (const uint8_t *)&t.p + 0x1f1 + sizeof(h);
	for (size_t i = 0; i < BOOT_SETUP_HEADER_MAX - sizeof(h); i++)
		assert_int_equal(behind[i], 0);
	/* The longest, and one that claims more than there is. */
	for (size_t more = 0; more < 2; more++) {
		t.k.setup_header_len = BOOT_SETUP_HEADER_MAX + more * 100000;
		assert_int_equal(put("a", NULL), 0);
		assert_int_equal(((uint8_t *)&t.p)[0x28f], 0xee);
		assert_int_equal(((uint8_t *)&t.p)[0x290], 0);
	}
}

static void test_cmdline_length(void **state)
{
	(void)state;
	char line[LAYOUT_CMDLINE_MAX + 2];
	const struct {
		uint32_t max;
		size_t fits;
	} rows[] = {{2047, 2047}, {255, 255}, {0, 0}, {4095, 4095}, {UINT32_MAX, 4095}};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		t.k.cmdline_max = rows[i].max;
		memset(gmem_ptr(&t.m, GPA(LAYOUT_CMDLINE), 8192), 0xee, 8192);
		memset(line, 'x', sizeof(line));
		line[rows[i].fits + 1] = '\0';
		assert_int_equal(put(line, NULL), -E2BIG);
		assert_int_equal(*(uint8_t *)gmem_ptr(&t.m, GPA(LAYOUT_CMDLINE), 1), 0xee);
		line[rows[i].fits] = '\0';
		assert_int_equal(put(line, NULL), 0);
		assert_string_equal(cmdline(), line);
		assert_int_equal(((const uint8_t *)cmdline())[rows[i].fits + 1], 0xee);
	}
	t.k.cmdline_max = 2047;
	memset(line, 'x', sizeof(line));
	line[2050] = '\0';
	assert_int_equal(put(line, NULL), -E2BIG);
	assert_string_equal(t.e.text, "the kernel's command line has 2050 bytes,"
				      " this kernel takes 2047 at most");
}

static void test_no_ram(void **state)
{
	(void)state;
	struct gmem none = {0};
	assert_int_equal(zeropage_write(&none, &t.k, "", NULL, &t.e), -EFAULT);
	assert_string_equal(t.e.text, "no memory for the kernel's command line");
	t.m.region[0].gpa = LAYOUT_CMDLINE;
	assert_int_equal(zeropage_write(&t.m, &t.k, "", NULL, &t.e), -EFAULT);
	assert_string_equal(t.e.text, "writing the kernel's boot parameters: Bad address");
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_vmlinux), T(test_memory_map),	 T(test_initrd),
		T(test_bzimage), T(test_cmdline_length), T(test_no_ram),
	};
	alarm(60);
	return cmocka_run_group_tests_name("zeropage", tests, NULL, NULL);
}
