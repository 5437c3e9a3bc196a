// SPDX-License-Identifier: Apache-2.0
// exec_main.h - what mayfly exec and attach have in common around their session
#ifndef MAYFLY_CLI_EXEC_MAIN_H
#define MAYFLY_CLI_EXEC_MAIN_H

#include "cli/exec_session.h"

/*
 * Gets a connection from the keeper and begins; 0, or -errno with text. sock is the connected
 * control.sock; exec_session_open() has not been called yet.
 */
typedef int exec_begin_fn(struct exec_session *s, const struct exec_config *c, int sock,
			  struct err *e);

/* exec_main() - options, keeper, session, verdict; returns mayfly's exit status. */
int exec_main(int argc, char **argv, bool attach, exec_begin_fn *begin);

/*
 * exec_ask_agent() - a connection to the machine's agent.
 * @a: what for
 * @grant: the reply, the caller's to free
 * @env_fd: the grant's environment as a file, -1: it is in the grant
 * Returns the connection or -errno with text.
 */
int exec_ask_agent(int sock, Mayfly__AgentAsk *a, Mayfly__ControlReply **grant, int *env_fd,
		   struct err *e);

#endif
