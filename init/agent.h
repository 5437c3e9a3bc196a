// SPDX-License-Identifier: Apache-2.0
// agent.h - the agent's connections: control to the host, listener for commands
#ifndef MAYFLY_INIT_AGENT_H
#define MAYFLY_INIT_AGENT_H

#include "base/err.h"

#include <stdint.h>

/*
 * agent_run() - connects to the host, sets the machine up as it says, serves commands until the
 * host says Shutdown or is gone.
 * @init_ns: when this process started, for the host's timings
 * Returns 0 after a Shutdown that was answered with Goodbye, or -errno with text.
 */
int agent_run(uint64_t init_ns, struct err *e);

#endif
