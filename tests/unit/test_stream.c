// SPDX-License-Identifier: Apache-2.0
// test_stream.c - a command's pipes against its connection: credit, ends, no spinning
// links: init/stream.c init/held.c proto/frame.c
#include "stream.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct {
	struct evloop loop;
	struct frame_conn conn; /* never flushed: the test reads its queue */
	struct stream_in in;
	struct stream_out out;
	int theirs; /* the command's end of the pipe */
	unsigned calls;
	uint8_t big[PROTO_WINDOW + 1];
} t;

static void on_pipe(struct evsource *src, uint32_t events)
{
	(void)events;
	t.calls++;
	if (src == &t.in.src)
		assert_int_equal(stream_in_push(&t.in, &t.loop, &t.conn), 0);
	else
		assert_int_equal(stream_out_pull(&t.out, &t.loop, &t.conn), 0);
}

static int setup(bool in)
{
	int p[2];
	memset(&t, 0, sizeof(t));
	for (size_t i = 0; i < sizeof(t.big); i++)
		t.big[i] = (uint8_t)(i * 17 + i / 253);
	t.conn.fd = t.in.src.fd = t.out.src.fd = -1;
	if (evloop_init(&t.loop) < 0 || pipe2(p, O_CLOEXEC | O_NONBLOCK) < 0)
		return -1;
	t.in.window = PROTO_WINDOW;
	t.theirs = p[in ? 0 : 1];
	struct evsource *src = in ? &t.in.src : &t.out.src;
	*src = (struct evsource){.fd = p[in ? 1 : 0], .fn = on_pipe};
	t.out.id = MAYFLY__STREAM__STDOUT;
	t.out.credit = PROTO_WINDOW;
	return evloop_add(&t.loop, src, in ? 0 : EPOLLIN);
}

static int setup_in(void **state)
{
	(void)state;
	return setup(true);
}

static int setup_out(void **state)
{
	(void)state;
	return setup(false);
}

static int teardown(void **state)
{
	(void)state;
	stream_close(&t.in.src, &t.loop);
	stream_close(&t.out.src, &t.loop);
	close_fd(&t.theirs);
	free(t.in.buf);
	frame_conn_free(&t.conn);
	evloop_close(&t.loop);
	return 0;
}

static void run(void)
{
	for (int i = 0; i < 1000; i++)
		if (evloop_once(&t.loop, 0) <= 0)
			return;
	fail_msg("the event loop does not come to rest");
}

/* The next queued frame; the caller frees it. NULL if there is none. */
static Mayfly__Frame *queued(void)
{
	Mayfly__Frame *f = NULL;
	int64_t n = frame_decode(t.conn.out + t.conn.out_pos, t.conn.out_len - t.conn.out_pos, &f);
	assert_true(n >= 0);
	t.conn.out_pos += (size_t)n;
	return f;
}

static void expect_kind(Mayfly__Frame__BodyCase kind)
{
	Mayfly__Frame *f = queued();
	assert_non_null(f);
	assert_int_equal(f->body_case, kind);
	mayfly__frame__free_unpacked(f, NULL);
}

static uint32_t credit(void)
{
	Mayfly__Frame *f = queued();
	if (!f)
		return 0;
	assert_int_equal(f->body_case, MAYFLY__FRAME__BODY_CREDIT);
	assert_int_equal(f->credit->stream, MAYFLY__STREAM__STDIN);
	uint32_t n = f->credit->bytes;
	mayfly__frame__free_unpacked(f, NULL);
	return n;
}

static int push(void)
{
	return stream_in_push(&t.in, &t.loop, &t.conn);
}

static void test_in_small(void **state)
{
	(void)state;
	char buf[16] = "";
	assert_int_equal(stream_in_add(&t.in, (const uint8_t *)"hello", 5), 0);
	assert_int_equal(push(), 0);
	assert_int_equal(read(t.theirs, buf, sizeof(buf)), 5);
	assert_string_equal(buf, "hello");
	/* All is out: the credit comes back at once. */
	assert_int_equal(credit(), 5);
	assert_int_equal(credit(), 0);
	run();
	assert_int_equal(t.calls, 0);
}

static void test_in_slow_reader(void **state)
{
	(void)state;
	static uint8_t buf[65536];
	size_t got = 0;
	uint32_t back = 0;
	assert_int_equal(stream_in_add(&t.in, t.big, PROTO_WINDOW), 0);
	assert_int_equal(push(), 0);
	assert_true(t.in.len > 0);
	/* A byte over the window is a broken peer. */
	assert_int_equal(stream_in_add(&t.in, t.big, PROTO_WINDOW), -EPROTO);
	while (got < PROTO_WINDOW) {
		run();
		ssize_t n = read(t.theirs, buf, sizeof(buf));
		assert_true(n > 0);
		assert_memory_equal(buf, t.big + got, (size_t)n);
		got += (size_t)n;
		for (uint32_t c = credit(); c; c = credit())
			back += c;
		/* Never more than what has really left. */
		assert_true(back <= PROTO_WINDOW - t.in.len);
	}
	run();
	for (uint32_t c = credit(); c; c = credit())
		back += c;
	assert_int_equal(back, PROTO_WINDOW);
}

