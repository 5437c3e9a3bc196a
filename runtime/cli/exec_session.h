// SPDX-License-Identifier: Apache-2.0
// exec_session.h - mayfly exec and attach from the connection to the verdict
//
// One thread, one event loop: the command's connection, standard streams, terminal, signals, and
// the keeper's word about the machine's end, which it was asked for at the start.
#ifndef MAYFLY_CLI_EXEC_SESSION_H
#define MAYFLY_CLI_EXEC_SESSION_H

#include "cli/exec_client.h"
#include "cli/exec_config.h"
#include "cli/term.h"
#include "cli/verdict.h"
#include "proto/control.pb-c.h"

struct exec_session {
	const struct exec_config *cfg;
	uint64_t number; /* of the session in its machine */
	struct evloop loop;
	struct evsource signals;
	struct evsource keeper; /* control.sock, borrowed; -1: it has said all */
	struct hostio in, out[2];
	struct exec_client client;
	struct detach_keys keys;
	struct term term;
	struct verdict verdict;
	bool over;
	bool detached; /* by --detach: the number is to be printed */
	bool lost;
	bool gone;	       /* the machine is, or its keeper */
	char how[512];	       /* it ended */
	uint64_t interrupt_ns; /* when SIGINT came last */
	uint64_t deadline_ns;  /* of --timeout, with time for the agent to keep it */
	uint64_t start_deadline_ns;
	uint64_t lost_deadline_ns;
};

/*
 * exec_session_open() - streams, terminal, signals, and the question how the machine ends.
 * @keeper: connected control.sock, stays the caller's
 * Returns 0 or -errno with text; exec_session_finish() in both cases.
 */
int exec_session_open(struct exec_session *s, const struct exec_config *c, int keeper,
		      uint64_t start_ns, struct err *e);

/* exec_session_start() - a new command; fd is a new connection, taken over. */
int exec_session_start(struct exec_session *s, int fd, const Mayfly__ExecGrant *grant,
		       char *const *env, struct err *e);

/* exec_session_attach() - to the command number; fd as above. */
int exec_session_attach(struct exec_session *s, int fd, uint64_t number, struct err *e);

/* exec_session_run() - until there is a verdict. */
void exec_session_run(struct exec_session *s);

/* exec_session_finish() - gives all back and says what is to be said; mayfly's exit status. */
int exec_session_finish(struct exec_session *s);

#endif
