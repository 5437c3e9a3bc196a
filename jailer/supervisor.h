// SPDX-License-Identifier: Apache-2.0
// supervisor.h - owner of one machine's processes and of its state directory
#ifndef MAYFLY_JAILER_SUPERVISOR_H
#define MAYFLY_JAILER_SUPERVISOR_H

#include "base/err.h"
#include "proto/config.pb-c.h"

/* supervisor_check() - the configuration's numbers and sizes; 0 or -EINVAL with text. */
int supervisor_check(const Mayfly__JailConfig *cfg, struct err *e);

/*
 * supervisor_run() - starts the processes, reports what happens to them on cfg->owner_fd, ends
 * and removes everything when they are over or the owner is gone.
 * Returns 0, or -errno with text if the machine could not be started (the owner is told, too).
 */
int supervisor_run(const Mayfly__JailConfig *cfg, struct err *e);

#endif
