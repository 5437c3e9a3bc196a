// SPDX-License-Identifier: Apache-2.0
// pty.h - the terminal of a command
#ifndef MAYFLY_INIT_PTY_H
#define MAYFLY_INIT_PTY_H

#include "base/err.h"
#include "proto/agent.pb-c.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PTY_EOF_MAX 2

/* pty_size_ok() - can a terminal have this size? */
bool pty_size_ok(const Mayfly__WindowSize *size);

/*
 * pty_init() - holds the file system of terminals, before there is anybody in the guest who could
 * mount something over it.
 */
void pty_init(void);

/*
 * pty_open() - makes a terminal that belongs to this user.
 * @master: non-blocking; @slave: blocking, the command's. Both the caller's, on success only.
 * Returns 0 or -errno with text.
 */
int pty_open(uint32_t uid, const Mayfly__WindowSize *size, int *master, int *slave, struct err *e);

/* pty_resize() - the kernel tells the foreground processes. */
void pty_resize(int master, const Mayfly__WindowSize *size);

/* pty_signal() - to the foreground process group, else to that of leader. */
void pty_signal(int master, pid_t leader, int number);

/*
 * pty_eof() - what has to be typed for an end of input.
 * @line_begun: something was typed behind the last newline
 * Returns the number of bytes.
 */
size_t pty_eof(int master, bool line_begun, uint8_t out[PTY_EOF_MAX]);

#endif
