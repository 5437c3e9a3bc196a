// SPDX-License-Identifier: Apache-2.0
// mptable.h - Intel MultiProcessor Specification 1.4 table: CPUs, I/O APIC, interrupt routes
#ifndef MAYFLY_ARCH_X86_64_MPTABLE_H
#define MAYFLY_ARCH_X86_64_MPTABLE_H

#include "base/err.h"
#include "vmm/gmem.h"

/*
 * mptable_write() - writes the floating pointer and the table into the EBDA.
 * @cpus: 1 to LAYOUT_CPUS_MAX; their APIC ids are 0 to cpus - 1, the I/O APIC's id is cpus
 * Returns 0, -EINVAL (number of CPUs) or -EFAULT (no RAM there).
 */
int mptable_write(struct gmem *m, unsigned cpus, struct err *e);

#endif
