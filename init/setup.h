// SPDX-License-Identifier: Apache-2.0
// setup.h - what Setup asks for besides mounts: clock, hostname, loopback, user
#ifndef MAYFLY_INIT_SETUP_H
#define MAYFLY_INIT_SETUP_H

#include "base/err.h"
#include "proto/agent.pb-c.h"

/* setup_clock() - sets the time; 0 or -errno with text. */
int setup_clock(const Mayfly__Clock *clock, struct err *e);

/* setup_early() - the hostname; before the mounts. 0 or -errno with text. */
int setup_early(const Mayfly__Setup *setup, struct err *e);

/*
 * setup_late() - loopback interface, the user's disks, the user's line in passwd; in the new root.
 * sock is any socket, which stays the caller's. 0 or -errno with text.
 */
int setup_late(const Mayfly__Setup *setup, int sock, struct err *e);

#endif
