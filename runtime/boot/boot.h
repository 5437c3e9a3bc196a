// SPDX-License-Identifier: Apache-2.0
// boot.h - what is known of a loaded kernel and its initrd
#ifndef MAYFLY_BOOT_BOOT_H
#define MAYFLY_BOOT_BOOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum boot_protocol { BOOT_AUTO, BOOT_LINUX64, BOOT_PVH };

/* From 0x1f1 of a bzImage to what struct boot_params has behind the setup header, at 0x290. */
#define BOOT_SETUP_HEADER_MAX (0x290 - 0x1f1)

struct boot_kernel {
	enum boot_protocol protocol; /* how to enter: BOOT_LINUX64 or BOOT_PVH */
	uint64_t entry;		     /* physical address */
	uint64_t start;		     /* first byte of what the kernel occupies */
	uint64_t end;		     /* first byte behind it, bss and init_size included */
	uint64_t initrd_end;	     /* an initrd must lie below; UINT64_MAX: wherever RAM is */
	uint32_t cmdline_max;	     /* bytes without NUL */
	bool is_bzimage;
	uint8_t setup_header[BOOT_SETUP_HEADER_MAX]; /* bzImage: for the zero page, from 0x1f1 on */
	size_t setup_header_len;
	uint64_t mapped, copied; /* bytes mapped from the file, bytes copied */
};

struct boot_initrd {
	uint64_t gpa;
	uint64_t size;
	uint64_t mapped, copied;
};

#endif
