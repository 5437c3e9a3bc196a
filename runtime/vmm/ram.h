// SPDX-License-Identifier: Apache-2.0
// ram.h - the machine's memory, a private mapping of this process alone
#ifndef MAYFLY_VMM_RAM_H
#define MAYFLY_VMM_RAM_H

#include "base/err.h"
#include "vmm/gmem.h"

/*
 * ram_map() - size bytes as one region from 0, and what is over LAYOUT_HOLE_START as a second from
 * LAYOUT_HOLE_END. Pages are taken from the host as the guest touches them. gmem_clear() frees.
 * @size: a multiple of the page size
 * Returns 0 or -errno with text.
 */
int ram_map(struct gmem *m, uint64_t size, struct err *e);

/* ram_advise() - out of core dumps, in huge pages where it can be; after everything is loaded. */
void ram_advise(const struct gmem *m);

#endif
