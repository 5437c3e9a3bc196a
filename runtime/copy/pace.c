// SPDX-License-Identifier: Apache-2.0
// pace.c - whether a peer that sends a copy only keeps its host busy
#include "copy/pace.h"

#include "base/checked.h"

#define NS_PER_S 1000000000ull

bool pace_too_slow(struct pace *p, uint64_t now, uint64_t entries, uint64_t bytes)
{
	uint64_t gap = p->last_ns && now > p->last_ns ? now - p->last_ns : 0;
	p->last_ns = now;
	p->busy_ns += MIN(gap, PACE_GAP_NS);
	if (p->busy_ns <= PACE_GRACE_NS)
		return false;
	/* In seconds: both are bounded far below what would not fit, but are the peer's. */
	uint64_t worth_s = bytes / PACE_BYTES_PER_S + entries / (NS_PER_S / PACE_ENTRY_NS);
	return (p->busy_ns - PACE_GRACE_NS) / NS_PER_S > worth_s;
}
