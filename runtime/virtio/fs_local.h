// SPDX-License-Identifier: Apache-2.0
// fs_local.h - FUSE requests that the device answers itself: data and handles of open files
//
// Of files that the fs process keeps only reads are answered here.
#ifndef MAYFLY_VIRTIO_FS_LOCAL_H
#define MAYFLY_VIRTIO_FS_LOCAL_H

#include "virtio/fs_handle.h"
#include "virtio/queue.h"

#include <linux/fuse.h>
#include <stdbool.h>

/* As much as INIT allows: 256 pages. */
#define FS_LOCAL_READ_MAX (1u << 20)
#define FS_LOCAL_WRITE_MAX (1u << 20)

/* Not for us: the request, as we have changed it, goes to the fs process. */
#define FS_LOCAL_FORWARD ((ssize_t)1 << 62)

struct fs_local {
	struct fs_handles *files;
	bool writable; /* some view is */
	struct iovec iov[CHAIN_MAX_IOV];
};

/* fs_local_serves() - is this opcode answered here? */
bool fs_local_serves(uint32_t opcode);

/*
 * fs_local_serve() - does one request.
 * @in: a checked copy of its header
 * @arg: its arguments, checked by fs_wire_check(); changed for FS_LOCAL_FORWARD
 * @c: the chain, for what is written behind the reply's header
 * Returns the bytes written there, -errno, or FS_LOCAL_FORWARD; then the same request may come
 * again, unchanged.
 */
ssize_t fs_local_serve(struct fs_local *l, const struct fuse_in_header *in, uint8_t *arg,
		       const struct chain *c);

#endif
