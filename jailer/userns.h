// SPDX-License-Identifier: Apache-2.0
// userns.h - a user namespace in which an ordinary user may make the other namespaces
#ifndef MAYFLY_JAILER_USERNS_H
#define MAYFLY_JAILER_USERNS_H

#include "base/err.h"

/*
 * userns_enter() - the calling process, with its own uid and gid mapped to themselves and nothing
 * else. Returns 0, or -errno with text that says what the host forbids and what to do.
 */
int userns_enter(struct err *e);

#endif
