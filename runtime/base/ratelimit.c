// SPDX-License-Identifier: Apache-2.0
// ratelimit.c - token bucket arithmetic, exact to a billionth of a token and safe at any value
#include "base/ratelimit.h"

#include "base/checked.h"

#define NS_PER_S 1000000000u

void ratelimit_init(struct ratelimit *r, uint64_t size, uint64_t burst, uint64_t rate,
		    uint64_t now_ns)
{
	*r = (struct ratelimit){.size = size, .rate = rate, .burst = burst, .last_ns = now_ns};
}

static void refill(struct ratelimit *r, uint64_t now_ns)
{
	if (now_ns <= r->last_ns)
		return;
	unsigned __int128 gain = (unsigned __int128)(now_ns - r->last_ns) * r->rate + r->frac;
	r->last_ns = now_ns;
	if (gain / NS_PER_S >= r->used) {
		r->used = 0;
		r->frac = 0;
	} else {
		r->used -= (uint64_t)(gain / NS_PER_S);
		r->frac = (uint64_t)(gain % NS_PER_S);
	}
}

/* How many tokens more than there are must be in the bucket before amount may go. */
static uint64_t missing(const struct ratelimit *r, uint64_t amount)
{
	if (amount <= r->burst || r->size == 0)
		return 0;
	amount -= r->burst;
	uint64_t need = amount > r->size ? 1 : amount;
	uint64_t room = r->size - need;
	return r->used > room ? r->used - room : 0;
}

bool ratelimit_take(struct ratelimit *r, uint64_t amount, uint64_t now_ns)
{
	refill(r, now_ns);
	if (missing(r, amount) > 0)
		return false;
	uint64_t from_burst = MIN(amount, r->burst);
	r->burst -= from_burst;
	if (add_overflows(r->used, amount - from_burst, &r->used))
		r->used = UINT64_MAX;
	return true;
}

void ratelimit_give(struct ratelimit *r, uint64_t amount)
{
	r->used -= MIN(amount, r->used);
}

uint64_t ratelimit_wait_ns(struct ratelimit *r, uint64_t amount, uint64_t now_ns)
{
	refill(r, now_ns);
	uint64_t n = missing(r, amount);
	if (n == 0)
		return 0;
	if (r->rate == 0)
		return UINT64_MAX;
	/* Less than a whole token is kept in frac, so this is above 0. */
	unsigned __int128 ns = ((unsigned __int128)n * NS_PER_S - r->frac + r->rate - 1) / r->rate;
	return ns > UINT64_MAX ? UINT64_MAX : (uint64_t)ns;
}
