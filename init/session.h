// SPDX-License-Identifier: Apache-2.0
// session.h - the life of one command: from its words to its exit status
#ifndef MAYFLY_INIT_SESSION_H
#define MAYFLY_INIT_SESSION_H

#include "oom_name.h"
#include "session_words.h"
#include "spawn.h"
#include "stream.h"

#include <sys/queue.h>
#include <sys/resource.h>

enum session_state {
	SESSION_WORDS,	  /* being told what to run */
	SESSION_STARTING, /* forked, program not known to run yet */
	SESSION_RUNNING,
	SESSION_DRAINING, /* command ended; its last output is being read */
	SESSION_EXITED,	  /* all is read; waiting for the host to take it and to close */
	SESSION_OVER,
};

struct session;
struct session_conn;

/* What a session tells its owner; exit is NULL but for ENDED. */
typedef void session_event_fn(void *arg, const struct session *s, Mayfly__SessionEvent__Kind kind);

struct session {
	LIST_ENTRY(session) link;
	struct evloop *loop;
	session_event_fn *event;
	void *event_arg;
	enum session_state state;
	struct session_conn *conn; /* NULL: nobody is attached; only with keep */
	struct evsource status;
	struct stream_in in;
	struct stream_out out[2]; /* stdout, stderr */
	struct words argv, env;
	struct spawn_request req;
	uint32_t groups[PROTO_GROUPS_MAX];
	uint64_t id;
	bool keep;
	bool tty;
	uint32_t pids_max;
	uint64_t timeout_ms;
	Mayfly__WindowSize size;
	int slave;		/* of the terminal, as long as the command runs */
	bool line_begun;	/* the last byte for the terminal was no newline */
	uint64_t early_signals; /* bit per signal that came before there was a process */
	pid_t pid;		/* 0: none, or reaped */
	pid_t started_pid;
	int cgroup_fd;
	uint64_t pids_before; /* spawn_cgroup_pids_count(-1) when it began */
	uint64_t timeout_ns;  /* when it is over, 0: never */
	bool timed_out;
	uint64_t ended_ns;  /* the command */
	uint64_t linger_ns; /* when it is given up that nobody is attached to */
	bool told_started, told_ended;
	bool exit_sent, exit_flushed; /* on this connection */
	Mayfly__Exit exit;
	char exit_text[ERR_TEXT_MAX];
	char oom_name[OOM_NAME_MAX];
};

/*
 * session_new() - what ExecStart asks for, on this connection.
 * Returns NULL with *ret -EPROTO or -ENOMEM.
 */
struct session *session_new(struct evloop *loop, struct session_conn *conn,
			    const Mayfly__ExecStart *m, int *ret);

/* session_frame() - something that its connection said behind that; 0 or -errno of the connection.
 */
int session_frame(struct session *s, const Mayfly__Frame *f);

/*
 * session_attach() - from now on it is this connection's, which gets ExecAttached and the rest.
 * The former one is told and closed. Returns 0, -ESRCH if it can't be attached to, -EBUSY if it may
 * not be, or -errno.
 */
int session_attach(struct session *s, struct session_conn *conn, const Mayfly__ExecAttach *ask);

/* session_signal() - to its command; 0, -ESRCH if that does not run, -EPROTO. */
int session_signal(struct session *s, uint32_t number);

/* session_detached() - its connection has ended. */
void session_detached(struct session *s);

/* session_update() - sends what waits and moves to the next state if it is time. */
void session_update(struct session *s);

/* session_reaped() - the process of the command has ended. */
void session_reaped(struct session *s, int status, const struct rusage *ru);

/* session_tick() - ends what takes too long. */
void session_tick(struct session *s, uint64_t now);

/* session_due_ns() - when session_tick() has to be called at the latest; UINT64_MAX: never. */
uint64_t session_due_ns(const struct session *s);

/* session_free() - without keep it kills what is left of the command. */
void session_free(struct session *s);

#endif
