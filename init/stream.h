// SPDX-License-Identifier: Apache-2.0
// stream.h - one of a command's three pipes, with credit on its connection
#ifndef MAYFLY_INIT_STREAM_H
#define MAYFLY_INIT_STREAM_H

#include "base/evloop.h"
#include "proto/frame.h"

/* Both kinds end with fd -1. The owner sets src.fn and src.arg, and watches as they say. */
struct stream_in {
	struct evsource src; /* write end of the command's stdin */
	uint8_t *buf;	     /* PROTO_WINDOW bytes, a ring */
	uint32_t head, len;
	uint32_t owed; /* written, credit not yet given back */
	bool eof;      /* the host has no more */
};

struct stream_out {
	struct evsource src; /* read end of the command's stdout or stderr */
	Mayfly__Stream id;
	uint32_t credit;
};

/* stream_in_add() - data from the host; -EPROTO if it is more than the credit allows. */
int stream_in_add(struct stream_in *s, const uint8_t *data, size_t len);

/*
 * stream_in_push() - writes what the pipe takes, gives credit back, closes at the end.
 * Returns 0, or -errno of the connection.
 */
int stream_in_push(struct stream_in *s, struct evloop *loop, struct frame_conn *conn);

/*
 * stream_out_pull() - moves what credit and connection allow from the pipe into Data frames;
 * at the end of the pipe sends Eof and closes. Returns 0, or -errno of the connection.
 */
int stream_out_pull(struct stream_out *s, struct evloop *loop, struct frame_conn *conn);

/* stream_out_watch() - watches the pipe exactly while there is credit and room. */
void stream_out_watch(struct stream_out *s, struct evloop *loop, const struct frame_conn *conn);

/* stream_close() - stops watching and closes. */
void stream_close(struct evsource *src, struct evloop *loop);

#endif
