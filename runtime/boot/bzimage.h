// SPDX-License-Identifier: Apache-2.0
// bzimage.h - loads a Linux bzImage for its 64-bit entry
#ifndef MAYFLY_BOOT_BZIMAGE_H
#define MAYFLY_BOOT_BZIMAGE_H

#include "base/err.h"
#include "boot/boot.h"
#include "vmm/gmem.h"

#include <stdint.h>

/*
 * bzimage_load() - checks the setup header, then places the protected-mode part.
 * Nothing is written before all checks have passed.
 * @name: for messages
 * @want: BOOT_AUTO or BOOT_LINUX64; a bzImage has no PVH entry
 * Returns 0 or -errno: -ENOEXEC for what the file says, -ENOMEM if the RAM is too small.
 */
int bzimage_load(struct gmem *m, int fd, uint64_t file_size, const char *name,
		 enum boot_protocol want, struct boot_kernel *out, struct err *e);

#endif
