// SPDX-License-Identifier: Apache-2.0
// notify.h - the supervisor's end of the seccomp listeners: who made which forbidden call
//
// A call that was reported never goes on: nothing here answers, the caller's process is to be
// killed.
#ifndef MAYFLY_JAILER_NOTIFY_H
#define MAYFLY_JAILER_NOTIFY_H

#include "base/evloop.h"

#include <stdint.h>
#include <sys/types.h>

/* One a thread: 32 CPUs, the devices, fs, qemu, and some to spare. */
#define NOTIFY_MAX 48
#define NOTIFY_NAME_MAX 16
#define NOTIFY_CALL_MAX 40

struct notify_call {
	const char *process; /* as given to notify_add() */
	const char *thread;
	pid_t tid; /* in the caller's PID namespace */
	int nr;
	uint64_t args[6];
	char name[NOTIFY_CALL_MAX]; /* "openat"; "call 1234" without a name, "i386 call 5" */
};

/*
 * Told once for each forbidden call; c lives as long as the handler. On the loop's thread; may call
 * notify_close().
 */
typedef void notify_fn(void *arg, const struct notify_call *c);

struct notify;

struct notify_source {
	struct evsource src; /* fd -1: free */
	struct notify *set;
	char process[NOTIFY_NAME_MAX];
	char thread[NOTIFY_NAME_MAX];
};

struct notify {
	struct evloop *loop;
	notify_fn *fn;
	void *arg;
	struct notify_source source[NOTIFY_MAX];
};

/* notify_init() - an empty set; loop and arg live longer than it. */
void notify_init(struct notify *n, struct evloop *loop, notify_fn *fn, void *arg);

/*
 * notify_add() - watches a listener until its last thread is gone.
 * @listener: taken over, whatever the outcome. It comes from a hostile process: anything that is
 *            not a seccomp listener is refused.
 * @process, @thread: for the reports; copied, cut to NOTIFY_NAME_MAX - 1 bytes
 * Returns 0, -EINVAL (no listener), -ENOSPC (NOTIFY_MAX of them), or another -errno.
 */
int notify_add(struct notify *n, int listener, const char *process, const char *thread);

/* notify_count() - how many are watched. */
unsigned notify_count(const struct notify *n);

/* notify_close() - drops all; reported calls then end with ENOSYS. Again is harmless. */
void notify_close(struct notify *n);

#endif
