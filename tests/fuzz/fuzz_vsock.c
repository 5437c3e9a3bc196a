// SPDX-License-Identifier: Apache-2.0
// fuzz_vsock.c - a hostile guest and careless host programs around the vsock device
// links: runtime/virtio/vsock.c runtime/virtio/vsock_pkt.c runtime/virtio/vsock_conn.c runtime/virtio/vsock_mux.c runtime/virtio/virtio.c runtime/virtio/queue.c runtime/virtio/chain.c runtime/vmm/gmem.c tests/lib/fake_guest.c
//
// Input: a list of steps, see step(). The device must survive any of them, keep its limits, write
// nothing outside the buffers given, come to rest, and leave nothing open.
#include "base/checked.h"
#include "base/cleanup.h"
#include "lib/dial_here.h"
#include "lib/fake_guest.h"
#include "virtio/vsock.h"
#include "virtio/vsock_pkt.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum step { TX, TXRAW, RX, DIAL, HWRITE, HREAD, HCLOSE, LOOP, RESET, POKE, ACCEPT, HSHUT, STEPS };
enum { RXQ, TXQ };

#define CID 3
#define MEM (512u * 1024)
#define QSIZE 64
#define SOCKS_MAX 16
#define PAIRS_MAX 15

struct run {
	struct evloop loop;
	struct virtio_dev *dev;
	struct fake_guest g;
	struct fake_queue rx, tx;
	uint8_t *rx_host[QSIZE];
	size_t rx_len[QSIZE];
	bool poked; /* the driver's own state is no measure any more */
	int sock[SOCKS_MAX];
	unsigned nsock;
	uint32_t pair[PAIRS_MAX][2]; /* guest port, host port */
	unsigned npair;
};

static char dir[] = "/tmp/mayfly-fuzz-XXXXXX";
static int start_dir, temp_dir, listener, port5;

static void must(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "fuzz_vsock: %s\n", what);
		abort();
	}
}

static struct sockaddr_un address(const char *name)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", name);
	return sun;
}

static int listen_at(const char *name)
{
	struct sockaddr_un sun = address(name);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	must(fd >= 0 && bind(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0 && listen(fd, 64) == 0,
	     "listen");
	return fd;
}

static void clean_up(void)
{
	unlinkat(temp_dir, "vsock.sock", 0);
	unlinkat(temp_dir, "vsock.sock_5", 0);
	rmdir(dir);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	log_init("fuzz", LOG_ERROR);
	start_dir = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	must(start_dir >= 0 && mkdtemp(dir), "mkdtemp");
	temp_dir = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	atexit(clean_up);
	must(fchdir(temp_dir) == 0, "chdir");
	listener = listen_at("vsock.sock");
	port5 = listen_at("vsock.sock_5");
	must(fchdir(start_dir) == 0, "chdir");
	return 0;
}

static void start_queues(struct run *r)
{
	r->g.used = 0;
	must(fake_queue_init(&r->rx, &r->g, &r->dev->vq[RXQ], QSIZE) == 0, "rx");
	must(fake_queue_init(&r->tx, &r->g, &r->dev->vq[TXQ], QSIZE) == 0, "tx");
	r->poked = false;
}

static void add_sock(struct run *r, int fd)
{
	if (fd < 0)
		return;
	if (r->nsock < SOCKS_MAX)
		r->sock[r->nsock++] = fd;
	else
		close(fd);
}

static void start(struct run *r)
{
	int pair[2];
	memset(r, 0, sizeof(*r));
	must(evloop_init(&r->loop) == 0, "loop");
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0, "pair");
	struct vsock_config cfg = {
		.guest_cid = CID,
		.listen_fd = fcntl(listener, F_DUPFD_CLOEXEC, 3),
		.control_fd = pair[1],
		.dialer = {dial_here, NULL},
	};
	must(vsock_create(&r->dev, &r->loop, &cfg) == 0, "device");
	must(fake_guest_init(&r->g, &r->dev->mem, MEM) == 0, "memory");
	start_queues(r);
	add_sock(r, pair[0]);
}

