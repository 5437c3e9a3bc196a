// SPDX-License-Identifier: Apache-2.0
// session_words.h - argument and environment strings that arrive in pieces
#ifndef MAYFLY_INIT_SESSION_WORDS_H
#define MAYFLY_INIT_SESSION_WORDS_H

#include "proto/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct words {
	char *buf;
	size_t len, cap;
	size_t count;
	bool open; /* the last word has no NUL yet */
};

/*
 * words_add() - appends a piece; words end with NUL, wherever the pieces are cut.
 * Returns 0, -E2BIG over PROTO_WORDS_MAX bytes or PROTO_WORDS_COUNT_MAX words, -ENOMEM.
 */
int words_add(struct words *w, const uint8_t *data, size_t len);

/*
 * words_vector() - a NULL-terminated vector into the buffer; free() it, the words stay.
 * NULL if a word is unfinished or memory is short.
 */
char **words_vector(const struct words *w);

void words_free(struct words *w);

#endif
