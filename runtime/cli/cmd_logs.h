// SPDX-License-Identifier: Apache-2.0
// cmd_logs.h - `mayfly logs`: what a machine, or a command in it, said
#ifndef MAYFLY_CLI_CMD_LOGS_H
#define MAYFLY_CLI_CMD_LOGS_H

/* cmd_logs() - argv[0] is "logs"; returns the exit status. */
int cmd_logs(int argc, char **argv);

#endif
