// SPDX-License-Identifier: Apache-2.0
// test_vsock_conn.c - one stream: opening, credit both ways, half-close, every way to end
// links: runtime/virtio/vsock_conn.c runtime/virtio/vsock_pkt.c runtime/virtio/chain.c runtime/vmm/gmem.c
#include "virtio/vsock_conn.h"

#include "base/checked.h"
#include "base/cleanup.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#define CID 3
#define PORT_HOST 5000u
#define PORT_GUEST 6000u
#define RX_LEN 4096u

static struct {
	struct evloop loop;
	struct vsock_conn_events ev;
	struct vsock_conn *c;
	int host; /* the host program's end */
	unsigned ready, dead;
	uint32_t guest_alloc, guest_fwd;
	struct chain chain;
	struct iovec scratch[CHAIN_MAX_IOV];
	struct vsock_hdr rx; /* last packet for the guest */
	uint8_t rx_data[RX_LEN];
	uint8_t big[VSOCK_BUF_SIZE + VSOCK_MAX_PAYLOAD];
} t;

static void on_ready(struct vsock_conn *c, void *arg)
{
	(void)c;
	(void)arg;
	t.ready++;
}

static void on_dead(struct vsock_conn *c, void *arg)
{
	(void)c;
	(void)arg;
	t.dead++;
}

static void run(void)
{
	for (int i = 0; i < 1000; i++)
		if (evloop_once(&t.loop, 0) <= 0)
			return;
	fail_msg("the event loop does not come to rest");
}

/* The next packet for the guest; its op, or 0 if there is none. */
static unsigned fill(void)
{
	uint8_t buf[VSOCK_HDR_LEN + RX_LEN];
	run();
	memset(&t.chain, 0, sizeof(t.chain));
	t.chain.n_in = 1;
	t.chain.in_len = sizeof(buf);
	t.chain.iov[0] = (struct iovec){buf, sizeof(buf)};
	uint32_t len = vsock_conn_fill(t.c, CID, &t.chain, t.scratch);
	if (len == 0)
		return 0;
	assert_true(len >= VSOCK_HDR_LEN);
	memcpy(&t.rx, buf, sizeof(t.rx));
	assert_int_equal(t.rx.len, len - VSOCK_HDR_LEN);
	assert_int_equal(t.rx.src_port, PORT_HOST);
	assert_int_equal(t.rx.dst_port, PORT_GUEST);
	assert_true(t.rx.src_cid == VSOCK_HOST_CID && t.rx.dst_cid == CID);
	assert_int_equal(t.rx.type, VSOCK_TYPE_STREAM);
	assert_int_equal(t.rx.buf_alloc, VSOCK_BUF_SIZE);
	memcpy(t.rx_data, buf + VSOCK_HDR_LEN, t.rx.len);
	return t.rx.op;
}

static void packet(enum vsock_op op, uint32_t flags, const void *data, uint32_t len)
{
	static uint8_t raw[VSOCK_HDR_LEN + VSOCK_MAX_PAYLOAD];
	struct vsock_hdr h = {
		.src_cid = CID,
		.dst_cid = VSOCK_HOST_CID,
		.src_port = PORT_GUEST,
		.dst_port = PORT_HOST,
		.len = len,
		.type = VSOCK_TYPE_STREAM,
		.op = (uint16_t)op,
		.flags = flags,
		.buf_alloc = t.guest_alloc,
		.fwd_cnt = t.guest_fwd,
	};
	memcpy(raw, &h, sizeof(h));
	if (len > 0)
		memcpy(raw + sizeof(h), data, len);
	memset(&t.chain, 0, sizeof(t.chain));
	t.chain.n_out = 2;
	t.chain.out_len = VSOCK_HDR_LEN + len;
	t.chain.iov[0] = (struct iovec){raw, 60 < t.chain.out_len ? 60 : t.chain.out_len};
	t.chain.iov[1] = (struct iovec){raw + t.chain.iov[0].iov_len,
					t.chain.out_len - t.chain.iov[0].iov_len};
	vsock_conn_packet(t.c, &h, &t.chain);
}

static void open_conn(bool guest_asks)
{
	int pair[2];
	struct vsock_hdr req = {.op = VSOCK_OP_REQUEST, .buf_alloc = t.guest_alloc};
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair),
			 0);
	t.host = pair[0];
	assert_int_equal(vsock_conn_open(&t.c, &t.loop, &t.ev, pair[1], PORT_HOST, PORT_GUEST,
					 guest_asks ? &req : NULL),
			 0);
}

