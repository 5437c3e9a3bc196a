// SPDX-License-Identifier: Apache-2.0
// zeropage.h - struct boot_params and the command line of the 64-bit Linux entry
#ifndef MAYFLY_ARCH_X86_64_ZEROPAGE_H
#define MAYFLY_ARCH_X86_64_ZEROPAGE_H

#include "base/err.h"
#include "boot/boot.h"
#include "vmm/gmem.h"

/*
 * zeropage_write() - writes LAYOUT_ZERO_PAGE and LAYOUT_CMDLINE for a kernel of protocol
 * BOOT_LINUX64; rsi of the first vCPU is to be LAYOUT_ZERO_PAGE.
 * @rd: NULL without an initrd
 * Returns 0, -E2BIG (command line too long) or -EFAULT (no RAM there).
 * Documentation/arch/x86/boot.rst and zero-page.rst of Linux
 */
int zeropage_write(struct gmem *m, const struct boot_kernel *k, const char *cmdline,
		   const struct boot_initrd *rd, struct err *e);

/* zeropage_cmdline() - the command line alone; errors as above. */
int zeropage_cmdline(struct gmem *m, const struct boot_kernel *k, const char *cmdline,
		     struct err *e);

#endif
