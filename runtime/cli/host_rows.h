// SPDX-License-Identifier: Apache-2.0
// host_rows.h - facts about the host, judged: one row each, with what would improve it
#ifndef MAYFLY_CLI_HOST_ROWS_H
#define MAYFLY_CLI_HOST_ROWS_H

#include "cli/host_row.h"

#include <stdbool.h>
#include <stddef.h>

#define HOST_ROWS_MAX 32

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
