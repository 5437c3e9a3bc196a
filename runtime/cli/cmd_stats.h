// SPDX-License-Identifier: Apache-2.0
// cmd_stats.h - `mayfly stats`: what machines that live use
#ifndef MAYFLY_CLI_CMD_STATS_H
#define MAYFLY_CLI_CMD_STATS_H

/* cmd_stats() - argv[0] is "stats"; returns the exit status. */
int cmd_stats(int argc, char **argv);

#endif
