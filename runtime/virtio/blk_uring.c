// SPDX-License-Identifier: Apache-2.0
// blk_uring.c - one ring, one registered file, four operations
//
// The ring's descriptor is readable while there are completions, so the event loop watches it like
// any other. What the host's page cache has is complete when the submission returns, and is taken
// without a trip through the loop.
#include "virtio/blk_uring.h"

#include "base/checked.h"

#include <errno.h>
#include <stdlib.h>

/* The kernel's own threads for what would block; each counts against the machine's limit. */
#define WORKERS 8
#define FILE_INDEX 0
#define ASYNC_BYTES (256ull * 1024)

struct blk_uring {
	struct blk_io io;
	struct io_uring ring;
	struct evsource ready;
	struct evloop *loop;
	unsigned queued; /* put into the ring, not submitted yet */
};

static struct blk_uring *uring_of(struct blk_io *io)
{
	return container_of(io, struct blk_uring, io);
}

static int restrict_ring(struct io_uring *ring)
{
	static const uint8_t ops[] = {IORING_OP_READV, IORING_OP_WRITEV, IORING_OP_FSYNC,
				      IORING_OP_FALLOCATE};
	struct io_uring_restriction rows[ARRAY_SIZE(ops) + 2] = {0};
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		rows[i].opcode = IORING_RESTRICTION_SQE_OP;
		rows[i].sqe_op = ops[i];
	}
	rows[ARRAY_SIZE(ops)].opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
	rows[ARRAY_SIZE(ops)].sqe_flags = IOSQE_FIXED_FILE | IOSQE_ASYNC;
	rows[ARRAY_SIZE(ops) + 1].opcode = IORING_RESTRICTION_SQE_FLAGS_REQUIRED;
	rows[ARRAY_SIZE(ops) + 1].sqe_flags = IOSQE_FIXED_FILE;
	/* No row for registrations: there are none afterwards. */
	return io_uring_register_restrictions(ring, rows, ARRAY_SIZE(rows));
}

int blk_uring_setup(struct io_uring *ring, int fd)
{
	struct io_uring_params p = {.flags = IORING_SETUP_R_DISABLED};
	int ret = io_uring_queue_init_params(BLK_IO_DEPTH, ring, &p);
	if (ret < 0)
		return ret;
	ret = io_uring_register_files(ring, &fd, 1);
	if (ret == 0)
		ret = restrict_ring(ring);
	/* Linux 5.15; before that there are at most four for each CPU. */
	if (ret == 0) {
		unsigned workers[2] = {WORKERS, WORKERS};
		(void)io_uring_register_iowq_max_workers(ring, workers);
		ret = io_uring_enable_rings(ring);
	}
	if (ret < 0)
		io_uring_queue_exit(ring);
	return ret;
}

static void put(struct blk_uring *u, struct blk_io_req *r)
{
	/* There are as many entries as requests: one is always free. */
	struct io_uring_sqe *s = io_uring_get_sqe(&u->ring);
	const struct iovec *iov = r->iov + r->first;
	unsigned n = r->n_iov - r->first;
	switch (r->op) {
	case BLK_IO_READ: io_uring_prep_readv(s, FILE_INDEX, iov, n, r->off); break;
	case BLK_IO_WRITE: io_uring_prep_writev(s, FILE_INDEX, iov, n, r->off); break;
	case BLK_IO_FLUSH: io_uring_prep_fsync(s, FILE_INDEX, IORING_FSYNC_DATASYNC); break;
	default:
		io_uring_prep_fallocate(s, FILE_INDEX, blk_io_mode(r), (off_t)r->off,
					(off_t)r->len);
	}
	s->flags |= IOSQE_FIXED_FILE;
	/* Copying to and from the page cache is work: several at a time need several CPUs. */
	if (r->len >= ASYNC_BYTES && u->io.busy > 1 &&
	    (r->op == BLK_IO_READ || r->op == BLK_IO_WRITE))
		s->flags |= IOSQE_ASYNC;
	io_uring_sqe_set_data(s, r);
	u->queued++;
}

static void submit(struct blk_io *io, struct blk_io_req *r)
{
	put(uring_of(io), r);
}

/* Takes what is complete; true if that has put something into the ring again. */
static bool reap(struct blk_uring *u)
{
	struct io_uring_cqe *c;
	while (io_uring_peek_cqe(&u->ring, &c) == 0) {
		struct blk_io_req *r = io_uring_cqe_get_data(c);
		int res = c->res;
		io_uring_cqe_seen(&u->ring, c);
		if (!blk_io_step(r, res)) {
			put(u, r);
			continue;
		}
		u->io.busy--;
		u->io.user.done(u->io.user.arg, r);
	}
	return u->queued > 0;
}

/* @wait_for: completions */
static void push(struct blk_uring *u, unsigned wait_for)
{
	do {
		int ret = io_uring_submit_and_wait(&u->ring, wait_for);
		if (ret >= 0)
			u->queued -= MIN((unsigned)ret, u->queued);
		else if (ret != -EINTR && ret != -EAGAIN && ret != -EBUSY)
			u->io.failed = ret;
		wait_for = 0;
	} while (u->io.failed == 0 && reap(u));
}

static void go(struct blk_io *io)
{
	struct blk_uring *u = uring_of(io);
	if (u->queued > 0)
		push(u, 0);
}

static void wait_some(struct blk_io *io)
{
	push(uring_of(io), 1);
}

static void on_ready(struct evsource *src, uint32_t events)
{
	struct blk_uring *u = src->arg;
	(void)events;
	if (reap(u))
		push(u, 0);
	u->io.user.more(u->io.user.arg);
}

static void destroy(struct blk_io *io)
{
	struct blk_uring *u = uring_of(io);
	evloop_del(u->loop, &u->ready);
	io_uring_queue_exit(&u->ring);
	free(u);
}

static const struct blk_io_ops uring_ops = {
	.submit = submit, .go = go, .wait = wait_some, .destroy = destroy};

int blk_uring_create(struct blk_io **out, struct evloop *loop, int fd,
		     const struct blk_io_user *user)
{
	struct blk_uring *u = calloc(1, sizeof(*u));
	if (!u)
		return -ENOMEM;
	int ret = blk_uring_setup(&u->ring, fd);
	if (ret < 0) {
		free(u);
		return ret;
	}
	u->io = (struct blk_io){.ops = &uring_ops, .user = *user};
	u->loop = loop;
	u->ready = (struct evsource){.fd = u->ring.ring_fd, .fn = on_ready, .arg = u};
	ret = evloop_add(loop, &u->ready, EPOLLIN);
	if (ret < 0) {
		io_uring_queue_exit(&u->ring);
		free(u);
		return ret;
	}
	*out = &u->io;
	return 0;
}
