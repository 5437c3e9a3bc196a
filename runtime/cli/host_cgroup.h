// SPDX-License-Identifier: Apache-2.0
// host_cgroup.h - which cgroup hierarchies there are, and whether a machine can be limited in them
#ifndef MAYFLY_CLI_HOST_CGROUP_H
#define MAYFLY_CLI_HOST_CGROUP_H

#include <limits.h>
#include <stdbool.h>

enum host_cgroup_kind {
	HOST_CGROUP_NONE,
	HOST_CGROUP_V1,
	HOST_CGROUP_V2,
	HOST_CGROUP_HYBRID, /* v1 controllers, and a v2 hierarchy beside them */
	HOST_CGROUP_KINDS
};

enum host_cgroup_ctl { HOST_CGROUP_MEMORY, HOST_CGROUP_PIDS, HOST_CGROUP_CTLS };

/* Where a controller's groups for this process are made. */
struct host_cgroup_place {
	bool v1;
	bool usable;	    /* set by host_cgroup_check() */
	char dir[PATH_MAX]; /* empty: the controller is nowhere */
};

struct host_cgroup {
	enum host_cgroup_kind kind;
	struct host_cgroup_place place[HOST_CGROUP_CTLS];
};

const char *host_cgroup_kind_name(enum host_cgroup_kind kind);
const char *host_cgroup_ctl_name(enum host_cgroup_ctl ctl);

/*
 * host_cgroup_parse() - from the texts of /proc/self/mountinfo and /proc/self/cgroup; looks at
 * nothing else. Lines that make no sense are passed over.
 */
void host_cgroup_parse(struct host_cgroup *out, const char *mountinfo, const char *self_cgroup);

/* host_cgroup_check() - may this user make groups there, with the controller in them? */
void host_cgroup_check(struct host_cgroup *cg);

#endif
