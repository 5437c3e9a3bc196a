// SPDX-License-Identifier: Apache-2.0
// vsock_pkt.c - vsock headers out of and into guest memory
#include "virtio/vsock_pkt.h"

#include <endian.h>
#include <errno.h>

static void hdr_swap(struct vsock_hdr *h)
{
	h->src_cid = le64toh(h->src_cid);
	h->dst_cid = le64toh(h->dst_cid);
	h->src_port = le32toh(h->src_port);
	h->dst_port = le32toh(h->dst_port);
	h->len = le32toh(h->len);
	h->type = le16toh(h->type);
	h->op = le16toh(h->op);
	h->flags = le32toh(h->flags);
	h->buf_alloc = le32toh(h->buf_alloc);
	h->fwd_cnt = le32toh(h->fwd_cnt);
}

int vsock_pkt_read(const struct chain *c, uint64_t guest_cid, struct vsock_hdr *h)
{
	if (chain_read(c, 0, h, VSOCK_HDR_LEN) < 0)
		return -EPROTO;
	hdr_swap(h);
	if (h->len > VSOCK_MAX_PAYLOAD || h->len > c->out_len - VSOCK_HDR_LEN)
		return -EPROTO;
	if (h->op != VSOCK_OP_RW && h->len != 0)
		return -EPROTO;
	if (h->src_cid != guest_cid || h->dst_cid != VSOCK_HOST_CID ||
	    h->type != VSOCK_TYPE_STREAM || h->op == VSOCK_OP_INVALID ||
	    h->op > VSOCK_OP_CREDIT_REQUEST)
		return -EINVAL;
	return 0;
}

int vsock_pkt_write(const struct chain *c, const struct vsock_hdr *h)
{
	struct vsock_hdr le = *h;
	hdr_swap(&le);
	return chain_write(c, 0, &le, VSOCK_HDR_LEN);
}
