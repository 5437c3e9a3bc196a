// SPDX-License-Identifier: Apache-2.0
// serial_log.h - what the guest writes to its serial port: the last lines, a panic, its halt
#ifndef MAYFLY_VMM_SERIAL_LOG_H
#define MAYFLY_VMM_SERIAL_LOG_H

#include <stdbool.h>
#include <stddef.h>

#define SERIAL_LOG_LINES 20
#define SERIAL_LOG_LINE_MAX 256

/* As long as the longest line that ends a guest, and what stands before it. */
#define SERIAL_LOG_TAIL 64

/* What a line said about the kernel that wrote it: from then on it does nothing more. */
enum serial_end {
	SERIAL_END_NONE,
	SERIAL_END_HALT,
	SERIAL_END_POWER_OFF,
	SERIAL_END_PANIC, /* and no reset behind it, or a late one */
};

/* Fixed size, whatever the guest writes. Zero-initialise. */
struct serial_log {
	char line[SERIAL_LOG_LINES][SERIAL_LOG_LINE_MAX];
	unsigned next;	/* slot of the line in progress */
	unsigned count; /* complete lines kept, at most SERIAL_LOG_LINES - 1 */
	size_t len;	/* of the line in progress */
	bool panicked;
	bool capturing;	  /* the rest of the panic's line is still to come */
	unsigned matched; /* of the panic's mark, so far */
	size_t panic_len;
	char panic[SERIAL_LOG_LINE_MAX];
	char tail[SERIAL_LOG_TAIL]; /* the last characters of the line in progress, a ring */
	size_t line_len;	    /* of all of it, also of what is not kept */
	enum serial_end end;
};

/* serial_log_add() - takes bytes as they come; control bytes become '?', long lines are cut. */
void serial_log_add(struct serial_log *s, const char *data, size_t len);

/* serial_log_get() - i-th of the kept lines, oldest first, the unfinished one last; NULL after. */
const char *serial_log_get(const struct serial_log *s, unsigned i);

#endif
