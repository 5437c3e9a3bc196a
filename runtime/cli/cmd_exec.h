// SPDX-License-Identifier: Apache-2.0
// cmd_exec.h - mayfly exec: a command in a machine that lives
#ifndef MAYFLY_CLI_CMD_EXEC_H
#define MAYFLY_CLI_CMD_EXEC_H

/* cmd_exec() - returns mayfly's exit status. */
int cmd_exec(int argc, char **argv);

#endif
