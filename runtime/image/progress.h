// SPDX-License-Identifier: Apache-2.0
// progress.h - a bar with bytes and time on a terminal; nothing elsewhere
#ifndef MAYFLY_IMAGE_PROGRESS_H
#define MAYFLY_IMAGE_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct progress {
	bool on;
	uint64_t start;
	uint64_t shown; /* when last */
};

/* progress_begin() - on if standard error is a terminal and quiet is false. */
void progress_begin(struct progress *p, bool quiet);

/* progress_show() - redraws, ten times a second at most; what: one word. */
void progress_show(struct progress *p, const char *what, uint64_t done, uint64_t total);

/* progress_end() - clears the line. */
void progress_end(struct progress *p);

/* progress_line() - the text of the bar, for a line of width characters. */
void progress_line(char *out, size_t size, const char *what, uint64_t done, uint64_t total,
		   uint64_t ns, unsigned width);

/* progress_bytes() - "1.5 MiB". */
void progress_bytes(char *out, size_t size, uint64_t bytes);

#endif
