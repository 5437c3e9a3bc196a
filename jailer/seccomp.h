// SPDX-License-Identifier: Apache-2.0
// seccomp.h - the tables of system calls, compiled when the program is built (jailer/policy)
#ifndef MAYFLY_JAILER_SECCOMP_H
#define MAYFLY_JAILER_SECCOMP_H

#include "seccomp_table.h"

#include <stdbool.h>

/*
 * seccomp_load() - from now on the calling thread makes only the calls of its table; any other
 * stops it and is reported through the listener. Needs no_new_privs. Threads and programs it starts
 * inherit the table.
 * @listener: set to a close-on-exec descriptor, the caller's. NULL, and only then, for a table
 * whose other calls kill the process.
 *
 * Returns 0 or -errno; EBUSY: somebody outside already listens to this process.
 */
int seccomp_load(enum seccomp_table t, int *listener);

/* seccomp_table_kills() - whether a call outside of the table kills instead of being reported. */
bool seccomp_table_kills(enum seccomp_table t);

/* seccomp_table_name() - as in the policy's files, "vcpu-kvm"; never NULL. */
const char *seccomp_table_name(enum seccomp_table t);

/* seccomp_call_name() - "openat"; "?" for a number that had no name when this was built. */
const char *seccomp_call_name(int nr);

#endif
