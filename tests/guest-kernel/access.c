// SPDX-License-Identifier: Apache-2.0
// access.c - single accesses to ports and addresses, and those that make no sense
#include "garbage.h"

#define RESET_PORT 0x64
#define RESET_BYTE 0xfe

uint32_t in(unsigned port, unsigned size)
{
	uint16_t p = (uint16_t)port;
	uint8_t b;
	uint16_t w;
	uint32_t l;
	switch (size) {
	case 1: __asm__ volatile("inb %w1, %b0" : "=a"(b) : "Nd"(p)); return b;
	case 2: __asm__ volatile("inw %w1, %w0" : "=a"(w) : "Nd"(p)); return w;
	default: __asm__ volatile("inl %w1, %0" : "=a"(l) : "Nd"(p)); return l;
	}
}

void out(unsigned port, unsigned size, uint32_t v)
{
	uint16_t p = (uint16_t)port;
	switch (size) {
	case 1: __asm__ volatile("outb %b0, %w1" : : "a"(v), "Nd"(p)); break;
	case 2: __asm__ volatile("outw %w0, %w1" : : "a"(v), "Nd"(p)); break;
	default: __asm__ volatile("outl %0, %w1" : : "a"(v), "Nd"(p)); break;
	}
}

void out_string(unsigned port, const void *data, size_t n)
{
	__asm__ volatile("rep outsb" : "+S"(data), "+c"(n) : "d"((uint16_t)port) : "memory");
}

/* Plain instructions only: KVM emulates them, and not all others. */
uint64_t load(uint64_t addr, unsigned size)
{
	uint64_t v = 0;
	switch (size) {
	case 1: __asm__ volatile("movb (%1), %b0" : "+r"(v) : "r"(addr) : "memory"); break;
	case 2: __asm__ volatile("movw (%1), %w0" : "+r"(v) : "r"(addr) : "memory"); break;
	case 4: __asm__ volatile("movl (%1), %k0" : "+r"(v) : "r"(addr) : "memory"); break;
	default: __asm__ volatile("movq (%1), %0" : "+r"(v) : "r"(addr) : "memory"); break;
	}
	return v;
}

void store(uint64_t addr, unsigned size, uint64_t v)
{
	switch (size) {
	case 1: __asm__ volatile("movb %b1, (%0)" : : "r"(addr), "r"(v) : "memory"); break;
	case 2: __asm__ volatile("movw %w1, (%0)" : : "r"(addr), "r"(v) : "memory"); break;
	case 4: __asm__ volatile("movl %k1, (%0)" : : "r"(addr), "r"(v) : "memory"); break;
	default: __asm__ volatile("movq %1, (%0)" : : "r"(addr), "r"(v) : "memory"); break;
	}
}

