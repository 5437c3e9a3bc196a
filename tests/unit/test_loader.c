// SPDX-License-Identifier: Apache-2.0
// test_loader.c - the kernel's format by magic, and a line for what is no kernel
// links: runtime/boot/loader.c runtime/boot/elf.c runtime/boot/bzimage.c runtime/boot/place.c
// links: runtime/vmm/gmem.c
#include "boot/loader.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "lib/boot_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct {
	uint8_t f[1024];
	struct gmem m;
	struct boot_kernel k;
	struct err e;
} t;

static int setup(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	boot_rig_ram(&t.m, 64 * MIB);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	gmem_clear(&t.m);
	return 0;
}

static void refused(const void *data, size_t len, const char *text)
{
	AUTO_CLOSE int fd = boot_rig_file(data, len);
	int ret = boot_load_kernel(&t.m, fd, "k", BOOT_AUTO, &t.k, &t.e);
	if (ret != -ENOEXEC || strcmp(t.e.text, text) != 0)
		fail_msg("%d, '%s' instead of '%s'", ret, t.e.text, text);
	assert_int_equal(boot_rig_touched(&t.m, 0, 64 * MIB), 0);
}

#define NEITHER "kernel 'k' is neither an ELF vmlinux nor a bzImage"

static void test_others(void **state)
{
	(void)state;
	const struct {
		size_t at, len;
		const char *bytes, *text;
	} rows[] = {
		{0, 2, "\x1f\x8b", NEITHER " but gzip-compressed data: unpack it (gunzip)"},
		{0, 6,
		 "\xfd"
		 "7zXZ",
		 NEITHER " but xz-compressed data: unpack it (unxz)"},
		{0, 4, "(\xb5/\xfd", NEITHER " but zstd-compressed data: unpack it (unzstd)"},
		{0, 4, "\x02!L\x18", NEITHER " but lz4-compressed data: unpack it (unlz4)"},
		{0, 4, "\x04\"M\x18", NEITHER " but lz4-compressed data: unpack it (unlz4)"},
		{0, 4, "BZh9", NEITHER " but bzip2-compressed data: unpack it (bunzip2)"},
		{0, 4, "\x89LZO", NEITHER " but lzo-compressed data: unpack it (lzop -d)"},
		{0, 5, "]\0\0\x80", NEITHER " but lzma-compressed data: unpack it (unlzma)"},
		{56, 4, "ARM\x64", NEITHER " but a kernel for ARM (arm64 Image)"},
		{36, 4, "\x18\x28\x6f\x01", NEITHER " but a kernel for ARM (zImage)"},
		{56, 4, "RSC\x05", NEITHER " but a kernel for RISC-V (Image)"},
		{0, 8, "MZ\0\0zimg",
		 NEITHER " but an EFI application around a compressed kernel:"
			 " unpack the kernel from it"},
		{0, 2, "MZ", NEITHER " but an EFI or DOS program without a Linux setup header"},
		{0, 4, "'\x05\x19V", NEITHER " but an image for U-Boot"},
		{0, 6, "070701", NEITHER " but a cpio archive: is it the initrd?"},
		{0, 2, "#!", NEITHER " but a script"},
		{0, 4,
		 "\x7f"
		 "ELG",
		 NEITHER ": it starts with the bytes 7f 45 4c 47"},
		{0, 0, "", NEITHER ": it starts with the bytes 00 00 00 00"},
		/* A boot sector is not yet a kernel. */
		{510, 2, "\x55\xaa", NEITHER ": it starts with the bytes 00 00 00 00"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		memset(t.f, 0, sizeof(t.f));
		memcpy(t.f + rows[i].at, rows[i].bytes, rows[i].len);
		refused(t.f, sizeof(t.f), rows[i].text);
	}
}

/* The longer file first, so that its last byte would still be there if one looked behind the end.
 */
static void test_short(void **state)
{
	(void)state;
	refused("", 0, "kernel 'k' is an empty file");
	refused("x", 1, NEITHER ": it starts with the bytes 78 00 00 00");
	refused("]", 1, NEITHER ": it starts with the bytes 5d 00 00 00");
	refused("\x1f\x8b", 2, NEITHER " but gzip-compressed data: unpack it (gunzip)");
	refused("\x1f", 1, NEITHER ": it starts with the bytes 1f 00 00 00");
	refused("\x7f"
		"ELF",
		4, "kernel 'k': ELF header: the file ends after 4 bytes");
	refused("\x7f"
		"EL",
		3, NEITHER ": it starts with the bytes 7f 45 4c 00");
	memcpy(t.f + 0x202, "HdrS", 4);
	refused(t.f, 0x206, "kernel 'k': bzImage setup header: the file ends after 518 bytes");
	refused(t.f, 0x205, NEITHER ": it starts with the bytes 00 00 00 00");
}

/* "MZ" and a setup header: a bzImage that is an EFI program as well. */
static void test_efi_stub(void **state)
{
	(void)state;
	memcpy(t.f, "MZ", 2);
	memcpy(t.f + 0x202, "HdrS", 4);
	refused(t.f, sizeof(t.f), "kernel 'k': bzImage boot_flag 0x0000 is not 0xaa55");
}

static void test_not_a_file(void **state)
{
	(void)state;
	AUTO_CLOSE int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(boot_load_kernel(&t.m, fd, "/", BOOT_AUTO, &t.k, &t.e), -EINVAL);
	assert_string_equal(t.e.text, "kernel '/' is not a regular file but a directory");
	AUTO_CLOSE int wo = open("/dev/null", O_WRONLY | O_CLOEXEC);
	assert_int_equal(boot_load_kernel(&t.m, wo, "k", BOOT_AUTO, &t.k, &t.e), -EINVAL);
	assert_int_equal(boot_load_kernel(&t.m, -1, "k", BOOT_AUTO, &t.k, &t.e), -EBADF);
}

static void real(const char *path, enum boot_protocol want, enum boot_protocol got)
{
	uint64_t size;
	AUTO_CLOSE int fd = boot_rig_open(path, &size);
	if (fd < 0)
		skip();
	assert_int_equal(boot_load_kernel(&t.m, fd, "k", want, &t.k, &t.e), 0);
	assert_int_equal(t.k.protocol, got);
	assert_true(t.k.entry >= t.k.start && t.k.entry < t.k.end);
	assert_true(t.k.end <= 64 * MIB);
	/* The descriptor stays the caller's. */
	assert_true(fcntl(fd, F_GETFD) >= 0);
}

static void test_real_vmlinux(void **state)
{
	(void)state;
	real("build/guest/vmlinux", BOOT_LINUX64, BOOT_LINUX64);
	assert_false(t.k.is_bzimage);
	real("build/guest/vmlinux", BOOT_AUTO, BOOT_PVH);
}

static void test_real_bzimage(void **state)
{
	(void)state;
	real("build/guest/bzImage", BOOT_AUTO, BOOT_LINUX64);
	assert_true(t.k.is_bzimage);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_others),	    T(test_short),	  T(test_efi_stub),
		T(test_not_a_file), T(test_real_vmlinux), T(test_real_bzimage),
	};
	alarm(60);
	return cmocka_run_group_tests_name("loader", tests, NULL, NULL);
}
