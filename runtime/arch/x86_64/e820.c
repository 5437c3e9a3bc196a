// SPDX-License-Identifier: Apache-2.0
// e820.c - memory map out of the guest's regions
#include "arch/x86_64/e820.h"

#include "arch/x86_64/layout.h"
#include "base/checked.h"

#include <errno.h>

struct list {
	struct e820_entry *entry;
	size_t n, max; /* n counts on when the room is used up */
};

static void add(struct list *l, uint64_t from, uint64_t to, enum e820_type type)
{
	if (from >= to)
		return;
	if (l->n < l->max)
		l->entry[l->n] = (struct e820_entry){.addr = from, .size = to - from, .type = type};
	l->n++;
}

int e820_build(const struct gmem *m, struct e820_entry *list, size_t max)
{
	struct list l = {.entry = list, .max = max};
	for (unsigned i = 0; i < m->n; i++) {
		uint64_t from = m->region[i].gpa;
		uint64_t to = from + m->region[i].size;
		if (from < LAYOUT_HIMEM) {
			add(&l, from, MIN(to, LAYOUT_EBDA), E820_RAM);
			add(&l, MAX(from, LAYOUT_EBDA), LAYOUT_HIMEM, E820_RESERVED);
		}
		add(&l, MAX(from, LAYOUT_HIMEM), to, E820_RAM);
	}
	return l.n > max ? -ENOSPC : (int)l.n;
}
