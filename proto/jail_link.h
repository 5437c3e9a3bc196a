// SPDX-License-Identifier: Apache-2.0
// jail_link.h - what a jailed process may ask of its supervisor, over a SOCK_SEQPACKET of its own
//
// The process is hostile to the supervisor: a request is of one fixed size, and all in it is
// checked by jail_link_serve() before anybody else sees it.
#ifndef MAYFLY_PROTO_JAIL_LINK_H
#define MAYFLY_PROTO_JAIL_LINK_H

#include <stdint.h>

#define JAIL_LINK_LABEL_MAX 16

enum jail_link_kind {
	JAIL_LINK_LISTENER = 1, /* a thread's seccomp listener comes with it; no answer */
	JAIL_LINK_DIAL = 2,	/* connect to the host's program behind this vsock port */
};

struct jail_link_request {
	uint32_t kind;
	uint32_t port;			 /* of DIAL */
	char label[JAIL_LINK_LABEL_MAX]; /* of LISTENER: which thread, [a-z0-9-], NUL-terminated */
};

/*
 * jail_link_listener() - hands over a seccomp listener; the descriptor stays the caller's.
 * Returns 0 or -errno. Any thread.
 */
int jail_link_listener(int link, int listener, const char *label);

/*
 * jail_link_dial() - asks for a connection to "vsock.sock_PORT" in the machine's directory and
 * waits at most a second for it.
 * Returns a non-blocking stream socket that belongs to the caller, or -errno. One thread at a time.
 */
int jail_link_dial(int link, uint32_t port);

/*
 * jail_link_receive() - the supervisor's side: one checked request.
 * @fd: set to the listener that came with it, close-on-exec, or -1
 * Returns 1, 0 at the end, -EAGAIN, or -EPROTO for a request that breaks the rules.
 */
int jail_link_receive(int link, struct jail_link_request *req, int *fd);

/* jail_link_answer() - to DIAL: a socket (which stays the caller's), or -errno. Returns 0 or
 * -errno.
 */
int jail_link_answer(int link, int result);

#endif
