// SPDX-License-Identifier: Apache-2.0
// fake_guest.h - a driver's side of virtqueues in a plain buffer, for tests and fuzzers
//
// One memory region at FAKE_GUEST_BASE; rings and buffers are carved from it front to back.
#ifndef MAYFLY_TESTS_FAKE_GUEST_H
#define MAYFLY_TESTS_FAKE_GUEST_H

#include "virtio/queue.h"
#include "vmm/gmem.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FAKE_GUEST_BASE 0x100000ull
#define FAKE_QUEUE_MAX 256

struct fake_guest {
	uint8_t *mem;
	size_t size, used;
};

/* One descriptor. out: data is copied into the guest; in: host is where the device writes. */
struct fake_buf {
	bool in;
	const void *data;
	size_t len;
	uint8_t *host;
};

struct fake_queue {
	struct fake_guest *g;
	struct virtqueue *vq;
	uint16_t next_avail, last_used, free_desc;
	uint16_t next[FAKE_QUEUE_MAX]; /* free list, and the length of each chain by head */
	uint16_t count[FAKE_QUEUE_MAX];
};

/* fake_guest_init() - maps size bytes and adds them to mem as a borrowed region; 0 or -errno. */
int fake_guest_init(struct fake_guest *g, struct gmem *mem, size_t size);
void fake_guest_destroy(struct fake_guest *g);

/* fake_guest_alloc() - zeroed guest memory, NULL if there is none left. */
uint8_t *fake_guest_alloc(struct fake_guest *g, size_t len, size_t align);
struct gpa fake_guest_gpa(const struct fake_guest *g, const void *host);

/* fake_queue_init() - lays out a ring of size entries (at most FAKE_QUEUE_MAX), makes the call
 * eventfd and starts vq; 0 or -errno. */
int fake_queue_init(struct fake_queue *q, struct fake_guest *g, struct virtqueue *vq,
		    uint16_t size);
void fake_queue_destroy(struct fake_queue *q);

/* fake_queue_add() - makes a chain of n buffers available; its head, or -1 if there is no room. */
int fake_queue_add(struct fake_queue *q, struct fake_buf *buf, unsigned n);

/* fake_queue_used() - takes the next used element and frees its descriptors. */
bool fake_queue_used(struct fake_queue *q, uint16_t *head, uint32_t *len);

/* fake_queue_interrupts() - interrupts since the last call. */
uint64_t fake_queue_interrupts(struct fake_queue *q);

#endif
