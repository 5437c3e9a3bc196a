// SPDX-License-Identifier: Apache-2.0
// test_frame.c - agent frames: limits, versions, pieces, random bytes, a queue that is bounded
// links: proto/frame.c
#include "proto/frame.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "base/le.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

static struct {
	struct frame_conn c; /* reads and writes here */
	struct frame_conn o; /* builds bytes for it */
	int peer;
	uint8_t big[2 * PROTO_FRAME_MAX];
} t;

static int setup(void **state)
{
	int pair[2];
	(void)state;
	memset(&t.c, 0, sizeof(t.c));
	memset(&t.o, 0, sizeof(t.o));
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return -1;
	t.c.fd = pair[0];
	t.peer = pair[1];
	t.o.fd = -1;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	frame_conn_free(&t.c);
	frame_conn_free(&t.o);
	close_fd(&t.c.fd);
	close_fd(&t.peer);
	return 0;
}

/* A frame with this body, whatever it is. */
static size_t raw(uint8_t *buf, const void *body, size_t len)
{
	le32_put(buf, (uint32_t)len);
	if (len > 0)
		memcpy(buf + FRAME_HDR, body, len);
	return FRAME_HDR + len;
}

static int decode(const uint8_t *buf, size_t len)
{
	Mayfly__Frame *f = NULL;
	int64_t n = frame_decode(buf, len, &f);
	if (n > 0)
		mayfly__frame__free_unpacked(f, NULL);
	else
		assert_null(f);
	return (int)n;
}

/* Takes what there is; 1 with the frame's kind in *kind, as frame_next() otherwise. */
static int take(Mayfly__Frame__BodyCase *kind)
{
	Mayfly__Frame *f = NULL;
	int ret = frame_next(&t.c, &f);
	if (ret == 1) {
		*kind = f->body_case;
		mayfly__frame__free_unpacked(f, NULL);
	}
	return ret;
}

static void feed(const void *data, size_t len)
{
	assert_int_equal(send(t.peer, data, len, 0), len);
	assert_int_equal(frame_fill(&t.c), 1);
}

static void feed_queued(void)
{
	feed(t.o.out + t.o.out_pos, t.o.out_len - t.o.out_pos);
	t.o.out_pos = t.o.out_len = 0;
}

static void test_decode_partial(void **state)
{
	(void)state;
	assert_int_equal(frame_send_data(&t.o, MAYFLY__STREAM__STDERR, "hello", 5), 0);
	for (size_t i = 0; i < t.o.out_len; i++)
		assert_int_equal(decode(t.o.out, i), 0);
	assert_int_equal(decode(t.o.out, t.o.out_len), t.o.out_len);
	Mayfly__Frame *f = NULL;
	assert_true(frame_decode(t.o.out, t.o.out_len, &f) > 0);
	assert_int_equal(f->body_case, MAYFLY__FRAME__BODY_DATA);
	assert_int_equal(f->data->stream, MAYFLY__STREAM__STDERR);
	assert_int_equal(f->data->data.len, 5);
	assert_memory_equal(f->data->data.data, "hello", 5);
	mayfly__frame__free_unpacked(f, NULL);
}

static void test_decode_oversized(void **state)
{
	(void)state;
	const uint32_t sizes[] = {PROTO_FRAME_MAX + 1, 1u << 20, 1u << 31, UINT32_MAX};
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		le32_put(t.big, sizes[i]);
		/* Known from the length alone. */
		assert_int_equal(decode(t.big, FRAME_HDR), -EMSGSIZE);
	}
	le32_put(t.big, PROTO_FRAME_MAX);
	assert_int_equal(decode(t.big, FRAME_HDR), 0);
}

static void test_decode_malformed(void **state)
{
	(void)state;
	uint8_t buf[64];
	static const uint8_t unknown[] = {0xa2, 0x06, 1, 0}; /* field 100 */
	static const uint8_t truncated[] = {0x5a, 0x20, 1, 2};
	static const uint8_t bad_wire[] = {0x5f, 0x5f, 0x5f};
	static const uint8_t not_bytes[] = {0x58, 7}; /* data as a number */
	assert_int_equal(decode(buf, raw(buf, NULL, 0)), -EPROTO);
	assert_int_equal(decode(buf, raw(buf, unknown, sizeof(unknown))), -EPROTO);
	assert_int_equal(decode(buf, raw(buf, truncated, sizeof(truncated))), -EPROTO);
	assert_int_equal(decode(buf, raw(buf, bad_wire, sizeof(bad_wire))), -EPROTO);
	assert_int_equal(decode(buf, raw(buf, not_bytes, sizeof(not_bytes))), -EPROTO);
}

