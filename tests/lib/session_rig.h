// SPDX-License-Identifier: Apache-2.0
// session_rig.h - the agent's sessions in this process, and hosts that talk to them
#ifndef MAYFLY_TESTS_SESSION_RIG_H
#define MAYFLY_TESTS_SESSION_RIG_H

#include "sessions.h"

#define RIG_WAIT_NS 20000000000ull
#define RIG_EVENTS_MAX 64

struct srig_event {
	Mayfly__SessionEvent__Kind kind;
	uint64_t session;
	Mayfly__Exit__Kind exit_kind;
	int32_t code;
};

struct srig {
	struct evloop loop;
	struct sessions set;
	struct srig_event event[RIG_EVENTS_MAX];
	unsigned n_events;
};

/* One connection, the host's end. Zero-initialise. */
struct srig_host {
	struct frame_conn conn;
	bool closed; /* by the agent */
};

extern struct srig srig;

/* srig_setup(), srig_teardown() - fixtures of cmocka; the second ends all processes. */
int srig_setup(void **state);
int srig_teardown(void **state);

/* srig_step() - one turn of the agent's loop, at most ms, and the children that have ended. */
void srig_step(int ms);

/* srig_connect() - a new connection that has said Hello. srig_close() - the host vanishes. */
void srig_connect(struct srig_host *h);
void srig_close(struct srig_host *h);

/* srig_send() - sends a frame, with the agent's help if the socket is full. */
void srig_send(struct srig_host *h, const Mayfly__Frame *f);

/* Short forms. */
void srig_data(struct srig_host *h, const void *data, size_t len);
void srig_eof(struct srig_host *h);
void srig_credit(struct srig_host *h, Mayfly__Stream s, uint32_t bytes);
void srig_signal(struct srig_host *h, int number);
void srig_attach(struct srig_host *h, uint64_t session);
void srig_attach_lost(struct srig_host *h, uint64_t session);
void srig_size(struct srig_host *h, uint32_t rows, uint32_t columns);

/* srig_start() - ExecStart as it is, then `sh -c script`, and ExecRun. */
void srig_start(struct srig_host *h, Mayfly__ExecStart *x, const char *script);
/* srig_keep() - the same with a request that keeps. */
void srig_keep(struct srig_host *h, uint64_t session, const char *script);

/* srig_next() - the next frame but Hello, the caller's; NULL if the agent has closed. */
Mayfly__Frame *srig_next(struct srig_host *h);

/* srig_expect() - the next frame, which must be of this kind. */
Mayfly__Frame *srig_expect(struct srig_host *h, Mayfly__Frame__BodyCase kind);

/* srig_closed() - the agent closes this connection without another word. */
void srig_closed(struct srig_host *h);

/*
 * srig_output() - reads until Exit, which is returned, the caller's; stdout is appended to out, of
 * size max, NUL-terminated. @credit: give all credit back
 */
Mayfly__Frame *srig_output(struct srig_host *h, char *out, size_t max, bool credit);

/* srig_until() - reads until stdout has this text; credits all. */
void srig_until(struct srig_host *h, const char *text);

/* srig_event() - waits until there are n events, the last of this kind and session. */
void srig_event(unsigned n, Mayfly__SessionEvent__Kind kind, uint64_t session);

/* srig_gone() - waits until there are so many sessions only. */
void srig_gone(unsigned left);

#endif
