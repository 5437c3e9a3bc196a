// SPDX-License-Identifier: Apache-2.0
// confine.h - each thread of mayfly-vmm loads its table of system calls before the guest runs
//
// A thread loads its own and waits; the main thread hands all listeners to the supervisor, loads
// its table as the last one, and lets the others go. So no thread works for the guest before every
// thread of the process is confined.
#ifndef MAYFLY_VMM_CONFINE_H
#define MAYFLY_VMM_CONFINE_H

#include "base/err.h"
#include "jailer/seccomp.h"

#include <stdbool.h>

/*
 * confine_init() - before there is any thread.
 * @link: to the supervisor (proto/jail_link.h), the caller's
 * @on: false: all of this does nothing
 */
void confine_init(int link, bool on);

/* confine_expect() - so many more threads will call confine_thread(). Main thread, before them. */
void confine_expect(unsigned threads);

/*
 * confine_thread() - loads the thread's table, then waits for confine_main().
 * @label: which thread this is, [a-z0-9-], copied
 * Returns 0, or -errno: then the thread is to end without any work.
 */
int confine_thread(const char *label, enum seccomp_table t);

/*
 * confine_main() - waits at most CONFINE_WAIT_S seconds for the expected threads, hands over their
 * listeners, loads the main thread's table. Returns 0, or -errno with text; the machine must not
 * run then.
 */
#define CONFINE_WAIT_S 10
int confine_main(enum seccomp_table t, struct err *e);

#endif
