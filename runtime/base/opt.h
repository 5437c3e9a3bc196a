// SPDX-License-Identifier: Apache-2.0
// opt.h - option rows: one table gives the parser and --help
#ifndef MAYFLY_BASE_OPT_H
#define MAYFLY_BASE_OPT_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Sets the field a row is for; value is NULL for a row without an argument. 0 or -errno, text. */
typedef int opt_set_fn(void *ctx, const char *value, struct err *e);

struct opt {
	const char *name; /* without the dashes */
	char letter;	  /* 0: none */
	const char *arg;  /* what --help calls the argument, NULL: takes none; "=X": may have one,
			     behind "=" only, and is set with NULL without it */
	const char *help; /* one sentence, may hold newlines */
	opt_set_fn *set;
};

/*
 * opt_parse() - "--name value", "--name=value", "-x value", "-xvalue", flags; stops at "--" or
 * at the first word.
 * @rest: set to the index of the first argument that is left
 * Returns 0, or -EINVAL with text that names the option.
 */
int opt_parse(const struct opt *rows, size_t n, void *ctx, int argc, char **argv, int *rest,
	      struct err *e);

/*
 * opt_parse_mixed() - the same for commands whose words are never another program's: options may
 * stand between and behind the words, until "--"; the words are moved to the end of argv, in order.
 */
int opt_parse_mixed(const struct opt *rows, size_t n, void *ctx, int argc, char **argv, int *rest,
		    struct err *e);

/* opt_help() - the rows, aligned, for --help. */
void opt_help(FILE *out, const struct opt *rows, size_t n);

/* opt_u64() - a whole number in [min, max]; 0 or -EINVAL with text. */
int opt_u64(const char *value, uint64_t min, uint64_t max, uint64_t *out, struct err *e);

/* opt_bytes() - a number with K, M, G (powers of 1024), bytes without; 0 or -EINVAL with text. */
int opt_bytes(const char *value, uint64_t *out, struct err *e);

/* opt_duration() - "10s", "1.5s", "200ms", "5m", "2h", seconds without; into nanoseconds. */
int opt_duration(const char *value, uint64_t *ns, struct err *e);

#endif
