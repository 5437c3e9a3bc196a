// SPDX-License-Identifier: Apache-2.0
// loader.c - which kernel format a file has, and what it is instead
#include "boot/loader.h"

#include "base/checked.h"
#include "boot/bzimage.h"
#include "boot/elf.h"
#include "boot/place.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

struct magic {
	uint32_t at;
	uint32_t len;
	const char *bytes;
	const char *what;
};

#define HEAD_MAX 0x206u

static const struct magic elf_magic = {0, 4, "\177ELF", NULL};
static const struct magic bzimage_magic = {0x202, 4, "HdrS", NULL};

/* In order: the first that fits is told. */
static const struct magic others[] = {
	{0, 2, "\x1f\x8b", "gzip-compressed data: unpack it (gunzip)"},
	{0, 6, "\xfd\x37zXZ\0", "xz-compressed data: unpack it (unxz)"},
	{0, 4, "\x28\xb5\x2f\xfd", "zstd-compressed data: unpack it (unzstd)"},
	{0, 4, "\x02\x21\x4c\x18", "lz4-compressed data: unpack it (unlz4)"},
	{0, 4, "\x04\x22\x4d\x18", "lz4-compressed data: unpack it (unlz4)"},
	{0, 3, "BZh", "bzip2-compressed data: unpack it (bunzip2)"},
	{0, 4, "\x89LZO", "lzo-compressed data: unpack it (lzop -d)"},
	{0, 3, "\x5d\0\0", "lzma-compressed data: unpack it (unlzma)"},
	{0x38, 4, "ARM\x64", "a kernel for ARM (arm64 Image)"},
	{0x24, 4, "\x18\x28\x6f\x01", "a kernel for ARM (zImage)"},
	{0x38, 4, "RSC\x05", "a kernel for RISC-V (Image)"},
	{4, 4, "zimg", "an EFI application around a compressed kernel: unpack the kernel from it"},
	{0, 2, "MZ", "an EFI or DOS program without a Linux setup header"},
	{0, 4, "\x27\x05\x19\x56", "an image for U-Boot"},
	{0, 6, "070701", "a cpio archive: is it the initrd?"},
	{0, 2, "#!", "a script"},
};

static bool fits(const struct magic *g, const uint8_t *head, size_t len)
{
	return range_inside(g->at, g->len, len) && memcmp(head + g->at, g->bytes, g->len) == 0;
}

static int refuse(const char *name, const uint8_t *head, size_t len, struct err *e)
{
	if (len == 0)
		return err_set(e, ENOEXEC, "kernel '%s' is an empty file", name);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (fits(&others[i], head, len))
			return err_set(e, ENOEXEC,
				       "kernel '%s' is neither an ELF vmlinux nor a bzImage but %s",
				       name, others[i].what);
	return err_set(e, ENOEXEC,
		       "kernel '%s' is neither an ELF vmlinux nor a bzImage:"
		       " it starts with the bytes %02x %02x %02x %02x",
		       name, head[0], head[1], head[2], head[3]);
}

int boot_load_kernel(struct gmem *m, int fd, const char *name, enum boot_protocol want,
		     struct boot_kernel *out, struct err *e)
{
	uint8_t head[HEAD_MAX] = {0};
	uint64_t size;
	int ret = boot_file_size(fd, "kernel", name, &size, e);
	if (ret < 0)
		return ret;
	size_t len = MIN(size, sizeof(head));
	ret = boot_read(fd, 0, head, len);
	if (ret < 0)
		return err_errno(e, -ret, "kernel '%s': reading it", name);
	if (fits(&elf_magic, head, len))
		return elf_load(m, fd, size, name, want, out, e);
	if (fits(&bzimage_magic, head, len))
		return bzimage_load(m, fd, size, name, want, out, e);
	return refuse(name, head, len, e);
}
