// SPDX-License-Identifier: Apache-2.0
// frame.h - frames on a non-blocking stream, bounded both ways
#ifndef MAYFLY_PROTO_FRAME_H
#define MAYFLY_PROTO_FRAME_H

#include "proto/agent.pb-c.h"
#include "proto/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAME_HDR 4
/* What may wait to be sent: a full window of data and the small frames beside it. */
#define FRAME_OUT_MAX (512u << 10)

/* One connection. One thread. Zero-initialise but for fd. */
struct frame_conn {
	int fd;
	bool got_hello;
	uint32_t peer_version; /* what its Hello said, 0: no Hello came first */
	uint8_t *in;
	size_t in_len; /* bytes in the buffer */
	size_t in_pos; /* start of the next frame */
	uint8_t *out;
	size_t out_cap;
	size_t out_len;
	size_t out_pos;
};

/* frame_conn_free() - buffers only; the descriptor stays its owner's. */
void frame_conn_free(struct frame_conn *c);

/*
 * frame_decode() - one frame out of bytes.
 * Returns bytes consumed with *out (free with mayfly__frame__free_unpacked), 0 if more bytes are
 * needed, -EMSGSIZE for a frame over PROTO_FRAME_MAX, -EPROTO for one that is malformed, of an
 * unknown type, or carries a data field over PROTO_DATA_MAX.
 */
int64_t frame_decode(const uint8_t *buf, size_t len, Mayfly__Frame **out);

/*
 * frame_fill() - one read(2) into the buffer. Returns 1 if bytes came, 0 if none are there now,
 * -ENODATA at the end of the stream, -errno.
 */
int frame_fill(struct frame_conn *c);

/*
 * frame_next() - the next frame already read. Returns 1 with *out, 0 if none is complete, -errno
 * as frame_decode(). The first frame must be a Hello of PROTO_VERSION, else -EPROTONOSUPPORT;
 * it is returned too. A second Hello is -EPROTO.
 */
int frame_next(struct frame_conn *c, Mayfly__Frame **out);

/* frame_send() - queues one frame; 0, -ENOBUFS if too much waits already, -ENOMEM, -EMSGSIZE. */
int frame_send(struct frame_conn *c, const Mayfly__Frame *f);

/* frame_room() - true if a full Data frame would be taken without making the queue too long. */
bool frame_room(const struct frame_conn *c);

/* frame_flush() - writes what it can. Returns 1 if some is left, 0 if all is out, -errno. */
int frame_flush(struct frame_conn *c);

/* Short forms: build and queue one frame of this type. */
int frame_send_hello(struct frame_conn *c, const char *program);
int frame_send_data(struct frame_conn *c, Mayfly__Stream s, const void *data, size_t len);
int frame_send_eof(struct frame_conn *c, Mayfly__Stream s);
int frame_send_credit(struct frame_conn *c, Mayfly__Stream s, uint32_t bytes);
int frame_send_closed(struct frame_conn *c, Mayfly__Stream s);

#endif
