// SPDX-License-Identifier: Apache-2.0
// fetch_dir.h - the names of one directory, in ascending order
#ifndef MAYFLY_INIT_FETCH_DIR_H
#define MAYFLY_INIT_FETCH_DIR_H

#include <stddef.h>

struct fetch_dir {
	int fd;
	char *text; /* all names, NUL-terminated */
	const char **name;
	size_t n, next;
};

/*
 * fetch_dir_open() - reads all names but "." and "..".
 * @fd: an open directory, owned by d from here on, also on failure
 * @max: more names give -E2BIG
 * Returns 0 or -errno; fetch_dir_close() frees in both cases.
 */
int fetch_dir_open(struct fetch_dir *d, int fd, size_t max);
void fetch_dir_close(struct fetch_dir *d);

#endif