static void open_and_respond(void)
{
	open_conn(true);
	assert_int_equal(fill(), VSOCK_OP_RESPONSE);
	assert_int_equal(fill(), 0);
}

static int setup(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	t.ev = (struct vsock_conn_events){on_ready, on_dead, NULL};
	t.host = -1;
	t.guest_alloc = 1u << 20;
	for (size_t i = 0; i < sizeof(t.big); i++)
		t.big[i] = (uint8_t)(i * 31 + i / 251);
	return evloop_init(&t.loop);
}

static int teardown(void **state)
{
	(void)state;
	if (t.c)
		vsock_conn_free(t.c);
	close_fd(&t.host);
	evloop_close(&t.loop);
	return 0;
}

static void host_send(const void *data, size_t len)
{
	assert_int_equal(send(t.host, data, len, MSG_DONTWAIT | MSG_NOSIGNAL), len);
}

/* Reads all there is now; compares it with the pattern from offset at; returns the bytes. */
static size_t host_read(size_t at)
{
	static uint8_t buf[65536];
	size_t got = 0;
	ssize_t n;
	while ((n = recv(t.host, buf, sizeof(buf), MSG_DONTWAIT)) > 0) {
		for (ssize_t i = 0; i < n; i++)
			assert_int_equal(buf[i], t.big[(at + got + (size_t)i) % sizeof(t.big)]);
		got += (size_t)n;
	}
	return got;
}

static bool host_eof(void)
{
	char c;
	return recv(t.host, &c, 1, MSG_DONTWAIT) == 0;
}

/* Sends pattern until the window is full; everything that was sent without credit back. */
static uint32_t fill_window(void)
{
	uint32_t sent = 0;
	while (sent - t.c->fwd_cnt < VSOCK_BUF_SIZE) {
		uint32_t n = MIN(32768u, VSOCK_BUF_SIZE - (sent - t.c->fwd_cnt));
		static uint8_t piece[32768];
		for (uint32_t i = 0; i < n; i++)
			piece[i] = t.big[(sent + i) % sizeof(t.big)];
		packet(VSOCK_OP_RW, 0, piece, n);
		assert_int_equal(t.c->state, VSOCK_OPEN);
		sent += n;
	}
	return sent;
}

static void assert_reset(void)
{
	assert_int_equal(fill(), VSOCK_OP_RST);
	assert_int_equal(t.c->state, VSOCK_DEAD);
	assert_true(t.dead > 0);
	assert_int_equal(t.c->sock.fd, -1);
}

static void test_guest_opens(void **state)
{
	(void)state;
	open_conn(true);
	assert_true(t.ready > 0);
	assert_int_equal(fill(), VSOCK_OP_RESPONSE);
	assert_int_equal(t.rx.fwd_cnt, 0);
	assert_int_equal(t.c->deadline_ns, 0);
	packet(VSOCK_OP_RW, 0, t.big, 1000);
	assert_int_equal(host_read(0), 1000);
	host_send("back", 4);
	assert_int_equal(fill(), VSOCK_OP_RW);
	assert_int_equal(t.rx.len, 4);
	assert_memory_equal(t.rx_data, "back", 4);
	assert_int_equal(t.rx.fwd_cnt, 1000);
}

static void test_host_opens(void **state)
{
	(void)state;
	char line[32] = "";
	open_conn(false);
	assert_int_equal(t.c->state, VSOCK_REQUESTED);
	assert_true(t.c->deadline_ns > 0);
	host_send("early", 5);
	assert_int_equal(fill(), VSOCK_OP_REQUEST);
	assert_int_equal(fill(), 0);
	assert_int_equal(recv(t.host, line, sizeof(line), MSG_DONTWAIT), -1);
	packet(VSOCK_OP_RESPONSE, 0, NULL, 0);
	assert_int_equal(t.c->deadline_ns, 0);
	assert_int_equal(recv(t.host, line, sizeof(line) - 1, MSG_DONTWAIT), 8);
	assert_string_equal(line, "OK 5000\n");
	assert_int_equal(fill(), VSOCK_OP_RW);
	assert_memory_equal(t.rx_data, "early", 5);
}

static void test_host_refused(void **state)
{
	(void)state;
	open_conn(false);
	assert_int_equal(fill(), VSOCK_OP_REQUEST);
	packet(VSOCK_OP_RST, 0, NULL, 0);
	assert_int_equal(t.dead, 1);
	assert_true(host_eof());
	assert_int_equal(fill(), 0);
}

