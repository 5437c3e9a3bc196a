// SPDX-License-Identifier: Apache-2.0
// initrd.h - places an initrd in guest RAM
#ifndef MAYFLY_BOOT_INITRD_H
#define MAYFLY_BOOT_INITRD_H

#include "base/err.h"
#include "boot/boot.h"
#include "vmm/gmem.h"

/*
 * boot_load_initrd() - as high in low RAM as the kernel takes it, page aligned, above the kernel.
 * The descriptor stays the caller's and may be closed afterwards.
 * Returns 0 or -errno: -ENOEXEC (empty), -ENOMEM (no room), or what reading gave.
 */
int boot_load_initrd(struct gmem *m, int fd, const char *name, const struct boot_kernel *k,
		     struct boot_initrd *out, struct err *e);

#endif
