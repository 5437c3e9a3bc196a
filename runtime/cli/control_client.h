// SPDX-License-Identifier: Apache-2.0
// control_client.h - asks the keeper of a machine that lives
#ifndef MAYFLY_CLI_CONTROL_CLIENT_H
#define MAYFLY_CLI_CONTROL_CLIENT_H

#include "base/err.h"
#include "proto/control.pb-c.h"

#include <stddef.h>

struct record;

#define CONTROL_VERSION 1u
#define CONTROL_REQUEST_MAX (16u << 10)
#define CONTROL_REPLY_MAX (128u << 10)

/*
 * control_open() - connects to the keeper of a machine.
 * @machine: its name, its id, or the beginning of one
 * Returns the socket, or -errno with text.
 */
int control_open(const char *machine, struct err *e);

/* control_open_record() - the same, of a record that was found; -ESRCH: there is no keeper. */
int control_open_record(const struct record *r, struct err *e);

/*
 * control_ask() - one request and its reply.
 * @reply: of code 0; free it with mayfly__control_reply__free_unpacked()
 * @fds: takes at most max descriptors that came with it, the caller's from then on
 * Returns 0, or -errno with text, also for what the keeper refuses.
 */
int control_ask(int sock, const Mayfly__ControlRequest *q, Mayfly__ControlReply **reply, int *fds,
		size_t max, size_t *nfds, struct err *e);

/* Both halves of that. ms: how long to wait, -1: for ever. */
int control_send(int sock, const Mayfly__ControlRequest *q, struct err *e);
int control_receive(int sock, int ms, Mayfly__ControlReply **reply, int *fds, size_t max,
		    size_t *nfds, struct err *e);

#endif