static void test_host_gives_up(void **state)
{
	(void)state;
	open_conn(false);
	assert_int_equal(fill(), VSOCK_OP_REQUEST);
	close_fd(&t.host);
	assert_reset();
}

static void test_expires(void **state)
{
	(void)state;
	open_conn(false);
	assert_int_equal(fill(), VSOCK_OP_REQUEST);
	vsock_conn_expired(t.c);
	assert_true(host_eof());
	assert_reset();
	vsock_conn_free(t.c);
	close_fd(&t.host);
	/* The same before the request has left: RST is all that the guest sees. */
	open_conn(false);
	vsock_conn_expired(t.c);
	assert_reset();
	vsock_conn_free(t.c);
	close_fd(&t.host);
	/* And when the host program takes too long to read the rest. */
	open_and_respond();
	fill_window();
	packet(VSOCK_OP_SHUTDOWN, VSOCK_SHUT_SEND | VSOCK_SHUT_RCV, NULL, 0);
	vsock_conn_expired(t.c);
	assert_reset();
}

static void test_credit_update(void **state)
{
	(void)state;
	open_and_respond();
	uint32_t sent = 0;
	while (sent < VSOCK_BUF_SIZE / 4) {
		assert_int_equal(fill(), 0);
		packet(VSOCK_OP_RW, 0, t.big + sent, 4096);
		assert_int_equal(host_read(sent), 4096);
		sent += 4096;
	}
	assert_int_equal(fill(), VSOCK_OP_CREDIT_UPDATE);
	assert_int_equal(t.rx.fwd_cnt, sent);
	assert_int_equal(fill(), 0);
	packet(VSOCK_OP_CREDIT_REQUEST, 0, NULL, 0);
	assert_int_equal(fill(), VSOCK_OP_CREDIT_UPDATE);
}

static void test_slow_host_reader(void **state)
{
	(void)state;
	open_and_respond();
	uint32_t sent = fill_window();
	uint32_t told = t.c->fwd_cnt;
	assert_int_equal(t.c->buf_len, VSOCK_BUF_SIZE);
	assert_true(told < sent);
	/* No credit for what is only buffered. */
	packet(VSOCK_OP_CREDIT_REQUEST, 0, NULL, 0);
	assert_int_equal(fill(), VSOCK_OP_CREDIT_UPDATE);
	assert_int_equal(t.rx.fwd_cnt, told);
	assert_int_equal(fill(), 0);
	size_t got = 0;
	while (got < sent) {
		size_t n = host_read(got);
		run();
		assert_true(n > 0);
		got += n;
	}
	assert_int_equal(got, sent);
	assert_int_equal(t.c->buf_len, 0);
	assert_int_equal(fill(), VSOCK_OP_CREDIT_UPDATE);
	assert_int_equal(t.rx.fwd_cnt, sent);
}

static void test_more_than_the_credit(void **state)
{
	(void)state;
	open_and_respond();
	fill_window();
	packet(VSOCK_OP_RW, 0, t.big, 1);
	assert_reset();
}

/* Many rounds with an odd size: the ring wraps at every offset. */
static void test_ring_wraps(void **state)
{
	(void)state;
	static uint8_t piece[33333];
	open_and_respond();
	uint32_t sent = fill_window();
	size_t got = 0;
	for (int round = 0; round < 40; round++) {
		while (sent - t.c->fwd_cnt + sizeof(piece) > VSOCK_BUF_SIZE) {
			got += host_read(got);
			run();
		}
		for (size_t i = 0; i < sizeof(piece); i++)
			piece[i] = t.big[(sent + i) % sizeof(t.big)];
		packet(VSOCK_OP_RW, 0, piece, sizeof(piece));
		sent += (uint32_t)sizeof(piece);
		assert_int_equal(t.c->state, VSOCK_OPEN);
	}
	while (got < sent) {
		size_t n = host_read(got);
		assert_true(n > 0);
		got += n;
		run();
	}
	assert_int_equal(got, sent);
}