static void drain_listener(int fd)
{
	int c;
	while ((c = accept4(fd, NULL, NULL, SOCK_CLOEXEC)) >= 0)
		close(c);
}

static void finish(struct run *r)
{
	fake_queue_destroy(&r->rx);
	fake_queue_destroy(&r->tx);
	gmem_clear(&r->dev->mem);
	vsock_destroy(r->dev);
	fake_guest_destroy(&r->g);
	evloop_close(&r->loop);
	for (unsigned i = 0; i < r->nsock; i++)
		close_fd(&r->sock[i]);
	drain_listener(listener);
	drain_listener(port5);
}

static void learn(struct run *r, const struct vsock_hdr *h)
{
	must(h->src_cid == VSOCK_HOST_CID && h->dst_cid == CID, "addresses");
	must(h->type == VSOCK_TYPE_STREAM && h->op >= 1 && h->op <= 7, "op");
	if (r->npair < PAIRS_MAX && h->op == VSOCK_OP_REQUEST) {
		r->pair[r->npair][0] = h->dst_port;
		r->pair[r->npair++][1] = h->src_port;
	}
}

static void take_packets(struct run *r)
{
	uint16_t head;
	uint32_t len;
	struct vsock_hdr h;
	while (!r->poked && fake_queue_used(&r->rx, &head, &len)) {
		must(len <= r->rx_len[head], "more written than there is room");
		must(len == 0 || len >= VSOCK_HDR_LEN, "half a header");
		if (len == 0)
			continue;
		memcpy(&h, r->rx_host[head], sizeof(h));
		must(h.len == len - VSOCK_HDR_LEN, "the payload's length");
		learn(r, &h);
	}
	while (!r->poked && fake_queue_used(&r->tx, &head, &len))
		must(len == 0, "bytes written to a transmit chain");
}

static void run_loop(struct run *r)
{
	int i;
	for (i = 0; i < 500; i++)
		if (evloop_once(&r->loop, 0) <= 0)
			break;
	must(i < 500, "the device does not come to rest");
	must(vsock_count(r->dev) <= VSOCK_MAX_CONNS, "connections");
	take_packets(r);
}

static void send_chain(struct run *r, struct fake_buf *b, unsigned n)
{
	if (!r->poked && fake_queue_add(&r->tx, b, n) >= 0)
		r->dev->ops->queue_kick(r->dev, TXQ);
	take_packets(r);
}

/* [ports][op][flags][length][credit] */
static void tx(struct run *r, const uint8_t *d)
{
	static const uint32_t table[][2] = {{1023, 1024}, {40000, 5}, {40000, 6}, {1024, 1024},
					    {1, 5},	  {2, 5},     {3, 7},	  {1022, 1024}};
	static const uint32_t allocs[] = {262144, 10, 0, UINT32_MAX, 4096, 65536, 1, 100};
	static uint8_t payload[VSOCK_MAX_PAYLOAD];
	const uint32_t *p = table[d[0] % ARRAY_SIZE(table)];
	if (d[0] >= 0xf0 && r->npair > 0)
		p = r->pair[(d[0] - 0xf0u) % r->npair];
	struct vsock_hdr h = {
		.src_cid = CID,
		.dst_cid = VSOCK_HOST_CID,
		.src_port = p[0],
		.dst_port = p[1],
		.len = d[1] == VSOCK_OP_RW || (d[2] & 0x80) ? d[3] * 64u : 0,
		.type = VSOCK_TYPE_STREAM,
		.op = d[1],
		.flags = d[2],
		.buf_alloc = allocs[d[4] % ARRAY_SIZE(allocs)],
		.fwd_cnt = d[4] >> 3,
	};
	struct fake_buf b[3] = {
		{.data = &h, .len = sizeof(h)},
		{.data = payload, .len = h.len / 3},
		{.data = payload, .len = h.len - h.len / 3},
	};
	send_chain(r, b, h.len > 0 ? 3 : 1);
}

