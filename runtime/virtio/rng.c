// SPDX-License-Identifier: Apache-2.0
// rng.c - the virtio entropy device: the host's random bytes, straight into the guest's buffers
//
// A guest that asks for more than its rate waits: the queue is left alone until a timer fires.
// The same timer continues when there is more than one call may serve.
#include "virtio/rng.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "base/ratelimit.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/timerfd.h>

#define RNG_BUDGET 64
/* What a request costs at least, so that tiny ones are no way around the rate: Linux's size. */
#define RNG_MIN_COST 64u

struct rng {
	struct virtio_dev dev;
	struct evsource timer;
	struct ratelimit limit;
	struct chain chain;
};

static struct rng *rng_of(struct virtio_dev *dev)
{
	return container_of(dev, struct rng, dev);
}

static void arm(struct rng *r, uint64_t ns)
{
	struct itimerspec its = {
		.it_value.tv_sec = (time_t)(ns / 1000000000u),
		.it_value.tv_nsec = (long)(ns % 1000000000u),
	};
	timerfd_settime(r->timer.fd, 0, &its, NULL);
}

/* Fills the first len bytes of the writable part; returns how many it was. */
static uint32_t fill(const struct chain *c, size_t len)
{
	size_t done = 0;
	for (unsigned i = c->n_out; done < len; i++) {
		const struct iovec *v = &c->iov[i];
		size_t part = MIN(v->iov_len, len - done);
		size_t got = 0;
		while (got < part) {
			ssize_t n = getrandom((uint8_t *)v->iov_base + got, part - got, 0);
			if (n < 0 && errno != EINTR)
				return (uint32_t)(done + got);
			got += n > 0 ? (size_t)n : 0;
		}
		done += part;
	}
	return (uint32_t)done;
}

/* False if the queue has to wait now. */
static bool serve(struct rng *r)
{
	size_t len = MIN(r->chain.in_len, VIRTIO_RNG_MAX_REQUEST);
	uint64_t cost = MAX(len, RNG_MIN_COST);
	uint64_t now = io_now_ns();
	if (!ratelimit_take(&r->limit, cost, now)) {
		virtqueue_unpop(&r->dev.vq[0]);
		arm(r, ratelimit_wait_ns(&r->limit, cost, now));
		return false;
	}
	virtqueue_push(&r->dev.vq[0], r->chain.head, fill(&r->chain, len));
	return true;
}

static void pump(struct rng *r)
{
	struct virtqueue *vq = &r->dev.vq[0];
	unsigned budget = RNG_BUDGET;
	virtqueue_quiet(vq, true);
	for (;;) {
		if (budget-- == 0) {
			arm(r, 1);
			break;
		}
		int got = virtqueue_pop(vq, &r->chain);
		if (got == 0) {
			/* Kicks on, then one more look: a request may have come in between. */
			virtqueue_quiet(vq, false);
			got = virtqueue_pop(vq, &r->chain);
			if (got == 0)
				break;
			virtqueue_quiet(vq, true);
		}
		if (got < 0) {
			virtio_dev_fail(&r->dev, "broken request queue");
			break;
		}
		if (!serve(r))
			break;
	}
	virtqueue_notify(vq);
}

static void on_timer(struct evsource *src, uint32_t events)
{
	struct rng *r = src->arg;
	uint64_t n;
	(void)events;
	ssize_t got = read(src->fd, &n, sizeof(n));
	(void)got;
	if (!r->dev.needs_reset)
		pump(r);
}

static void rng_queue_kick(struct virtio_dev *dev, unsigned q)
{
	(void)q;
	pump(rng_of(dev));
}

/* The bucket stays as it is: a reset is no way to a new burst. */
static void rng_reset(struct virtio_dev *dev)
{
	arm(rng_of(dev), 0);
}

static void rng_get_config(struct virtio_dev *dev, uint32_t off, void *buf, uint32_t len)
{
	(void)dev;
	virtio_config_copy("", 0, off, buf, len);
}

static const struct virtio_dev_ops rng_ops = {
	.name = "rng",
	.id = VIRTIO_ID_RNG_DEV,
	.num_queues = 1,
	.queue_kick = rng_queue_kick,
	.reset = rng_reset,
	.get_config = rng_get_config,
};

int virtio_rng_create(struct virtio_dev **out, struct evloop *loop)
{
	struct rng *r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	virtio_dev_init(&r->dev, &rng_ops, loop);
	ratelimit_init(&r->limit, VIRTIO_RNG_BURST, 0, VIRTIO_RNG_RATE, io_now_ns());
	r->timer = (struct evsource){
		.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK),
		.fn = on_timer,
		.arg = r,
	};
	int ret = r->timer.fd < 0 ? -errno : evloop_add(loop, &r->timer, EPOLLIN);
	if (ret < 0) {
		virtio_rng_destroy(&r->dev);
		return ret;
	}
	*out = &r->dev;
	return 0;
}

void virtio_rng_destroy(struct virtio_dev *dev)
{
	struct rng *r = rng_of(dev);
	evloop_del(dev->loop, &r->timer);
	close_fd(&r->timer.fd);
	free(r);
}
