// SPDX-License-Identifier: Apache-2.0
// cgroup.h - the cgroup of one machine: made with its limits, entered, left, removed
#ifndef MAYFLY_JAILER_CGROUP_H
#define MAYFLY_JAILER_CGROUP_H

#include "base/err.h"
#include "cgroup_find.h"
#include "statedir.h"
#include "sweep.h"

#include <stdint.h>

/* 0 means no limit, and no group for its sake. */
struct cgroup_limits {
	uint64_t memory_bytes; /* of all processes of the machine; no swap besides */
	uint32_t pids;	       /* processes and threads */
	uint32_t cpu_permille; /* of one CPU: 1500 is one and a half, at least 10 */
	uint32_t io_weight;    /* 1 to 10000, others have 100 */
};

/* The machine's group in one hierarchy. */
struct cgroup_group {
	bool v1;
	unsigned ctls;
	int parent_fd; /* where it is removed from */
	int dir_fd;
	int enter_fd; /* v1: its "tasks" */
	int leave_fd; /* v1: those of the group that we came from */
};

#define CGROUP_NAME_MAX (sizeof("mayfly-") + STATEDIR_ID_MAX)

/*
 * Everything works through these descriptors (close-on-exec): the supervisor has no /sys after
 * it has left the host's mounts.
 */
struct cgroup {
	char name[CGROUP_NAME_MAX];
	int state_dir_fd; /* the caller's, valid until cgroup_close() */
	unsigned n;
	unsigned missing; /* bit set of enum cgroup_ctl: wanted, but can't be had */
	bool made;	  /* groups may be there that are not removed yet */
	struct cgroup_group group[CGROUP_CTLS];
};

/*
 * cgroup_create() - makes the group "mayfly-ID", without processes, in each hierarchy that has one
 * of the controllers wanted: v1 below this process's own group (below the mount's root, if that
 * can't be seen); v2 as root below the mount's root, else below the parent of this process's own
 * group or that group itself, whichever is writable and has the controllers or lets them be
 * switched on. Writes the paths into the file "cgroup" of the machine's state directory first.
 * Call before mounts or ids change.
 * Returns 0; c->missing tells which limits can't be had. Else -errno with text, for one line of
 * information (-ENOENT: there is no hierarchy, -EACCES: no group can be made); c is empty then, and
 * every other function here may be called with it and does nothing.
 */
int cgroup_create(struct cgroup *c, const char *id, int state_dir_fd,
		  const struct cgroup_limits *lim, struct err *e);

/*
 * cgroup_enter() - moves the calling process, which must have one thread, into the v1 groups: what
 * it starts from then on is in them. v2 is left out: see cgroup_clone_fd(). 0, or -errno, and it
 * is where it was.
 */
int cgroup_enter(const struct cgroup *c);

/* cgroup_leave() - back to where it was. 0 or -errno (the first; all are tried). */
int cgroup_leave(const struct cgroup *c);

/* cgroup_clone_fd() - the v2 group for clone3() with CLONE_INTO_CGROUP, or -1. Stays ours. */
int cgroup_clone_fd(const struct cgroup *c);

/*
 * cgroup_remove() - removes the groups, waiting for the last processes in them to vanish (at most
 * 1.5 seconds), then the file "cgroup". Safe to call twice. 0, or -EBUSY: whoever comes next
 * finds the file.
 */
int cgroup_remove(struct cgroup *c);

/*
 * cgroup_oom_kills() - how many of its processes the kernel has killed for lack of memory, the
 * group's or the host's. 0 also where nobody counts: no group with the memory controller, or a
 * kernel before 4.13.
 */
uint64_t cgroup_oom_kills(const struct cgroup *c);

/* cgroup_close() - closes the descriptors and forgets the groups, without removing any. */
void cgroup_close(struct cgroup *c);

/*
 * cgroup_remove_recorded() - removes the groups that the file "cgroup" of a state directory names.
 * The file may have been written by a hostile process: only directories of cgroup file systems
 * called "mayfly-ID" are removed, and no link is followed.
 * @id: of the machine whose directory it is
 * @sweep: tells about each, or only looks; doesn't wait. NULL for the machine's owner, who waits
 * as cgroup_remove() does
 * Returns 0 if none is left, or -EBUSY if one has processes, or if this process can't see them.
 */
int cgroup_remove_recorded(int state_dir_fd, const char *id, const struct sweep *sweep);

#endif
