// SPDX-License-Identifier: Apache-2.0
// pvh.h - what a kernel of the PVH entry is told: start info, modules, memory map, command line
#ifndef MAYFLY_ARCH_X86_64_PVH_H
#define MAYFLY_ARCH_X86_64_PVH_H

#include "base/err.h"
#include "boot/boot.h"
#include "vmm/gmem.h"

#include <stdint.h>

#define PVH_MAGIC 0x336ec578u

/* Xen's hvm_start_info, version 1: all fields little-endian, no padding. */
struct pvh_start_info {
	uint32_t magic;
	uint32_t version;
	uint32_t flags;
	uint32_t modules;
	uint64_t modlist_paddr;
	uint64_t cmdline_paddr;
	uint64_t rsdp_paddr;
	uint64_t memmap_paddr;
	uint32_t memmap_entries;
	uint32_t reserved;
};

struct pvh_module {
	uint64_t paddr;
	uint64_t size;
	uint64_t cmdline_paddr;
	uint64_t reserved;
};

struct pvh_memmap {
	uint64_t addr;
	uint64_t size;
	uint32_t type; /* as in e820 */
	uint32_t reserved;
};

/*
 * pvh_write() - writes it all for a kernel of protocol BOOT_PVH.
 * @rd: NULL without an initrd
 * @start_info: address for ebx of the first vCPU
 * Returns 0, -E2BIG (command line too long) or -EFAULT (no RAM there).
 */
int pvh_write(struct gmem *m, const struct boot_kernel *k, const char *cmdline,
	      const struct boot_initrd *rd, uint64_t *start_info, struct err *e);

#endif
