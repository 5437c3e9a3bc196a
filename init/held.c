// SPDX-License-Identifier: Apache-2.0
// held.c - a ring of what was read from a command, until the host has credited it
#include "held.h"

#include "base/checked.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

uint32_t held_room(const struct held *h)
{
	return PROTO_KEEP_WINDOW - h->len;
}

int64_t held_read(struct held *h, int fd, uint32_t max)
{
	if (!h->buf) {
		h->buf = malloc(PROTO_KEEP_WINDOW);
		if (!h->buf)
			return -ENOMEM;
	}
	uint32_t tail = (h->head + h->len) % PROTO_KEEP_WINDOW;
	uint32_t part = MIN(held_room(h), PROTO_KEEP_WINDOW - tail);
	ssize_t n = read(fd, h->buf + tail, MIN(part, max));
	if (n < 0)
		return -errno;
	h->len += (uint32_t)n;
	return n;
}

uint32_t held_next(const struct held *h, const uint8_t **data)
{
	uint32_t at = (h->head + h->sent) % PROTO_KEEP_WINDOW;
	uint32_t part = MIN(h->len - h->sent, PROTO_KEEP_WINDOW - at);
	if (part == 0)
		return 0;
	*data = h->buf + at;
	return MIN(part, PROTO_DATA_MAX);
}

void held_sent(struct held *h, uint32_t bytes)
{
	h->sent += bytes;
}

int held_credit(struct held *h, uint32_t bytes)
{
	if (bytes > h->sent)
		return -EPROTO;
	h->head = (h->head + bytes) % PROTO_KEEP_WINDOW;
	h->len -= bytes;
	h->sent -= bytes;
	/* Next time in one piece. */
	if (h->len == 0)
		h->head = 0;
	return 0;
}

void held_rewind(struct held *h)
{
	h->sent = 0;
}

void held_free(struct held *h)
{
	free(h->buf);
	*h = (struct held){0};
}
