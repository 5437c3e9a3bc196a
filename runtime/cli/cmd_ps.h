// SPDX-License-Identifier: Apache-2.0
// cmd_ps.h - mayfly ps, inspect
#ifndef MAYFLY_CLI_CMD_PS_H
#define MAYFLY_CLI_CMD_PS_H

/* Both: argv[0] is the command's name; returns the exit status. */
int cmd_ps(int argc, char **argv);
int cmd_inspect(int argc, char **argv);

#endif
