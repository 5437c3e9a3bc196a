// SPDX-License-Identifier: Apache-2.0
// e820.h - the memory map that a PC tells its kernel
#ifndef MAYFLY_ARCH_X86_64_E820_H
#define MAYFLY_ARCH_X86_64_E820_H

#include "vmm/gmem.h"

#include <stddef.h>
#include <stdint.h>

enum e820_type { E820_RAM = 1, E820_RESERVED = 2 };

/* RAM to the EBDA, EBDA to 1 MiB, and each region's RAM above. */
#define E820_MAX (GMEM_MAX_REGIONS + 2)

struct e820_entry {
	uint64_t addr;
	uint64_t size;
	uint32_t type; /* enum e820_type */
};

/*
 * e820_build() - fills the list, in the order of the addresses if the regions are.
 * Returns the number of entries, or -ENOSPC if max is too small.
 */
int e820_build(const struct gmem *m, struct e820_entry *list, size_t max);

#endif
