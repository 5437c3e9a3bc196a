// SPDX-License-Identifier: Apache-2.0
// request.c - packets for vsock, buffers for rng, text for the console
#include "garbage.h"

/* ---- vsock ---- */

enum { RXQ, TXQ };
enum { OP_REQUEST = 1, OP_RESPONSE, OP_RST, OP_SHUTDOWN, OP_RW, OP_CREDIT, OP_CREDIT_REQUEST };

struct packet {
	uint64_t src_cid, dst_cid;
	uint32_t src_port, dst_port, len;
	uint16_t type, op;
	uint32_t flags, buf_alloc, fwd_cnt;
} __attribute__((packed));
_Static_assert(sizeof(struct packet) == 44, "virtio_vsock_hdr");

#define HOST_CID 2
#define CONTROL_PORT 1024
#define RX_BUFFERS 4
#define RX_SIZE 0x1000u
#define RX_BUF (IN_BUF + 0x20000)

/* The connection that was opened last, whoever began it. */
static uint32_t host_port = 7;
static uint32_t guest_port = 2000;
/* The host asked for it and waits for an answer. */
static bool asked;

static void receive_one(const struct packet *p)
{
	switch (p->op) {
	case OP_RST: saw(SEEN_VSOCK_RST); break;
	case OP_RW: saw(SEEN_VSOCK_DATA); break;
	case OP_RESPONSE:
	case OP_REQUEST:
		host_port = p->src_port;
		guest_port = p->dst_port;
		asked = p->op == OP_REQUEST;
		saw(SEEN_VSOCK_OPEN);
		break;
	default: saw(SEEN_VSOCK_OTHER);
	}
}

static void give_buffer(struct device *d, unsigned i)
{
	struct piece p = {.addr = RX_BUF + i * RX_SIZE, .len = RX_SIZE, .in = true};
	if (chance(5))
		p.len = (uint32_t)below(100);
	queue_add(d, RXQ, &p, 1, chance(1) ? 30 : 0);
}

/* Takes what has come, without waiting for it. */
static void receive(struct device *d)
{
	struct queue *q = &d->q[RXQ];
	for (unsigned i = 0; i < RX_BUFFERS && q->sane && d->started; i++) {
		if (((volatile uint16_t *)queue_used(q))[1] == q->used)
			return;
		/* Buffers come back in their order. */
		struct packet p;
		memcpy(&p, (const void *)(RX_BUF + (q->used % RX_BUFFERS) * RX_SIZE), sizeof(p));
		if (queue_take(d, RXQ) >= (int64_t)sizeof(p))
			receive_one(&p);
		give_buffer(d, q->avail % RX_BUFFERS);
		queue_notify(d, RXQ);
	}
}

static void ports(struct packet *p)
{
	if (chance(2)) {
		/* The agent's connection: one a boot, from a privileged port. */
		p->dst_port = CONTROL_PORT;
		p->src_port = 1 + (uint32_t)below(3);
		return;
	}
	switch (below(6)) {
	case 1:
	case 2:
	case 3:
		p->dst_port = host_port;
		p->src_port = guest_port;
		break;
	case 4:
		p->dst_port = (uint32_t)odd_number();
		p->src_port = (uint32_t)odd_number();
		break;
	default: p->dst_port = 7 + (uint32_t)below(3); p->src_port = 2000 + (uint32_t)below(2);
	}
}

/* For the agent's connection: a length that may be right, perhaps a Hello, then anything. */
static void payload(uint8_t *p, uint32_t len)
{
	static const uint8_t hello[] = {4, 0, 0, 0, 0x0a, 2, 8, 1};
	if (len < 16)
		return;
	for (uint32_t i = 0; i + 8 <= len && i < 256; i += 8) {
		uint64_t v = random64();
		memcpy(p + i, &v, sizeof(v));
	}
	if (chance(20))
		memcpy(p, hello, sizeof(hello));
	else if (chance(80))
		memcpy(p, &(uint32_t){(uint32_t)below(64)}, sizeof(uint32_t));
}

