// SPDX-License-Identifier: Apache-2.0
// blk_uring.h - a disk's requests through io_uring
#ifndef MAYFLY_VIRTIO_BLK_URING_H
#define MAYFLY_VIRTIO_BLK_URING_H

#include "virtio/blk_io.h"

#include <liburing.h>

/*
 * blk_uring_setup() - a ring that can do nothing but read, write, flush and punch one file: it
 * stays so whatever later happens to this process, since its operations pass by the tables of
 * system calls.
 * @fd: the file, borrowed: the ring has its own reference
 * Returns 0 or -errno; io_uring_queue_exit() frees it.
 */
int blk_uring_setup(struct io_uring *ring, int fd);

/*
 * blk_uring_create() - for the thread that runs loop. Makes system calls that its table does not
 * allow: before that is loaded.
 * Returns 0, or -errno: -EPERM, -ENOSYS and others where io_uring is forbidden.
 */
int blk_uring_create(struct blk_io **out, struct evloop *loop, int fd,
		     const struct blk_io_user *user);

#endif
