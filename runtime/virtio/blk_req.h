// SPDX-License-Identifier: Apache-2.0
// blk_req.h - what a guest's request to a disk says, checked (virtio 1.2, section 5.2.6)
#ifndef MAYFLY_VIRTIO_BLK_REQ_H
#define MAYFLY_VIRTIO_BLK_REQ_H

#include "virtio/queue.h"

#define BLK_SECTOR 512u
#define BLK_ID_LEN 20
/* One range a request: what drivers send anyway. */
#define BLK_MAX_RANGES 1
/* Of one discard or write-zeroes request: 1 GiB. */
#define BLK_MAX_RANGE_SECTORS (1u << 21)

/* Feature bits (section 5.2.3). */
#define VIRTIO_BLK_F_SEG_MAX (1ull << 2)
#define VIRTIO_BLK_F_RO (1ull << 5)
#define VIRTIO_BLK_F_BLK_SIZE (1ull << 6)
#define VIRTIO_BLK_F_FLUSH (1ull << 9)
#define VIRTIO_BLK_F_TOPOLOGY (1ull << 10)
#define VIRTIO_BLK_F_MQ (1ull << 12)
#define VIRTIO_BLK_F_DISCARD (1ull << 13)
#define VIRTIO_BLK_F_WRITE_ZEROES (1ull << 14)

enum blk_status { BLK_OK = 0, BLK_IOERR = 1, BLK_UNSUPP = 2 };

enum blk_req_kind {
	BLK_REQ_READ,
	BLK_REQ_WRITE,
	BLK_REQ_FLUSH,
	BLK_REQ_ID,
	BLK_REQ_DISCARD,
	BLK_REQ_ZERO,
};

/* Bytes; the data starts at data_off of its side of the chain. */
struct blk_req {
	enum blk_req_kind kind;
	uint64_t off, len;
	size_t data_off;
	bool may_unmap; /* zero */
};

/*
 * blk_req_parse() - of a chain with room for header and status (blk_req_framed()).
 * @size: of the disk, bytes
 * @features: that the driver took
 * Returns BLK_OK with *r inside the disk, or the status to answer with.
 */
enum blk_status blk_req_parse(const struct chain *c, uint64_t size, uint64_t features,
			      struct blk_req *r);

/* blk_req_framed() - false for a chain that can't even be answered. */
bool blk_req_framed(const struct chain *c);

#endif
