// SPDX-License-Identifier: Apache-2.0
// cmd_stop.h - mayfly stop, kill, pause, resume, rm
#ifndef MAYFLY_CLI_CMD_STOP_H
#define MAYFLY_CLI_CMD_STOP_H

/* Each: argv[0] is the command's name; returns the exit status. */
int cmd_stop(int argc, char **argv);
int cmd_kill(int argc, char **argv);
int cmd_pause(int argc, char **argv);
int cmd_resume(int argc, char **argv);
int cmd_rm(int argc, char **argv);

#endif
