// SPDX-License-Identifier: Apache-2.0
// test_vsock.c - the vsock device with fake rings: who may connect, refusals, limits, reset
// links: runtime/virtio/vsock.c runtime/virtio/vsock_pkt.c runtime/virtio/vsock_conn.c runtime/virtio/vsock_mux.c runtime/virtio/virtio.c runtime/virtio/queue.c runtime/virtio/chain.c runtime/vmm/gmem.c tests/lib/fake_guest.c tests/lib/vsock_rig.c
#include "lib/vsock_rig.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/io.h"

#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <cmocka.h>

static struct vsock_rig rig;

static int setup(void **state)
{
	vsock_rig_start(&rig, 32, false);
	*state = &rig;
	return 0;
}

static int setup_event_idx(void **state)
{
	vsock_rig_start(&rig, 32, true);
	*state = &rig;
	return 0;
}

static int setup_no_buffers(void **state)
{
	vsock_rig_start(&rig, 0, false);
	*state = &rig;
	return 0;
}

static int teardown(void **state)
{
	vsock_rig_stop(*state);
	return 0;
}

static bool closed(struct vsock_rig *r, int fd)
{
	char c;
	assert_true(vsock_rig_run(r));
	ssize_t n = recv(fd, &c, 1, MSG_DONTWAIT);
	return n == 0 || (n < 0 && errno == ECONNRESET);
}

/* The next packet for the guest must be this one. */
static struct vsock_hdr expect(struct vsock_rig *r, enum vsock_op op, uint32_t guest_port)
{
	struct vsock_hdr h = {0};
	assert_true(vsock_rig_recv(r, &h, NULL));
	assert_int_equal(h.op, op);
	assert_int_equal(h.dst_port, guest_port);
	assert_true(h.src_cid == VSOCK_HOST_CID && h.dst_cid == RIG_CID);
	assert_int_equal(h.type, VSOCK_TYPE_STREAM);
	return h;
}

static void expect_nothing(struct vsock_rig *r)
{
	struct vsock_hdr h;
	assert_false(vsock_rig_recv(r, &h, NULL));
}

static void guest_connect(struct vsock_rig *r, uint32_t src, uint32_t dst)
{
	vsock_rig_send(r, VSOCK_OP_REQUEST, src, dst, 0, NULL, 0);
}

