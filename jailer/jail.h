// SPDX-License-Identifier: Apache-2.0
// jail.h - the processes of a machine: their descriptions, and the steps that put each into its
// jail
#ifndef MAYFLY_JAILER_JAIL_H
#define MAYFLY_JAILER_JAIL_H

#include "base/err.h"
#include "proto/config.pb-c.h"
#include "root.h"

#include <sys/types.h>

/* Descriptors one process may be given, and the numbers they may have there. */
#define JAIL_MAX_FDS 320
#define JAIL_MAX_FD 512
/* The numbers they may have in mayfly-jailer: mayfly's own, which its caller may have pushed up. */
#define JAIL_MAX_FROM 8192

/* What all jails of a machine have in common. */
struct jail {
	Mayfly__JailMode mode;
	bool root;	  /* the caller is uid 0: ids are changed, no user namespace is needed */
	uid_t uid;	  /* the machine's own, with root; also its gid */
	int landlock;	  /* version, 0: none */
	int host_proc_fd; /* O_PATH, -1: not needed */
	int cgroup_fd;	  /* cgroup v2 to be born in, -1: the supervisor's; the caller's */
	struct root tree; /* of the process that sees system directories */
};

/*
 * jail_prepare() - the supervisor leaves the host: with JAIL_FULL it takes along what the processes
 * are to see, enters namespaces (user, mount) and an empty root. Called once, before any
 * jail_spawn(), by a process with a single thread.
 * @uid: the machine's own, used when the caller is root
 * Returns 0, or -errno with text; jail_free() in both cases.
 */
int jail_prepare(struct jail *j, const Mayfly__JailConfig *cfg, uid_t uid, struct err *e);

/* jail_seal() - after the last jail_spawn(): the supervisor keeps no more than it needs. 0 or
 * -errno. */
int jail_seal(struct jail *j);
void jail_free(struct jail *j);

/*
 * jail_spawn() - starts one process as described, in its jail.
 * @p: checked description; descriptors named in it belong to this process
 * @pidfd: set to a descriptor of the child, close-on-exec
 * @listener: set to the listener of the table that was loaded before the exec, or -1
 * Returns the pid, or -errno with text if the program could not be executed.
 */
pid_t jail_spawn(const struct jail *j, const Mayfly__JailProcess *p, int *pidfd, int *listener,
		 struct err *e);

#endif
