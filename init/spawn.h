// SPDX-License-Identifier: Apache-2.0
// spawn.h - starts one command as its user, in a cgroup of its own
#ifndef MAYFLY_INIT_SPAWN_H
#define MAYFLY_INIT_SPAWN_H

#include "base/err.h"
#include "proto/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct spawn_rlimit {
	uint32_t resource;
	uint64_t soft, hard;
};

struct spawn_request {
	char **argv;
	char **env;
	const char *cwd;
	uint32_t uid, gid;
	const uint32_t *groups;
	size_t n_groups;
	uint32_t umask;
	struct spawn_rlimit rlimit[PROTO_RLIMITS_MAX];
	size_t n_rlimits;
	bool tty;      /* stdio is one terminal, which becomes the command's */
	int stdio[3];  /* the command's ends; stay the caller's */
	int cgroup_fd; /* -1: none */
};

/*
 * spawn_raise_limits() - many commands at a time: what we may open, which they don't inherit. Once
 * more if it was lowered since.
 */
void spawn_raise_limits(void);

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

#endif