static void test_config(void **state)
{
	struct vsock_rig *r = *state;
	uint8_t buf[16];
	r->dev->ops->get_config(r->dev, 0, buf, sizeof(buf));
	assert_memory_equal(buf, "\3\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16);
	r->dev->ops->get_config(r->dev, 8, buf, 4);
	assert_memory_equal(buf, "\0\0\0\0", 4);
	assert_int_equal(r->dev->ops->num_queues, 3);
	assert_int_equal(r->dev->ops->id, 19);
}

static void test_host_connects(void **state)
{
	struct vsock_rig *r = *state;
	char want[32];
	char line[32] = "";
	uint8_t data[RIG_RX_PAYLOAD];
	struct vsock_hdr h;
	AUTO_CLOSE int fd = vsock_rig_dial("vsock.sock");
	assert_int_equal(send(fd, "CONNECT 1234\nhi", 15, 0), 15);
	h = expect(r, VSOCK_OP_REQUEST, 1234);
	uint32_t port = h.src_port;
	assert_true(port >= 1u << 30);
	assert_int_equal(h.buf_alloc, 256 * 1024);
	assert_int_equal(vsock_count(r->dev), 1);
	vsock_rig_send(r, VSOCK_OP_RESPONSE, 1234, port, 0, NULL, 0);
	snprintf(want, sizeof(want), "OK %u\n", port);
	assert_int_equal(recv(fd, line, sizeof(line) - 1, MSG_DONTWAIT), strlen(want));
	assert_string_equal(line, want);
	assert_true(vsock_rig_recv(r, &h, data));
	assert_int_equal(h.op, VSOCK_OP_RW);
	assert_int_equal(h.len, 2);
	assert_memory_equal(data, "hi", 2);
	vsock_rig_send(r, VSOCK_OP_RW, 1234, port, 0, "hello", 5);
	assert_int_equal(recv(fd, line, sizeof(line), MSG_DONTWAIT), 5);
	assert_memory_equal(line, "hello", 5);
	vsock_rig_send(r, VSOCK_OP_SHUTDOWN, 1234, port, 3, NULL, 0);
	expect(r, VSOCK_OP_RST, 1234);
	assert_true(closed(r, fd));
	assert_int_equal(vsock_count(r->dev), 0);
	assert_int_equal(vsock_rig_reap(r), 0);
	assert_true(fake_queue_interrupts(&r->rx) > 0);
	assert_true(fake_queue_interrupts(&r->tx) > 0);
}

static void test_host_refused(void **state)
{
	struct vsock_rig *r = *state;
	AUTO_CLOSE int fd = vsock_rig_dial("vsock.sock");
	assert_int_equal(send(fd, "CONNECT 9\n", 10, 0), 10);
	struct vsock_hdr h = expect(r, VSOCK_OP_REQUEST, 9);
	vsock_rig_send(r, VSOCK_OP_RST, 9, h.src_port, 0, NULL, 0);
	assert_true(closed(r, fd));
	expect_nothing(r);
	assert_int_equal(vsock_count(r->dev), 0);
}

static void test_guest_connects(void **state)
{
	struct vsock_rig *r = *state;
	char buf[8] = "";
	AUTO_CLOSE int listener = vsock_rig_listen("vsock.sock_5");
	guest_connect(r, 40000, 5);
	expect(r, VSOCK_OP_RESPONSE, 40000);
	AUTO_CLOSE int peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(peer >= 0);
	vsock_rig_send(r, VSOCK_OP_RW, 40000, 5, 0, "abc", 3);
	assert_int_equal(recv(peer, buf, sizeof(buf), MSG_DONTWAIT), 3);
	/* The same ports once more: one end is confused, so both end. */
	guest_connect(r, 40000, 5);
	expect(r, VSOCK_OP_RST, 40000);
	assert_true(closed(r, peer));
	assert_int_equal(vsock_count(r->dev), 0);
}

static void test_guest_connects_to_nobody(void **state)
{
	struct vsock_rig *r = *state;
	guest_connect(r, 40000, 6);
	struct vsock_hdr h = expect(r, VSOCK_OP_RST, 40000);
	assert_int_equal(h.src_port, 6);
	assert_int_equal(vsock_count(r->dev), 0);
}

static void test_control_port(void **state)
{
	struct vsock_rig *r = *state;
	char c = 0;
	guest_connect(r, 1024, 1024);
	expect(r, VSOCK_OP_RST, 1024);
	guest_connect(r, 50000, 1024);
	expect(r, VSOCK_OP_RST, 50000);
	guest_connect(r, 1023, 1024);
	expect(r, VSOCK_OP_RESPONSE, 1023);
	guest_connect(r, 1022, 1024);
	expect(r, VSOCK_OP_RST, 1022);
	vsock_rig_send(r, VSOCK_OP_RW, 1023, 1024, 0, "x", 1);
	assert_int_equal(recv(r->control, &c, 1, MSG_DONTWAIT), 1);
	assert_int_equal(c, 'x');
	/* Not a second time in this boot, not even when the first is over. */
	vsock_rig_send(r, VSOCK_OP_RST, 1023, 1024, 0, NULL, 0);
	guest_connect(r, 1023, 1024);
	expect(r, VSOCK_OP_RST, 1023);
	expect_nothing(r);
}

static void test_unknown_connection(void **state)
{
	struct vsock_rig *r = *state;
	static const enum vsock_op ops[] = {VSOCK_OP_RESPONSE, VSOCK_OP_RW, VSOCK_OP_SHUTDOWN,
					    VSOCK_OP_CREDIT_UPDATE, VSOCK_OP_CREDIT_REQUEST};
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		vsock_rig_send(r, ops[i], 100, 200, 0, NULL, 0);
		struct vsock_hdr h = expect(r, VSOCK_OP_RST, 100);
		assert_int_equal(h.src_port, 200);
	}
	vsock_rig_send(r, VSOCK_OP_RST, 100, 200, 0, NULL, 0);
	expect_nothing(r);
}

