// SPDX-License-Identifier: Apache-2.0
// cmd_wait.h - `mayfly wait`: until a machine, or a command in it, has ended
#ifndef MAYFLY_CLI_CMD_WAIT_H
#define MAYFLY_CLI_CMD_WAIT_H

/* cmd_wait() - argv[0] is "wait"; returns the exit status of what was waited for. */
int cmd_wait(int argc, char **argv);

#endif
