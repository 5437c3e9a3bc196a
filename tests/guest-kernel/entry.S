# SPDX-License-Identifier: Apache-2.0
# entry.S - from either entry protocol to C; page tables, exceptions, the second CPU's way up
#
# Everything is identity-mapped: 8 GiB, so that the hole and RAM behind it are within reach.

#define CODE64 0x08
#define DATA 0x10
#define MSR_EFER 0xc0000080
#define MSR_GS_BASE 0xc0000101
#define EFER_LME 0x100
#define CR0_PE_PG 0x80000001
#define CR4_PAE 0x20
#define LAPIC_EOI 0xfee000b0
#define CPU_SIZE 64
#define STACK_SIZE 16384

	# XEN_ELFNOTE_PHYS32_ENTRY
	.section .note.pvh, "a", @note
	.balign 4
	.long 4, 4, 18
	.asciz "Xen"
	.long start32

	.data
	# What the program is. Tests write it into copies of this file.
	.globl program_text
program_text:
	.ascii "GARBAGE-PROGRAM:"
	.fill 176, 1, 0

	.balign 8
gdt:
	.quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff
gdt_ptr:
	.word gdt_ptr - gdt - 1
	.quad gdt
	.globl idt_ptr
idt_ptr:
	.word 256 * 16 - 1
	.quad idt

	.balign 4096
pml4:
	.quad pdpt + 3
	.fill 511, 8, 0
pdpt:
	.set i, 0
	.rept 8
	.quad pages + i * 4096 + 3
	.set i, i + 1
	.endr
	.fill 504, 8, 0
	.globl pages
pages:
	.set i, 0
	.rept 8 * 512
	.quad (i << 21) + 0x83
	.set i, i + 1
	.endr

	.bss
	.balign 16
	.globl idt
idt:	.skip 256 * 16
stacks:	.skip 2 * STACK_SIZE

	.text
	.code32
start32:
	cli
	lgdt gdt_ptr
	call long_mode
	ljmp $CODE64, $start64

# All 32-bit: PAE, long mode, paging.
long_mode:
	mov $pml4, %eax
	mov %eax, %cr3
	mov $CR4_PAE, %eax
	mov %eax, %cr4
	mov $MSR_EFER, %ecx
	rdmsr
	or $EFER_LME, %eax
	wrmsr
	mov %cr0, %eax
	or $CR0_PE_PG, %eax
	mov %eax, %cr0
	ret

	.code64
	.globl start64
start64:
	xor %ebx, %ebx
	jmp common
ap64:
	mov $1, %ebx

# %ebx: number of this CPU
common:
	cli
	cld
	lgdt gdt_ptr
	mov $pml4, %eax
	mov %rax, %cr3
	lea 1(%rbx), %eax
	imul $STACK_SIZE, %eax, %eax
	lea stacks(%rax), %rsp
	push $CODE64
	push $1f
	lretq
1:	mov $DATA, %eax
	mov %eax, %ss
	mov %eax, %ds
	mov %eax, %es
	xor %eax, %eax
	mov %eax, %fs
	mov %eax, %gs
	imul $CPU_SIZE, %ebx, %eax
	lea cpus(%rax), %rax
	mov %rax, 8(%rax)
	xor %edx, %edx
	mov $MSR_GS_BASE, %ecx
	wrmsr
	test %ebx, %ebx
	jnz 2f
	call main
	ud2
2:	lidt idt_ptr
	call ap_main
	ud2

# int try(void (*fn)(void)): calls it; 1 if an exception ended it.
	.globl try
try:
	push %rbp
	push %rbx
	push %r12
	push %r13
	push %r14
	push %r15
	mov %rsp, %gs:0
	call *%rdi
	xor %eax, %eax
	jmp leave_try
	.globl on_exception
on_exception:
	cld
	mov %gs:0, %rsp
	mov $1, %eax
leave_try:
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbx
	pop %rbp
	ret

	.globl on_interrupt
on_interrupt:
	push %rax
	mov $LAPIC_EOI, %eax
	movl $0, (%rax)
	pop %rax
	.globl on_nmi
on_nmi:
	iretq

# Copied to a page below 1 MiB, where the second CPU begins in real mode.
	.code16
	.globl trampoline, trampoline_end
trampoline:
	cli
	xor %ax, %ax
	mov %ax, %ds
	lgdtl TRAMPOLINE + tr_gdt_ptr - trampoline
	mov $0x11, %eax
	mov %eax, %cr0
	ljmpl $0x18, $TRAMPOLINE + tr_32 - trampoline
	.code32
tr_32:
	mov $DATA, %eax
	mov %eax, %ds
	mov %eax, %ss
	mov $TRAMPOLINE + 0x1000, %esp
	mov $long_mode, %eax
	call *%eax
	ljmp $CODE64, $ap64
	.balign 8
tr_gdt:
	.quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x00cf9b000000ffff
tr_gdt_ptr:
	.word tr_gdt_ptr - tr_gdt - 1
	.long TRAMPOLINE + tr_gdt - trampoline
trampoline_end:

	.section .note.GNU-stack, "", @progbits
