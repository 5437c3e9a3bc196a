// SPDX-License-Identifier: Apache-2.0
// sessions.h - all commands and all connections of the host
#ifndef MAYFLY_INIT_SESSIONS_H
#define MAYFLY_INIT_SESSIONS_H

#include "session.h"
#include "session_conn.h"

/* Some more than sessions: those that attach, and copies. */
#define SESSIONS_CONNS_MAX (PROTO_SESSIONS_MAX + 32)

/* Zero-initialise but for the first three. */
struct sessions {
	struct evloop *loop;
	session_event_fn *event;
	void *event_arg;
	unsigned n, n_conns;
	LIST_HEAD(, session) list;
	LIST_HEAD(, session_conn) conns;
	bool reaped;	   /* a cgroup may be empty now */
	unsigned cgroups;  /* that outlived their session */
	uint64_t swept_ns; /* when those were looked at */
};

/*
 * sessions_accept() - a connection of the host's, non-blocking.
 * Returns 0, the socket is owned then, or -EBUSY if there are too many, -ENOMEM.
 */
int sessions_accept(struct sessions *set, int sock);

/*
 * sessions_start() - a session as this connection asks.
 * Returns NULL with *ret -EPROTO, -EUSERS if there are too many, -ENOMEM.
 */
struct session *sessions_start(struct sessions *set, struct session_conn *c,
			       const Mayfly__ExecStart *m, int *ret);

/* sessions_find() - by number; NULL if there is none. */
struct session *sessions_find(const struct sessions *set, uint64_t id);

/* sessions_reaped() - a child of ours has ended, whosoever. */
void sessions_reaped(struct sessions *set, pid_t pid, int status, const struct rusage *ru);

/* sessions_running() - those that have not ended. */
unsigned sessions_running(const struct sessions *set);

/* sessions_signal() - a Signal for the commands of all sessions; 0 or -EPROTO. */
int sessions_signal(struct sessions *set, const Mayfly__Frame *f);

/*
 * sessions_sweep() - ends what takes too long, frees what is over; between two turns of the loop.
 * Returns the milliseconds until it must be called again, -1: when something happens.
 */
int sessions_sweep(struct sessions *set);

/* sessions_close() - ends everything. */
void sessions_close(struct sessions *set);

#endif
