// SPDX-License-Identifier: Apache-2.0
// vsock.c - the virtio socket device: queues, connection table, timeouts
//
// Theory of operation: connections with something to say stand in the ready list; whenever the
// guest has given a receive buffer, the first of them fills one packet and goes to the end of the
// list (round robin). Refusals for packets without a connection wait in a small ring; when that is
// full, the transmit queue is left alone until the guest takes them, so nothing grows.
#include "virtio/vsock.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "virtio/vsock_conn.h"
#include "virtio/vsock_mux.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

enum { VSOCK_RXQ, VSOCK_TXQ, VSOCK_EVQ, VSOCK_NUM_QUEUES };

#define HASH_SIZE 64
#define TX_BUDGET 256
#define FIRST_HOST_PORT (1u << 30)

struct rst {
	uint32_t local_port;
	uint32_t peer_port;
};

struct vsock {
	struct virtio_dev dev;
	uint64_t guest_cid;
	uint32_t next_port;
	unsigned count;
	bool pumping;
	bool ticking;
	struct vsock_mux *mux;
	struct vsock_conn_events conn_events;
	struct evsource again; /* eventfd: more work than one call may do */
	struct evsource tick;
	LIST_HEAD(, vsock_conn) hash[HASH_SIZE];
	TAILQ_HEAD(ready_list, vsock_conn) ready;
	unsigned rst_head, rst_len;
	struct rst rsts[VSOCK_MAX_RSTS];
	struct chain chain;
	struct iovec scratch[CHAIN_MAX_IOV];
};

static struct vsock *vsock_of(struct virtio_dev *dev)
{
	return container_of(dev, struct vsock, dev);
}

static unsigned hash_of(uint32_t local_port, uint32_t peer_port)
{
	return (local_port * 31 + peer_port) % HASH_SIZE;
}

static struct vsock_conn *find_conn(struct vsock *v, uint32_t local_port, uint32_t peer_port)
{
	struct vsock_conn *c;
	LIST_FOREACH(c, &v->hash[hash_of(local_port, peer_port)], hash_link)
		if (c->local_port == local_port && c->peer_port == peer_port)
			return c;
	return NULL;
}

static void wake(struct vsock *v)
{
	uint64_t one = 1;
	ssize_t n = write(v->again.fd, &one, sizeof(one));
	(void)n; /* a full counter means that it is awake */
}

static void conn_ready(struct vsock_conn *c, void *arg)
{
	struct vsock *v = arg;
	if (c->on_ready)
		return;
	c->on_ready = true;
	TAILQ_INSERT_TAIL(&v->ready, c, ready_link);
	if (!v->pumping)
		wake(v);
}

/* Freed later, from the pump or the tick: the caller is in the middle of this connection. */
static void conn_over(struct vsock_conn *c, void *arg)
{
	conn_ready(c, arg);
}

static void tick_arm(struct vsock *v, bool on)
{
	/* Arming again would put the next tick off. */
	if (v->ticking == on)
		return;
	v->ticking = on;
	struct itimerspec its = {
		.it_value.tv_nsec = on ? 500000000 : 0,
		.it_interval.tv_nsec = on ? 500000000 : 0,
	};
	timerfd_settime(v->tick.fd, 0, &its, NULL);
}

static int add_conn(struct vsock *v, int sock, uint32_t local_port, uint32_t peer_port,
		    const struct vsock_hdr *request)
{
	struct vsock_conn *c;
	if (v->count == VSOCK_MAX_CONNS)
		return -EMFILE;
	int ret = vsock_conn_open(&c, v->dev.loop, &v->conn_events, sock, local_port, peer_port,
				  request);
	if (ret < 0)
		return ret;
	LIST_INSERT_HEAD(&v->hash[hash_of(local_port, peer_port)], c, hash_link);
	v->count++;
	tick_arm(v, true);
	return 0;
}

static void free_conn(struct vsock *v, struct vsock_conn *c)
{
	if (c->on_ready)
		TAILQ_REMOVE(&v->ready, c, ready_link);
	LIST_REMOVE(c, hash_link);
	vsock_conn_free(c);
	v->count--;
}

static uint32_t fill_rst(struct vsock *v)
{
	const struct rst *r = &v->rsts[v->rst_head];
	struct vsock_hdr h = {
		.src_cid = VSOCK_HOST_CID,
		.dst_cid = v->guest_cid,
		.src_port = r->local_port,
		.dst_port = r->peer_port,
		.type = VSOCK_TYPE_STREAM,
		.op = VSOCK_OP_RST,
	};
	v->rst_head = (v->rst_head + 1) % VSOCK_MAX_RSTS;
	v->rst_len--;
	return vsock_pkt_write(&v->chain, &h) < 0 ? 0 : (uint32_t)VSOCK_HDR_LEN;
}

