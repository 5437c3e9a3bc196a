// SPDX-License-Identifier: Apache-2.0
// vsock_rig.c - the vsock device between a driver with fake rings and Unix sockets in a temp dir
#include "lib/vsock_rig.h"
#include "lib/dial_here.h"

#include "base/cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define RIG_MEM (8u << 20)
#define RIG_QSIZE 256

enum { RXQ, TXQ };

static void must(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "vsock_rig: %s: %s\n", what, strerror(errno));
		abort();
	}
}

void vsock_rig_start(struct vsock_rig *r, unsigned rx_bufs, bool event_idx)
{
	int pair[2];
	memset(r, 0, sizeof(*r));
	r->alloc = 256 * 1024;
	snprintf(r->dir, sizeof(r->dir), "/tmp/mayfly-vsock-XXXXXX");
	r->old_dir = open(".", O_PATH | O_CLOEXEC);
	must(r->old_dir >= 0 && mkdtemp(r->dir) && chdir(r->dir) == 0, "directory");
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0, "pair");
	r->control = pair[0];
	must(evloop_init(&r->loop) == 0, "loop");
	struct vsock_config cfg = {
		.guest_cid = RIG_CID,
		.listen_fd = vsock_rig_listen("vsock.sock"),
		.control_fd = pair[1],
		.dialer = {dial_here, NULL},
	};
	must(vsock_create(&r->dev, &r->loop, &cfg) == 0, "device");
	must(fake_guest_init(&r->g, &r->dev->mem, RIG_MEM) == 0, "memory");
	for (unsigned q = 0; q < 3; q++)
		r->dev->vq[q].event_idx = event_idx;
	must(fake_queue_init(&r->rx, &r->g, &r->dev->vq[RXQ], RIG_QSIZE) == 0, "rx");
	must(fake_queue_init(&r->tx, &r->g, &r->dev->vq[TXQ], RIG_QSIZE) == 0, "tx");
	r->mark = r->g.used;
	vsock_rig_post(r, rx_bufs, 0);
}

/* All that a test may have left, so that its own failure is what is reported. */
static void remove_sockets(void)
{
	DIR *d = opendir(".");
	const struct dirent *de;
	while (d && (de = readdir(d)))
		if (de->d_type == DT_SOCK)
			unlink(de->d_name);
	if (d)
		closedir(d);
}

void vsock_rig_stop(struct vsock_rig *r)
{
	fake_queue_destroy(&r->rx);
	fake_queue_destroy(&r->tx);
	gmem_clear(&r->dev->mem);
	vsock_destroy(r->dev);
	fake_guest_destroy(&r->g);
	evloop_close(&r->loop);
	close_fd(&r->control);
	remove_sockets();
	must(fchdir(r->old_dir) == 0, "going back");
	close_fd(&r->old_dir);
	must(rmdir(r->dir) == 0, r->dir);
}

bool vsock_rig_run(struct vsock_rig *r)
{
	for (int i = 0; i < 10000; i++)
		if (evloop_once(&r->loop, 0) <= 0)
			return true;
	return false;
}

static void post_at(struct vsock_rig *r, size_t len)
{
	struct fake_buf b = {.in = true, .len = len};
	int head = fake_queue_add(&r->rx, &b, 1);
	must(head >= 0, "no room for a receive buffer");
	r->rx_host[head] = b.host;
	r->rx_len[head] = len;
}

void vsock_rig_post(struct vsock_rig *r, unsigned n, size_t len)
{
	must(vsock_rig_reap(r) == 0, "packets wait while buffers are added");
	for (unsigned i = 0; i < n; i++)
		post_at(r, len ? len : VSOCK_HDR_LEN + RIG_RX_PAYLOAD);
	r->mark = r->g.used;
	if (n > 0)
		r->dev->ops->queue_kick(r->dev, RXQ);
}

unsigned vsock_rig_reap(struct vsock_rig *r)
{
	uint16_t head;
	uint32_t len;
	while (fake_queue_used(&r->tx, &head, &len)) {
		must(len == 0, "a transmit chain with bytes written");
		r->tx_waiting--;
	}
	if (r->tx_waiting == 0)
		r->g.used = r->mark;
	return r->tx_waiting;
}

static void send_bufs(struct vsock_rig *r, struct fake_buf *b, unsigned n)
{
	vsock_rig_reap(r);
	must(fake_queue_add(&r->tx, b, n) >= 0, "no room for a packet");
	r->tx_waiting++;
	r->dev->ops->queue_kick(r->dev, TXQ);
}

void vsock_rig_raw(struct vsock_rig *r, const void *data, size_t len)
{
	struct fake_buf b = {.data = data, .len = len};
	send_bufs(r, &b, 1);
}

void vsock_rig_packet(struct vsock_rig *r, const struct vsock_hdr *h, const void *data)
{
	struct fake_buf b[2] = {
		{.data = h, .len = sizeof(*h)},
		{.data = data, .len = h->len},
	};
	send_bufs(r, b, h->len > 0 ? 2 : 1);
}

void vsock_rig_send(struct vsock_rig *r, enum vsock_op op, uint32_t src, uint32_t dst,
		    uint32_t flags, const void *data, uint32_t len)
{
	struct vsock_hdr h = {
		.src_cid = RIG_CID,
		.dst_cid = VSOCK_HOST_CID,
		.src_port = src,
		.dst_port = dst,
		.len = len,
		.type = VSOCK_TYPE_STREAM,
		.op = (uint16_t)op,
		.flags = flags,
		.buf_alloc = r->alloc,
		.fwd_cnt = r->fwd,
	};
	vsock_rig_packet(r, &h, data);
}

bool vsock_rig_recv(struct vsock_rig *r, struct vsock_hdr *h, uint8_t *data)
{
	uint16_t head;
	uint32_t len;
	must(vsock_rig_run(r), "the device never rests");
	do {
		if (!fake_queue_used(&r->rx, &head, &len))
			return false;
		must(len <= r->rx_len[head], "more written than there is room");
	} while (len == 0);
	must(len >= VSOCK_HDR_LEN, "a packet without a header");
	memcpy(h, r->rx_host[head], sizeof(*h));
	must(h->len == len - VSOCK_HDR_LEN, "the length of a packet");
	if (data)
		memcpy(data, r->rx_host[head] + VSOCK_HDR_LEN, h->len);
	if (!r->keep) {
		/* The same memory again. */
		size_t used = r->g.used;
		r->g.used = (size_t)(r->rx_host[head] - r->g.mem);
		post_at(r, r->rx_len[head]);
		r->g.used = used;
		r->dev->ops->queue_kick(r->dev, RXQ);
	}
	return true;
}

static struct sockaddr_un address(const char *name)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", name);
	return sun;
}

int vsock_rig_dial(const char *name)
{
	struct sockaddr_un sun = address(name);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	must(fd >= 0 && connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0, name);
	return fd;
}

int vsock_rig_listen(const char *name)
{
	struct sockaddr_un sun = address(name);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	must(fd >= 0 && bind(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0 && listen(fd, 512) == 0,
	     name);
	return fd;
}
