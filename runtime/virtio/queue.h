// SPDX-License-Identifier: Apache-2.0
// queue.h - split virtqueue, device side (virtio 1.2, section 2.7)
//
// The driver puts chains of descriptors into the available ring; we take each once, serve it and
// put its head into the used ring. All three areas are guest memory that may change under us, so
// the ring addresses are translated once, when the queue starts, and every index read from the
// ring is copied to a local before it is checked and used. A ring that breaks the rules makes the
// queue "broken": it serves nothing more until the device is reset.
#ifndef MAYFLY_VIRTIO_QUEUE_H
#define MAYFLY_VIRTIO_QUEUE_H

#include "vmm/gmem.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define VIRTQUEUE_MAX_SIZE 1024
#define CHAIN_MAX_IOV 1024

/* Bit of *irq_status: buffers of a queue were used (virtio 1.2, section 4.2.2). */
#define VIRTQUEUE_IRQ_USED 1u

struct virtqueue {
	/* Set by the transport while the queue is stopped. */
	const struct gmem *mem;
	uint16_t size;
	struct gpa desc, avail, used;
	bool event_idx;
	int call_fd;	      /* eventfd that interrupts the guest, -1: none */
	uint32_t *irq_status; /* virtio-mmio's InterruptStatus, atomic; NULL: none */

	/* Valid while started. */
	bool started;
	bool broken;
	void *desc_h;
	uint16_t *avail_h;
	uint16_t *used_h;
	uint16_t next_avail;
	uint16_t next_used;
	uint16_t signalled_used; /* used index at the last interrupt decision */
	bool signalled_valid;
};

/*
 * One descriptor chain as host memory: iov[0..n_out) is readable, iov[n_out..n_out+n_in) is
 * writable. Adjacent memory is merged. Valid until the queue stops.
 */
struct chain {
	uint16_t head;
	unsigned n_out, n_in;
	size_t out_len, in_len;
	struct iovec iov[CHAIN_MAX_IOV];
};

/* virtqueue_start() - checks size and ring addresses, translates them; 0 or -errno. */
int virtqueue_start(struct virtqueue *vq, uint16_t next_avail);
void virtqueue_stop(struct virtqueue *vq);

/*
 * virtqueue_pop() - takes the next chain.
 * Returns 1 with *c filled, 0 if there is none, -errno if the ring is broken (vq->broken set).
 */
int virtqueue_pop(struct virtqueue *vq, struct chain *c);

/* virtqueue_unpop() - gives the chain popped last back, to be popped again later. */
void virtqueue_unpop(struct virtqueue *vq);

/* virtqueue_push() - marks a chain as used with len bytes written to its writable part. */
void virtqueue_push(struct virtqueue *vq, uint16_t head, uint32_t len);

/* virtqueue_notify() - interrupts the guest if it asked for that since the last time. */
void virtqueue_notify(struct virtqueue *vq);

/*
 * virtqueue_quiet() - tells the driver whether its kicks are wanted (false: wanted).
 * After switching kicks on, pop once more: a chain may have come before.
 */
void virtqueue_quiet(struct virtqueue *vq, bool quiet);

/* chain_read() - copies len bytes from offset off of the readable part; 0 or -EFAULT. */
int chain_read(const struct chain *c, size_t off, void *dst, size_t len);

/* chain_write() - copies into the writable part at offset off; 0 or -EFAULT. */
int chain_write(const struct chain *c, size_t off, const void *src, size_t len);

/*
 * chain_in_slice() - the writable part's [off, off + len) as an iovec array.
 * @iov: room for CHAIN_MAX_IOV entries
 * Returns the number of entries, or -EFAULT if the range is not inside.
 */
int chain_in_slice(const struct chain *c, size_t off, size_t len, struct iovec *iov);

/* chain_out_slice() - the same for the readable part. */
int chain_out_slice(const struct chain *c, size_t off, size_t len, struct iovec *iov);

#endif
