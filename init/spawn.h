// SPDX-License-Identifier: Apache-2.0
// spawn.h - starts one command as its user, in a cgroup of its own
#ifndef MAYFLY_INIT_SPAWN_H
#define MAYFLY_INIT_SPAWN_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct spawn_request {
	char **argv;
	char **env;
	const char *cwd;
	uint32_t uid, gid;
	const uint32_t *groups;
	size_t n_groups;
	int stdio[3];  /* the command's ends; stay the caller's */
	int cgroup_fd; /* -1: none */
};

/*
 * spawn_start() - forks the command; it goes on by itself.
 * @status_fd: set to a non-blocking descriptor that becomes readable when it is known whether
 * the program runs; the caller's
 * Returns the pid or -errno with text.
 */
pid_t spawn_start(const struct spawn_request *r, int *status_fd, struct err *e);

/*
 * spawn_result() - 0 if the program runs, -EAGAIN if that is not known yet, else -errno with
 * text (-ENOENT and -EACCES of the program itself are what the exit status goes by).
 */
int spawn_result(int status_fd, const struct spawn_request *r, struct err *e);

/* spawn_cgroup_make() - makes the cgroup of a session; directory descriptor or -errno. */
int spawn_cgroup_make(uint64_t session);

/*
 * spawn_cgroup_kill() - kills everything in it and everything it may still start.
 * Falls back to all processes where the kernel has no cgroups.
 */
void spawn_cgroup_kill(int cgroup_fd);

/* spawn_cgroup_remove() - once it is empty; 0 or -errno. */
int spawn_cgroup_remove(uint64_t session);

/* spawn_cgroup_enable() - has the cgroups of commands count memory and processes. */
void spawn_cgroup_enable(void);

/* spawn_oom_count() - processes in it that the kernel has killed for lack of memory so far. */
uint64_t spawn_oom_count(int cgroup_fd);

#endif
