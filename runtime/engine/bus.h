// SPDX-License-Identifier: Apache-2.0
// bus.h - which device answers a port or an address that the guest touches
#ifndef MAYFLY_ENGINE_BUS_H
#define MAYFLY_ENGINE_BUS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define BUS_MAX_WINDOWS 24

/*
 * A window of addresses and who serves it. The handlers are called on any vCPU's thread, several
 * at once; len is 1, 2, 4 or 8 and the whole access lies inside the window. A read finds data
 * zeroed.
 */
struct bus_window {
	uint64_t base, len;
	const char *name;
	void *arg;
	void (*read)(void *arg, uint64_t off, void *data, unsigned len);
	void (*write)(void *arg, uint64_t off, const void *data, unsigned len);
	atomic_ullong accesses;
};

/* One address space: ports, or physical memory that is not RAM. Zero-initialise. */
struct bus {
	unsigned n;
	struct bus_window window[BUS_MAX_WINDOWS];
	atomic_ullong unclaimed;
};

/* bus_add() - before the guest runs. Returns 0, -EEXIST for an overlap, -ENOSPC, -EINVAL. */
int bus_add(struct bus *b, uint64_t base, uint64_t len, const struct bus_window *w);

/*
 * bus_read(), bus_write() - one access of the guest, len 1 to 8. What nobody claims, of an odd
 * length or across a window's end reads all ones and swallows writes, as an empty bus does.
 */
void bus_read(struct bus *b, uint64_t addr, void *data, unsigned len);
void bus_write(struct bus *b, uint64_t addr, const void *data, unsigned len);

#endif
