// SPDX-License-Identifier: Apache-2.0
// test_vsock_bulk.c - many connections at once, megabytes both ways, byte-exact, credit kept
// links: runtime/virtio/vsock.c runtime/virtio/vsock_pkt.c runtime/virtio/vsock_conn.c runtime/virtio/vsock_mux.c runtime/virtio/virtio.c runtime/virtio/queue.c runtime/virtio/chain.c runtime/vmm/gmem.c tests/lib/fake_guest.c tests/lib/vsock_rig.c
#include "lib/vsock_rig.h"

#include "base/cleanup.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#define CONNS 20
#define TOTAL (4u << 20)
#define GUEST_WINDOW (64u * 1024)
#define PATTERN 65521u /* a prime: no piece looks like another */
#define FIRST_PORT 2000u

/* Both ends of one connection: the guest's counters, and the host program's. */
struct stream {
	int host;
	uint32_t guest_sent, guest_got, guest_told;
	uint32_t dev_alloc, dev_fwd; /* the device's window, as the guest knows it */
	uint32_t host_sent, host_got;
	bool guest_eof, host_eof, guest_shut, over;
};

static struct vsock_rig rig;
static struct stream st[CONNS];
static uint8_t pattern[PATTERN + 65536];

static const uint8_t *at(uint32_t conn, uint32_t off)
{
	return pattern + (off + conn * 1009u) % PATTERN;
}

static int setup(void **state)
{
	for (uint32_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = (uint8_t)((i % PATTERN) * 2654435761u >> 13);
	memset(st, 0, sizeof(st));
	vsock_rig_start(&rig, 128, true);
	rig.alloc = GUEST_WINDOW;
	*state = &rig;
	return 0;
}

static int teardown(void **state)
{
	for (unsigned i = 0; i < CONNS; i++)
		close_fd(&st[i].host);
	vsock_rig_stop(*state);
	return 0;
}

static void guest_send(struct vsock_rig *r, uint32_t i, enum vsock_op op, uint32_t flags,
		       const void *data, uint32_t len)
{
	r->fwd = st[i].guest_told = st[i].guest_got;
	vsock_rig_send(r, op, FIRST_PORT + i, 5, flags, data, len);
}

static void connect_all(struct vsock_rig *r, int listener)
{
	for (uint32_t i = 0; i < CONNS; i++) {
		struct vsock_hdr h;
		guest_send(r, i, VSOCK_OP_REQUEST, 0, NULL, 0);
		assert_true(vsock_rig_recv(r, &h, NULL));
		assert_int_equal(h.op, VSOCK_OP_RESPONSE);
		st[i].dev_alloc = h.buf_alloc;
		st[i].host = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		assert_true(st[i].host >= 0);
	}
}

/* What the host program does now and then; odd ones read slowly. */
static void host_turn(uint32_t i, unsigned round)
{
	static uint8_t buf[65536];
	struct stream *s = &st[i];
	while (s->host_sent < TOTAL) {
		uint32_t want = TOTAL - s->host_sent < 30011 ? TOTAL - s->host_sent : 30011;
		ssize_t n = send(s->host, at(i, s->host_sent), want, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0)
			break;
		s->host_sent += (uint32_t)n;
		if (s->host_sent == TOTAL)
			shutdown(s->host, SHUT_WR);
	}
	for (unsigned k = 0; k < ((i & 1) ? 1 : 8) && !(i % 3 == 1 && round % 4); k++) {
		ssize_t n = recv(s->host, buf, (i & 1) ? 20011 : sizeof(buf), MSG_DONTWAIT);
		if (n <= 0) {
			s->host_eof |= n == 0;
			break;
		}
		for (ssize_t o = 0; o < n;) {
			size_t part = (size_t)(n - o) < 4096 ? (size_t)(n - o) : 4096;
			assert_memory_equal(buf + o, at(i, s->host_got + (uint32_t)o), part);
			o += (ssize_t)part;
		}
		s->host_got += (uint32_t)n;
	}
}

static void guest_turn(struct vsock_rig *r, uint32_t i)
{
	struct stream *s = &st[i];
	for (unsigned k = 0; k < 4 && s->guest_sent < TOTAL; k++) {
		uint32_t room = s->dev_alloc - (s->guest_sent - s->dev_fwd);
		uint32_t len = 10007 + 3001 * k;
		len = len < room ? len : room;
		len = len < TOTAL - s->guest_sent ? len : TOTAL - s->guest_sent;
		if (len == 0)
			return;
		guest_send(r, i, VSOCK_OP_RW, 0, at(i, s->guest_sent), len);
		s->guest_sent += len;
	}
	if (s->guest_sent == TOTAL && !s->guest_shut) {
		s->guest_shut = true;
		guest_send(r, i, VSOCK_OP_SHUTDOWN, VSOCK_SHUT_SEND, NULL, 0);
	}
}

static void take_packet(struct vsock_rig *r, const struct vsock_hdr *h, const uint8_t *data)
{
	uint32_t i = h->dst_port - FIRST_PORT;
	assert_true(i < CONNS);
	struct stream *s = &st[i];
	s->dev_alloc = h->buf_alloc;
	s->dev_fwd = h->fwd_cnt;
	switch (h->op) {
	case VSOCK_OP_RW:
		assert_false(s->guest_eof);
		assert_memory_equal(data, at(i, s->guest_got), h->len);
		s->guest_got += h->len;
		assert_true(s->guest_got - s->guest_told <= GUEST_WINDOW);
		if (s->guest_got - s->guest_told > GUEST_WINDOW / 2)
			guest_send(r, i, VSOCK_OP_CREDIT_UPDATE, 0, NULL, 0);
		break;
	case VSOCK_OP_SHUTDOWN:
		assert_int_equal(s->guest_got, TOTAL);
		s->guest_eof = true;
		break;
	case VSOCK_OP_RST:
		/* The last packet, when both sides are through. */
		assert_int_equal(s->guest_got, TOTAL);
		assert_true(s->guest_shut);
		s->guest_eof = s->over = true;
		break;
	default: assert_int_equal(h->op, VSOCK_OP_CREDIT_UPDATE);
	}
}

static bool all_done(void)
{
	for (unsigned i = 0; i < CONNS; i++)
		if (!st[i].guest_eof || !st[i].host_eof || !st[i].over)
			return false;
	return true;
}

static void test_both_ways(void **state)
{
	struct vsock_rig *r = *state;
	static uint8_t data[RIG_RX_PAYLOAD];
	struct vsock_hdr h;
	AUTO_CLOSE int listener = vsock_rig_listen("vsock.sock_5");
	connect_all(r, listener);
	for (unsigned round = 0; !all_done(); round++) {
		assert_true(round < 20000);
		for (uint32_t i = 0; i < CONNS; i++) {
			host_turn(i, round);
			if (!st[i].over)
				guest_turn(r, i);
		}
		for (unsigned k = 0; k < 500 && vsock_rig_recv(r, &h, data); k++)
			take_packet(r, &h, data);
	}
	for (unsigned i = 0; i < CONNS; i++) {
		assert_int_equal(st[i].host_got, TOTAL);
		assert_int_equal(st[i].host_sent, TOTAL);
		assert_int_equal(st[i].guest_sent, TOTAL);
		assert_int_equal(st[i].guest_got, TOTAL);
	}
	assert_int_equal(vsock_count(r->dev), 0);
	assert_int_equal(vsock_rig_reap(r), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_both_ways, setup, teardown),
	};
	alarm(30);
	log_init("test", LOG_ERROR);
	return cmocka_run_group_tests_name("vsock_bulk", tests, NULL, NULL);
}
