// SPDX-License-Identifier: Apache-2.0
// ratelimit.h - a token bucket: so much at once, so much a second
//
// A full bucket holds size tokens and is refilled by rate a second. A one-time burst on top of it
// is spent first and never comes back. What is larger than the bucket is let through as soon as a
// token is left, and leaves a debt: nothing more goes until the time that it took has passed.
// Pure arithmetic: the caller brings the clock. One thread, or the caller's lock.
#ifndef MAYFLY_BASE_RATELIMIT_H
#define MAYFLY_BASE_RATELIMIT_H

#include <stdbool.h>
#include <stdint.h>

struct ratelimit {
	uint64_t size; /* 0: no limit */
	uint64_t rate;
	uint64_t burst; /* what is left of it */
	uint64_t used;	/* taken from the bucket and not refilled yet; above size: debt */
	uint64_t frac;	/* billionths of a token refilled beyond that */
	uint64_t last_ns;
};

/*
 * ratelimit_init() - a full bucket.
 * @size: tokens it holds, 0: everything goes
 * @burst: tokens that may be used once beside it
 * @rate: tokens a second; 0: the bucket is never refilled
 */
void ratelimit_init(struct ratelimit *r, uint64_t size, uint64_t burst, uint64_t rate,
		    uint64_t now_ns);

/* ratelimit_take() - true: go on, the tokens are taken. False: nothing changed, wait. */
bool ratelimit_take(struct ratelimit *r, uint64_t amount, uint64_t now_ns);

/* ratelimit_give() - puts back what was taken for work that was not done after all. */
void ratelimit_give(struct ratelimit *r, uint64_t amount);

/* ratelimit_wait_ns() - until ratelimit_take() says yes; 0: now, UINT64_MAX: never. */
uint64_t ratelimit_wait_ns(struct ratelimit *r, uint64_t amount, uint64_t now_ns);

#endif
