// SPDX-License-Identifier: Apache-2.0
// record_log.h - a text file that forgets its older half when it is full
#ifndef MAYFLY_CLI_RECORD_LOG_H
#define MAYFLY_CLI_RECORD_LOG_H

#include "cli/record.h"

#include <stddef.h>
#include <stdint.h>

#define RECORD_LOG_MAX (1ull << 20)
#define RECORD_EXEC_LOG_MAX (16ull << 20)

struct record_log {
	int dir_fd; /* the record's */
	int fd;	    /* -1: not open */
	char name[RECORD_FILE_MAX];
	uint64_t max;
};

#define RECORD_LOG_NONE ((struct record_log){.dir_fd = -1, .fd = -1})

/*
 * record_log_open() - for appending, made if it isn't there; 0 or -errno.
 * @dir_fd: stays the caller's, and open as long as the log
 */
int record_log_open(struct record_log *l, int dir_fd, const char *name, uint64_t max);
void record_log_close(struct record_log *l);

/* record_log_add() - appends; 0 or -errno, then some of it is missing. */
int record_log_add(struct record_log *l, const void *data, size_t len);

/*
 * record_log_trim() - if it is over its size, a new file with the last half of its bytes takes its
 * place (so a reader of the old one goes on in the middle of the new one) and l->fd is that.
 * Returns 1 then, 0 if not, -errno.
 */
int record_log_trim(struct record_log *l);

#endif
