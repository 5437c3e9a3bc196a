// SPDX-License-Identifier: Apache-2.0
// statedir.h - the directory of one machine: made, locked, removed, and swept when its owners died
#ifndef MAYFLY_JAILER_STATEDIR_H
#define MAYFLY_JAILER_STATEDIR_H

#include "base/err.h"
#include "sweep.h"

#include <stdbool.h>

#define STATEDIR_ID_MAX 64

/*
 * A directory named by the machine's id, below a base directory that only the user can enter.
 * "lock" in it is held with flock() as long as anybody owns the machine, so that whoever can
 * take the lock knows that the owners are dead.
 */
struct statedir {
	char id[STATEDIR_ID_MAX + 1];
	int base_fd;
	int dir_fd;
	int lock_fd;
};

/*
 * statedir_base() - opens (makes, if needed) the user's directory for machines: "mayfly" below
 * XDG_RUNTIME_DIR; for root /run/mayfly; else mayfly-UID below the temporary directory, refused
 * unless it is a directory of the user's with mode 0700.
 * Returns an O_PATH-free directory descriptor or -errno with text.
 */
int statedir_base(struct err *e);

/* statedir_id_ok() - 1 to STATEDIR_ID_MAX of [a-z0-9-]. */
bool statedir_id_ok(const char *id);

/* statedir_create() - makes and locks the directory; 0 or -errno with text. base_fd stays. */
int statedir_create(struct statedir *d, int base_fd, const char *id, struct err *e);

/*
 * statedir_listen() - a listening Unix socket of this name in the directory.
 * Returns the descriptor or -errno.
 */
int statedir_listen(const struct statedir *d, const char *name);

/* statedir_open() - the directory of a machine that somebody else made; descriptor or -errno. */
int statedir_open(int base_fd, const char *id);

/*
 * statedir_remove() - removes the directory with everything in it, and before that the cgroups
 * that its file "cgroup" names (cgroup.h); safe to call twice. If one of those still has
 * processes, the directory stays, unlocked, for whoever sweeps next.
 */
void statedir_remove(struct statedir *d);

/*
 * statedir_sweep() - removes the directories in base_fd whose lock nobody holds, as
 * statedir_remove() does.
 * Returns how many were removed.
 */
unsigned statedir_sweep(int base_fd);

/*
 * statedir_sweep_report() - the same, and tells about each; never waits: makers of machines do.
 * Returns how many were (or would be) removed, -EAGAIN while somebody makes or sweeps machines,
 * or another -errno.
 */
int statedir_sweep_report(int base_fd, const struct sweep *sweep);

#endif
