// SPDX-License-Identifier: Apache-2.0
// blk_req.c - header, data and ranges of a disk request, each copied once and checked
#include "virtio/blk_req.h"

#include "base/checked.h"

#include <endian.h>

enum {
	T_IN = 0,
	T_OUT = 1,
	T_FLUSH = 4,
	T_GET_ID = 8,
	T_DISCARD = 11,
	T_WRITE_ZEROES = 13,
};

#define RANGE_UNMAP 1u

struct header {
	uint32_t type;
	uint32_t reserved;
	uint64_t sector;
};
_Static_assert(sizeof(struct header) == 16, "header layout");

struct range {
	uint64_t sector;
	uint32_t sectors;
	uint32_t flags;
};
_Static_assert(sizeof(struct range) == 16, "range layout");

bool blk_req_framed(const struct chain *c)
{
	return c->out_len >= sizeof(struct header) && c->in_len >= 1;
}

static bool set_range(struct blk_req *r, uint64_t sector, uint64_t len, uint64_t size)
{
	return !mul_overflows(sector, (uint64_t)BLK_SECTOR, &r->off) &&
	       range_inside(r->off, r->len = len, size);
}

static enum blk_status parse_data(struct blk_req *r, uint64_t sector, size_t len, uint64_t size)
{
	return len % BLK_SECTOR == 0 && set_range(r, sector, len, size) ? BLK_OK : BLK_IOERR;
}

static enum blk_status parse_range(const struct chain *c, struct blk_req *r, uint64_t size)
{
	struct range g;
	if (c->out_len != sizeof(struct header) + BLK_MAX_RANGES * sizeof(g) ||
	    chain_read(c, sizeof(struct header), &g, sizeof(g)) < 0)
		return BLK_IOERR;
	uint32_t flags = le32toh(g.flags);
	uint32_t sectors = le32toh(g.sectors);
	uint32_t known = r->kind == BLK_REQ_ZERO ? RANGE_UNMAP : 0;
	if (flags & ~known)
		return BLK_UNSUPP;
	r->may_unmap = flags & RANGE_UNMAP;
	if (sectors > BLK_MAX_RANGE_SECTORS ||
	    !set_range(r, le64toh(g.sector), (uint64_t)sectors * BLK_SECTOR, size))
		return BLK_IOERR;
	return BLK_OK;
}

static enum blk_status writable(uint64_t features, uint64_t needed)
{
	if (features & VIRTIO_BLK_F_RO)
		return BLK_IOERR;
	return (features & needed) == needed ? BLK_OK : BLK_UNSUPP;
}

static enum blk_status parse_range_of(const struct chain *c, enum blk_req_kind kind, uint64_t size,
				      uint64_t features, uint64_t needed, struct blk_req *r)
{
	enum blk_status s = writable(features, needed);
	r->kind = kind;
	return s == BLK_OK ? parse_range(c, r, size) : s;
}

enum blk_status blk_req_parse(const struct chain *c, uint64_t size, uint64_t features,
			      struct blk_req *r)
{
	struct header h;
	*r = (struct blk_req){0};
	if (chain_read(c, 0, &h, sizeof(h)) < 0)
		return BLK_IOERR;
	uint64_t sector = le64toh(h.sector);
	switch (le32toh(h.type)) {
	case T_IN: r->kind = BLK_REQ_READ; return parse_data(r, sector, c->in_len - 1, size);
	case T_OUT:
		r->kind = BLK_REQ_WRITE;
		r->data_off = sizeof(h);
		if (writable(features, 0) != BLK_OK)
			return BLK_IOERR;
		return parse_data(r, sector, c->out_len - sizeof(h), size);
	case T_FLUSH: r->kind = BLK_REQ_FLUSH; return BLK_OK;
	case T_GET_ID: r->kind = BLK_REQ_ID; return BLK_OK;
	case T_DISCARD:
		return parse_range_of(c, BLK_REQ_DISCARD, size, features, VIRTIO_BLK_F_DISCARD, r);
	case T_WRITE_ZEROES:
		return parse_range_of(c, BLK_REQ_ZERO, size, features, VIRTIO_BLK_F_WRITE_ZEROES,
				      r);
	default: return BLK_UNSUPP;
	}
}
