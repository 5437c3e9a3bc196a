// SPDX-License-Identifier: Apache-2.0
// agent_ok.h - the handshake of a connection into the guest, before its first frame
#ifndef MAYFLY_CLI_AGENT_OK_H
#define MAYFLY_CLI_AGENT_OK_H

#include <stdbool.h>
#include <stddef.h>

/* The "OK <port>" line that the device answers our CONNECT with. Zero-initialise. */
struct agent_ok {
	char line[32];
	size_t len;
	bool done;
};

/* agent_ok_ask() - asks for the agent's port on a socket that is new; 0 or -errno. */
int agent_ok_ask(int fd);

/* agent_ok_read() - 1 when the line is there, 0 if not yet, -errno. fd is non-blocking. */
int agent_ok_read(struct agent_ok *o, int fd);

#endif
