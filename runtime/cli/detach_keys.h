// SPDX-License-Identifier: Apache-2.0
// detach_keys.h - the keys that leave a command without ending it, in what is typed
#ifndef MAYFLY_CLI_DETACH_KEYS_H
#define MAYFLY_CLI_DETACH_KEYS_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DETACH_KEYS_MAX 8
#define DETACH_KEYS_DEFAULT "ctrl-p,ctrl-q"

struct detach_keys {
	uint8_t key[DETACH_KEYS_MAX];
	size_t n;  /* 0: none, everything passes */
	size_t at; /* so many of them were typed last, and are held back */
	bool hit;
};

/*
 * detach_keys_parse() - "ctrl-X" or single characters, separated by commas; "none": no keys.
 * Returns 0 or -EINVAL with text.
 */
int detach_keys_parse(struct detach_keys *k, const char *text, struct err *e);

/*
 * detach_keys_filter() - what of n typed bytes is the command's; sets hit and stops at the keys.
 * @out: room for n + DETACH_KEYS_MAX bytes; not the same memory as in
 * Returns the bytes in out.
 */
size_t detach_keys_filter(struct detach_keys *k, const uint8_t *in, size_t n, uint8_t *out);

/* detach_keys_rest() - at the end of input: what was held back is the command's. As filter. */
size_t detach_keys_rest(struct detach_keys *k, uint8_t *out);

#endif
