// SPDX-License-Identifier: Apache-2.0
// blk_rig.h - a disk with a file in memory behind it and a driver's rings before it, for tests
#ifndef MAYFLY_TESTS_BLK_RIG_H
#define MAYFLY_TESTS_BLK_RIG_H

#include "lib/fake_guest.h"
#include "virtio/blk.h"
#include "virtio/blk_req.h"

#define BLK_RIG_SIZE (8u << 20) /* of the disk */
#define BLK_RIG_MEM (16u << 20) /* of the guest */
#define BLK_RIG_QSIZE 128

struct blk_rig {
	struct evloop loop;
	struct virtio_dev *dev;
	struct fake_guest g;
	struct fake_queue q[VIRTIO_DEV_MAX_QUEUES];
	unsigned queues;
	int fd; /* the file, to look into */
};

struct blk_rig_request {
	int head;
	uint8_t *data; /* in guest memory */
	uint8_t *status;
};

/*
 * blk_rig_init() - threads: without io_uring; o->size, queues and serial may be 0 for defaults.
 * The driver takes every feature. 0 or -errno; blk_rig_destroy() checks nothing.
 */
int blk_rig_init(struct blk_rig *r, bool threads, const struct virtio_blk_options *o);
void blk_rig_destroy(struct blk_rig *r);

/*
 * blk_rig_add() - one request on queue q, nothing kicked.
 * @data: what it carries; NULL: len bytes that the device writes
 */
struct blk_rig_request blk_rig_add(struct blk_rig *r, unsigned q, uint32_t type, uint64_t sector,
				   const void *data, size_t len);

/* blk_rig_kick() - of queue q. */
void blk_rig_kick(struct blk_rig *r, unsigned q);

/* blk_rig_wait() - until n more answers came on queue q; false after 10 s. */
bool blk_rig_wait(struct blk_rig *r, unsigned q, unsigned n);

/* blk_rig_do() - adds, kicks, waits; the status, -1 if there was no answer. */
int blk_rig_do(struct blk_rig *r, uint32_t type, uint64_t sector, const void *data, size_t len,
	       uint8_t **out);

#endif
