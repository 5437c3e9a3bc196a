// SPDX-License-Identifier: Apache-2.0
// regs.c - segments, control registers and page tables at the kernel's entry
#include "arch/x86_64/regs.h"

#include "arch/x86_64/layout.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define CR0_PE 1ull
#define CR0_ET (1ull << 4)
#define CR0_PG (1ull << 31)
#define CR4_PAE (1ull << 5)
#define EFER_LME (1ull << 8)
#define EFER_LMA (1ull << 10)
#define RFLAGS_FIXED 2ull

#define PTE_PRESENT 1ull
#define PTE_WRITE 2ull
#define PTE_LARGE (1ull << 7)
#define TABLE_ENTRIES 512

/* Selectors of boot.rst: 0x10 code, 0x18 data. */
#define SEL_CODE 0x10
#define SEL_DATA 0x18
#define SEL_TSS 0x20

#define GDT_ENTRIES 4

#define TYPE_CODE 0xb /* execute, read, accessed */
#define TYPE_DATA 0x3 /* read, write, accessed */
#define TYPE_TSS 0xb  /* 32/64-bit TSS, busy */

static struct kvm_segment flat(uint16_t selector, uint8_t type, bool code64, bool code32)
{
	return (struct kvm_segment){
		.limit = 0xffffffff,
		.selector = selector,
		.type = type,
		.present = 1,
		.db = code32,
		.s = 1,
		.l = code64,
		.g = 1,
	};
}

static void set_segments(struct kvm_sregs *s, bool long_mode)
{
	struct kvm_segment data = flat(SEL_DATA, TYPE_DATA, false, true);
	s->cs = flat(SEL_CODE, TYPE_CODE, long_mode, !long_mode);
	s->ds = s->es = s->fs = s->gs = s->ss = data;
	s->tr = (struct kvm_segment){
		.limit = 0x67, .selector = SEL_TSS, .type = TYPE_TSS, .present = 1};
	s->gdt.base = LAYOUT_GDT;
	s->gdt.limit = GDT_ENTRIES * sizeof(uint64_t) - 1;
	/* No exception can be served before the kernel's own table. */
	s->idt.base = LAYOUT_IDT;
	s->idt.limit = 0;
}

void regs_linux64(struct kvm_sregs *sregs, struct kvm_regs *regs, uint64_t entry, uint64_t zeropage)
{
	set_segments(sregs, true);
	sregs->cr3 = LAYOUT_PML4;
	sregs->cr4 = CR4_PAE;
	sregs->cr0 = CR0_PE | CR0_ET | CR0_PG;
	sregs->efer = EFER_LME | EFER_LMA;
	*regs = (struct kvm_regs){
		.rip = entry,
		.rsi = zeropage,
		.rsp = LAYOUT_STACK,
		.rbp = LAYOUT_STACK,
		.rflags = RFLAGS_FIXED,
	};
}

void regs_pvh(struct kvm_sregs *sregs, struct kvm_regs *regs, uint64_t entry, uint64_t start_info)
{
	set_segments(sregs, false);
	sregs->cr3 = 0;
	sregs->cr4 = 0;
	sregs->cr0 = CR0_PE | CR0_ET;
	sregs->efer = 0;
	*regs = (struct kvm_regs){
		.rip = entry,
		.rbx = start_info,
		.rsp = LAYOUT_STACK,
		.rflags = RFLAGS_FIXED,
	};
}

void regs_fpu(struct kvm_fpu *fpu)
{
	*fpu = (struct kvm_fpu){.fcw = 0x37f, .mxcsr = 0x1f80};
}

int regs_write_tables(struct gmem *m, struct err *e)
{
	/* Null, none, 64-bit code, data: the kernel loads its own soon. */
	static const uint64_t gdt[GDT_ENTRIES] = {0, 0, 0x00af9b000000ffff, 0x00cf93000000ffff};
	uint64_t pd[TABLE_ENTRIES];
	uint64_t pml4 = LAYOUT_PDPT | PTE_PRESENT | PTE_WRITE;
	uint64_t pdpt = LAYOUT_PD | PTE_PRESENT | PTE_WRITE;
	for (uint64_t i = 0; i < TABLE_ENTRIES; i++)
		pd[i] = i << 21 | PTE_PRESENT | PTE_WRITE | PTE_LARGE;
	int ret = gmem_write(m, GPA(LAYOUT_GDT), gdt, sizeof(gdt));
	if (ret == 0)
		ret = gmem_write(m, GPA(LAYOUT_PML4), &pml4, sizeof(pml4));
	if (ret == 0)
		ret = gmem_write(m, GPA(LAYOUT_PDPT), &pdpt, sizeof(pdpt));
	if (ret == 0)
		ret = gmem_write(m, GPA(LAYOUT_PD), pd, sizeof(pd));
	return ret < 0 ? err_errno(e, -ret, "the boot tables don't fit into memory") : 0;
}
