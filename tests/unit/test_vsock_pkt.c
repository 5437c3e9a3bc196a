// SPDX-License-Identifier: Apache-2.0
// test_vsock_pkt.c - vsock headers: layout, and every header that must be refused
// links: runtime/virtio/vsock_pkt.c runtime/virtio/chain.c runtime/vmm/gmem.c
#include "virtio/vsock_pkt.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define CID 3

static struct chain c;
static uint8_t raw[VSOCK_HDR_LEN + VSOCK_MAX_PAYLOAD + 16];

/* The readable chain of len bytes of raw, cut into two pieces at cut. */
static void chain_of(size_t len, size_t cut)
{
	memset(&c, 0, sizeof(c));
	c.out_len = len;
	c.n_out = 2;
	c.iov[0] = (struct iovec){raw, cut};
	c.iov[1] = (struct iovec){raw + cut, len - cut};
}

static struct vsock_hdr good(void)
{
	return (struct vsock_hdr){
		.src_cid = CID,
		.dst_cid = VSOCK_HOST_CID,
		.src_port = 0x01020304,
		.dst_port = 0x05060708,
		.type = VSOCK_TYPE_STREAM,
		.op = VSOCK_OP_RW,
		.buf_alloc = 0x11121314,
		.fwd_cnt = 0x21222324,
	};
}

static int read_it(struct vsock_hdr h, size_t payload)
{
	struct vsock_hdr out;
	memcpy(raw, &h, sizeof(h));
	chain_of(VSOCK_HDR_LEN + payload, 20);
	return vsock_pkt_read(&c, CID, &out);
}

static void test_layout(void **state)
{
	(void)state;
	static const uint8_t wire[VSOCK_HDR_LEN] = {
		3,    0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, /* cids */
		0xff, 3, 0, 0, 0, 4, 0, 0,			   /* ports 1023, 1024 */
		5,    0, 0, 0, 1, 0, 5, 0, 9, 0, 0, 0,		   /* len, type, op, flags */
		0,    0, 4, 0, 7, 0, 0, 0,			   /* buf_alloc, fwd_cnt */
	};
	struct vsock_hdr h;
	memcpy(raw, wire, sizeof(wire));
	for (size_t cut = 0; cut <= VSOCK_HDR_LEN; cut++) {
		chain_of(VSOCK_HDR_LEN + 5, cut);
		assert_int_equal(vsock_pkt_read(&c, CID, &h), 0);
		assert_int_equal(h.src_port, 1023);
		assert_int_equal(h.dst_port, 1024);
		assert_int_equal(h.len, 5);
		assert_int_equal(h.op, VSOCK_OP_RW);
		assert_int_equal(h.flags, 9);
		assert_int_equal(h.buf_alloc, 0x40000);
		assert_int_equal(h.fwd_cnt, 7);
	}
	uint8_t back[VSOCK_HDR_LEN];
	memset(&c, 0, sizeof(c));
	c.in_len = sizeof(back);
	c.n_in = 1;
	c.iov[0] = (struct iovec){back, sizeof(back)};
	assert_int_equal(vsock_pkt_write(&c, &h), 0);
	assert_memory_equal(back, wire, sizeof(wire));
	c.in_len = c.iov[0].iov_len = sizeof(back) - 1;
	assert_int_equal(vsock_pkt_write(&c, &h), -EFAULT);
}

static void test_lengths(void **state)
{
	(void)state;
	struct vsock_hdr h = good();
	assert_int_equal(read_it(h, 0), 0);
	h.len = 100;
	assert_int_equal(read_it(h, 100), 0);
	assert_int_equal(read_it(h, 200), 0);
	assert_int_equal(read_it(h, 99), -EPROTO);
	h.len = VSOCK_MAX_PAYLOAD;
	assert_int_equal(read_it(h, VSOCK_MAX_PAYLOAD), 0);
	h.len = VSOCK_MAX_PAYLOAD + 1;
	assert_int_equal(read_it(h, VSOCK_MAX_PAYLOAD + 1), -EPROTO);
	h.len = UINT32_MAX;
	assert_int_equal(read_it(h, 100), -EPROTO);
	/* No whole header. */
	chain_of(VSOCK_HDR_LEN - 1, 10);
	assert_int_equal(vsock_pkt_read(&c, CID, &h), -EPROTO);
	chain_of(0, 0);
	assert_int_equal(vsock_pkt_read(&c, CID, &h), -EPROTO);
}

static void test_payload_of_others(void **state)
{
	(void)state;
	for (uint16_t op = 0; op < 10; op++) {
		struct vsock_hdr h = good();
		h.op = op;
		h.len = 1;
		assert_int_equal(read_it(h, 1), op == VSOCK_OP_RW ? 0 : -EPROTO);
	}
}

static void test_to_be_refused(void **state)
{
	(void)state;
	struct vsock_hdr h = good();
	h.src_cid = CID + 1;
	assert_int_equal(read_it(h, 0), -EINVAL);
	h = good();
	h.src_cid = VSOCK_HOST_CID;
	assert_int_equal(read_it(h, 0), -EINVAL);
	h = good();
	h.src_cid |= 1ull << 32;
	assert_int_equal(read_it(h, 0), -EINVAL);
	h = good();
	h.dst_cid = 1;
	assert_int_equal(read_it(h, 0), -EINVAL);
	h = good();
	h.dst_cid |= 1ull << 63;
	assert_int_equal(read_it(h, 0), -EINVAL);
	h = good();
	h.type = 2;
	assert_int_equal(read_it(h, 0), -EINVAL);
	for (unsigned op = 0; op <= UINT16_MAX; op++) {
		h = good();
		h.op = (uint16_t)op;
		assert_int_equal(read_it(h, 0), op >= 1 && op <= 7 ? 0 : -EINVAL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layout),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_payload_of_others),
		cmocka_unit_test(test_to_be_refused),
	};
	alarm(30);
	return cmocka_run_group_tests_name("vsock_pkt", tests, NULL, NULL);
}
