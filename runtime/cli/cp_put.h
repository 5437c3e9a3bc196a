// SPDX-License-Identifier: Apache-2.0
// cp_put.h - `mayfly cp`: files of the host into the machine
#ifndef MAYFLY_CLI_CP_PUT_H
#define MAYFLY_CLI_CP_PUT_H

#include "cli/cp_conn.h"

#include <stddef.h>
#include <stdint.h>

struct cp_put_to {
	const char *path; /* in the guest, absolute */
	uint32_t uid, gid;
	uint32_t *group; /* n_group of them */
	size_t n_group;
};

/*
 * cp_put_check() - is there something at this path that can be sent? 0 or -errno with text.
 */
int cp_put_check(const char *local, struct err *e);

/*
 * cp_put() - sends one file or tree; a link at the end of local is sent itself.
 * @c: a connection that cp_conn_init() has begun
 * Returns 0 or -errno with text, also if a part of it could not be read.
 */
int cp_put(struct cp_conn *c, const char *local, const struct cp_put_to *to, struct err *e);

#endif
