// SPDX-License-Identifier: Apache-2.0
// blk.c - the queues of a disk: requests to blk_io and their answers back
//
// Requests of all queues share BLK_IO_DEPTH slots. When these are taken the queues are left alone
// until one is free again, so memory and work are bounded whatever a driver does. A completed
// flush means that what was written before it is on the host's disk.
#include "virtio/blk.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "virtio/blk_req.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Requests of a queue that one look takes; answers may make room without end. */
#define BUDGET 256
#define PHYSICAL_BLOCK_EXP 3 /* 4,096 bytes */

/* Section 5.2.4, little-endian. */
struct config {
	uint64_t capacity;
	uint32_t size_max;
	uint32_t seg_max;
	uint8_t geometry[4];
	uint32_t blk_size;
	uint8_t physical_block_exp;
	uint8_t alignment_offset;
	uint16_t min_io_size;
	uint32_t opt_io_size;
	uint8_t writeback;
	uint8_t unused0;
	uint16_t num_queues;
	uint32_t max_discard_sectors;
	uint32_t max_discard_seg;
	uint32_t discard_sector_alignment;
	uint32_t max_write_zeroes_sectors;
	uint32_t max_write_zeroes_seg;
	uint8_t write_zeroes_may_unmap;
	uint8_t unused1[3];
} __attribute__((packed));
_Static_assert(sizeof(struct config) == 60, "config space layout");

struct slot {
	struct blk_io_req io;
	unsigned q;
	uint16_t head;
	uint32_t used_len;
	uint8_t *status; /* in guest memory */
	struct slot *next;
};

struct blk {
	struct virtio_dev dev;
	struct virtio_dev_ops ops;
	struct config config;
	uint64_t size;
	bool throwaway;
	char id[BLK_ID_LEN];
	struct blk_io *io;
	struct evsource again; /* an eventfd: there is more to take */
	bool starved;	       /* a queue was left alone for want of a slot */
	bool answered[VIRTIO_DEV_MAX_QUEUES];
	struct slot *free;
	struct slot slot[BLK_IO_DEPTH];
	struct chain chain;
};

static struct blk *blk_of(struct virtio_dev *dev)
{
	return container_of(dev, struct blk, dev);
}

static void answer(struct blk *b, unsigned q, uint16_t head, uint8_t *status, uint32_t len,
		   enum blk_status s)
{
	*status = (uint8_t)s;
	virtqueue_push(&b->dev.vq[q], head, len);
	b->answered[q] = true;
}

/* The last byte of the writable part. */
static uint8_t *status_byte(const struct chain *c)
{
	const struct iovec *last = &c->iov[c->n_out + c->n_in - 1];
	return (uint8_t *)last->iov_base + last->iov_len - 1;
}

static bool slot_fill(struct blk *b, struct slot *s, const struct blk_req *r)
{
	static const enum blk_io_op ops[] = {
		[BLK_REQ_READ] = BLK_IO_READ,	    [BLK_REQ_WRITE] = BLK_IO_WRITE,
		[BLK_REQ_FLUSH] = BLK_IO_FLUSH,	    [BLK_REQ_ID] = BLK_IO_FLUSH,
		[BLK_REQ_DISCARD] = BLK_IO_DISCARD, [BLK_REQ_ZERO] = BLK_IO_ZERO,
	};
	static struct iovec none[1];
	const struct chain *c = &b->chain;
	struct blk_io_req *io = &s->io;
	struct iovec *iov = r->kind == BLK_REQ_READ || r->kind == BLK_REQ_WRITE ? io->iov : none;
	unsigned pieces = r->kind == BLK_REQ_READ ? c->n_in : c->n_out;
	if (iov == io->iov && pieces > BLK_IO_MAX_IOV)
		return false;
	io->op = ops[r->kind];
	io->off = r->off;
	io->len = r->len;
	io->keep = !r->may_unmap;
	/* A driver that does not flush expects each write to stay (section 5.2.5.2). */
	io->sync = !b->throwaway && !(b->dev.driver_features & VIRTIO_BLK_F_FLUSH);
	int n = 0;
	if (r->kind == BLK_REQ_READ)
		n = chain_in_slice(c, 0, (size_t)r->len, iov);
	else if (r->kind == BLK_REQ_WRITE)
		n = chain_out_slice(c, r->data_off, (size_t)r->len, iov);
	io->n_iov = (unsigned)n;
	return n >= 0;
}