uint64_t ticks(void)
{
	uint32_t low;
	uint32_t high;
	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

void pause_for(uint64_t n)
{
	uint64_t start = ticks();
	while (ticks() - start < n)
		__asm__ volatile("pause");
}

static unsigned any_port(void)
{
	/* Ours; the interrupt controllers', the timer's, and some that machines often have. */
	static const uint16_t ours[] = {0x3f8, 0x60, 0x64, 0x70, 0x71};
	static const uint16_t known[] = {0x20,	0x40,  0x61,  0x80,  0x92, 0xa0,  0xcd,	 0x2f8,
					 0x4d0, 0x402, 0x510, 0x604, 0xb2, 0x600, 0xcf8, 0xcfc};
	if (chance(20))
		return (uint16_t)random64();
	if (chance(30))
		return known[below(ARRAY_SIZE(known))] + (unsigned)below(10) - 1;
	return ours[below(ARRAY_SIZE(ours))] + (chance(50) ? 0 : (unsigned)below(10) - 1);
}

/* A reset would be an ending of its own: not by the way. */
static bool resets(unsigned port, unsigned size, uint32_t v)
{
	return port == RESET_PORT && size == 1 && (uint8_t)v == RESET_BYTE;
}

static void string_out(unsigned port, unsigned size)
{
	uint64_t from = ARENA + below(ARENA_END - ARENA - 0x10000);
	uint64_t n = 1 + below(chance(10) ? 16000 : 40);
	if (port == RESET_PORT)
		return;
	switch (size) {
	case 1: out_string(port, (void *)from, n); break;
	case 2:
		__asm__ volatile("rep outsw"
				 : "+S"(from), "+c"(n)
				 : "d"((uint16_t)port)
				 : "memory");
		break;
	default:
		__asm__ volatile("rep outsl"
				 : "+S"(from), "+c"(n)
				 : "d"((uint16_t)port)
				 : "memory");
		break;
	}
}

static void string_in(unsigned port, unsigned size)
{
	uint64_t to = ARENA_END + below(0x100000);
	uint64_t n = 1 + below(chance(10) ? 16000 : 40);
	switch (size) {
	case 1:
		__asm__ volatile("rep insb" : "+D"(to), "+c"(n) : "d"((uint16_t)port) : "memory");
		break;
	case 2:
		__asm__ volatile("rep insw" : "+D"(to), "+c"(n) : "d"((uint16_t)port) : "memory");
		break;
	default:
		__asm__ volatile("rep insl" : "+D"(to), "+c"(n) : "d"((uint16_t)port) : "memory");
		break;
	}
}

void step_port(void)
{
	unsigned port = any_port();
	unsigned size = 1u << below(3);
	uint32_t v = (uint32_t)odd_number();
	switch (below(6)) {
	case 0:
	case 1: in(port, size); break;
	case 2: string_in(port, size); break;
	case 3: string_out(port, size); break;
	default:
		if (!resets(port, size, v))
			out(port, size, v);
	}
}

/* Between RAM and 4 GiB, or behind the RAM above; mostly in and around the windows. */
static uint64_t hole_address(void)
{
	switch (below(10)) {
	case 0: return HOLE_START + below(LAPIC - HOLE_START - 0x1000000);
	case 1: return 0xfef00000 + below(HOLE_END - 0xfef00000 - 16);
	case 2:
		return program.mem_end < HOLE_START ? program.mem_end - 8 + below(32)
						    : HOLE_START + below(16);
	case 3: return program.high_end + below(0x10000);
	case 4: return WINDOWS + WINDOW_SIZE * (1 + below(10)) - below(9);
	default: return WINDOWS + below(10 * WINDOW_SIZE);
	}
}

static void string_move(uint64_t to, uint64_t from, uint64_t n)
{
	if (chance(50))
		__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
	else
		__asm__ volatile("rep movsl" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
}

void step_hole(void)
{
	uint64_t addr = hole_address();
	unsigned size = 1u << below(4);
	uint64_t v = odd_number();
	switch (below(8)) {
	case 0: string_move(addr, ARENA + below(0x10000), 1 + below(40)); break;
	case 1: string_move(ARENA_END + below(0x10000), addr, 1 + below(40)); break;
	case 2: string_move(addr, hole_address(), 1 + below(8)); break;
	case 3: __asm__ volatile("xchgl %k0, (%1)" : "+r"(v) : "r"(addr) : "memory"); break;
	case 4: load(addr, size); break;
	default: store(addr, size, v);
	}
}

static void let_interrupts_in(void)
{
	__asm__ volatile("sti");
	pause_for(20000);
	__asm__ volatile("cli");
}

void step_apic(void)
{
	switch (below(5)) {
	case 0: store(LAPIC + below(0x400), 1u << below(4), odd_number()); break;
	case 1: store(LAPIC + 16 * below(0x40), 4, odd_number()); break;
	case 2:
		store(IOAPIC, 4, below(0x40));
		store(IOAPIC + 16, 4, odd_number());
		break;
	case 3: load((chance(50) ? LAPIC : IOAPIC) + below(0x1000), 1u << below(4)); break;
	default: let_interrupts_in();
	}
}

/* RAM that nobody needs, from end to end, and what the boot protocols left below 1 MiB. */
void step_memory(void)
{
	uint64_t addr = ARENA_END + below(program.mem_end - ARENA_END - 8);
	if (chance(20))
		addr = 0x2000 + below(0xa0000 - 0x2000);
	if (chance(20) && program.high_end > HOLE_END)
		addr = HOLE_END + below(program.high_end - HOLE_END);
	store(addr, 1u << below(4), odd_number());
}