static void test_wrong_headers(void **state)
{
	struct vsock_rig *r = *state;
	const struct vsock_hdr good = {.src_cid = RIG_CID,
				       .dst_cid = VSOCK_HOST_CID,
				       .src_port = 1,
				       .dst_port = 5,
				       .type = VSOCK_TYPE_STREAM,
				       .op = VSOCK_OP_REQUEST};
	AUTO_CLOSE int listener = vsock_rig_listen("vsock.sock_5");
	struct vsock_hdr h = good;
	h.src_cid = 4;
	vsock_rig_packet(r, &h, NULL);
	expect(r, VSOCK_OP_RST, 1);
	h = good;
	h.dst_cid = 1;
	vsock_rig_packet(r, &h, NULL);
	expect(r, VSOCK_OP_RST, 1);
	h = good;
	h.type = 2;
	vsock_rig_packet(r, &h, NULL);
	expect(r, VSOCK_OP_RST, 1);
	h = good;
	h.op = 0;
	vsock_rig_packet(r, &h, NULL);
	expect(r, VSOCK_OP_RST, 1);
	h.op = 77;
	vsock_rig_packet(r, &h, NULL);
	expect(r, VSOCK_OP_RST, 1);
	assert_int_equal(vsock_count(r->dev), 0);
}

static void test_malformed(void **state)
{
	struct vsock_rig *r = *state;
	uint8_t junk[VSOCK_HDR_LEN + 10];
	memset(junk, 0xff, sizeof(junk));
	vsock_rig_raw(r, junk, 0);
	vsock_rig_raw(r, junk, VSOCK_HDR_LEN - 1);
	vsock_rig_raw(r, junk, VSOCK_HDR_LEN);
	vsock_rig_raw(r, junk, sizeof(junk));
	/* A chain that is only writable. */
	struct fake_buf in = {.in = true, .len = 100};
	assert_true(fake_queue_add(&r->tx, &in, 1) >= 0);
	r->tx_waiting++;
	r->dev->ops->queue_kick(r->dev, 1);
	expect_nothing(r);
	assert_int_equal(vsock_rig_reap(r), 0);
	assert_false(r->dev->needs_reset);
}

static void test_limit(void **state)
{
	struct vsock_rig *r = *state;
	AUTO_CLOSE int listener = vsock_rig_listen("vsock.sock_5");
	for (uint32_t i = 0; i < VSOCK_MAX_CONNS; i++) {
		guest_connect(r, 10000 + i, 5);
		expect(r, VSOCK_OP_RESPONSE, 10000 + i);
	}
	assert_int_equal(vsock_count(r->dev), VSOCK_MAX_CONNS);
	guest_connect(r, 9999, 5);
	expect(r, VSOCK_OP_RST, 9999);
	AUTO_CLOSE int fd = vsock_rig_dial("vsock.sock");
	assert_int_equal(send(fd, "CONNECT 9\n", 10, 0), 10);
	assert_true(closed(r, fd));
	assert_int_equal(vsock_count(r->dev), VSOCK_MAX_CONNS);
	/* One that ends makes room. */
	vsock_rig_send(r, VSOCK_OP_RST, 10000, 5, 0, NULL, 0);
	guest_connect(r, 9999, 5);
	expect(r, VSOCK_OP_RESPONSE, 9999);
}

/* Refusals that the guest does not take must not pile up: transmission waits, then goes on. */
static void test_refusals_are_bounded(void **state)
{
	struct vsock_rig *r = *state;
	struct vsock_hdr h;
	unsigned rsts = 0;
	for (uint32_t i = 0; i < VSOCK_MAX_RSTS + 40; i++)
		vsock_rig_send(r, VSOCK_OP_RW, i, 7, 0, NULL, 0);
	assert_int_equal(vsock_rig_reap(r), 40);
	assert_true(vsock_rig_run(r));
	assert_int_equal(vsock_rig_reap(r), 40);
	r->keep = true;
	for (unsigned i = 0; i < 200; i++) {
		struct fake_buf b = {.in = true, .len = VSOCK_HDR_LEN + 64};
		int head = fake_queue_add(&r->rx, &b, 1);
		assert_true(head >= 0);
		r->rx_host[head] = b.host;
		r->rx_len[head] = b.len;
	}
	r->dev->ops->queue_kick(r->dev, 0);
	while (vsock_rig_recv(r, &h, NULL)) {
		assert_int_equal(h.op, VSOCK_OP_RST);
		assert_int_equal(h.dst_port, rsts);
		rsts++;
	}
	assert_int_equal(rsts, 200);
	for (unsigned i = 0; i < 200; i++) {
		struct fake_buf b = {.in = true, .len = VSOCK_HDR_LEN + 64};
		int head = fake_queue_add(&r->rx, &b, 1);
		assert_true(head >= 0);
		r->rx_host[head] = b.host;
		r->rx_len[head] = b.len;
	}
	r->dev->ops->queue_kick(r->dev, 0);
	while (vsock_rig_recv(r, &h, NULL)) {
		assert_int_equal(h.dst_port, rsts);
		rsts++;
	}
	assert_int_equal(rsts, VSOCK_MAX_RSTS + 40);
	assert_int_equal(vsock_rig_reap(r), 0);
}

