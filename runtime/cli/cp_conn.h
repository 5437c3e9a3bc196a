// SPDX-License-Identifier: Apache-2.0
// cp_conn.h - `mayfly cp`: one connection to the agent that waits with a deadline
#ifndef MAYFLY_CLI_CP_CONN_H
#define MAYFLY_CLI_CP_CONN_H

#include "base/err.h"
#include "cli/agent_ok.h"
#include "copy/pace.h"
#include "proto/frame.h"

#include <stdbool.h>
#include <stdint.h>

/* A guest that neither sent nor took anything for so long is given up. */
#define CP_STALL_NS 30000000000ull

struct cp_conn {
	struct frame_conn frames;
	struct agent_ok ok;
	bool quiet;	       /* no progress on the terminal */
	const uint64_t *files; /* for progress; may be NULL */
	const uint64_t *bytes;
	const uint64_t
		*data; /* bytes that count for the pace: no holes; NULL: it is not looked at */
	struct pace pace;
	uint64_t stall_ns; /* CP_STALL_NS; tests take less */
	uint64_t end_ns;   /* when it must be over, however the guest moves; 0: never */
	uint64_t start_ns, moved_ns, shown_ns;
	size_t left; /* bytes that waited to be sent when moved_ns was set */
};

/*
 * cp_conn_init() - over a new connection into the machine, which belongs to c from here on. Sends
 * what begins one. 0 or -errno; cp_conn_close() in both cases.
 */
int cp_conn_init(struct cp_conn *c, int fd);

/*
 * cp_conn_wait() - waits until events (POLLIN, POLLOUT) are there, shows progress meanwhile.
 * Returns what is there, or -EINTR after a signal that asks for the end, -ETIMEDOUT if the guest
 * stands still.
 */
int cp_conn_wait(struct cp_conn *c, short events);

/*
 * cp_conn_next() - the guest's next frame; sends what waits. 0 with *f, or -errno with text.
 */
int cp_conn_next(struct cp_conn *c, Mayfly__Frame **f, struct err *e);

/* cp_conn_clear() - takes the progress off the terminal, before anything else is said. */
void cp_conn_clear(struct cp_conn *c);
void cp_conn_close(struct cp_conn *c);

/* cp_conn_signals() - from now on SIGINT, SIGTERM and SIGHUP end the waiting; the next one kills.
 */
void cp_conn_signals(void);

/* cp_conn_stopped() - number of the signal that came, or 0. */
int cp_conn_stopped(void);

#endif