static void test_decode_data_limits(void **state)
{
	(void)state;
	assert_int_equal(frame_send_data(&t.o, 1, t.big, PROTO_DATA_MAX), 0);
	assert_true(decode(t.o.out, t.o.out_len) > 0);
	t.o.out_len = 0;
	assert_int_equal(frame_send_data(&t.o, 1, t.big, PROTO_DATA_MAX + 1), 0);
	assert_int_equal(decode(t.o.out, t.o.out_len), -EPROTO);
	t.o.out_len = 0;
	Mayfly__ExecWords w = MAYFLY__EXEC_WORDS__INIT;
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	f.body_case = MAYFLY__FRAME__BODY_EXEC_WORDS;
	f.exec_words = &w;
	w.data.data = t.big;
	w.data.len = PROTO_DATA_MAX + 1;
	assert_int_equal(frame_send(&t.o, &f), 0);
	assert_int_equal(decode(t.o.out, t.o.out_len), -EPROTO);
}

static void test_decode_groups_limit(void **state)
{
	(void)state;
	uint32_t groups[PROTO_GROUPS_MAX + 1] = {0};
	Mayfly__ExecStart s = MAYFLY__EXEC_START__INIT;
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	f.body_case = MAYFLY__FRAME__BODY_EXEC_START;
	f.exec_start = &s;
	s.group = groups;
	for (size_t n = PROTO_GROUPS_MAX; n <= PROTO_GROUPS_MAX + 1; n++) {
		s.n_group = n;
		t.o.out_len = 0;
		assert_int_equal(frame_send(&t.o, &f), 0);
		int ret = decode(t.o.out, t.o.out_len);
		assert_true(n == PROTO_GROUPS_MAX ? ret > 0 : ret == -EPROTO);
	}
}

static void test_decode_random(void **state)
{
	(void)state;
	uint32_t seed = 1;
	for (int i = 0; i < 20000; i++) {
		uint8_t buf[256];
		size_t len = (size_t)(i % 200);
		for (size_t k = 0; k < len; k++) {
			seed = seed * 1664525u + 1013904223u;
			buf[FRAME_HDR + k] = (uint8_t)(seed >> 24);
		}
		/* Mostly a plausible first field: otherwise it never gets deep. */
		if (len > 1 && i % 4)
			buf[FRAME_HDR] = (uint8_t)((1 + seed % 16) << 3 | 2);
		if (len > 2 && i % 4)
			buf[FRAME_HDR + 1] = (uint8_t)(len - 2);
		le32_put(buf, (uint32_t)len);
		int ret = decode(buf, FRAME_HDR + len);
		assert_true(ret == -EPROTO || ret == (int)(FRAME_HDR + len));
	}
}

static void test_hello_first(void **state)
{
	(void)state;
	Mayfly__Frame__BodyCase kind;
	assert_int_equal(take(&kind), 0);
	assert_int_equal(frame_send_hello(&t.o, "test"), 0);
	assert_int_equal(frame_send_eof(&t.o, MAYFLY__STREAM__STDIN), 0);
	feed_queued();
	assert_int_equal(take(&kind), 1);
	assert_int_equal(kind, MAYFLY__FRAME__BODY_HELLO);
	assert_int_equal(take(&kind), 1);
	assert_int_equal(kind, MAYFLY__FRAME__BODY_EOF);
	assert_int_equal(take(&kind), 0);
}

static void test_no_hello(void **state)
{
	(void)state;
	Mayfly__Frame__BodyCase kind;
	assert_int_equal(frame_send_eof(&t.o, MAYFLY__STREAM__STDIN), 0);
	feed_queued();
	assert_int_equal(take(&kind), -EPROTONOSUPPORT);
}

static void test_other_version(void **state)
{
	(void)state;
	Mayfly__Frame__BodyCase kind;
	Mayfly__Hello hello = MAYFLY__HELLO__INIT;
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	hello.version = PROTO_VERSION + 1;
	f.body_case = MAYFLY__FRAME__BODY_HELLO;
	f.hello = &hello;
	assert_int_equal(frame_send(&t.o, &f), 0);
	feed_queued();
	assert_int_equal(take(&kind), -EPROTONOSUPPORT);
}

static void test_second_hello(void **state)
{
	(void)state;
	Mayfly__Frame__BodyCase kind;
	for (int i = 0; i < 2; i++)
		assert_int_equal(frame_send_hello(&t.o, "test"), 0);
	feed_queued();
	assert_int_equal(take(&kind), 1);
	assert_int_equal(take(&kind), -EPROTO);
}

