// SPDX-License-Identifier: Apache-2.0
// blk.h - the virtio block device (virtio 1.2, section 5.2): one raw file or host disk
#ifndef MAYFLY_VIRTIO_BLK_H
#define MAYFLY_VIRTIO_BLK_H

#include "virtio/blk_io.h"
#include "virtio/virtio.h"

struct virtio_blk_options {
	uint64_t size; /* bytes, a multiple of 512; never changes */
	bool read_only;
	bool throwaway;	    /* nobody reads it after the machine: a flush has nothing to do */
	unsigned queues;    /* 1 to VIRTIO_DEV_MAX_QUEUES */
	const char *serial; /* at most 20 bytes; copied */
};

/*
 * virtio_blk_create() - the device, on loop's thread; it is not complete before virtio_blk_io().
 * virtio_blk_user() is what its blk_io is made with; the device owns that afterwards.
 */
int virtio_blk_create(struct virtio_dev **out, struct evloop *loop,
		      const struct virtio_blk_options *o);
struct blk_io_user virtio_blk_user(struct virtio_dev *dev);
void virtio_blk_io(struct virtio_dev *dev, struct blk_io *io);
void virtio_blk_destroy(struct virtio_dev *dev);

#endif
