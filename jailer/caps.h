// SPDX-License-Identifier: Apache-2.0
// caps.h - capabilities, all five sets
#ifndef MAYFLY_JAILER_CAPS_H
#define MAYFLY_JAILER_CAPS_H

/*
 * caps_close() - no program that this process executes can have any: empties the bounding and the
 * ambient set and locks the switches that make uid 0 special. Needs CAP_SETPCAP in its own user
 * namespace; without it the bounding set stays, which no_new_privs makes harmless.
 * Returns 0 or -errno.
 */
int caps_close(void);

/* caps_drop() - effective, permitted and inheritable, all of them; 0 or -errno. */
int caps_drop(void);

/*
 * caps_supervise() - what a supervisor keeps: the right to end its processes, and, not in effect,
 * that to remove a cgroup, because cgroup file systems have root directories that even root may not
 * write to without it. Returns 0 or -errno.
 */
int caps_supervise(void);

/* caps_clean_up() - both in effect: the processes are gone; 0 or -errno. */
int caps_clean_up(void);

#endif
