// SPDX-License-Identifier: Apache-2.0
// cmd_gc.h - `mayfly gc`: removes what dead machines left behind
#ifndef MAYFLY_CLI_CMD_GC_H
#define MAYFLY_CLI_CMD_GC_H

/*
 * cmd_gc() - the command; argv[0] is its name.
 * Returns the exit status: 0, 1 if something could not be removed (or the report not be written),
 * 125 for bad usage.
 */
int cmd_gc(int argc, char **argv);

#endif
