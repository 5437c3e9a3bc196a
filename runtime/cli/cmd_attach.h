// SPDX-License-Identifier: Apache-2.0
// cmd_attach.h - mayfly attach: takes over a command that runs in a machine
#ifndef MAYFLY_CLI_CMD_ATTACH_H
#define MAYFLY_CLI_CMD_ATTACH_H

/* cmd_attach() - returns mayfly's exit status. */
int cmd_attach(int argc, char **argv);

#endif
