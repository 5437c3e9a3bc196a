// SPDX-License-Identifier: Apache-2.0
// test_regs.c - the first CPU's registers as the boot protocols want them, tables in guest memory
// links: runtime/arch/x86_64/regs.c runtime/vmm/gmem.c
#include "arch/x86_64/regs.h"

#include "base/checked.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* Numbers on purpose, not the code's own names: these are the protocols'. */
#define ZERO_PAGE 0x7000
#define MEM (64u * 1024)

static struct kvm_sregs s;
static struct kvm_regs r;
static struct gmem m;

/* As KVM gives them: what the protocols don't name has to stay. */
static int setup(void **state)
{
	(void)state;
	memset(&s, 0x5a, sizeof(s));
	memset(&r, 0x5a, sizeof(r));
	s.cr0 = 0x60000010;
	s.apic_base = 0xfee00900;
	s.cr8 = 3;
	s.cr2 = 0x1234;
	s.ldt = (struct kvm_segment){.type = 2, .present = 1, .limit = 0xffff};
	return 0;
}

static void assert_flat(const struct kvm_segment *g, unsigned selector, unsigned type)
{
	assert_true(g->base == 0 && g->limit == 0xffffffff);
	assert_int_equal(g->selector, selector);
	assert_int_equal(g->type, type);
	assert_true(g->present && g->s && g->g);
	assert_true(!g->dpl && !g->unusable);
}

static void assert_data_segments(void)
{
	const struct kvm_segment *const data[] = {&s.ds, &s.es, &s.fs, &s.gs, &s.ss};
	for (size_t i = 0; i < ARRAY_SIZE(data); i++) {
		assert_flat(data[i], 0x18, 3); /* read, write, accessed */
		assert_true(data[i]->db && !data[i]->l);
	}
}

/* A busy 32/64-bit TSS, without which no CPU enters a guest. */
static void assert_task(void)
{
	assert_true(s.tr.base == 0 && s.tr.limit == 0x67);
	assert_int_equal(s.tr.type, 0xb);
	assert_true(s.tr.present && !s.tr.s && !s.tr.g && !s.tr.unusable);
}

static void assert_left_alone(void)
{
	assert_true(s.apic_base == 0xfee00900 && s.cr8 == 3 && s.cr2 == 0x1234);
	assert_true(s.ldt.type == 2 && s.ldt.limit == 0xffff);
	assert_int_equal(s.interrupt_bitmap[0], 0x5a5a5a5a5a5a5a5a);
}

static void assert_general(uint64_t rip, uint64_t rbx, uint64_t rsi)
{
	/* Fixed bit only: no interrupts, no trap flag, not virtual-8086, direction up. */
	assert_true(r.rflags == 2);
	assert_true(r.rip == rip && r.rbx == rbx && r.rsi == rsi);
	assert_true((r.rax | r.rcx | r.rdx | r.rdi) == 0);
	assert_true((r.r8 | r.r9 | r.r10 | r.r11 | r.r12 | r.r13 | r.r14 | r.r15) == 0);
	/* Below the page tables, above the zero page; 16-byte aligned. */
	assert_true(r.rsp > ZERO_PAGE + 0x1000 && r.rsp <= 0x9000 && r.rsp % 16 == 0);
}

/* Documentation/arch/x86/boot.rst, "64-bit boot protocol". */
static void test_linux64(void **state)
{
	(void)state;
	regs_linux64(&s, &r, 0x1000200, ZERO_PAGE);
	assert_flat(&s.cs, 0x10, 0xb); /* execute, read, accessed */
	assert_true(s.cs.l && !s.cs.db);
	assert_data_segments();
	assert_task();
	assert_true(s.cr0 == 0x80000011); /* PG, ET, PE */
	assert_true(s.cr3 == 0x9000);
	assert_true(s.cr4 == 0x20);   /* PAE */
	assert_true(s.efer == 0x500); /* LMA, LME */
	assert_general(0x1000200, 0, ZERO_PAGE);
	assert_left_alone();
}

/* xen/include/public/arch-x86/hvm/start_info.h */
static void test_pvh(void **state)
{
	(void)state;
	regs_pvh(&s, &r, 0x1000550, 0x6000);
	assert_flat(&s.cs, s.cs.selector, 0xb);
	assert_true(!s.cs.l && s.cs.db);
	assert_data_segments();
	assert_task();
	assert_true(s.cr0 == 0x11); /* ET, PE: no paging */
	assert_true(s.cr4 == 0 && s.efer == 0 && s.cr3 == 0);
	assert_general(0x1000550, 0x6000, 0);
	assert_left_alone();
}

