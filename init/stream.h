// SPDX-License-Identifier: Apache-2.0
// stream.h - one of a command's three streams, with credit on its connection
#ifndef MAYFLY_INIT_STREAM_H
#define MAYFLY_INIT_STREAM_H

#include "base/evloop.h"
#include "held.h"
#include "proto/frame.h"

/* Room for what is typed behind the last byte of the host's. */
#define STREAM_IN_SLACK 16u

/*
 * Both kinds end with fd -1. The owner sets src.fn and src.arg, and watches as they say. Where a
 * connection is an argument, NULL stands for none: only a session with keep can be without.
 */
struct stream_in {
	struct evsource src; /* write end of the command's stdin, or its terminal */
	uint32_t window;
	uint8_t *buf; /* a ring of the window and STREAM_IN_SLACK */
	uint32_t head, len;
	uint32_t owed; /* written, credit not yet given back */
	bool eof;      /* the host has no more */
};

struct stream_out {
	struct evsource src; /* read end of the command's stdout or stderr, or its terminal */
	Mayfly__Stream id;
	bool keep;
	uint32_t credit;   /* without keep */
	struct held held;  /* with keep */
	bool finished;	   /* this connection was told Eof, or does not want to hear it */
	bool cutting;	   /* only what is in the pipe now is still read: */
	uint32_t cut_left; /* so many bytes */
	bool was_cut;
	uint64_t heard_ns; /* when something came */
};

/* stream_in_add() - data from the host; -EPROTO if it is more than the credit allows. */
int stream_in_add(struct stream_in *s, const uint8_t *data, size_t len);

/* stream_in_type() - a few bytes of our own, at most STREAM_IN_SLACK once; 0 or -ENOMEM. */
int stream_in_type(struct stream_in *s, const uint8_t *data, size_t len);

/*
 * stream_in_push() - writes what the pipe takes, gives credit back, closes at the end.
 * Returns 0, or -errno of the connection.
 */
int stream_in_push(struct stream_in *s, struct evloop *loop, struct frame_conn *conn);

/* stream_in_rewind() - another connection: all that is owed is its credit from the start. */
uint32_t stream_in_rewind(struct stream_in *s);

/* stream_in_close() - stops watching, closes, forgets what was not written. */
void stream_in_close(struct stream_in *s, struct evloop *loop);

/*
 * stream_out_pull() - moves what credit and connection allow from the pipe into Data frames;
 * at the end of the pipe sends Eof and closes. Returns 0, or -errno of the connection.
 */
int stream_out_pull(struct stream_out *s, struct evloop *loop, struct frame_conn *conn);

/* stream_out_resume() - there may be room again: sends what is held, watches. 0 or -errno. */
int stream_out_resume(struct stream_out *s, struct evloop *loop, struct frame_conn *conn);

/* stream_out_watch() - watches the pipe exactly while there is credit and room. */
void stream_out_watch(struct stream_out *s, struct evloop *loop, const struct frame_conn *conn);

/* stream_out_credit() - the host can take more; -EPROTO for more than it was sent. */
int stream_out_credit(struct stream_out *s, uint32_t bytes);

/* stream_out_stop() - the host wants nothing more of it: closes and forgets. */
void stream_out_stop(struct stream_out *s, struct evloop *loop);

/* stream_out_rewind() - another connection, which gets all again that was not credited. */
void stream_out_rewind(struct stream_out *s);

/*
 * stream_out_cut() - its command is over and something else holds it open: what is in the pipe now
 * is still delivered, then it is closed.
 */
void stream_out_cut(struct stream_out *s, struct evloop *loop);

/* stream_out_done() - closed, and all of it sent on this connection. */
bool stream_out_done(const struct stream_out *s);

/* stream_close() - stops watching and closes. */
void stream_close(struct evsource *src, struct evloop *loop);

#endif
