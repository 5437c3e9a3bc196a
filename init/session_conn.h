// SPDX-License-Identifier: Apache-2.0
// session_conn.h - one connection of the host: for a command, or for a copy
#ifndef MAYFLY_INIT_SESSION_CONN_H
#define MAYFLY_INIT_SESSION_CONN_H

#include "base/evloop.h"
#include "proto/frame.h"

#include <sys/queue.h>
#include <sys/types.h>

enum session_conn_state {
	SESSION_CONN_NEW,     /* has not said what it is for */
	SESSION_CONN_EXEC,    /* of a session */
	SESSION_CONN_COPY,    /* a process of its own sends files; it ends with the connection */
	SESSION_CONN_CLOSING, /* its last words are on their way */
	SESSION_CONN_PUT,     /* a process of its own has the socket, and writes files */
	SESSION_CONN_OVER,
};

struct session;
struct sessions;

struct session_conn {
	LIST_ENTRY(session_conn) link;
	struct sessions *set;
	enum session_conn_state state;
	struct session *session; /* of SESSION_CONN_EXEC */
	struct frame_conn conn;
	struct evsource sock;
	pid_t copy_pid;
	bool shut;	      /* our side of a connection that is closing */
	uint64_t deadline_ns; /* of NEW and CLOSING */
};

/* session_conn_new() - over a non-blocking socket, owned from here on; NULL: no memory. */
struct session_conn *session_conn_new(struct sessions *set, int sock);

/* session_conn_flush() - sends what it can: 0 if that was all, 1 if not, -1 if it is over now. */
int session_conn_flush(struct session_conn *c);

/*
 * session_conn_hear() - takes what has come on it already, credits above all, before its session is
 * another's. It, and its session, may be over then.
 */
void session_conn_hear(struct session_conn *c);

/* session_conn_taken() - its session is another connection's now: says so and closes. */
void session_conn_taken(struct session_conn *c);

/* session_conn_end() - ends it at once; its session is told. */
void session_conn_end(struct session_conn *c);

/* session_conn_reaped() - the process of its copy has ended. */
void session_conn_reaped(struct session_conn *c, int status);

/* session_conn_tick() - ends one that takes too long. */
void session_conn_tick(struct session_conn *c, uint64_t now);

/* session_conn_due_ns() - when that is; UINT64_MAX: never. */
uint64_t session_conn_due_ns(const struct session_conn *c);

/* session_conn_free() - of one that is over. */
void session_conn_free(struct session_conn *c);

#endif
