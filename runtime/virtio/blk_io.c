// SPDX-License-Identifier: Apache-2.0
// blk_io.c - the steps of a request: the rest of a short transfer, what stands in for a call that
// the file system lacks, the flush behind a write
#include "virtio/blk_io.h"

#include "base/checked.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stddef.h>

#define ZEROS_LEN 65536
/* Interruptions of one step; more would be somebody's game. */
#define MAX_TRIES 64

static uint8_t zeros[ZEROS_LEN];

void blk_io_submit(struct blk_io *io, struct blk_io_req *r)
{
	io->busy++;
	blk_io_begin(r);
	io->ops->submit(io, r);
}

void blk_io_go(struct blk_io *io)
{
	if (io->busy > 0 && io->failed == 0)
		io->ops->go(io);
}

void blk_io_finish(struct blk_io *io)
{
	while (io->busy > 0 && io->failed == 0)
		io->ops->wait(io);
}

void blk_io_destroy(struct blk_io *io)
{
	if (io)
		io->ops->destroy(io);
}

static void point_at_zeros(struct blk_io_req *r)
{
	uint64_t left = r->len;
	r->first = 0;
	for (r->n_iov = 0; r->n_iov < BLK_IO_MAX_IOV && left > 0; r->n_iov++) {
		size_t part = MIN(left, (uint64_t)ZEROS_LEN);
		r->iov[r->n_iov] = (struct iovec){.iov_base = zeros, .iov_len = part};
		left -= part;
	}
}

void blk_io_begin(struct blk_io_req *r)
{
	r->result = 0;
	r->first = 0;
	r->tries = 0;
	r->writes_zeros = false;
	r->next = NULL;
}

static bool over(struct blk_io_req *r, int result)
{
	r->result = result;
	return true;
}

/* The last step of a request that must be on stable storage. */
static bool settle(struct blk_io_req *r)
{
	if (!r->sync || r->op == BLK_IO_FLUSH)
		return over(r, 0);
	r->op = BLK_IO_FLUSH;
	return false;
}

static bool moved(struct blk_io_req *r, uint64_t n)
{
	/* Nothing is left to read where the disk still has blocks: the file was cut meanwhile. */
	if (n == 0 || n > r->len)
		return over(r, -EIO);
	r->tries = 0;
	r->off += n;
	r->len -= n;
	if (r->len == 0)
		return r->op == BLK_IO_WRITE ? settle(r) : over(r, 0);
	if (r->writes_zeros) {
		point_at_zeros(r);
		return false;
	}
	while (n > 0) {
		struct iovec *v = &r->iov[r->first];
		size_t part = MIN(n, (uint64_t)v->iov_len);
		v->iov_base = (uint8_t *)v->iov_base + part;
		v->iov_len -= part;
		n -= part;
		if (v->iov_len == 0)
			r->first++;
	}
	return false;
}

/* A file system without holes: a discard is only a hint, zeros can be written. */
static bool no_fallocate(struct blk_io_req *r)
{
	if (r->op == BLK_IO_DISCARD)
		return over(r, 0);
	r->op = BLK_IO_WRITE;
	r->writes_zeros = true;
	point_at_zeros(r);
	return false;
}

bool blk_io_step(struct blk_io_req *r, int64_t res)
{
	bool holes = r->op == BLK_IO_DISCARD || r->op == BLK_IO_ZERO;
	if (res == -EINTR || res == -EAGAIN)
		return ++r->tries > MAX_TRIES && over(r, (int)res);
	if (holes && (res == -EOPNOTSUPP || res == -ENOSYS))
		return no_fallocate(r);
	if (res < 0)
		return over(r, (int)res);
	if (r->op == BLK_IO_READ || r->op == BLK_IO_WRITE)
		return moved(r, (uint64_t)res);
	return settle(r);
}

int blk_io_mode(const struct blk_io_req *r)
{
	return FALLOC_FL_KEEP_SIZE |
	       (r->op == BLK_IO_ZERO && r->keep ? FALLOC_FL_ZERO_RANGE : FALLOC_FL_PUNCH_HOLE);
}
