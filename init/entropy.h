// SPDX-License-Identifier: Apache-2.0
// entropy.h - random numbers before the first command asks for some
#ifndef MAYFLY_INIT_ENTROPY_H
#define MAYFLY_INIT_ENTROPY_H

#include "base/err.h"

/*
 * entropy_ready() - the kernel's generator is seeded: it is already, or from the rng device, or by
 * waiting a bounded time. Returns 0 or -errno with text.
 */
int entropy_ready(struct err *e);

#endif
