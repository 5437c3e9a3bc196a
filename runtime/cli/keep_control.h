// SPDX-License-Identifier: Apache-2.0
// keep_control.h - the keeper's socket: who may ask, what, and in which state of the machine
//
// Whoever connects is hostile: requests are bounded, one at a time is taken from each client, and
// none is waited for. What a request does is its owner's (keep_answer.c).
#ifndef MAYFLY_CLI_KEEP_CONTROL_H
#define MAYFLY_CLI_KEEP_CONTROL_H

#include "base/err.h"
#include "base/evloop.h"
#include "base/log.h"
#include "proto/control.pb-c.h"
#include "proto/limits.h"

#include <stdbool.h>
#include <stddef.h>

/* Who is attached to a command waits for the machine's end as long: there is room beside all. */
#define KEEP_CONTROL_CLIENTS (PROTO_SESSIONS_MAX + 64)

struct keep_control;

struct keep_client {
	struct evsource src; /* fd -1: nobody */
	struct keep_control *control;
	Mayfly__ControlRequest__BodyCase asked; /* what is not answered yet; NOT_SET: nothing */
	uint64_t session;			/* of WAIT; 0: the machine */
	bool copies; /* it got a connection for a copy, and stays as long as that takes */
};

struct keep_control_ops {
	Mayfly__MachineState (*state)(void *arg);
	/* A request that is legal in this state: answered now or later, by one of the functions
	 * below. */
	void (*ask)(void *arg, struct keep_client *c, const Mayfly__ControlRequest *q);
};

struct keep_control {
	struct evloop *loop;
	struct evsource listener;
	const struct keep_control_ops *ops;
	void *arg;
	const char *name; /* the machine's */
	struct log_limit limit;
	struct keep_client client[KEEP_CONTROL_CLIENTS];
};

/* keep_control_init() - nobody is served yet. */
void keep_control_init(struct keep_control *s, struct evloop *loop,
		       const struct keep_control_ops *ops, void *arg, const char *name);

/* keep_control_open() - makes control.sock in the directory; 0 or -errno with text. */
int keep_control_open(struct keep_control *s, int dir_fd, struct err *e);

/* keep_control_shut() - nobody new is taken; those that are there stay. */
void keep_control_shut(struct keep_control *s);

/* keep_control_close() - drops all. */
void keep_control_close(struct keep_control *s);

/* keep_control_legal() - 0, or the errno value that a request gets in this state. */
int keep_control_legal(Mayfly__ControlRequest__BodyCase what, Mayfly__MachineState state);

/*
 * keep_client_reply() - the answer, descriptors beside it; they stay the caller's. A client that
 * does not take it is dropped.
 */
void keep_client_reply(struct keep_client *c, Mayfly__ControlReply *m, const int *fds, size_t nfds);

/* keep_client_refuse() - the answer is no. */
void keep_client_refuse(struct keep_client *c, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* keep_client_done() - the answer is yes. */
void keep_client_done(struct keep_client *c);

/* keep_control_copying() - somebody is. */
bool keep_control_copying(const struct keep_control *s);

const char *keep_control_state_name(Mayfly__MachineState state);

#endif
