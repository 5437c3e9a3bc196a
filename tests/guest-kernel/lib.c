// SPDX-License-Identifier: Apache-2.0
// lib.c - what a program without a library needs: memory, chance, text on the serial port
#include "garbage.h"

void *memcpy(void *to, const void *from, size_t n)
{
	void *start = to;
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
	return start;
}

void *memset(void *to, int c, size_t n)
{
	void *start = to;
	__asm__ volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(c) : "memory");
	return start;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const uint8_t *p = a;
	const uint8_t *q = b;
	for (size_t i = 0; i < n; i++)
		if (p[i] != q[i])
			return p[i] - q[i];
	return 0;
}

size_t strlen(const char *s)
{
	size_t n = 0;
	while (s[n])
		n++;
	return n;
}

bool same(const char *a, const char *b)
{
	size_t n = strlen(a);
	return n == strlen(b) && memcmp(a, b, n) == 0;
}

static struct cpu *this_cpu(void)
{
	struct cpu *c;
	__asm__ volatile("mov %%gs:8, %0" : "=r"(c));
	return c;
}

/* splitmix64: any seed will do, 0 too. */
uint64_t random64(void)
{
	struct cpu *c = this_cpu();
	c->random += 0x9e3779b97f4a7c15ull;
	uint64_t z = c->random;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

uint64_t below(uint64_t n)
{
	return random64() % n;
}

bool chance(unsigned percent)
{
	return below(100) < percent;
}

uint64_t odd_number(void)
{
	switch (below(6)) {
	case 0: return below(9);
	case 1: return -below(9) - 1;
	case 2: return (1ull << below(64)) + below(3) - 1;
	case 3: return (uint32_t)random64();
	case 4: return 0xffffffff;
	default: return random64();
	}
}

void print(const char *text)
{
	size_t left = strlen(text);
	while (left > 0) {
		size_t n = left < 16 ? left : 16;
		/* Until its buffer has room, but not for ever: it may be in a strange state. */
		for (unsigned i = 0; i < 100 && !(in(COM1 + 5, 1) & 0x20); i++)
			pause_for(2000000);
		out_string(COM1, text, n);
		text += n;
		left -= n;
	}
}

void print_number(uint64_t v)
{
	char text[24];
	char *p = text + sizeof(text);
	*--p = '\0';
	do {
		*--p = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	print(p);
}
