// SPDX-License-Identifier: Apache-2.0
// fs_ops.h - one FUSE request in, one FUSE reply out
#ifndef MAYFLY_FS_OPS_H
#define MAYFLY_FS_OPS_H

#include "fs/fs.h"

#include <stddef.h>

/*
 * fs_ops_serve() - answers one request; any bytes are fine.
 * @msg: a FUSE message, header first
 * @out, @room: for the reply with its header; fewer bytes than a header mean no reply
 * @fd: set to a descriptor that goes with the reply and is the caller's then, else -1
 * Returns the length of the reply, 0 if there is none.
 */
size_t fs_ops_serve(struct fs *fs, const void *msg, size_t len, void *out, size_t room, int *fd);

#endif
