// SPDX-License-Identifier: Apache-2.0
// chain.h - bounded walk of a descriptor chain (virtio 1.2, sections 2.7.5 and 2.7.7)
#ifndef MAYFLY_VIRTIO_CHAIN_H
#define MAYFLY_VIRTIO_CHAIN_H

#include "virtio/queue.h"

#define CHAIN_DESC_SIZE 16

/*
 * chain_walk() - follows a chain from head and fills c.
 * @table: the descriptor table in guest memory, size entries, already checked to be inside
 * Returns 0, or -EPROTO for a chain that breaks the rules (index out of range, cycle or longer
 * than the table, readable after writable, bad indirect table, too many pieces, over 4 GiB),
 * -EFAULT for memory outside the guest.
 */
int chain_walk(const struct gmem *mem, const void *table, uint16_t size, uint16_t head,
	       struct chain *c);

#endif
