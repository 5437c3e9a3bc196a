// SPDX-License-Identifier: Apache-2.0
// host_cgroup.h - which cgroup hierarchies there are, and whether a machine can be limited in them
#ifndef MAYFLY_CLI_HOST_CGROUP_H
#define MAYFLY_CLI_HOST_CGROUP_H

#include "cgroup_find.h"

#include <stdbool.h>

enum host_cgroup_kind {
	HOST_CGROUP_NONE,
	HOST_CGROUP_V1,
	HOST_CGROUP_V2,
	HOST_CGROUP_HYBRID, /* v1 controllers, and a v2 hierarchy beside them */
	HOST_CGROUP_KINDS
};

struct host_cgroup {
	enum host_cgroup_kind kind;
	unsigned usable; /* bit sets of enum cgroup_ctl: limits that this user may set */
	unsigned v1;	 /* controllers that live in v1 */
};

const char *host_cgroup_kind_name(enum host_cgroup_kind kind);

/*
 * host_cgroup_kind_of() - from the text of /proc/self/mountinfo. Lines that make no sense are
 * passed over.
 */
enum host_cgroup_kind host_cgroup_kind_of(const char *mountinfo);

/*
 * host_cgroup_usable() - the controllers of a hierarchy with which this user may make a group,
 * where the jailer would make it (cgroup_create()). Goes by permissions, changes nothing.
 * @root: the user is
 */
unsigned host_cgroup_usable(const struct cgroup_place *place, bool root);

/* host_cgroup_look() - all of it. @mountinfo: the text of /proc/self/mountinfo */
void host_cgroup_look(struct host_cgroup *cg, const char *mountinfo);

#endif