static void post_rx(struct run *r, unsigned n, size_t len)
{
	for (unsigned i = 0; i < n && !r->poked; i++) {
		struct fake_buf b = {.in = true, .len = len};
		int head = fake_queue_add(&r->rx, &b, 1);
		if (head < 0)
			break;
		r->rx_host[head] = b.host;
		r->rx_len[head] = len;
	}
	r->dev->ops->queue_kick(r->dev, RXQ);
	take_packets(r);
}

static void dial(struct run *r, unsigned port)
{
	char line[40];
	struct sockaddr_un sun = address("vsock.sock");
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0)
		close_fd(&fd);
	int n = snprintf(line, sizeof(line), port & 0x80 ? "CONNECT %u" : "CONNECT %u\n", port);
	if (fd >= 0)
		send(fd, line, (size_t)n, MSG_NOSIGNAL);
	add_sock(r, fd);
}

static void reset(struct run *r)
{
	fake_queue_destroy(&r->rx);
	fake_queue_destroy(&r->tx);
	r->dev->needs_reset = false;
	r->dev->ops->reset(r->dev);
	must(vsock_count(r->dev) == 0, "a connection outlives the reset");
	memset(r->g.mem, 0, MEM);
	start_queues(r);
}

static void host_step(struct run *r, enum step what, const uint8_t *d)
{
	static uint8_t buf[65536];
	int *fd = &r->sock[d[0] % r->nsock];
	ssize_t n = 0;
	if (*fd < 0)
		return;
	if (what == HWRITE)
		n = send(*fd, buf, d[1] * 64u, MSG_NOSIGNAL | MSG_DONTWAIT);
	else if (what == HREAD)
		n = recv(*fd, buf, sizeof(buf), MSG_DONTWAIT);
	else if (what == HSHUT)
		shutdown(*fd, SHUT_WR);
	else
		close_fd(fd);
	(void)n;
}

/* One step; the bytes it took. d holds at least 8 bytes behind its end that may be read. */
static size_t step(struct run *r, const uint8_t *d, size_t len)
{
	enum step what = d[0] % STEPS;
	size_t n = 0;
	switch (what) {
	case TX: tx(r, d + 1); return 6;
	case TXRAW:
		n = len > 2 ? MIN((size_t)d[1], len - 2) : 0;
		send_chain(r, &(struct fake_buf){.data = d + 2, .len = n}, 1);
		return 2 + n;
	case RX: post_rx(r, d[1] % QSIZE, d[2] * 40u); return 3;
	case DIAL: dial(r, d[1]); return 2;
	case LOOP: run_loop(r); return 1;
	case RESET: reset(r); return 1;
	case POKE:
		r->poked = true;
		memcpy(r->g.mem + (d[1] | (d[2] & 0x1f) << 8), d + 3, 2);
		r->dev->ops->queue_kick(r->dev, TXQ);
		r->dev->ops->queue_kick(r->dev, RXQ);
		return 5;
	case ACCEPT: add_sock(r, accept4(port5, NULL, NULL, SOCK_CLOEXEC)); return 1;
	default: host_step(r, what, d + 1); return what == HWRITE ? 3 : 2;
	}
}

/* The number a new descriptor gets shows whether one is left open. */
static int lowest_free(void)
{
	int fd = fcntl(start_dir, F_DUPFD_CLOEXEC, 0);
	close(fd);
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct run r;
	int lowest = lowest_free();
	uint8_t *copy = calloc(1, size + 8);
	must(copy && fchdir(temp_dir) == 0, "starting");
	if (size > 0)
		memcpy(copy, data, size);
	start(&r);
	size_t off = 0;
	for (unsigned i = 0; i < 200 && off < size; i++)
		off += step(&r, copy + off, size - off);
	run_loop(&r);
	finish(&r);
	free(copy);
	must(lowest_free() == lowest, "a descriptor is left open");
	must(fchdir(start_dir) == 0, "going back");
	return 0;
}