/* Fills one receive chain; 0 if nobody has anything to say. */
static uint32_t fill_next(struct vsock *v)
{
	struct vsock_conn *c;
	if (v->rst_len > 0)
		return fill_rst(v);
	while ((c = TAILQ_FIRST(&v->ready))) {
		TAILQ_REMOVE(&v->ready, c, ready_link);
		c->on_ready = false;
		uint32_t len = 0;
		if (c->state != VSOCK_DEAD)
			len = vsock_conn_fill(c, v->guest_cid, &v->chain, v->scratch);
		if (c->state == VSOCK_DEAD) {
			free_conn(v, c);
		} else if (c->pending && !c->on_ready) {
			c->on_ready = true;
			TAILQ_INSERT_TAIL(&v->ready, c, ready_link);
		}
		if (len > 0)
			return len;
	}
	return 0;
}

static void pump_rx(struct vsock *v)
{
	struct virtqueue *vq = &v->dev.vq[VSOCK_RXQ];
	unsigned budget = VIRTQUEUE_MAX_SIZE;
	bool quiet = true;
	v->pumping = true;
	virtqueue_quiet(vq, true);
	while (v->rst_len > 0 || !TAILQ_EMPTY(&v->ready)) {
		if (budget-- == 0) {
			wake(v);
			break;
		}
		int got = virtqueue_pop(vq, &v->chain);
		if (got < 0) {
			virtio_dev_fail(&v->dev, "broken receive queue");
			break;
		}
		if (got == 0) {
			/* Out of buffers: have the guest kick us, and look once more. */
			if (!quiet)
				break;
			virtqueue_quiet(vq, false);
			quiet = false;
			continue;
		}
		uint32_t len = 0;
		if (v->chain.in_len > VSOCK_HDR_LEN) {
			len = fill_next(v);
			if (len == 0) {
				virtqueue_unpop(vq);
				continue;
			}
		}
		virtqueue_push(vq, v->chain.head, len);
	}
	v->pumping = false;
	virtqueue_notify(vq);
}

static void queue_rst(struct vsock *v, const struct vsock_hdr *h)
{
	if (h->op == VSOCK_OP_RST)
		return;
	unsigned slot = (v->rst_head + v->rst_len) % VSOCK_MAX_RSTS;
	v->rsts[slot] = (struct rst){.local_port = h->dst_port, .peer_port = h->src_port};
	v->rst_len++;
}

static void guest_connects(struct vsock *v, const struct vsock_hdr *h)
{
	int sock = vsock_mux_dial(v->mux, h->dst_port, h->src_port);
	int ret = sock;
	if (sock >= 0) {
		ret = add_conn(v, sock, h->dst_port, h->src_port, h);
		if (ret < 0)
			close(sock);
	}
	if (ret < 0) {
		log_guest(&v->dev.limit, "vsock: guest port %u to host port %u refused: %s",
			  h->src_port, h->dst_port, strerror(-ret));
		queue_rst(v, h);
	}
}

static void serve_packet(struct vsock *v)
{
	struct vsock_hdr h;
	int ret = vsock_pkt_read(&v->chain, v->guest_cid, &h);
	if (ret == -EPROTO) {
		log_guest(&v->dev.limit, "vsock: malformed packet of %zu bytes dropped",
			  v->chain.out_len);
		return;
	}
	struct vsock_conn *c = ret == 0 ? find_conn(v, h.dst_port, h.src_port) : NULL;
	if (c && c->state != VSOCK_DEAD)
		vsock_conn_packet(c, &h, &v->chain);
	else if (!c && ret == 0 && h.op == VSOCK_OP_REQUEST)
		guest_connects(v, &h);
	else
		queue_rst(v, &h);
	if (c && c->state == VSOCK_DEAD)
		free_conn(v, c);
}

static void pump_tx(struct vsock *v)
{
	struct virtqueue *vq = &v->dev.vq[VSOCK_TXQ];
	unsigned budget = TX_BUDGET;
	virtqueue_quiet(vq, true);
	while (v->rst_len < VSOCK_MAX_RSTS) {
		if (budget-- == 0) {
			wake(v);
			break;
		}
		int got = virtqueue_pop(vq, &v->chain);
		if (got == 0) {
			/* Kicks on, then one more look: a packet may have come in between. */
			virtqueue_quiet(vq, false);
			got = virtqueue_pop(vq, &v->chain);
			if (got == 0)
				break;
			virtqueue_quiet(vq, true);
		}
		if (got < 0) {
			virtio_dev_fail(&v->dev, "broken transmit queue");
			break;
		}
		serve_packet(v);
		virtqueue_push(vq, v->chain.head, 0);
	}
	virtqueue_notify(vq);
}

static void pump(struct vsock *v)
{
	if (v->dev.needs_reset)
		return;
	if (v->dev.vq[VSOCK_TXQ].started)
		pump_tx(v);
	if (v->dev.vq[VSOCK_RXQ].started)
		pump_rx(v);
	/* Refusals that left make room for packets that wait. */
	if (v->dev.vq[VSOCK_TXQ].started && v->rst_len == 0 && !v->dev.needs_reset)
		pump_tx(v);
}