static void test_guest_credit_is_kept(void **state)
{
	(void)state;
	t.guest_alloc = 10;
	open_and_respond();
	host_send(t.big, 100);
	assert_int_equal(fill(), VSOCK_OP_RW);
	assert_int_equal(t.rx.len, 10);
	assert_int_equal(fill(), 0);
	t.guest_fwd = 7;
	packet(VSOCK_OP_CREDIT_UPDATE, 0, NULL, 0);
	assert_int_equal(fill(), VSOCK_OP_RW);
	assert_int_equal(t.rx.len, 7);
	assert_memory_equal(t.rx_data, t.big + 10, 7);
	assert_int_equal(fill(), 0);
	/* A window that shrinks, and a count that lies, mean no room, never a huge one. */
	t.guest_alloc = 5;
	packet(VSOCK_OP_CREDIT_UPDATE, 0, NULL, 0);
	assert_int_equal(fill(), 0);
	t.guest_fwd = 1000000;
	packet(VSOCK_OP_CREDIT_UPDATE, 0, NULL, 0);
	assert_int_equal(fill(), 0);
	t.guest_alloc = UINT32_MAX;
	t.guest_fwd = 17;
	packet(VSOCK_OP_CREDIT_UPDATE, 0, NULL, 0);
	assert_int_equal(fill(), VSOCK_OP_RW);
	assert_int_equal(t.rx.len, 83);
}

static void test_guest_half_close(void **state)
{
	(void)state;
	open_and_respond();
	packet(VSOCK_OP_RW, 0, t.big, 500);
	packet(VSOCK_OP_SHUTDOWN, VSOCK_SHUT_SEND, NULL, 0);
	assert_int_equal(host_read(0), 500);
	assert_true(host_eof());
	host_send("answer", 6);
	assert_int_equal(fill(), VSOCK_OP_RW);
	assert_memory_equal(t.rx_data, "answer", 6);
	/* It said that it would send no more. */
	packet(VSOCK_OP_RW, 0, t.big, 1);
	assert_reset();
}

static void test_guest_half_close_with_data_pending(void **state)
{
	(void)state;
	open_and_respond();
	uint32_t sent = fill_window();
	packet(VSOCK_OP_SHUTDOWN, VSOCK_SHUT_SEND, NULL, 0);
	size_t got = 0;
	while (got < sent) {
		size_t n = host_read(got);
		assert_true(n > 0);
		got += n;
		run();
	}
	assert_true(host_eof());
	assert_int_equal(t.c->state, VSOCK_OPEN);
}

static void test_guest_reads_no_more(void **state)
{
	(void)state;
	open_and_respond();
	host_send("pending", 7);
	run();
	packet(VSOCK_OP_SHUTDOWN, VSOCK_SHUT_RCV, NULL, 0);
	assert_int_equal(fill(), 0);
	assert_int_equal(send(t.host, "x", 1, MSG_DONTWAIT | MSG_NOSIGNAL), -1);
	assert_int_equal(errno, EPIPE);
	packet(VSOCK_OP_RW, 0, t.big, 5);
	assert_int_equal(host_read(0), 5);
}

static void test_guest_closes(void **state)
{
	(void)state;
	open_and_respond();
	packet(VSOCK_OP_RW, 0, t.big, 5);
	packet(VSOCK_OP_SHUTDOWN, VSOCK_SHUT_SEND | VSOCK_SHUT_RCV, NULL, 0);
	assert_reset();
	assert_int_equal(host_read(0), 5);
	assert_true(host_eof());
}

static void test_guest_closes_with_data_pending(void **state)
{
	(void)state;
	open_and_respond();
	uint32_t sent = fill_window();
	packet(VSOCK_OP_SHUTDOWN, VSOCK_SHUT_SEND | VSOCK_SHUT_RCV, NULL, 0);
	assert_int_equal(t.c->state, VSOCK_CLOSING);
	assert_true(t.c->deadline_ns > 0);
	/* Credit may be told meanwhile, but no RST before all is out. */
	while (fill() != 0)
		assert_int_equal(t.rx.op, VSOCK_OP_CREDIT_UPDATE);
	size_t got = 0;
	while (got < sent) {
		size_t n = host_read(got);
		assert_true(n > 0);
		got += n;
		run();
	}
	assert_true(host_eof());
	while (fill() == VSOCK_OP_CREDIT_UPDATE)
		;
	assert_int_equal(t.rx.op, VSOCK_OP_RST);
	assert_int_equal(t.c->state, VSOCK_DEAD);
}

