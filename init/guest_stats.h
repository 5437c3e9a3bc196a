// SPDX-License-Identifier: Apache-2.0
// guest_stats.h - what the guest uses, for the host's `stats`
#ifndef MAYFLY_INIT_GUEST_STATS_H
#define MAYFLY_INIT_GUEST_STATS_H

#include "proto/agent.pb-c.h"

#include <stdint.h>

/*
 * guest_stats_init() - opens what guest_stats() reads, before there is anybody in the guest who
 * could mount something over it.
 */
void guest_stats_init(void);

/* guest_stats_meminfo() - bytes of one row of /proc/meminfo's text, 0 if it is not there. */
uint64_t guest_stats_meminfo(const char *text, const char *row);

/*
 * guest_stats() - fills in all but sessions; what this kernel doesn't say stays 0.
 * @changes_fd: the file system that takes changes in memory, -1: none
 */
void guest_stats(Mayfly__GuestStats *m, int changes_fd);

#endif
