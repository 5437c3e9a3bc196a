// SPDX-License-Identifier: Apache-2.0
// cp_fetch.h - `mayfly cp`: files of the machine onto the host
#ifndef MAYFLY_CLI_CP_FETCH_H
#define MAYFLY_CLI_CP_FETCH_H

#include "cli/cp_conn.h"
#include "copy/out_target.h"

/*
 * cp_fetch() - copies one file or tree to where t says.
 * @c: a connection that cp_conn_init() has begun
 * @t: opened, source and all; its guest path is asked for
 * Returns 0 or -errno with text. What is whole stays, also after a failure.
 */
int cp_fetch(struct cp_conn *c, const struct out_target *t, struct err *e);

/*
 * cp_fetch_stdout() - writes one file's bytes to a descriptor, its holes as zeros.
 * @max_bytes: a larger file is refused, -EFBIG
 * @path: in the guest, absolute
 */
int cp_fetch_stdout(struct cp_conn *c, const char *path, int fd, uint64_t max_bytes, struct err *e);

#endif
