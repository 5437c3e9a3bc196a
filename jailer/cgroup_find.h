// SPDX-License-Identifier: Apache-2.0
// cgroup_find.h - where this process stands in the cgroup hierarchies, and where those are mounted
#ifndef MAYFLY_JAILER_CGROUP_FIND_H
#define MAYFLY_JAILER_CGROUP_FIND_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

enum cgroup_ctl { CGROUP_MEMORY, CGROUP_PIDS, CGROUP_CPU, CGROUP_IO, CGROUP_CTLS };

/* One mounted hierarchy that has controllers we want. v1 has one for each, or one for several. */
struct cgroup_place {
	bool v1;
	unsigned ctls;	      /* bit set of enum cgroup_ctl; v2: those that v1 does not have */
	char point[PATH_MAX]; /* where it is mounted */
	char own[PATH_MAX];   /* this process's group below that; point, if it isn't there */
};

struct cgroup_places {
	unsigned n;
	unsigned want;			   /* controllers that are still looked for */
	unsigned v1;			   /* of all controllers, those that live in v1 */
	char group[CGROUP_CTLS][PATH_MAX]; /* v1: this process's group; "": not there */
	char group_v2[PATH_MAX];
	struct cgroup_place place[CGROUP_CTLS];
};

/* cgroup_ctl_name() - "memory", "pids", "cpu", "io". */
const char *cgroup_ctl_name(enum cgroup_ctl ctl);

/* cgroup_find_own() - takes the text of /proc/self/cgroup; starts a search for these controllers.
 */
void cgroup_find_own(struct cgroup_places *p, const char *self_cgroup, unsigned want);

/*
 * cgroup_find_mount() - takes one line of /proc/self/mountinfo, which it cuts up; a line that
 * makes no sense is passed over. Returns whether more lines are needed.
 */
bool cgroup_find_mount(struct cgroup_places *p, char *line);

/* cgroup_find() - the same from /proc, read no further than needed. 0 or -errno. */
int cgroup_find(struct cgroup_places *p, unsigned want);

#endif