static void test_byte_by_byte(void **state)
{
	(void)state;
	Mayfly__Frame__BodyCase kind;
	unsigned got = 0;
	assert_int_equal(frame_send_hello(&t.o, "test"), 0);
	for (uint32_t i = 0; i < 20; i++)
		assert_int_equal(frame_send_credit(&t.o, MAYFLY__STREAM__STDOUT, i * 1000), 0);
	for (size_t i = 0; i < t.o.out_len; i++) {
		feed(t.o.out + i, 1);
		int ret = take(&kind);
		assert_true(ret == 0 || ret == 1);
		got += (unsigned)ret;
	}
	assert_int_equal(got, 21);
	assert_int_equal(frame_fill(&t.c), 0);
}

/* Many full frames: the buffer is filled again and again and never moves its limit. */
static void test_many_full_frames(void **state)
{
	(void)state;
	Mayfly__Frame *f = NULL;
	unsigned sent = 0;
	unsigned got = 0;
	assert_int_equal(frame_send_hello(&t.o, "test"), 0);
	t.o.fd = t.peer;
	while (got < 200) {
		while (sent < 200 && frame_room(&t.o)) {
			memset(t.big, (int)sent, PROTO_DATA_MAX);
			assert_int_equal(frame_send_data(&t.o, 1, t.big, PROTO_DATA_MAX), 0);
			sent++;
		}
		assert_true(frame_flush(&t.o) >= 0);
		assert_true(frame_fill(&t.c) >= 0);
		while (frame_next(&t.c, &f) == 1) {
			if (f->body_case == MAYFLY__FRAME__BODY_DATA) {
				assert_int_equal(f->data->data.len, PROTO_DATA_MAX);
				assert_int_equal(f->data->data.data[PROTO_DATA_MAX - 1],
						 (uint8_t)got);
				got++;
			}
			mayfly__frame__free_unpacked(f, NULL);
		}
	}
}

static void test_end_of_stream(void **state)
{
	(void)state;
	Mayfly__Frame__BodyCase kind;
	assert_int_equal(frame_fill(&t.c), 0);
	assert_int_equal(frame_send_hello(&t.o, "test"), 0);
	feed_queued();
	close_fd(&t.peer);
	assert_int_equal(frame_fill(&t.c), -ENODATA);
	/* What came before the end still counts. */
	assert_int_equal(take(&kind), 1);
}

static void test_garbage_ends_it(void **state)
{
	(void)state;
	Mayfly__Frame__BodyCase kind;
	memset(t.big, 0xff, 64);
	feed(t.big, 64);
	assert_int_equal(take(&kind), -EMSGSIZE);
}

static void test_queue_is_bounded(void **state)
{
	(void)state;
	unsigned n = 0;
	int ret = 0;
	while (frame_room(&t.o)) {
		assert_int_equal(frame_send_data(&t.o, 1, t.big, PROTO_DATA_MAX), 0);
		n++;
	}
	/* Half stays free for what must never wait. */
	assert_true(t.o.out_len <= FRAME_OUT_MAX / 2);
	assert_true(n >= 5);
	for (n = 0; ret == 0 && n < 1000000; n++)
		ret = frame_send_credit(&t.o, MAYFLY__STREAM__STDOUT, 77);
	assert_int_equal(ret, -ENOBUFS);
	assert_true(t.o.out_len <= FRAME_OUT_MAX);
	assert_true(t.o.out_cap <= FRAME_OUT_MAX);
	assert_true(n > 1000);
	assert_int_equal(frame_send_data(&t.o, 1, t.big, PROTO_FRAME_MAX), -EMSGSIZE);
}

static void test_flush_when_nobody_reads(void **state)
{
	(void)state;
	int small = 4096;
	setsockopt(t.c.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	for (int i = 0; i < 4; i++)
		assert_int_equal(frame_send_data(&t.c, 1, t.big, PROTO_DATA_MAX), 0);
	assert_int_equal(frame_flush(&t.c), 1);
	size_t left = t.c.out_len - t.c.out_pos;
	assert_true(left > 0);
	while (recv(t.peer, t.big, sizeof(t.big), MSG_DONTWAIT) > 0)
		;
	assert_true(frame_flush(&t.c) >= 0);
	assert_true(t.c.out_len - t.c.out_pos < left);
	close_fd(&t.peer);
	assert_true(frame_flush(&t.c) < 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_decode_partial),	     T(test_decode_oversized),
		T(test_decode_malformed),    T(test_decode_data_limits),
		T(test_decode_groups_limit), T(test_decode_random),
		T(test_hello_first),	     T(test_no_hello),
		T(test_other_version),	     T(test_second_hello),
		T(test_byte_by_byte),	     T(test_many_full_frames),
		T(test_end_of_stream),	     T(test_garbage_ends_it),
		T(test_queue_is_bounded),    T(test_flush_when_nobody_reads),
	};
	alarm(30);
	return cmocka_run_group_tests_name("frame", tests, NULL, NULL);
}
