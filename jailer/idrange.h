// SPDX-License-Identifier: Apache-2.0
// idrange.h - a user and group id of a machine's own, never shared by two live machines
#ifndef MAYFLY_JAILER_IDRANGE_H
#define MAYFLY_JAILER_IDRANGE_H

#include "base/err.h"
#include "sweep.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * The default range lies where neither systemd (0x70000000 to 0x7ffdffff is free of its uses) nor
 * Debian's policy, subuid's defaults (to 600,100,000), or the usual ranges for directory services
 * (to 2,000,200,000, DebOps to 2,099,999,999) allocate. The small one is for containers that have
 * 65,536 ids: between systemd's greeters and its dynamic users, and not in Debian's list of static
 * ids.
 */
#define IDRANGE_FIRST 2100000000u
#define IDRANGE_COUNT 65536u
#define IDRANGE_SMALL_FIRST 60706u
#define IDRANGE_SMALL_COUNT 478u

struct idrange {
	uint32_t id; /* as uid and as gid */
	int lock_fd; /* close-on-exec; copies of it hold the id, too */
	int dir_fd;
};

/*
 * idrange_parse() - "FIRST:COUNT". Ids below 1000 and those that mean something to the kernel
 * (65534, 65535, the last two) are refused. 0 or -EINVAL with text.
 */
int idrange_parse(const char *text, uint32_t *first, uint32_t *count, struct err *e);

/*
 * idrange_default() - the range to take where the user named none: the default, or the small one
 * if this user namespace doesn't map the default. 0, or -ERANGE with text if it maps neither.
 */
int idrange_default(uint32_t *first, uint32_t *count, struct err *e);

/* idrange_usable() - 0, or -ERANGE with text if this user namespace lacks an id of the range. */
int idrange_usable(uint32_t first, uint32_t count, struct err *e);

/* idrange_mapped() - whether a text like /proc/self/uid_map maps all ids of the range. */
bool idrange_mapped(const char *map, uint32_t first, uint32_t count);

/*
 * idrange_take() - an id of the range that nobody holds. It is held by a lock on the file
 * "uid-ID" in the directory ".ids" of base_dir_fd, for as long as a copy of lock_fd is open:
 * the owner is given one, so that the id stays taken while it kills what a dead supervisor left.
 * Returns 0, -EAGAIN with text if all are taken, or another -errno with text.
 */
int idrange_take(struct idrange *r, int base_dir_fd, uint32_t first, uint32_t count, struct err *e);

/*
 * idrange_release() - gives the id back, whoever else has a copy of lock_fd: to be called when no
 * process has the id any more. Safe to call twice, and by several with copies.
 */
void idrange_release(struct idrange *r);

/* idrange_close() - closes our copy; the file stays for idrange_sweep(). */
void idrange_close(struct idrange *r);

/*
 * idrange_sweep() - removes the files of ids that nobody holds.
 * @sweep: may be NULL
 * Returns how many were (or would be) removed, or -errno.
 */
int idrange_sweep(int base_dir_fd, const struct sweep *sweep);

#endif