static void test_no_buffers_then_some(void **state)
{
	struct vsock_rig *r = *state;
	AUTO_CLOSE int fd = vsock_rig_dial("vsock.sock");
	assert_int_equal(send(fd, "CONNECT 9\n", 10, 0), 10);
	/* Nothing to put it into: the device waits without spinning. */
	assert_true(vsock_rig_run(r));
	assert_int_equal(vsock_count(r->dev), 1);
	/* Its kicks are wanted now. */
	const uint16_t *used = (const uint16_t *)r->dev->vq[0].used_h;
	assert_int_equal(le16toh(used[0]), 0);
	vsock_rig_post(r, 1, 0);
	expect(r, VSOCK_OP_REQUEST, 9);
}

static void test_useless_buffers(void **state)
{
	struct vsock_rig *r = *state;
	AUTO_CLOSE int fd = vsock_rig_dial("vsock.sock");
	assert_int_equal(send(fd, "CONNECT 9\n", 10, 0), 10);
	r->keep = true;
	vsock_rig_post(r, 1, VSOCK_HDR_LEN);
	vsock_rig_post(r, 1, 8);
	vsock_rig_post(r, 1, VSOCK_HDR_LEN + 1);
	expect(r, VSOCK_OP_REQUEST, 9);
	expect_nothing(r);
}

static void test_round_robin(void **state)
{
	struct vsock_rig *r = *state;
	static uint8_t big[65536];
	struct vsock_hdr h;
	unsigned got[2] = {0, 0};
	AUTO_CLOSE int listener = vsock_rig_listen("vsock.sock_5");
	int peer[2];
	r->keep = true;
	for (uint32_t i = 0; i < 2; i++) {
		guest_connect(r, 100 + i, 5);
		vsock_rig_post(r, 1, 0);
		expect(r, VSOCK_OP_RESPONSE, 100 + i);
		peer[i] = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		assert_true(send(peer[i], big, sizeof(big), 0) > 8 * 4096);
	}
	assert_true(vsock_rig_run(r));
	for (int i = 0; i < 8; i++) {
		vsock_rig_post(r, 1, 0);
		assert_true(vsock_rig_recv(r, &h, NULL));
		assert_int_equal(h.op, VSOCK_OP_RW);
		got[h.dst_port - 100]++;
	}
	assert_int_equal(got[0], 4);
	assert_int_equal(got[1], 4);
	close(peer[0]);
	close(peer[1]);
}

/* One connection breaks its credit; its neighbour doesn't notice. */
static void test_credit_broken(void **state)
{
	struct vsock_rig *r = *state;
	static uint8_t piece[32768];
	char c;
	AUTO_CLOSE int listener = vsock_rig_listen("vsock.sock_5");
	for (uint32_t i = 0; i < 2; i++) {
		guest_connect(r, 100 + i, 5);
		expect(r, VSOCK_OP_RESPONSE, 100 + i);
	}
	struct vsock_hdr h = {0};
	unsigned sent = 0;
	while (h.op != VSOCK_OP_RST && sent < 100) {
		vsock_rig_send(r, VSOCK_OP_RW, 100, 5, 0, piece, sizeof(piece));
		sent++;
		vsock_rig_recv(r, &h, NULL);
	}
	/* The window and what the socket itself holds, no more. */
	assert_true(sent * sizeof(piece) > 256 * 1024 && sent < 60);
	assert_int_equal(vsock_count(r->dev), 1);
	vsock_rig_send(r, VSOCK_OP_RW, 101, 5, 0, "x", 1);
	close(accept4(listener, NULL, NULL, SOCK_CLOEXEC));
	AUTO_CLOSE int second = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_int_equal(recv(second, &c, 1, MSG_DONTWAIT), 1);
}