static void test_host_half_close(void **state)
{
	(void)state;
	open_and_respond();
	host_send(t.big, 6000);
	shutdown(t.host, SHUT_WR);
	assert_int_equal(fill(), VSOCK_OP_RW);
	assert_int_equal(t.rx.len, RX_LEN);
	assert_int_equal(fill(), VSOCK_OP_RW);
	assert_int_equal(t.rx.len, 6000 - RX_LEN);
	assert_int_equal(fill(), VSOCK_OP_SHUTDOWN);
	assert_int_equal(t.rx.flags, VSOCK_SHUT_SEND);
	packet(VSOCK_OP_RW, 0, t.big, 100);
	assert_int_equal(host_read(0), 100);
	packet(VSOCK_OP_SHUTDOWN, VSOCK_SHUT_SEND | VSOCK_SHUT_RCV, NULL, 0);
	assert_reset();
	assert_true(host_eof());
}

static void test_host_closes_with_data_pending(void **state)
{
	(void)state;
	t.guest_alloc = 3000;
	open_and_respond();
	host_send(t.big, 5000);
	close_fd(&t.host);
	assert_int_equal(fill(), VSOCK_OP_RW);
	assert_int_equal(t.rx.len, 3000);
	assert_int_equal(fill(), 0);
	/* The hang-up is known and must not be reported again and again. */
	for (int i = 0; i < 10; i++)
		assert_int_equal(evloop_once(&t.loop, 0), 0);
	t.guest_fwd = 3000;
	packet(VSOCK_OP_CREDIT_UPDATE, 0, NULL, 0);
	assert_int_equal(fill(), VSOCK_OP_RW);
	assert_int_equal(t.rx.len, 2000);
	assert_memory_equal(t.rx_data, t.big + 3000, 2000);
	assert_int_equal(fill(), VSOCK_OP_SHUTDOWN);
	assert_int_equal(t.rx.flags, VSOCK_SHUT_SEND | VSOCK_SHUT_RCV);
	packet(VSOCK_OP_RST, 0, NULL, 0);
	assert_int_equal(t.c->state, VSOCK_DEAD);
}

static void test_guest_resets(void **state)
{
	(void)state;
	open_and_respond();
	packet(VSOCK_OP_RST, 0, NULL, 0);
	assert_int_equal(t.dead, 1);
	assert_true(host_eof());
	/* Whatever comes after that is ignored. */
	packet(VSOCK_OP_RW, 0, t.big, 100);
	assert_int_equal(fill(), 0);
}

static void test_out_of_place(void **state)
{
	(void)state;
	static const struct {
		bool guest_asks;
		enum vsock_op op;
	} rows[] = {
		{true, VSOCK_OP_REQUEST}, {true, VSOCK_OP_RESPONSE}, {false, VSOCK_OP_REQUEST},
		{false, VSOCK_OP_RW},	  {true, (enum vsock_op)99},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		open_conn(rows[i].guest_asks);
		assert_true(fill() != 0);
		packet(rows[i].op, 0, t.big, rows[i].op == VSOCK_OP_RW ? 10 : 0);
		assert_reset();
		/* And again, in its last state: no harm, no second life. */
		packet(rows[i].op, 0, NULL, 0);
		assert_int_equal(fill(), 0);
		vsock_conn_free(t.c);
		t.c = NULL;
		close_fd(&t.host);
	}
}

static void test_anything_while_reset_waits(void **state)
{
	(void)state;
	for (unsigned op = VSOCK_OP_RESPONSE; op <= VSOCK_OP_CREDIT_REQUEST; op++) {
		open_and_respond();
		vsock_conn_expired(t.c);
		packet((enum vsock_op)op, 3, t.big, op == VSOCK_OP_RW ? 10 : 0);
		if (op != VSOCK_OP_RST)
			assert_reset();
		assert_int_equal(t.c->state, VSOCK_DEAD);
		vsock_conn_free(t.c);
		t.c = NULL;
		close_fd(&t.host);
	}
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_guest_opens),
		T(test_host_opens),
		T(test_host_refused),
		T(test_host_gives_up),
		T(test_expires),
		T(test_credit_update),
		T(test_slow_host_reader),
		T(test_more_than_the_credit),
		T(test_ring_wraps),
		T(test_guest_credit_is_kept),
		T(test_guest_half_close),
		T(test_guest_half_close_with_data_pending),
		T(test_guest_reads_no_more),
		T(test_guest_closes),
		T(test_guest_closes_with_data_pending),
		T(test_host_half_close),
		T(test_host_closes_with_data_pending),
		T(test_guest_resets),
		T(test_out_of_place),
		T(test_anything_while_reset_waits),
	};
	alarm(30);
	return cmocka_run_group_tests_name("vsock_conn", tests, NULL, NULL);
}
