// SPDX-License-Identifier: Apache-2.0
// jail.h - one process of a machine: its description, and the steps that put it into its jail
#ifndef MAYFLY_JAILER_JAIL_H
#define MAYFLY_JAILER_JAIL_H

#include "base/err.h"
#include "proto/config.pb-c.h"

#include <sys/types.h>

/* Descriptors one process may be given, and the numbers they may have there. */
#define JAIL_MAX_FDS 320
#define JAIL_MAX_FD 512
/* The numbers they may have in mayfly-jailer: mayfly's own, which its caller may have pushed up. */
#define JAIL_MAX_FROM 8192

/*
 * jail_spawn() - starts one process as described, in its jail.
 * @p: checked description; descriptors named in it belong to this process
 * @cwd_fd: its working directory
 * @pidfd: set to a descriptor of the child, close-on-exec
 * Returns the pid, or -errno with text if the program could not be executed.
 */
pid_t jail_spawn(const Mayfly__JailProcess *p, int cwd_fd, int *pidfd, struct err *e);

#endif
