// SPDX-License-Identifier: Apache-2.0
// host_rows.h - facts about the host, judged: one row each, with what would improve it
#ifndef MAYFLY_CLI_HOST_ROWS_H
#define MAYFLY_CLI_HOST_ROWS_H

#include "cli/host_facts.h"

#include <stddef.h>

#define HOST_ROWS_MAX 24
#define HOST_ROWS_TEXT_MAX 640
#define HOST_ROWS_FIX_MAX 320

enum host_rows_mark {
	HOST_ROWS_OK,
	HOST_ROWS_NOTE,	   /* `mayfly run` works without it, or less well */
	HOST_ROWS_MISSING, /* `mayfly run` does not work without it */
	HOST_ROWS_MARKS
};

struct host_row {
	const char *id;	   /* for scripts; stays the same from version to version */
	const char *title; /* for people */
	enum host_rows_mark mark;
	char value[128]; /* short, for scripts: a version, a number; may be empty */
	char text[HOST_ROWS_TEXT_MAX];
	char fix[HOST_ROWS_FIX_MAX]; /* one command, empty: none */
};

struct host_rows {
	struct host_row row[HOST_ROWS_MAX];
	size_t n;
	bool can_run;	    /* no row is missing */
	const char *engine; /* what `mayfly run` chooses */
	char plan[HOST_ROWS_TEXT_MAX];
};

/* host_rows_build() - judges; looks at nothing but f. */
void host_rows_build(struct host_rows *out, const struct host_facts *f);

/* host_rows_mark_name() - "ok", "note", "missing". */
const char *host_rows_mark_name(enum host_rows_mark mark);

#endif
