// SPDX-License-Identifier: Apache-2.0
// changes.h - the file systems that take what commands write: is one of them full?
#ifndef MAYFLY_INIT_CHANGES_H
#define MAYFLY_INIT_CHANGES_H

#include <stdbool.h>

/*
 * changes_add() - this is one of them, at most CHANGES_MAX; the descriptor stays the caller's and
 * open. Opened before there is anybody in the guest who could mount something over it.
 */
#define CHANGES_MAX 2
void changes_add(int fd);

/* changes_full() - one of them has no room for another file, or next to none for data. */
bool changes_full(void);

#endif
