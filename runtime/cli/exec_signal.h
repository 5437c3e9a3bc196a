// SPDX-License-Identifier: Apache-2.0
// exec_signal.h - signals for commands in machines that live, by name
#ifndef MAYFLY_CLI_EXEC_SIGNAL_H
#define MAYFLY_CLI_EXEC_SIGNAL_H

#include "base/err.h"

/* exec_signal_number() - of "TERM", "SIGTERM" or "15"; 0, or -EINVAL with text. */
int exec_signal_number(const char *name, int *number, struct err *e);

/*
 * exec_signal_send() - to a command that runs in the machine.
 * @exec: its number, NULL: the only one that runs
 * Returns 0, or -errno with text.
 */
int exec_signal_send(const char *machine, const char *exec, int number, struct err *e);

#endif
