// SPDX-License-Identifier: Apache-2.0
// cleanup.h - scope-bound ownership: variables start empty, ownership leaves by steal_*
#ifndef MAYFLY_BASE_CLEANUP_H
#define MAYFLY_BASE_CLEANUP_H

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_free(void *p)
{
	free(*(void **)p);
}

/* Closing must not disturb the errno that the caller is about to report. */
static inline void cleanup_close(int *fd)
{
	if (*fd >= 0) {
		int saved = errno;
		close(*fd);
		errno = saved;
	}
}

#define AUTO_FREE __attribute__((cleanup(cleanup_free)))
#define AUTO_CLOSE __attribute__((cleanup(cleanup_close)))

/* steal_fd() - takes the descriptor out of an AUTO_CLOSE variable. */
static inline int steal_fd(int *fd)
{
	int out = *fd;
	*fd = -1;
	return out;
}

/* close_fd() - closes and empties a descriptor variable; -1 is fine. */
static inline void close_fd(int *fd)
{
	cleanup_close(fd);
	*fd = -1;
}

#define steal_ptr(pp)                                                                              \
	({                                                                                         \
		__typeof__(*(pp)) steal_tmp = *(pp);                                               \
		*(pp) = NULL;                                                                      \
		steal_tmp;                                                                         \
	})

#endif
