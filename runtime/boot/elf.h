// SPDX-License-Identifier: Apache-2.0
// elf.h - loads an ELF vmlinux
#ifndef MAYFLY_BOOT_ELF_H
#define MAYFLY_BOOT_ELF_H

#include "base/err.h"
#include "boot/boot.h"
#include "vmm/gmem.h"

#include <stdint.h>

/*
 * elf_load() - checks every header, then places the segments at their physical addresses.
 * Nothing is written before all checks have passed.
 * @name: for messages
 * @want: BOOT_AUTO takes the PVH entry if the kernel has the note
 * Returns 0 or -errno: -ENOEXEC for what the file says, -ENOMEM if the RAM is too small.
 */
int elf_load(struct gmem *m, int fd, uint64_t file_size, const char *name, enum boot_protocol want,
	     struct boot_kernel *out, struct err *e);

#endif
