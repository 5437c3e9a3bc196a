// SPDX-License-Identifier: Apache-2.0
// control_client.h - asks the keeper of a machine that lives
#ifndef MAYFLY_CLI_CONTROL_CLIENT_H
#define MAYFLY_CLI_CONTROL_CLIENT_H

#include "base/err.h"
#include "proto/control.pb-c.h"

#include <stddef.h>

int control_open(const char *machine, struct err *e);
int control_ask(int sock, const Mayfly__ControlRequest *q, Mayfly__ControlReply **reply, int *fds,
		size_t max, size_t *nfds, struct err *e);

#endif
