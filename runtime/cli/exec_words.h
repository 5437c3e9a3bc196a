// SPDX-License-Identifier: Apache-2.0
// exec_words.h - a command's arguments, or its environment, on their way to the agent
#ifndef MAYFLY_CLI_EXEC_WORDS_H
#define MAYFLY_CLI_EXEC_WORDS_H

#include "base/err.h"
#include "proto/frame.h"

/* Zero-initialise. */
struct exec_words {
	char *buf; /* NUL-terminated strings, one behind the other */
	size_t len, sent;
};

/*
 * exec_words_pack() - copies a NULL-terminated list, within the limits of the protocol.
 * @what: what one of them is, for the message
 * Returns 0, or -E2BIG or -ENOMEM with text.
 */
int exec_words_pack(struct exec_words *w, char *const *list, const char *what, struct err *e);

/* exec_words_send() - queues what there is room for; 1 if that was all, 0 if not, -errno. */
int exec_words_send(struct exec_words *w, bool env, struct frame_conn *c);

void exec_words_free(struct exec_words *w);

#endif
