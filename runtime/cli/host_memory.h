// SPDX-License-Identifier: Apache-2.0
// host_memory.h - has the host the memory that a machine may take?
#ifndef MAYFLY_CLI_HOST_MEMORY_H
#define MAYFLY_CLI_HOST_MEMORY_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define HOST_MEMORY_UNKNOWN UINT64_MAX

/* Bytes that could be had now; HOST_MEMORY_UNKNOWN: nobody says, or there is no limit. */
struct host_memory {
	uint64_t available; /* the kernel's estimate, caches that can go included */
	uint64_t swap;	    /* free */
	uint64_t group;	    /* until the cgroup that mayfly runs in, or one above it, is full */
};

/* host_memory_meminfo() - the first two from the text of /proc/meminfo. */
void host_memory_meminfo(struct host_memory *m, const char *text);

/*
 * host_memory_group() - what a group and those above it, up to its mount, have left: the least of
 * limit less use, where caches that nobody uses don't count. Sets m->group.
 * @point, @own: as in struct cgroup_place
 */
void host_memory_group(struct host_memory *m, const char *point, const char *own, bool v1);

/* host_memory_look() - all of it, of this host. */
void host_memory_look(struct host_memory *m);

/*
 * host_memory_enough() - can a guest of so many bytes touch all of them? 0 or -ENOMEM with text.
 * What other machines have been promised and not touched yet does not count.
 */
int host_memory_enough(const struct host_memory *m, uint64_t bytes, struct err *e);

#endif
