// SPDX-License-Identifier: Apache-2.0
// blk_threads.h - a disk's requests by threads that block, where io_uring is forbidden
#ifndef MAYFLY_VIRTIO_BLK_THREADS_H
#define MAYFLY_VIRTIO_BLK_THREADS_H

#include "virtio/blk_io.h"

#define BLK_THREADS 4

/*
 * blk_threads_create() - for the thread that runs loop.
 * @fd: the file, borrowed, open until the end
 * @begin: called first by each thread with its name; not 0: it ends. May be NULL
 * Returns 0 or -errno.
 */
int blk_threads_create(struct blk_io **out, struct evloop *loop, int fd,
		       const struct blk_io_user *user, int (*begin)(const char *thread));

#endif
