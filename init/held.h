// SPDX-License-Identifier: Apache-2.0
// held.h - bytes of one output that were not credited yet, kept for whoever attaches
#ifndef MAYFLY_INIT_HELD_H
#define MAYFLY_INIT_HELD_H

#include "proto/limits.h"

#include <stddef.h>
#include <stdint.h>

/* A ring of PROTO_KEEP_WINDOW bytes, allocated with the first one. Zero-initialise. */
struct held {
	uint8_t *buf;
	uint32_t head, len;
	uint32_t sent; /* of len, on the present connection */
};

/* held_room() - bytes that can be added. */
uint32_t held_room(const struct held *h);

/*
 * held_read() - one read(2) of at most max bytes from fd, as far as there is room in one piece.
 * Returns bytes, 0 at the end, -errno. Call it only while there is room.
 */
int64_t held_read(struct held *h, int fd, uint32_t max);

/* held_next() - the next piece that was not sent, at most PROTO_DATA_MAX; its length, or 0. */
uint32_t held_next(const struct held *h, const uint8_t **data);
void held_sent(struct held *h, uint32_t bytes);

/* held_credit() - forgets the oldest bytes; -EPROTO for more than were sent. */
int held_credit(struct held *h, uint32_t bytes);

/* held_rewind() - another connection: nothing was sent on it. */
void held_rewind(struct held *h);

/* held_free() - forgets everything. */
void held_free(struct held *h);

#endif
