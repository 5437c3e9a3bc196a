// SPDX-License-Identifier: Apache-2.0
// keep_exec.h - the keeper's table of commands in its machine, and the output nobody else takes
//
// A command gets its number here. Who asked for it talks to the agent itself; the agent tells the
// keeper what becomes of it. When nobody is attached the keeper is, and writes the log. All that
// the agent says is the guest's word: numbers that were not given out, and events that come in the
// wrong order, change nothing.
#ifndef MAYFLY_CLI_KEEP_EXEC_H
#define MAYFLY_CLI_KEEP_EXEC_H

#include "base/err.h"
#include "base/evloop.h"
#include "base/log.h"
#include "cli/agent_ok.h"
#include "cli/exec_words.h"
#include "cli/record_log.h"
#include "cli/verdict.h"
#include "proto/control.pb-c.h"
#include "proto/frame.h"

#include <sys/queue.h>

/* Those that ended and are remembered; with their logs, at most so many bytes. */
#define KEEP_EXEC_ENDED_MAX 1024
#define KEEP_EXEC_LOGS_MAX (256ull << 20)
#define KEEP_EXEC_ARGV_MAX 4096
#define KEEP_EXEC_WORDS_MAX 256
#define KEEP_EXEC_LIST_MAX 64
/* In a list, of each. */
#define KEEP_EXEC_LIST_ARGV_MAX 1024

struct keep_execs;

struct keep_exec {
	TAILQ_ENTRY(keep_exec) link;
	struct keep_execs *set;
	uint64_t number;
	Mayfly__ExecInfo__State state;
	char *argv; /* NUL-terminated strings */
	size_t argv_len, n_argv;
	bool tty;
	uint32_t pid;
	uint64_t started_ns, ended_ns; /* wall clock */
	uint64_t deadline_ns;	       /* of STARTING; then of the last output; 0: none */
	bool exited;		       /* its Exit is known, its output may still come */
	struct verdict end;
	uint64_t log_bytes;

	/* The keeper's own connection; src.fd -1: there is none. */
	struct frame_conn conn;
	struct evsource src;
	struct agent_ok ok;
	struct exec_words argv_words, env_words;
	bool own;     /* started by the keeper, else attached */
	bool awaited; /* by the keeper: the agent has not said yet that it runs */
	bool words_done;
	bool lost;	    /* by somebody who had taken it from us, which we have not heard yet */
	uint64_t attach_ns; /* when it is attached to; 0: it need not be */
	uint32_t owed[2];
	struct record_log log;
	bool log_failed;
};

struct keep_execs_ops {
	/* A new connection to the machine, or -errno with text. */
	int (*connect)(void *arg, struct err *e);
	/* The command started by keep_execs_start() runs. */
	void (*running)(void *arg, struct keep_exec *x);
	/* It is over, and its log complete. */
	void (*ended)(void *arg, struct keep_exec *x);
	/* Nobody has started it in time; it goes when this returns. */
	void (*forgotten)(void *arg, struct keep_exec *x);
};

struct keep_execs {
	struct evloop *loop;
	const struct keep_execs_ops *ops;
	void *arg;
	const struct record *record;
	uint64_t memory; /* of the machine, for texts */
	uint64_t last;	 /* number given out */
	unsigned live, ended;
	uint64_t logs_bytes; /* of those that ended */
	struct log_limit limit;
	TAILQ_HEAD(keep_exec_list, keep_exec) list; /* oldest first */
};

void keep_execs_init(struct keep_execs *s, struct evloop *loop, const struct keep_execs_ops *ops,
		     void *arg, const struct record *record, uint64_t memory);

/*
 * keep_execs_new() - a number for a command that somebody is about to start.
 * @argv: for people; as much of it as KEEP_EXEC_ARGV_MAX allows is kept
 * Returns NULL with text if there are too many.
 */
struct keep_exec *keep_execs_new(struct keep_execs *s, const ProtobufCBinaryData *argv,
				 size_t n_argv, bool tty, struct err *e);

/* keep_execs_forget() - one that was not given to anybody after all. */
void keep_execs_forget(struct keep_exec *x);

/*
 * keep_execs_start() - a command of the keeper's own: no input, output to its log.
 * @start: without session and keep
 * @limit_ns: how long the agent has to begin it
 */
int keep_execs_start(struct keep_execs *s, Mayfly__ExecStart *start, char *const *argv,
		     char *const *env, uint64_t limit_ns, struct err *e);

/* keep_execs_event() - what the agent said. */
void keep_execs_event(struct keep_execs *s, const Mayfly__SessionEvent *ev);

/* keep_execs_find() - NULL if there is none, or it is forgotten. */
struct keep_exec *keep_execs_find(struct keep_execs *s, uint64_t number);

/* keep_execs_tick() - gives up what takes too long; keep_execs_wait(): when next, UINT64_MAX. */
void keep_execs_tick(struct keep_execs *s, uint64_t now);
uint64_t keep_execs_wait(const struct keep_execs *s);

/* A message that points into the table; good until the next event. */
struct keep_exec_info {
	Mayfly__ExecInfo m;
	ProtobufCBinaryData argv[KEEP_EXEC_WORDS_MAX];
};
void keep_exec_info(const struct keep_exec *x, size_t argv_max, struct keep_exec_info *out);

/* keep_execs_end() - the machine is gone: those that have not ended are lost. */
void keep_execs_end(struct keep_execs *s);

/* keep_execs_free() - no more events. */
void keep_execs_free(struct keep_execs *s);

#endif
