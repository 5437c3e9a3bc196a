// SPDX-License-Identifier: Apache-2.0
// session.h - one connection of the host: a command from its words to its exit status, or a copy
#ifndef MAYFLY_INIT_SESSION_H
#define MAYFLY_INIT_SESSION_H

#include "spawn.h"
#include "stream.h"

#include <sys/queue.h>
#include <sys/resource.h>

#define SESSION_MAX PROTO_SESSIONS_MAX

enum session_state {
	SESSION_WORDS,	  /* being told what to run */
	SESSION_STARTING, /* forked, program not known to run yet */
	SESSION_RUNNING,
	SESSION_DRAINING, /* command ended; its last output is on the way */
	SESSION_EXITED,	  /* Exit is queued or sent; waiting for the host to close */
	SESSION_FETCHING, /* a process of its own sends files; it ends with the connection */
	SESSION_PUTTING,  /* a process of its own has the socket and writes files */
	SESSION_OVER,
};

struct words {
	char *buf;
	size_t len, cap;
	size_t count;
	bool open; /* the last word has no NUL yet */
};

struct session {
	LIST_ENTRY(session) link;
	struct evloop *loop;
	enum session_state state;
	struct frame_conn conn;
	struct evsource sock;
	struct evsource status;
	struct stream_in in;
	struct stream_out out[2]; /* stdout, stderr */
	struct words argv, env;
	struct spawn_request req;
	uint32_t groups[PROTO_GROUPS_MAX];
	uint64_t id;
	uint64_t early_signals; /* bit per signal that came before there was a process */
	pid_t pid;
	bool fetching; /* pid copies files */
	int cgroup_fd;
	uint64_t drain_deadline_ns;
	Mayfly__Exit exit;
	char exit_text[ERR_TEXT_MAX];
};

/* session_new() - over an accepted, non-blocking socket, owned from here on; NULL: no memory. */
struct session *session_new(struct evloop *loop, int sock);

/* session_reaped() - the process of the command, or of the copy, has ended. */
void session_reaped(struct session *s, int status, const struct rusage *ru);

/* session_tick() - ends what takes too long; call it now and then. */
void session_tick(struct session *s);

/* session_free() - kills what is left of the command. */
void session_free(struct session *s);

#endif
