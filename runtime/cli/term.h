// SPDX-License-Identifier: Apache-2.0
// term.h - the user's terminal: raw while a command in the guest has one, and given back as it was
//
// Only the process group in the foreground of its terminal touches its settings. They are put back
// by term_restore(), at exit(3), and when a signal kills the process; not after kill -9.
#ifndef MAYFLY_CLI_TERM_H
#define MAYFLY_CLI_TERM_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <termios.h>

struct term {
	int fd;	     /* borrowed; -1: none */
	bool wanted; /* raw, whenever in the foreground */
	bool raw;
	struct termios saved;
};

#define TERM_NONE ((struct term){.fd = -1})

/* term_open() - fd is to become raw; -ENOTTY with text if it is no terminal. One at a time. */
int term_open(struct term *t, int fd, struct err *e);

/* term_want() - the terminal is the command's from now on: term_update() makes it raw. */
void term_want(struct term *t);

/*
 * term_update() - raw, if that is wanted and we are in the foreground; cheap, call it often.
 * Returns true if it became raw now: the size may be another one than before.
 */
bool term_update(struct term *t);

/* term_pause() - the settings that term_open() found, until term_resumed(). */
void term_pause(struct term *t);

/* term_resumed() - after SIGCONT: whoever had the terminal meanwhile may have changed it. */
void term_resumed(struct term *t);

/* term_restore() - as term_pause(), for good. */
void term_restore(struct term *t);

/* term_foreground() - false while another process group has fd as its terminal. */
bool term_foreground(int fd);

/* term_size() - false if the terminal does not know its size. */
bool term_size(const struct term *t, uint16_t *rows, uint16_t *columns);

#endif
