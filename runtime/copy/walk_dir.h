// SPDX-License-Identifier: Apache-2.0
// walk_dir.h - the names of one directory, in ascending order
#ifndef MAYFLY_COPY_WALK_DIR_H
#define MAYFLY_COPY_WALK_DIR_H

#include <stddef.h>

struct walk_dir {
	int fd;
	char *text; /* all names, NUL-terminated */
	const char **name;
	size_t n, next;
};

/*
 * walk_dir_open() - reads all names but "." and "..".
 * @fd: an open directory, owned by d from here on, also on failure
 * @max: more names give -E2BIG
 * Returns 0 or -errno; walk_dir_close() frees in both cases.
 */
int walk_dir_open(struct walk_dir *d, int fd, size_t max);
void walk_dir_close(struct walk_dir *d);

#endif
