// SPDX-License-Identifier: Apache-2.0
// cmd_start.h - `mayfly start`: a machine that stays
#ifndef MAYFLY_CLI_CMD_START_H
#define MAYFLY_CLI_CMD_START_H

#include <stdint.h>

/* cmd_start() - argv[0] is "start"; returns the exit status, in the caller and in the keeper. */
int cmd_start(int argc, char **argv, uint64_t start_ns);

#endif