static enum blk_status say_id(struct blk *b)
{
	size_t room = b->chain.in_len - 1;
	return chain_write(&b->chain, 0, b->id, MIN(room, sizeof(b->id))) < 0 ? BLK_IOERR : BLK_OK;
}

/* True if r needs nothing of the file. */
static bool serve_here(struct blk *b, const struct blk_req *r, enum blk_status *s)
{
	if (r->kind == BLK_REQ_ID)
		*s = say_id(b);
	else if (r->kind == BLK_REQ_FLUSH)
		return b->throwaway || (b->ops.features & VIRTIO_BLK_F_RO);
	else
		return r->len == 0;
	return true;
}

static void serve(struct blk *b, unsigned q)
{
	struct chain *c = &b->chain;
	struct blk_req r;
	uint64_t features = b->dev.driver_features | (b->ops.features & VIRTIO_BLK_F_RO);
	enum blk_status s = blk_req_parse(c, b->size, features, &r);
	if (s == BLK_OK && !serve_here(b, &r, &s)) {
		struct slot *slot = b->free;
		if (slot_fill(b, slot, &r)) {
			b->free = slot->next;
			slot->q = q;
			slot->head = c->head;
			slot->used_len = (uint32_t)c->in_len;
			slot->status = status_byte(c);
			blk_io_submit(b->io, &slot->io);
			return;
		}
		s = BLK_IOERR;
	}
	answer(b, q, c->head, status_byte(c), (uint32_t)c->in_len, s);
}

static void rearm(struct blk *b)
{
	uint64_t one = 1;
	ssize_t n = write(b->again.fd, &one, sizeof(one));
	(void)n; /* a full counter wakes, too */
}

/* False if the queue broke the rules. */
static bool take_all(struct blk *b, unsigned q)
{
	struct virtqueue *vq = &b->dev.vq[q];
	unsigned budget = BUDGET;
	if (!vq->started)
		return true;
	virtqueue_quiet(vq, true);
	for (;;) {
		if (!b->free) {
			b->starved = true;
			return true;
		}
		if (budget-- == 0) {
			rearm(b);
			return true;
		}
		int got = virtqueue_pop(vq, &b->chain);
		if (got == 0) {
			/* Kicks on, then one more look: a request may have come in between. */
			virtqueue_quiet(vq, false);
			got = virtqueue_pop(vq, &b->chain);
			if (got == 0)
				return true;
			virtqueue_quiet(vq, true);
		}
		if (got < 0 || !blk_req_framed(&b->chain))
			return false;
		serve(b, q);
	}
}

static void tell(struct blk *b)
{
	for (unsigned q = 0; q < b->ops.num_queues; q++)
		if (b->answered[q]) {
			b->answered[q] = false;
			virtqueue_notify(&b->dev.vq[q]);
		}
}

static void pump(struct blk *b)
{
	if (b->dev.needs_reset)
		return;
	b->starved = false;
	for (unsigned q = 0; q < b->ops.num_queues; q++)
		if (!take_all(b, q)) {
			virtio_dev_fail(&b->dev, "broken request queue");
			break;
		}
	blk_io_go(b->io);
	if (b->io->failed < 0 && !b->dev.needs_reset)
		virtio_dev_fail(&b->dev, "its file can't be reached any more");
	if (b->starved && b->free)
		rearm(b);
	tell(b);
}

static void on_again(struct evsource *src, uint32_t events)
{
	uint64_t count;
	(void)events;
	ssize_t n = read(src->fd, &count, sizeof(count));
	(void)n;
	pump(src->arg);
}

static void on_done(void *arg, struct blk_io_req *r)
{
	struct blk *b = arg;
	struct slot *s = container_of(r, struct slot, io);
	if (r->result < 0)
		log_guest(&b->dev.limit, "%s: I/O error: %s", b->ops.name, strerror(-r->result));
	answer(b, s->q, s->head, s->status, s->used_len, r->result < 0 ? BLK_IOERR : BLK_OK);
	s->next = b->free;
	b->free = s;
}

static void on_more(void *arg)
{
	struct blk *b = arg;
	if (b->starved)
		pump(b);
	else
		tell(b);
}

static void blk_queue_kick(struct virtio_dev *dev, unsigned q)
{
	(void)q;
	pump(blk_of(dev));
}

