// SPDX-License-Identifier: Apache-2.0
// host_row.h - one row of `mayfly doctor`, and the words it is made of
#ifndef MAYFLY_CLI_HOST_ROW_H
#define MAYFLY_CLI_HOST_ROW_H

#include "cli/host_facts.h"

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

/* Judges one thing; looks at nothing but f. */
typedef void host_row_fn(struct host_row *r, const struct host_facts *f);

/* host_row_say() - mark and text. */
void __attribute__((format(printf, 3, 4)))
host_row_say(struct host_row *r, enum host_rows_mark mark, const char *fmt, ...);

/* host_row_value() - the value for scripts. */
void __attribute__((format(printf, 2, 3))) host_row_value(struct host_row *r, const char *fmt, ...);

/* host_row_fix() - the command; with f it is one for root, and carries sudo where the user isn't.
 */
void __attribute__((format(printf, 3, 4)))
host_row_fix(struct host_row *r, const struct host_facts *f, const char *fmt, ...);

/* What jails are made of: host_rows_jail.c */
host_row_fn host_row_jail;
host_row_fn host_row_user_ns;
host_row_fn host_row_groups;
host_row_fn host_row_cgroup;
host_row_fn host_row_landlock;
host_row_fn host_row_seccomp;

/* What no jail parts: host_rows_shared.c */
host_row_fn host_row_ksm;
host_row_fn host_row_smt;
host_row_fn host_row_swap;
host_row_fn host_row_nx_huge_pages;
host_row_fn host_row_cpu_flaws;

#endif
