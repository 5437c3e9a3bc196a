// SPDX-License-Identifier: Apache-2.0
// blk_io.h - one disk's file: requests to it are done by io_uring (blk_uring.c) or, where that is
// forbidden, by threads (blk_threads.c)
//
// Everything is called on the device's thread; both ways call back there.
#ifndef MAYFLY_VIRTIO_BLK_IO_H
#define MAYFLY_VIRTIO_BLK_IO_H

#include "base/evloop.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#define BLK_IO_MAX_IOV 128
/* Requests under way at a time. */
#define BLK_IO_DEPTH 128

enum blk_io_op { BLK_IO_READ, BLK_IO_WRITE, BLK_IO_FLUSH, BLK_IO_DISCARD, BLK_IO_ZERO };

/* The owner fills the first part and keeps it where it is until done() says that it is over. */
struct blk_io_req {
	enum blk_io_op op;
	bool sync;	   /* write, zero: on stable storage before it is over */
	bool keep;	   /* zero: the blocks must stay allocated */
	uint64_t off, len; /* bytes; what is left of them while it is under way */
	struct iovec iov[BLK_IO_MAX_IOV];
	unsigned n_iov;

	int result; /* 0 or -errno */

	unsigned first; /* of iov, with something left */
	unsigned tries;
	bool writes_zeros;
	struct blk_io_req *next;
};

struct blk_io;

struct blk_io_ops {
	void (*submit)(struct blk_io *io, struct blk_io_req *r);
	void (*go)(struct blk_io *io);
	void (*wait)(struct blk_io *io);
	void (*destroy)(struct blk_io *io);
};

struct blk_io_user {
	/* done: r is over. It must not submit: more() comes. */
	void (*done)(void *arg, struct blk_io_req *r);
	/* more: the loop found requests that are over; all of them were named by done(). */
	void (*more)(void *arg);
	void *arg;
};

struct blk_io {
	const struct blk_io_ops *ops;
	struct blk_io_user user;
	unsigned busy; /* requests under way */
	int failed;    /* -errno: nothing is done any more */
};

/* blk_io_submit() - at most BLK_IO_DEPTH at a time; nothing happens before blk_io_go(). */
void blk_io_submit(struct blk_io *io, struct blk_io_req *r);

/* blk_io_go() - starts what was submitted; done() may be called for what is over at once. */
void blk_io_go(struct blk_io *io);

/* blk_io_finish() - returns when no request is under way any more, or none ever ends. */
void blk_io_finish(struct blk_io *io);

/* blk_io_destroy() - after blk_io_finish(). NULL is fine. */
void blk_io_destroy(struct blk_io *io);

/* ---- for blk_uring.c and blk_threads.c ---- */

/* blk_io_begin() - prepares r's first step. */
void blk_io_begin(struct blk_io_req *r);

/*
 * blk_io_step() - one step ended with res, as system calls in the kernel do: bytes or -errno.
 * True: r is over, r->result is set. False: there is another step to do.
 */
bool blk_io_step(struct blk_io_req *r, int64_t res);

/* blk_io_mode() - of the fallocate() of a discard or zero. */
int blk_io_mode(const struct blk_io_req *r);

#endif
