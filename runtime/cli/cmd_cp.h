// SPDX-License-Identifier: Apache-2.0
// cmd_cp.h - `mayfly cp`: files between the host and a machine that lives
#ifndef MAYFLY_CLI_CMD_CP_H
#define MAYFLY_CLI_CMD_CP_H

/* cmd_cp() - argv[0] is "cp"; returns the exit status: 0, 1 if not all was copied, 125. */
int cmd_cp(int argc, char **argv);

#endif