static void on_again(struct evsource *src, uint32_t events)
{
	struct vsock *v = src->arg;
	uint64_t n;
	(void)events;
	ssize_t r = read(src->fd, &n, sizeof(n));
	(void)r;
	pump(v);
}

static void on_tick(struct evsource *src, uint32_t events)
{
	struct vsock *v = src->arg;
	uint64_t n;
	(void)events;
	ssize_t r = read(src->fd, &n, sizeof(n));
	(void)r;
	uint64_t now = io_now_ns();
	if (vsock_mux_expire(v->mux, now) == 0 && v->count == 0)
		tick_arm(v, false);
	for (unsigned i = 0; i < HASH_SIZE; i++) {
		struct vsock_conn *c;
		LIST_FOREACH(c, &v->hash[i], hash_link)
			if (c->deadline_ns && now >= c->deadline_ns)
				vsock_conn_expired(c);
	}
}

static void vsock_queue_kick(struct virtio_dev *dev, unsigned q)
{
	if (q != VSOCK_EVQ)
		pump(vsock_of(dev));
}

static void vsock_reset(struct virtio_dev *dev)
{
	struct vsock *v = vsock_of(dev);
	for (unsigned i = 0; i < HASH_SIZE; i++)
		while (!LIST_EMPTY(&v->hash[i]))
			free_conn(v, LIST_FIRST(&v->hash[i]));
	v->rst_len = 0;
}

static void vsock_get_config(struct virtio_dev *dev, uint32_t off, void *buf, uint32_t len)
{
	uint64_t cid = htole64(vsock_of(dev)->guest_cid);
	virtio_config_copy(&cid, sizeof(cid), off, buf, len);
}

static const struct virtio_dev_ops vsock_ops = {
	.name = "vsock",
	.id = VIRTIO_ID_VSOCK_DEV,
	.num_queues = VSOCK_NUM_QUEUES,
	.queue_kick = vsock_queue_kick,
	.reset = vsock_reset,
	.get_config = vsock_get_config,
};

static int host_connects(int sock, uint32_t guest_port, void *arg)
{
	struct vsock *v = arg;
	/* The counter wraps after a billion connections; skip what is still in use. */
	for (unsigned tries = 0; tries <= VSOCK_MAX_CONNS; tries++) {
		uint32_t port = FIRST_HOST_PORT | (v->next_port++ & (FIRST_HOST_PORT - 1));
		if (!find_conn(v, port, guest_port))
			return add_conn(v, sock, port, guest_port, NULL);
	}
	return -EADDRINUSE;
}

static void handshake_begins(void *arg)
{
	tick_arm(arg, true);
}

static int add_timers(struct vsock *v)
{
	v->again = (struct evsource){
		.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .fn = on_again, .arg = v};
	v->tick = (struct evsource){
		.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK),
		.fn = on_tick,
		.arg = v,
	};
	if (v->again.fd < 0 || v->tick.fd < 0)
		return -errno;
	int ret = evloop_add(v->dev.loop, &v->again, EPOLLIN);
	return ret < 0 ? ret : evloop_add(v->dev.loop, &v->tick, EPOLLIN);
}

int vsock_create(struct virtio_dev **out, struct evloop *loop, const struct vsock_config *cfg)
{
	AUTO_CLOSE int listen_fd = cfg->listen_fd;
	AUTO_CLOSE int control_fd = cfg->control_fd;
	struct vsock *v = calloc(1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	virtio_dev_init(&v->dev, &vsock_ops, loop);
	TAILQ_INIT(&v->ready);
	v->again.fd = v->tick.fd = -1;
	v->guest_cid = cfg->guest_cid;
	v->conn_events = (struct vsock_conn_events){conn_ready, conn_over, v};
	struct vsock_mux_events me = {host_connects, handshake_begins, v};
	int ret = add_timers(v);
	if (ret == 0)
		ret = vsock_mux_create(&v->mux, loop, listen_fd, control_fd, &me, &cfg->dialer);
	if (ret < 0) {
		vsock_destroy(&v->dev);
		return ret;
	}
	steal_fd(&listen_fd);
	steal_fd(&control_fd);
	*out = &v->dev;
	return 0;
}

void vsock_destroy(struct virtio_dev *dev)
{
	struct vsock *v = vsock_of(dev);
	vsock_reset(dev);
	if (v->mux)
		vsock_mux_destroy(v->mux);
	evloop_del(dev->loop, &v->again);
	evloop_del(dev->loop, &v->tick);
	close_fd(&v->again.fd);
	close_fd(&v->tick.fd);
	free(v);
}

unsigned vsock_count(const struct virtio_dev *dev)
{
	return container_of(dev, const struct vsock, dev)->count;
}
