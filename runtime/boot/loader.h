// SPDX-License-Identifier: Apache-2.0
// loader.h - loads a kernel of whichever format the file has
#ifndef MAYFLY_BOOT_LOADER_H
#define MAYFLY_BOOT_LOADER_H

#include "base/err.h"
#include "boot/boot.h"
#include "vmm/gmem.h"

/*
 * boot_load_kernel() - ELF vmlinux or bzImage, by magic; other files get one line that says what
 * they are. The descriptor stays the caller's and may be closed afterwards.
 * Returns 0 or -errno as elf_load() and bzimage_load() do.
 */
int boot_load_kernel(struct gmem *m, int fd, const char *name, enum boot_protocol want,
		     struct boot_kernel *out, struct err *e);

#endif
