// SPDX-License-Identifier: Apache-2.0
// console.c - the virtio console device: one port, input from a small ring, output rate limited
//
// Output that has to wait (the host has no room, the rate is used up) stays in the guest's queue:
// the chain is given back and popped again later, and only how much of it went is kept here.
#include "virtio/console.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "base/ratelimit.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>

enum { CONSOLE_RXQ, CONSOLE_TXQ, CONSOLE_NUM_QUEUES };

#define CONSOLE_F_SIZE (1ull << 0)

#define CONSOLE_PIECE 4096u
#define CONSOLE_BUDGET 64
/* What a piece costs at least, so that tiny ones are no way around the rate: Linux's size. */
#define CONSOLE_MIN_COST 16u

/* The config space (section 5.3.4); of it only the size is offered by a feature. */
struct console_config {
	uint16_t cols;
	uint16_t rows;
	uint32_t max_nr_ports;
	uint32_t emerg_wr;
};
_Static_assert(sizeof(struct console_config) == 12, "config layout");

struct console {
	struct virtio_dev dev;
	struct virtio_console_io io;
	struct evsource timer;
	bool blocked; /* the host has no room for output */
	bool refused; /* the host waits for room for input */
	struct ratelimit limit;
	size_t tx_done; /* bytes of the next chain that are out already */
	size_t in_head, in_len;
	uint8_t in[VIRTIO_CONSOLE_INPUT_MAX];
	struct chain chain;
};

static struct console *console_of(struct virtio_dev *dev)
{
	return container_of(dev, struct console, dev);
}

static void arm(struct console *c, uint64_t ns)
{
	struct itimerspec its = {
		.it_value.tv_sec = (time_t)(ns / 1000000000u),
		.it_value.tv_nsec = (long)(ns % 1000000000u),
	};
	timerfd_settime(c->timer.fd, 0, &its, NULL);
}

/*
 * Takes the next chain. When there is none, the driver is asked for kicks, and then looked at once
 * more: one may have come in between. False: none, or the queue is broken.
 */
static bool next_chain(struct console *c, unsigned q)
{
	struct virtqueue *vq = &c->dev.vq[q];
	int got = virtqueue_pop(vq, &c->chain);
	if (got == 0) {
		virtqueue_quiet(vq, false);
		got = virtqueue_pop(vq, &c->chain);
		if (got > 0)
			virtqueue_quiet(vq, true);
	}
	if (got < 0)
		virtio_dev_fail(&c->dev, q == CONSOLE_RXQ ? "broken receive queue"
							  : "broken transmit queue");
	return got > 0;
}

/* Sends the rest of the chain; false: it has to wait. */
static bool send_chain(struct console *c, unsigned *budget)
{
	uint8_t piece[CONSOLE_PIECE];
	do {
		/* The guest may have made the chain shorter since the last time. */
		size_t left = c->chain.out_len - MIN(c->tx_done, c->chain.out_len);
		size_t len = MIN(left, sizeof(piece));
		uint64_t cost = MAX(len, CONSOLE_MIN_COST);
		uint64_t now = io_now_ns();
		if (*budget == 0 || !ratelimit_take(&c->limit, cost, now)) {
			arm(c, MAX(ratelimit_wait_ns(&c->limit, cost, now), 1u));
			return false;
		}
		(*budget)--;
		if (left == 0 || chain_read(&c->chain, c->tx_done, piece, len) < 0)
			break;
		size_t n = c->io.out(c->io.arg, piece, len);
		c->tx_done += n;
		if (n < len) {
			ratelimit_give(&c->limit, len - n);
			c->blocked = true;
			return false;
		}
	} while (c->tx_done < c->chain.out_len);
	c->tx_done = 0;
	return true;
}

static void pump_tx(struct console *c)
{
	struct virtqueue *vq = &c->dev.vq[CONSOLE_TXQ];
	unsigned budget = CONSOLE_BUDGET;
	if (c->blocked || c->dev.needs_reset || !vq->started)
		return;
	virtqueue_quiet(vq, true);
	while (next_chain(c, CONSOLE_TXQ)) {
		if (!send_chain(c, &budget)) {
			virtqueue_unpop(vq);
			break;
		}
		virtqueue_push(vq, c->chain.head, 0);
	}
	virtqueue_notify(vq);
}

