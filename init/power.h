// SPDX-License-Identifier: Apache-2.0
// power.h - how somebody in the guest ends the machine: signals to PID 1, and sysvinit's FIFO
#ifndef MAYFLY_INIT_POWER_H
#define MAYFLY_INIT_POWER_H

#include "proto/agent.pb-c.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

/* sysvinit's struct init_request. */
#define POWER_REQUEST_SIZE 384

/* power_signals() - adds the signals that mean something. */
void power_signals(sigset_t *set);

/* power_signal_why() - what one of them asks for; false if it asks for nothing. */
bool power_signal_why(int number, Mayfly__Goodbye__Why *why);

/* power_request_why() - what a message for sysvinit's init asks for; false: nothing of the kind. */
bool power_request_why(const void *request, size_t len, Mayfly__Goodbye__Why *why);

/*
 * power_fifo() - makes /run/initctl, to which poweroff, halt, reboot and shutdown of systemd and
 * sysvinit write when systemd is not PID 1. Returns a non-blocking descriptor or -errno.
 */
int power_fifo(void);

#endif