static void one_packet(struct device *d)
{
	static const uint8_t ops[] = {OP_REQUEST,
				      OP_REQUEST,
				      OP_REQUEST,
				      OP_RESPONSE,
				      OP_RW,
				      OP_RW,
				      OP_RW,
				      OP_RW,
				      OP_RW,
				      OP_RW,
				      OP_RW,
				      OP_RW,
				      OP_SHUTDOWN,
				      OP_CREDIT,
				      OP_CREDIT,
				      OP_RST,
				      OP_CREDIT_REQUEST};
	struct packet p = {
		.src_cid = load(d->base + 0x100, 4),
		.dst_cid = HOST_CID,
		.type = 1,
		.op = ops[below(sizeof(ops))],
		.buf_alloc = chance(80) ? 0x40000 : (uint32_t)odd_number(),
		.fwd_cnt = chance(80) ? 0 : (uint32_t)odd_number(),
		.flags = (uint32_t)below(4),
	};
	ports(&p);
	if (asked && chance(80)) {
		p.op = OP_RESPONSE;
		p.dst_port = host_port;
		p.src_port = guest_port;
		asked = false;
	}
	if (p.op == OP_RW)
		p.len = (uint32_t)below(chance(20) ? 70000 : 200);
	uint32_t total = (uint32_t)sizeof(p) + p.len;
	switch (below(30)) {
	case 0: p.src_cid = odd_number(); break;
	case 1: p.dst_cid = odd_number(); break;
	case 2: p.type = (uint16_t)odd_number(); break;
	case 3: p.op = (uint16_t)odd_number(); break;
	case 4: p.len = (uint32_t)odd_number(); break;
	case 5: total = (uint32_t)below(60); break;
	case 6: p.flags = (uint32_t)odd_number(); break;
	default: break;
	}
	payload((uint8_t *)OUT_BUF + sizeof(p), p.len < 256 ? p.len : 256);
	memcpy((void *)OUT_BUF, &p, sizeof(p));
	uint32_t in = chance(95) ? 0 : (uint32_t)below(100);
	queue_request(d, TXQ, OUT_BUF, total, IN_BUF, in, chance(1) ? 20 : 0);
}

/* More than its credit, to a host program that does not read. */
static void flood(struct device *d)
{
	struct packet p = {
		.src_cid = load(d->base + 0x100, 4),
		.dst_cid = HOST_CID,
		.src_port = 3000 + (uint32_t)below(5),
		.dst_port = 8,
		.type = 1,
		.op = OP_REQUEST,
		.buf_alloc = RX_SIZE,
	};
	for (int i = 0; i < 14; i++) {
		memcpy((void *)OUT_BUF, &p, sizeof(p));
		queue_request(d, TXQ, OUT_BUF, (uint32_t)sizeof(p) + p.len, 0, 0, 0);
		receive(d);
		p.op = OP_RW;
		p.len = 0x10000 - (uint32_t)below(3);
	}
}

void step_vsock(void)
{
	struct device *d = device_of(ID_VSOCK);
	if (!d)
		return;
	if (!d->started || device_broken(d)) {
		device_start(d, 0);
		for (unsigned i = 0; i < RX_BUFFERS; i++)
			give_buffer(d, i);
		queue_notify(d, RXQ);
	}
	for (uint64_t n = 1 + below(10); n > 0; n--) {
		one_packet(d);
		receive(d);
	}
	if (chance(3))
		flood(d);
	if (chance(2))
		device_reset(d);
}

/* ---- rng ---- */

void step_rng(void)
{
	struct device *d = device_of(ID_RNG);
	if (!d)
		return;
	if (!d->started || device_broken(d))
		device_start(d, 0);
	uint32_t len = (uint32_t)below(chance(10) ? BUF_SIZE : 256);
	uint32_t outs = chance(90) ? 0 : (uint32_t)below(100);
	if (queue_request(d, 0, OUT_BUF, outs, IN_BUF, len, chance(10) ? 20 : 0) > 0)
		saw(SEEN_RNG);
	/* More than its rate, all at once. */
	for (uint64_t n = chance(5) ? 1 + below(QUEUE_SIZE_MAX) : 0; n > 0; n--) {
		struct piece p = {.addr = IN_BUF, .len = 0x10000, .in = true};
		queue_add(d, 0, &p, 1, 0);
		queue_notify(d, 0);
	}
	if (chance(5))
		device_reset(d);
}

/* ---- console ---- */

static void fill_text(uint8_t *p, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++) {
		uint64_t v = below(80);
		p[i] = v == 0 ? '\n' : v == 1 ? 0x1b : (uint8_t)(' ' + v);
	}
}

void step_console(void)
{
	struct device *d = device_of(ID_CONSOLE);
	if (!d)
		return;
	if (!d->started || device_broken(d))
		device_start(d, 0);
	switch (below(6)) {
	case 0: {
		/* For what is typed. */
		struct piece p = {.addr = IN_BUF, .len = (uint32_t)below(300), .in = true};
		queue_add(d, RXQ, &p, 1, chance(10) ? 20 : 0);
		queue_notify(d, RXQ);
		break;
	}
	case 1:
		/* The emergency write of the config space, which is not offered. */
		store(d->base + 0x108, 1u << below(4), odd_number());
		break;
	default: {
		uint32_t len = (uint32_t)below(chance(10) ? BUF_SIZE : 100);
		fill_text((uint8_t *)OUT_BUF, len < 200 ? len : 200);
		if (queue_request(d, TXQ, OUT_BUF, len, IN_BUF, 0, chance(10) ? 20 : 0) >= 0)
			saw(SEEN_CONSOLE);
	}
	}
	if (chance(3))
		device_reset(d);
}
