// SPDX-License-Identifier: Apache-2.0
// cmd_attach.h - mayfly attach: takes over a command that runs in a machine
#ifndef MAYFLY_CLI_CMD_ATTACH_H
#define MAYFLY_CLI_CMD_ATTACH_H

#include "base/err.h"

#include <stdint.h>

/* cmd_attach() - returns mayfly's exit status. */
int cmd_attach(int argc, char **argv);

/*
 * cmd_attach_only_one() - the number of the only command that runs in a machine.
 * @sock: to its keeper. Returns 0, or -errno with text that names what there is.
 */
int cmd_attach_only_one(int sock, const char *machine, uint64_t *number, struct err *e);

#endif