static void test_fpu(void **state)
{
	(void)state;
	struct kvm_fpu fpu;
	static const uint8_t zero[sizeof(fpu.fpr)];
	memset(&fpu, 0x5a, sizeof(fpu));
	regs_fpu(&fpu);
	assert_true(fpu.fcw == 0x37f && fpu.mxcsr == 0x1f80);
	assert_true(fpu.fsw == 0 && fpu.ftwx == 0);
	assert_memory_equal(fpu.fpr, zero, sizeof(zero));
}

/* ---- tables ---- */

static void give_memory(uint64_t size)
{
	struct gmem_region region = {.size = size, .host = calloc(1, size)};
	m = (struct gmem){0};
	assert_non_null(region.host);
	assert_int_equal(gmem_add(&m, &region), 0);
}

static uint64_t get64(uint64_t at)
{
	uint64_t v = 0;
	assert_int_equal(gmem_read(&m, GPA(at), &v, sizeof(v)), 0);
	return v;
}

/* As the CPU walks them; the page's flags, too, must allow all that a kernel does. */
static uint64_t translate(uint64_t root, uint64_t addr)
{
	uint64_t table = root;
	for (unsigned level = 4; level > 1; level--) {
		unsigned shift = 12 + 9 * (level - 1);
		uint64_t e = get64(table + (addr >> shift & 511) * 8);
		if ((e & 3) != 3)
			return ~0ull;
		assert_true((e >> 63) == 0); /* may be executed */
		if (level == 2) {
			assert_true(e & 0x80);
			return (e & 0xfffffffe00000ull) | (addr & 0x1fffff);
		}
		assert_false(e & 0x80);
		table = e & 0xffffffffff000ull;
	}
	return ~0ull;
}

static void test_page_tables(void **state)
{
	(void)state;
	static const uint64_t mapped[] = {0,	     0x7000,	 0x100000,   0x1fffff,	0x200000,
					  0x1000200, 0x3fe00000, 0x3fffffff, 0x12345678};
	static const uint64_t unmapped[] = {0x40000000, 0x80000000, 0x8000000000,
					    0xffffffff81000000};
	give_memory(MEM);
	assert_int_equal(regs_write_tables(&m, NULL), 0);
	regs_linux64(&s, &r, 0x1000200, ZERO_PAGE);
	for (size_t i = 0; i < ARRAY_SIZE(mapped); i++)
		assert_true(translate(s.cr3, mapped[i]) == mapped[i]);
	for (size_t i = 0; i < ARRAY_SIZE(unmapped); i++)
		assert_true(translate(s.cr3, unmapped[i]) == ~0ull);
	free(m.region[0].host);
}

/* What a kernel finds that reloads a segment before it has a table of its own. */
static void test_gdt(void **state)
{
	(void)state;
	give_memory(MEM);
	assert_int_equal(regs_write_tables(&m, NULL), 0);
	regs_linux64(&s, &r, 0x1000200, ZERO_PAGE);
	assert_true(s.gdt.limit == 31);
	uint64_t null = get64(s.gdt.base);
	uint64_t code = get64(s.gdt.base + s.cs.selector);
	uint64_t data = get64(s.gdt.base + s.ds.selector);
	assert_true(null == 0);
	/* Present, code, 64-bit, and data; base 0, limit 4 GiB. */
	assert_true((code & ~(1ull << 40)) == 0x00af9a000000ffff);
	assert_true((data & ~(1ull << 40)) == 0x00cf92000000ffff);
	/* No exception can be taken: one is a triple fault, which is reported. */
	assert_true(s.idt.limit == 0);
	/* The tables lie apart from each other and from what else is in low memory. */
	assert_true(s.gdt.base + s.gdt.limit < s.idt.base && s.idt.base < 0x6000);
	free(m.region[0].host);
}

static void test_tables_without_room(void **state)
{
	(void)state;
	static const uint64_t sizes[] = {0x400, 0x1000, 0x9000, 0xa000, 0xb000, 0xbff8};
	struct err e;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		e.text[0] = '\0';
		give_memory(sizes[i]);
		assert_int_equal(regs_write_tables(&m, &e), -EFAULT);
		assert_non_null(strstr(e.text, "tables"));
		free(m.region[0].host);
	}
	give_memory(0xc000);
	assert_int_equal(regs_write_tables(&m, &e), 0);
	free(m.region[0].host);
}

#define T(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_linux64),     T(test_pvh), T(test_fpu),
		T(test_page_tables), T(test_gdt), T(test_tables_without_room),
	};
	alarm(30);
	return cmocka_run_group_tests_name("regs", tests, NULL, NULL);
}
