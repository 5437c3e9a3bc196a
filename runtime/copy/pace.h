// SPDX-License-Identifier: Apache-2.0
// pace.h - whether a peer that sends a copy only keeps its host busy
//
// Silence has a limit of its own. This is for a peer that breaks it with a byte now and then: what
// it has sent must be worth the time, by a rate that no honest one comes near.
#ifndef MAYFLY_COPY_PACE_H
#define MAYFLY_COPY_PACE_H

#include <stdbool.h>
#include <stdint.h>

#define PACE_GRACE_NS 60000000000ull
#define PACE_BYTES_PER_S 16384u
#define PACE_ENTRY_NS 100000000ull
/* Longer gaps are not the peer's: this process was stopped, or its user's. */
#define PACE_GAP_NS 10000000000ull

struct pace {
	uint64_t last_ns; /* when it was looked last; 0: never */
	uint64_t busy_ns;
};

/*
 * pace_too_slow() - to be called now and then, monotonic time in ns.
 * @entries, @bytes: what has come so far, without holes
 */
bool pace_too_slow(struct pace *p, uint64_t now, uint64_t entries, uint64_t bytes);

#endif
