// SPDX-License-Identifier: Apache-2.0
// client_signals.h - the signals that run, exec and attach live with, and Ctrl-Z
#ifndef MAYFLY_CLI_CLIENT_SIGNALS_H
#define MAYFLY_CLI_CLIENT_SIGNALS_H

/*
 * client_signals_open() - a signalfd for SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2,
 * SIGWINCH, SIGCONT and SIGTSTP, which are blocked. SIGHUP and SIGTSTP stay ignored if they were.
 * A terminal neither stops us when we read it from its background nor when we write to it.
 * Returns the descriptor or -errno.
 */
int client_signals_open(void);

/* client_signals_stop() - stops this process as SIGTSTP does; returns when it goes on. */
void client_signals_stop(void);

#endif
