// SPDX-License-Identifier: Apache-2.0
// seccomp_rig.h - children that load a table of system calls and then make one
#ifndef MAYFLY_TESTS_SECCOMP_RIG_H
#define MAYFLY_TESTS_SECCOMP_RIG_H

#include "jailer/seccomp.h"

#include <sys/types.h>

/*
 * seccomp_rig_start() - a child that loads the table, sends its listener here, calls act(), then
 * ends with status 0.
 * @listener: set, the caller's; -1 for a table that kills
 */
pid_t seccomp_rig_start(enum seccomp_table t, void (*act)(void), int *listener);

/* seccomp_rig_end() - waits; returns the exit status, or 128 and the signal. */
int seccomp_rig_end(pid_t pid);

/*
 * seccomp_rig_try() - runs act() under the table.
 * Returns the number of the first call that was reported (the child is then killed), or -1 if none
 * was; *status as seccomp_rig_end() says.
 */
int seccomp_rig_try(enum seccomp_table t, void (*act)(void), int *status);

#endif