static void test_reset(void **state)
{
	struct vsock_rig *r = *state;
	AUTO_CLOSE int fd = vsock_rig_dial("vsock.sock");
	assert_int_equal(send(fd, "CONNECT 9\n", 10, 0), 10);
	guest_connect(r, 1, 1024);
	assert_true(vsock_rig_run(r));
	assert_int_equal(vsock_count(r->dev), 2);
	virtqueue_stop(&r->dev->vq[0]);
	virtqueue_stop(&r->dev->vq[1]);
	r->dev->ops->reset(r->dev);
	assert_int_equal(vsock_count(r->dev), 0);
	assert_true(closed(r, fd));
	assert_true(closed(r, r->control));
	/* Kicks of stopped queues do nothing. */
	r->dev->ops->queue_kick(r->dev, 0);
	r->dev->ops->queue_kick(r->dev, 1);
	assert_true(vsock_rig_run(r));
}

static void test_broken_queue(void **state)
{
	struct vsock_rig *r = *state;
	uint16_t *avail = r->dev->vq[1].avail_h;
	avail[1] = htole16(1000);
	r->dev->ops->queue_kick(r->dev, 1);
	assert_true(r->dev->needs_reset);
	AUTO_CLOSE int fd = vsock_rig_dial("vsock.sock");
	assert_int_equal(send(fd, "CONNECT 9\n", 10, 0), 10);
	expect_nothing(r);
	r->dev->ops->queue_kick(r->dev, 0);
	expect_nothing(r);
}

static unsigned open_fds(void)
{
	unsigned n = 0;
	DIR *d = opendir("/proc/self/fd");
	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void test_create_fails(void **state)
{
	struct vsock_rig *r = *state;
	struct virtio_dev *dev = NULL;
	unsigned before = open_fds();
	/* A regular file can't be watched. Both descriptors are taken over all the same. */
	struct vsock_config cfg = {
		.guest_cid = RIG_CID,
		.listen_fd = memfd_create("file", MFD_CLOEXEC),
		.control_fd = eventfd(0, EFD_CLOEXEC),
	};
	assert_int_equal(vsock_create(&dev, &r->loop, &cfg), -EPERM);
	assert_int_equal(open_fds(), before);
}

/* On a device without any connection, and whatever other programs do meanwhile. */
static void test_idle_handshake_expires(void **state)
{
	struct vsock_rig *r = *state;
	AUTO_CLOSE int fd = vsock_rig_dial("vsock.sock");
	char c;
	uint64_t end = io_now_ns() + 3200000000ull;
	ssize_t n = -1;
	while (n < 0 && io_now_ns() < end) {
		AUTO_CLOSE int other = vsock_rig_dial("vsock.sock");
		evloop_once(&r->loop, 100);
		close_fd(&other);
		poll(NULL, 0, 100);
		assert_true(vsock_rig_run(r));
		n = recv(fd, &c, 1, MSG_DONTWAIT);
	}
	assert_int_equal(n, 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define TE(f) cmocka_unit_test_setup_teardown(f, setup_event_idx, teardown)
#define TN(f) cmocka_unit_test_setup_teardown(f, setup_no_buffers, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_config),
		T(test_host_connects),
		TE(test_host_connects),
		T(test_host_refused),
		T(test_guest_connects),
		T(test_guest_connects_to_nobody),
		T(test_control_port),
		T(test_unknown_connection),
		T(test_wrong_headers),
		T(test_malformed),
		T(test_limit),
		TN(test_refusals_are_bounded),
		TN(test_no_buffers_then_some),
		TN(test_useless_buffers),
		TN(test_round_robin),
		T(test_credit_broken),
		T(test_reset),
		T(test_broken_queue),
		T(test_create_fails),
		T(test_idle_handshake_expires),
	};
	alarm(30);
	log_init("test", LOG_ERROR);
	return cmocka_run_group_tests_name("vsock", tests, NULL, NULL);
}
