// SPDX-License-Identifier: Apache-2.0
// bus.c - looks up the window and counts
#include "engine/bus.h"

#include "base/checked.h"

#include <errno.h>
#include <string.h>

int bus_add(struct bus *b, uint64_t base, uint64_t len, const struct bus_window *w)
{
	uint64_t end;
	if (len == 0 || add_overflows(base, len, &end))
		return -EINVAL;
	for (unsigned i = 0; i < b->n; i++)
		if (base < b->window[i].base + b->window[i].len && b->window[i].base < end)
			return -EEXIST;
	if (b->n == BUS_MAX_WINDOWS)
		return -ENOSPC;
	struct bus_window *to = &b->window[b->n++];
	to->base = base;
	to->len = len;
	to->name = w->name;
	to->arg = w->arg;
	to->read = w->read;
	to->write = w->write;
	return 0;
}

static struct bus_window *find(struct bus *b, uint64_t addr, unsigned len)
{
	bool plain = (len & (len - 1)) == 0;
	for (unsigned i = 0; plain && i < b->n; i++)
		if (addr >= b->window[i].base &&
		    range_inside(addr - b->window[i].base, len, b->window[i].len)) {
			atomic_fetch_add_explicit(&b->window[i].accesses, 1, memory_order_relaxed);
			return &b->window[i];
		}
	atomic_fetch_add_explicit(&b->unclaimed, 1, memory_order_relaxed);
	return NULL;
}

void bus_read(struct bus *b, uint64_t addr, void *data, unsigned len)
{
	struct bus_window *w = find(b, addr, len);
	memset(data, w ? 0 : 0xff, len);
	if (w && w->read)
		w->read(w->arg, addr - w->base, data, len);
}

void bus_write(struct bus *b, uint64_t addr, const void *data, unsigned len)
{
	struct bus_window *w = find(b, addr, len);
	if (w && w->write)
		w->write(w->arg, addr - w->base, data, len);
}
