// SPDX-License-Identifier: Apache-2.0
// regs.h - registers of the first CPU at the kernel's entry
#ifndef MAYFLY_ARCH_X86_64_REGS_H
#define MAYFLY_ARCH_X86_64_REGS_H

#include "base/err.h"
#include "vmm/gmem.h"

#include <linux/kvm.h>
#include <stdint.h>

/*
 * regs_linux64() - Linux's 64-bit boot protocol: long mode with identity paging, zero page in rsi.
 * regs_pvh() - PVH: 32-bit protected mode without paging, start info in rbx.
 * @sregs: as KVM gave them; what is not named by the protocol stays
 */
void regs_linux64(struct kvm_sregs *sregs, struct kvm_regs *regs, uint64_t entry,
		  uint64_t zeropage);
void regs_pvh(struct kvm_sregs *sregs, struct kvm_regs *regs, uint64_t entry, uint64_t start_info);

/* regs_fpu() - the unit's state after finit, all exceptions masked. */
void regs_fpu(struct kvm_fpu *fpu);

/* regs_write_tables() - GDT and identity page tables of the first GiB, for both; 0 or -errno. */
int regs_write_tables(struct gmem *m, struct err *e);

#endif
