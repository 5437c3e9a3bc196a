// SPDX-License-Identifier: Apache-2.0
// layout.h - guest-physical address map of an x86-64 machine
#ifndef MAYFLY_ARCH_X86_64_LAYOUT_H
#define MAYFLY_ARCH_X86_64_LAYOUT_H

#include <assert.h>

#define LAYOUT_PAGE 0x1000ull

/* ---- below 640 KiB: ours until the kernel has read it ---- */
#define LAYOUT_GDT 0x500ull
#define LAYOUT_IDT 0x520ull
#define LAYOUT_PVH_START 0x6000ull   /* struct hvm_start_info */
#define LAYOUT_PVH_MODULES 0x6100ull /* its module list: at most the initrd */
#define LAYOUT_PVH_MEMMAP 0x6200ull  /* its memory map */
#define LAYOUT_ZERO_PAGE 0x7000ull   /* struct boot_params */
#define LAYOUT_STACK 0x8ff0ull	     /* grows down to the end of the zero page */
#define LAYOUT_PML4 0x9000ull
#define LAYOUT_PDPT 0xa000ull
#define LAYOUT_PD 0xb000ull /* 512 entries of 2 MiB */
#define LAYOUT_CMDLINE 0x20000ull
#define LAYOUT_CMDLINE_MAX 4096u /* room, with the NUL */
/* What a kernel takes that doesn't say: Linux's COMMAND_LINE_SIZE, with the NUL. */
#define LAYOUT_CMDLINE_DEFAULT 2048u

/* The last KiB of base memory: there Linux looks for the MP table. Reserved in the memory map. */
#define LAYOUT_EBDA 0x9fc00ull
#define LAYOUT_EBDA_SIZE 0x400ull

/* ---- RAM ---- */
#define LAYOUT_HIMEM 0x100000ull	  /* kernel and initrd lie from here on */
#define LAYOUT_IDENTITY_END 0x40000000ull /* what the boot page tables map: 1 GiB */
#define LAYOUT_HOLE_START 0xc0000000ull	  /* RAM below the hole: at most 3 GiB */
#define LAYOUT_HOLE_END 0x100000000ull	  /* the rest of RAM starts here */

/* ---- devices in the hole ---- */
#define LAYOUT_MMIO_BASE 0xd0000000ull /* virtio-mmio window 0 */
#define LAYOUT_MMIO_SIZE 0x1000ull     /* of one window */
#define LAYOUT_IOAPIC 0xfec00000ull
#define LAYOUT_LAPIC 0xfee00000ull
#define LAYOUT_IDENTITY_MAP 0xfffbc000ull /* KVM_SET_IDENTITY_MAP_ADDR: one page */
#define LAYOUT_TSS 0xfffbd000ull	  /* KVM_SET_TSS_ADDR: three pages */

#define LAYOUT_CPUS_MAX 32u
#define LAYOUT_IOAPIC_PINS 24u

static_assert(LAYOUT_PVH_MEMMAP < LAYOUT_ZERO_PAGE, "PVH structures run into the zero page");
static_assert(LAYOUT_ZERO_PAGE + LAYOUT_PAGE < LAYOUT_STACK, "no room for the stack");
static_assert(LAYOUT_STACK <= LAYOUT_PML4, "the stack runs into the page tables");
static_assert(LAYOUT_PD + LAYOUT_PAGE <= LAYOUT_CMDLINE, "page tables run into the command line");
static_assert(LAYOUT_CMDLINE + LAYOUT_CMDLINE_MAX <= LAYOUT_EBDA,
	      "command line runs into the EBDA");
static_assert(LAYOUT_IDENTITY_MAP + LAYOUT_PAGE == LAYOUT_TSS, "identity map lies below the TSS");

#endif
