// SPDX-License-Identifier: Apache-2.0
// machine_end.h - how a machine that lives has ended, as its keeper tells who asked for it before
#ifndef MAYFLY_CLI_MACHINE_END_H
#define MAYFLY_CLI_MACHINE_END_H

#include <stddef.h>

/* machine_end_ask() - on control.sock; the answer comes when the machine ends. 0 or -errno. */
int machine_end_ask(int sock);

/*
 * machine_end_read() - the answer, as a sentence without the machine's name; also if the keeper
 * itself is gone. Returns 0, or -EAGAIN if there is none yet.
 */
int machine_end_read(int sock, char *text, size_t size);

#endif