/* Moves up to len bytes from the input ring to the chain. */
static uint32_t fill_chain(struct console *c)
{
	size_t done = 0;
	size_t len = MIN(c->chain.in_len, c->in_len);
	while (done < len) {
		size_t part = MIN(len - done, sizeof(c->in) - c->in_head);
		if (chain_write(&c->chain, done, c->in + c->in_head, part) < 0)
			break;
		c->in_head = (c->in_head + part) % sizeof(c->in);
		c->in_len -= part;
		done += part;
	}
	return (uint32_t)done;
}

static void pump_rx(struct console *c)
{
	struct virtqueue *vq = &c->dev.vq[CONSOLE_RXQ];
	unsigned budget = CONSOLE_BUDGET;
	if (c->in_len == 0 || c->dev.needs_reset || !vq->started)
		return;
	virtqueue_quiet(vq, true);
	while (c->in_len > 0 && next_chain(c, CONSOLE_RXQ)) {
		virtqueue_push(vq, c->chain.head, fill_chain(c));
		if (--budget == 0) {
			/* Output that waits for the same timer then finds that it has to go on. */
			arm(c, 1);
			break;
		}
	}
	virtqueue_notify(vq);
	if (c->refused && c->in_len < sizeof(c->in)) {
		c->refused = false;
		if (c->io.room)
			c->io.room(c->io.arg);
	}
}

static void on_timer(struct evsource *src, uint32_t events)
{
	struct console *c = src->arg;
	uint64_t n;
	(void)events;
	ssize_t got = read(src->fd, &n, sizeof(n));
	(void)got;
	pump_rx(c);
	pump_tx(c);
}

void virtio_console_resume(struct virtio_dev *dev)
{
	struct console *c = console_of(dev);
	c->blocked = false;
	pump_tx(c);
}

void virtio_console_resize(struct virtio_dev *dev, uint16_t cols, uint16_t rows)
{
	struct console *c = console_of(dev);
	c->io.cols = cols;
	c->io.rows = rows;
	virtio_dev_config_changed(dev);
}

size_t virtio_console_input(struct virtio_dev *dev, const void *data, size_t len)
{
	struct console *c = console_of(dev);
	size_t done = 0;
	while (done < len) {
		size_t tail = (c->in_head + c->in_len) % sizeof(c->in);
		size_t part = MIN(len - done, sizeof(c->in) - c->in_len);
		part = MIN(part, sizeof(c->in) - tail);
		if (part == 0) {
			c->refused = true;
			break;
		}
		memcpy(c->in + tail, (const uint8_t *)data + done, part);
		c->in_len += part;
		done += part;
		pump_rx(c);
	}
	return done;
}

static void console_queue_kick(struct virtio_dev *dev, unsigned q)
{
	if (q == CONSOLE_RXQ)
		pump_rx(console_of(dev));
	else
		pump_tx(console_of(dev));
}

/* The bucket stays as it is: a reset is no way to a new burst. */
static void console_reset(struct virtio_dev *dev)
{
	struct console *c = console_of(dev);
	c->tx_done = 0;
	arm(c, 0);
}

static void console_get_config(struct virtio_dev *dev, uint32_t off, void *buf, uint32_t len)
{
	const struct console *c = console_of(dev);
	struct console_config config = {
		.cols = htole16(c->io.cols),
		.rows = htole16(c->io.rows),
		.max_nr_ports = htole32(1),
	};
	virtio_config_copy(&config, sizeof(config), off, buf, len);
}

static const struct virtio_dev_ops console_ops = {
	.name = "console",
	.id = VIRTIO_ID_CONSOLE_DEV,
	.num_queues = CONSOLE_NUM_QUEUES,
	.features = CONSOLE_F_SIZE,
	.queue_kick = console_queue_kick,
	.reset = console_reset,
	.get_config = console_get_config,
};

int virtio_console_create(struct virtio_dev **out, struct evloop *loop,
			  const struct virtio_console_io *io)
{
	struct console *c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	virtio_dev_init(&c->dev, &console_ops, loop);
	c->io = *io;
	ratelimit_init(&c->limit, VIRTIO_CONSOLE_BURST, 0, VIRTIO_CONSOLE_RATE, io_now_ns());
	c->timer = (struct evsource){
		.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK),
		.fn = on_timer,
		.arg = c,
	};
	int ret = c->timer.fd < 0 ? -errno : evloop_add(loop, &c->timer, EPOLLIN);
	if (ret < 0) {
		virtio_console_destroy(&c->dev);
		return ret;
	}
	*out = &c->dev;
	return 0;
}

void virtio_console_destroy(struct virtio_dev *dev)
{
	struct console *c = console_of(dev);
	evloop_del(dev->loop, &c->timer);
	close_fd(&c->timer.fd);
	free(c);
}
