// SPDX-License-Identifier: Apache-2.0
// spawn_cgroup.h - the cgroups of commands: one for all of them, below it one a session
#ifndef MAYFLY_INIT_SPAWN_CGROUP_H
#define MAYFLY_INIT_SPAWN_CGROUP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * spawn_cgroup_enable() - makes the cgroup of all commands; PID 1 stays outside of it. A kernel
 * without cgroups is fine: then commands have none.
 * @pids_max: processes and threads of all commands, 0: one for each 512 KiB of memory, at least 256
 * Returns 0, or -errno if a limit was asked for that can't be kept.
 */
int spawn_cgroup_enable(uint32_t pids_max);

/*
 * spawn_cgroup_make() - makes the cgroup of a session.
 * Returns a directory descriptor, -ENOENT where there are no cgroups, -EEXIST if an earlier session
 * of this number left something behind, -EOPNOTSUPP if pids_max can't be kept, or -errno.
 */
int spawn_cgroup_make(uint64_t session, uint32_t pids_max);

/*
 * spawn_cgroup_kill() - kills everything in it and everything it may still start, and the process
 * group, wherever that has been moved. Where there are no cgroups and with all, if we are PID 1:
 * everything that runs.
 */
void spawn_cgroup_kill(int cgroup_fd, pid_t pid, bool all);

/*
 * spawn_cgroup_sweep() - removes the empty ones of sessions that are none any more.
 * @live: says whether a session is
 * Returns how many are left that aren't empty.
 */
unsigned spawn_cgroup_sweep(bool (*live)(void *arg, uint64_t session), void *arg);

/* spawn_cgroup_oom_count() - processes in it that the kernel has killed for lack of memory. */
uint64_t spawn_cgroup_oom_count(int cgroup_fd);

/*
 * spawn_cgroup_pids_count() - how often a process could not be made because of a limit on their
 * number, this cgroup's or, with -1, the one for all commands.
 */
uint64_t spawn_cgroup_pids_count(int cgroup_fd);

/* Of all commands together, those that have ended included. */
struct spawn_cgroup_usage {
	uint64_t cpu_usec;
	uint64_t oom_kills;
	uint32_t processes;
};
void spawn_cgroup_usage(struct spawn_cgroup_usage *u);

#endif