static void test_in_eof(void **state)
{
	(void)state;
	static uint8_t buf[PROTO_WINDOW];
	size_t got = 0;
	ssize_t n;
	assert_int_equal(stream_in_add(&t.in, t.big, 200000), 0);
	t.in.eof = true;
	assert_int_equal(push(), 0);
	/* Not before the last byte is out. */
	assert_true(t.in.src.fd >= 0);
	while (got < 200000) {
		n = read(t.theirs, buf, sizeof(buf));
		assert_true(n > 0);
		got += (size_t)n;
		run();
	}
	assert_int_equal(t.in.src.fd, -1);
	assert_int_equal(read(t.theirs, buf, 1), 0);
	assert_int_equal(stream_in_add(&t.in, t.big, 1), -EPROTO);
	assert_int_equal(push(), 0);
}

static void test_in_reader_gone(void **state)
{
	(void)state;
	assert_int_equal(stream_in_add(&t.in, t.big, 100000), 0);
	assert_int_equal(push(), 0);
	close_fd(&t.theirs);
	run();
	assert_int_equal(t.in.src.fd, -1);
	/* What was written before may have given credit first. */
	Mayfly__Frame *f = queued();
	while (f && f->body_case == MAYFLY__FRAME__BODY_CREDIT) {
		mayfly__frame__free_unpacked(f, NULL);
		f = queued();
	}
	assert_non_null(f);
	assert_int_equal(f->body_case, MAYFLY__FRAME__BODY_STREAM_CLOSED);
	mayfly__frame__free_unpacked(f, NULL);
	/* What still comes is dropped, without memory and without complaint. */
	assert_int_equal(stream_in_add(&t.in, t.big, PROTO_WINDOW), 0);
	assert_int_equal(push(), 0);
	assert_null(queued());
}

static void test_out_small(void **state)
{
	(void)state;
	assert_int_equal(write(t.theirs, "hello", 5), 5);
	run();
	Mayfly__Frame *f = queued();
	assert_int_equal(f->body_case, MAYFLY__FRAME__BODY_DATA);
	assert_int_equal(f->data->stream, MAYFLY__STREAM__STDOUT);
	assert_memory_equal(f->data->data.data, "hello", 5);
	mayfly__frame__free_unpacked(f, NULL);
	assert_int_equal(t.out.credit, PROTO_WINDOW - 5);
	close_fd(&t.theirs);
	run();
	expect_kind(MAYFLY__FRAME__BODY_EOF);
	assert_int_equal(t.out.src.fd, -1);
	assert_null(queued());
}

static void test_out_credit(void **state)
{
	(void)state;
	t.out.credit = 10;
	assert_int_equal(write(t.theirs, t.big, 1000), 1000);
	run();
	Mayfly__Frame *f = queued();
	assert_int_equal(f->data->data.len, 10);
	mayfly__frame__free_unpacked(f, NULL);
	assert_null(queued());
	assert_int_equal(t.out.credit, 0);
	/* Quiet until there is credit. */
	t.calls = 0;
	run();
	assert_int_equal(t.calls, 0);
	t.out.credit = 25;
	assert_int_equal(stream_out_pull(&t.out, &t.loop, &t.conn), 0);
	f = queued();
	assert_int_equal(f->data->data.len, 25);
	assert_memory_equal(f->data->data.data, t.big + 10, 25);
	mayfly__frame__free_unpacked(f, NULL);
}

static void test_out_full_queue(void **state)
{
	(void)state;
	size_t n = 0;
	t.out.credit = UINT32_MAX;
	while (frame_room(&t.conn)) {
		ssize_t w = write(t.theirs, t.big, 65536);
		run();
		assert_true(w > 0 && n++ < 100);
	}
	size_t before = t.conn.out_len;
	while (write(t.theirs, t.big, 4096) > 0)
		;
	t.calls = 0;
	run();
	assert_int_equal(t.calls, 0);
	assert_int_equal(t.conn.out_len, before);
	t.conn.out_pos = t.conn.out_len = 0;
	stream_out_watch(&t.out, &t.loop, &t.conn);
	assert_true(evloop_once(&t.loop, 0) > 0);
	assert_true(t.conn.out_len > 0);
}

/* The command is over, the host slow: nothing to do but wait. */
static void test_hangup_without_credit_is_quiet(void **state)
{
	(void)state;
	t.out.credit = 0;
	assert_int_equal(write(t.theirs, "rest", 4), 4);
	close_fd(&t.theirs);
	stream_out_watch(&t.out, &t.loop, &t.conn);
	for (int i = 0; i < 20; i++)
		evloop_once(&t.loop, 0);
	assert_true(t.calls <= 1);
	/* And nothing is lost. */
	t.out.credit = 100;
	stream_out_watch(&t.out, &t.loop, &t.conn);
	run();
	expect_kind(MAYFLY__FRAME__BODY_DATA);
	expect_kind(MAYFLY__FRAME__BODY_EOF);
}

#define I(f) cmocka_unit_test_setup_teardown(f, setup_in, teardown)
#define O(f) cmocka_unit_test_setup_teardown(f, setup_out, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		I(test_in_small),	I(test_in_slow_reader),
		I(test_in_eof),		I(test_in_reader_gone),
		O(test_out_small),	O(test_out_credit),
		O(test_out_full_queue), O(test_hangup_without_credit_is_quiet),
	};
	alarm(30);
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("stream", tests, NULL, NULL);
}