/* Memory and rings are about to go: what is under way must be over. */
static void blk_quiesce(struct virtio_dev *dev)
{
	struct blk *b = blk_of(dev);
	blk_io_finish(b->io);
	tell(b);
}

static void blk_reset(struct virtio_dev *dev)
{
	struct blk *b = blk_of(dev);
	b->starved = false;
	memset(b->answered, 0, sizeof(b->answered));
}

static void blk_get_config(struct virtio_dev *dev, uint32_t off, void *buf, uint32_t len)
{
	const struct blk *b = blk_of(dev);
	virtio_config_copy(&b->config, sizeof(b->config), off, buf, len);
}

static const struct virtio_dev_ops blk_ops = {
	.name = "blk",
	.id = VIRTIO_ID_BLK_DEV,
	.features = VIRTIO_BLK_F_SEG_MAX | VIRTIO_BLK_F_BLK_SIZE | VIRTIO_BLK_F_FLUSH |
		    VIRTIO_BLK_F_TOPOLOGY,
	.queue_kick = blk_queue_kick,
	.quiesce = blk_quiesce,
	.reset = blk_reset,
	.get_config = blk_get_config,
};

static void describe(struct blk *b, const struct virtio_blk_options *o)
{
	b->ops = blk_ops;
	b->ops.num_queues = o->queues;
	b->ops.features |=
		o->read_only ? VIRTIO_BLK_F_RO : VIRTIO_BLK_F_DISCARD | VIRTIO_BLK_F_WRITE_ZEROES;
	if (o->queues > 1)
		b->ops.features |= VIRTIO_BLK_F_MQ;
	b->config = (struct config){
		.capacity = htole64(o->size / BLK_SECTOR),
		/* Header and status are pieces, too. */
		.seg_max = htole32(BLK_IO_MAX_IOV - 2),
		.blk_size = htole32(BLK_SECTOR),
		.physical_block_exp = PHYSICAL_BLOCK_EXP,
		.writeback = 1,
		.num_queues = htole16((uint16_t)o->queues),
		.max_discard_sectors = htole32(BLK_MAX_RANGE_SECTORS),
		.max_discard_seg = htole32(BLK_MAX_RANGES),
		.discard_sector_alignment = htole32(1u << PHYSICAL_BLOCK_EXP),
		.max_write_zeroes_sectors = htole32(BLK_MAX_RANGE_SECTORS),
		.max_write_zeroes_seg = htole32(BLK_MAX_RANGES),
		.write_zeroes_may_unmap = 1,
	};
	b->size = o->size;
	b->throwaway = o->throwaway;
	memcpy(b->id, o->serial, strnlen(o->serial, sizeof(b->id)));
}

int virtio_blk_create(struct virtio_dev **out, struct evloop *loop,
		      const struct virtio_blk_options *o)
{
	if (o->queues == 0 || o->queues > VIRTIO_DEV_MAX_QUEUES || o->size % BLK_SECTOR != 0)
		return -EINVAL;
	struct blk *b = calloc(1, sizeof(*b));
	if (!b)
		return -ENOMEM;
	describe(b, o);
	virtio_dev_init(&b->dev, &b->ops, loop);
	for (unsigned i = 0; i < BLK_IO_DEPTH; i++) {
		b->slot[i].next = b->free;
		b->free = &b->slot[i];
	}
	b->again = (struct evsource){
		.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .fn = on_again, .arg = b};
	int ret = b->again.fd < 0 ? -errno : evloop_add(loop, &b->again, EPOLLIN);
	if (ret < 0) {
		virtio_blk_destroy(&b->dev);
		return ret;
	}
	*out = &b->dev;
	return 0;
}

struct blk_io_user virtio_blk_user(struct virtio_dev *dev)
{
	return (struct blk_io_user){.done = on_done, .more = on_more, .arg = blk_of(dev)};
}

void virtio_blk_io(struct virtio_dev *dev, struct blk_io *io)
{
	blk_of(dev)->io = io;
}

void virtio_blk_destroy(struct virtio_dev *dev)
{
	struct blk *b = blk_of(dev);
	blk_io_destroy(b->io);
	if (b->again.fd >= 0) {
		evloop_del(dev->loop, &b->again);
		close_fd(&b->again.fd);
	}
	free(b);
}
