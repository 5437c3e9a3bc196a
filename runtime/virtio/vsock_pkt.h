// SPDX-License-Identifier: Apache-2.0
// vsock_pkt.h - vsock packet header and its check (virtio 1.2, section 5.10.6)
#ifndef MAYFLY_VIRTIO_VSOCK_PKT_H
#define MAYFLY_VIRTIO_VSOCK_PKT_H

#include "virtio/queue.h"

#include <stdint.h>

#define VSOCK_HOST_CID 2

enum vsock_op {
	VSOCK_OP_INVALID = 0,
	VSOCK_OP_REQUEST = 1,
	VSOCK_OP_RESPONSE = 2,
	VSOCK_OP_RST = 3,
	VSOCK_OP_SHUTDOWN = 4,
	VSOCK_OP_RW = 5,
	VSOCK_OP_CREDIT_UPDATE = 6,
	VSOCK_OP_CREDIT_REQUEST = 7,
};

#define VSOCK_TYPE_STREAM 1
#define VSOCK_SHUT_RCV 1u
#define VSOCK_SHUT_SEND 2u
#define VSOCK_MAX_PAYLOAD (64u << 10)

/* Little-endian on the wire; struct virtio_vsock_hdr. */
struct vsock_hdr {
	uint64_t src_cid;
	uint64_t dst_cid;
	uint32_t src_port;
	uint32_t dst_port;
	uint32_t len;
	uint16_t type;
	uint16_t op;
	uint32_t flags;
	uint32_t buf_alloc;
	uint32_t fwd_cnt;
} __attribute__((packed));

#define VSOCK_HDR_LEN sizeof(struct vsock_hdr)
_Static_assert(sizeof(struct vsock_hdr) == 44, "vsock header layout");

/*
 * vsock_pkt_read() - copies the header out of a transmit chain and checks it.
 * @h: filled in host byte order
 * Returns 0; -EPROTO if the chain holds no header or less payload than it says (the packet can't
 * be answered); -EINVAL if it came from or goes to a wrong address, has another type than stream
 * or an unknown op (to be answered with RST).
 */
int vsock_pkt_read(const struct chain *c, uint64_t guest_cid, struct vsock_hdr *h);

/* vsock_pkt_write() - puts a header (host byte order) in front of a receive chain; 0 or -EFAULT. */
int vsock_pkt_write(const struct chain *c, const struct vsock_hdr *h);

#endif
