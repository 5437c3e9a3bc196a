// SPDX-License-Identifier: Apache-2.0
// test_console.c - the console device with fake rings: both ways, full buffers, the rate, reset
// links: runtime/virtio/console.c runtime/virtio/virtio.c runtime/virtio/queue.c runtime/virtio/chain.c runtime/base/ratelimit.c runtime/vmm/gmem.c tests/lib/fake_guest.c
#include "virtio/console.h"

#include "base/checked.h"
#include "base/io.h"
#include "lib/fake_guest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define MEM (8u << 20)
#define QSIZE 128
#define HOST_MAX (4u << 20)
enum { RXQ, TXQ };

struct rig {
	struct virtio_transport transport;
	struct evloop loop;
	struct virtio_dev *dev;
	struct fake_guest g;
	struct fake_queue rx, tx;
	size_t room; /* what the host still takes */
	size_t host_len;
	unsigned out_calls, rooms, config_changes;
	uint64_t start_ns;
	uint8_t host[HOST_MAX];
};

static struct rig rig;

static size_t take_out(void *arg, const void *data, size_t len)
{
	struct rig *r = arg;
	size_t n = MIN(MIN(len, r->room), HOST_MAX - r->host_len);
	memcpy(r->host + r->host_len, data, n);
	r->host_len += n;
	r->room -= n;
	r->out_calls++;
	return n;
}

static void count_room(void *arg)
{
	((struct rig *)arg)->rooms++;
}

static void count_change(struct virtio_transport *t)
{
	container_of(t, struct rig, transport)->config_changes++;
}

static void start_queues(struct rig *r)
{
	r->g.used = 0;
	assert_int_equal(fake_queue_init(&r->rx, &r->g, &r->dev->vq[RXQ], QSIZE), 0);
	assert_int_equal(fake_queue_init(&r->tx, &r->g, &r->dev->vq[TXQ], QSIZE), 0);
}

static int setup(void **state)
{
	struct rig *r = &rig;
	memset(r, 0, sizeof(*r));
	r->room = SIZE_MAX;
	r->start_ns = io_now_ns();
	struct virtio_console_io io = {
		.arg = r, .out = take_out, .room = count_room, .cols = 80, .rows = 25};
	if (evloop_init(&r->loop) < 0 || virtio_console_create(&r->dev, &r->loop, &io) < 0)
		return -1;
	r->transport.config_changed = count_change;
	if (fake_guest_init(&r->g, &r->dev->mem, MEM) < 0)
		return -1;
	start_queues(r);
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct rig *r = *state;
	fake_queue_destroy(&r->rx);
	fake_queue_destroy(&r->tx);
	gmem_clear(&r->dev->mem);
	virtio_console_destroy(r->dev);
	fake_guest_destroy(&r->g);
	evloop_close(&r->loop);
	return 0;
}

static void kick(struct rig *r, unsigned q)
{
	r->dev->ops->queue_kick(r->dev, q);
}

static void say(struct rig *r, const char *text)
{
	struct fake_buf b = {.data = text, .len = strlen(text)};
	assert_true(fake_queue_add(&r->tx, &b, 1) >= 0);
	kick(r, TXQ);
}

/* Chains that the device has given back: the length of the next, -1 if there is none. */
static int64_t used(struct fake_queue *q)
{
	uint16_t head;
	uint32_t len;
	return fake_queue_used(q, &head, &len) ? (int64_t)len : -1;
}

static uint8_t *post(struct rig *r, size_t len)
{
	struct fake_buf b = {.in = true, .len = len};
	assert_true(fake_queue_add(&r->rx, &b, 1) >= 0);
	return b.host;
}

static void heard(struct rig *r, const char *text)
{
	assert_int_equal(r->host_len, strlen(text));
	assert_memory_equal(r->host, text, r->host_len);
}

static void test_config(void **state)
{
	struct rig *r = *state;
	uint8_t buf[16];
	assert_int_equal(r->dev->ops->id, 3);
	assert_int_equal(r->dev->ops->num_queues, 2);
	assert_int_equal(r->dev->ops->features, 1);
	r->dev->ops->get_config(r->dev, 0, buf, sizeof(buf));
	assert_memory_equal(buf, "\x50\0\x19\0\1\0\0\0\0\0\0\0\0\0\0\0", 16);
	r->dev->ops->get_config(r->dev, 2, buf, 2);
	assert_memory_equal(buf, "\x19\0", 2);
	virtio_console_resize(r->dev, 300, 100);
	r->dev->transport = &r->transport;
	virtio_console_resize(r->dev, 300, 101);
	assert_int_equal(r->config_changes, 1);
	r->dev->ops->get_config(r->dev, 0, buf, 4);
	assert_memory_equal(buf, "\x2c\1\x65\0", 4);
	r->dev->transport = NULL;
}

static void test_output(void **state)
{
	struct rig *r = *state;
	kick(r, TXQ);
	say(r, "hello ");
	assert_int_equal(used(&r->tx), 0);
	assert_int_equal(fake_queue_interrupts(&r->tx), 2);
	struct fake_buf b[4] = {
		{.data = "wo", .len = 2},
		{.data = "", .len = 0},
		{.data = "rld", .len = 3},
		{.in = true, .len = 8},
	};
	assert_true(fake_queue_add(&r->tx, b, 4) >= 0);
	say(r, "!");
	heard(r, "hello world!");
	assert_int_equal(used(&r->tx), 0);
	assert_int_equal(used(&r->tx), 0);
	assert_memory_equal(b[3].host, "\0\0\0\0\0\0\0\0", 8);
	/* Nothing readable at all. */
	assert_true(fake_queue_add(&r->tx, b + 3, 1) >= 0);
	kick(r, TXQ);
	assert_int_equal(used(&r->tx), 0);
	heard(r, "hello world!");
}

/* A host without room: the rest stays in the guest's queue, and comes once, in order. */
static void test_output_blocked(void **state)
{
	struct rig *r = *state;
	r->room = 3;
	say(r, "abcdef");
	heard(r, "abc");
	assert_int_equal(used(&r->tx), -1);
	unsigned calls = r->out_calls;
	say(r, "ghi");
	assert_int_equal(r->out_calls, calls);
	uint16_t *flags = (uint16_t *)gmem_ptr(&r->dev->mem, r->dev->vq[TXQ].used, 2);
	assert_int_equal(*flags, 1);
	r->room = 2;
	virtio_console_resume(r->dev);
	heard(r, "abcde");
	assert_int_equal(used(&r->tx), -1);
	/* Resumed too early. */
	virtio_console_resume(r->dev);
	heard(r, "abcde");
	r->room = SIZE_MAX;
	virtio_console_resume(r->dev);
	heard(r, "abcdefghi");
	assert_int_equal(used(&r->tx), 0);
	assert_int_equal(used(&r->tx), 0);
	assert_int_equal(*flags, 0);
	virtio_console_resume(r->dev);
	heard(r, "abcdefghi");
}

/* The driver makes the chain shorter while it waits: what is left of it is nothing. */
static void test_chain_shrinks(void **state)
{
	struct rig *r = *state;
	r->room = 4;
	say(r, "abcdef");
	uint8_t *desc = gmem_ptr(&r->dev->mem, r->dev->vq[TXQ].desc, 16);
	desc[8] = 2;
	r->room = SIZE_MAX;
	virtio_console_resume(r->dev);
	heard(r, "abcd");
	assert_int_equal(used(&r->tx), 0);
	say(r, "gh");
	heard(r, "abcdgh");
}

/* More than a call does at once, and more than fits a piece. */
static void test_large_output(void **state)
{
	struct rig *r = *state;
	static uint8_t text[700 * 1024];
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)(i * 7 + i / 251);
	struct fake_buf b[2] = {
		{.data = text, .len = 5},
		{.data = text + 5, .len = sizeof(text) - 5},
	};
	assert_true(fake_queue_add(&r->tx, b, 2) >= 0);
	kick(r, TXQ);
	assert_in_range(r->host_len, 1, sizeof(text) - 1);
	for (int i = 0; i < 10 && r->host_len < sizeof(text); i++)
		assert_true(evloop_once(&r->loop, 5000) > 0);
	assert_int_equal(r->host_len, sizeof(text));
	assert_memory_equal(r->host, text, sizeof(text));
	assert_int_equal(used(&r->tx), 0);
	assert_int_equal(used(&r->tx), -1);
}

/* What was let through since the start is no more than the bucket can have held. */
static void check_rate(struct rig *r, uint64_t cost)
{
	uint64_t ns = io_now_ns() - r->start_ns;
	assert_true(cost <= VIRTIO_CONSOLE_BURST + ns / 1000 * VIRTIO_CONSOLE_RATE / 1000000 + 5);
}

static void test_rate(void **state)
{
	struct rig *r = *state;
	static uint8_t text[3u << 20];
	struct fake_buf b = {.data = text, .len = sizeof(text)};
	assert_true(fake_queue_add(&r->tx, &b, 1) >= 0);
	kick(r, TXQ);
	unsigned wakes = 0;
	while (r->host_len < sizeof(text)) {
		assert_true(evloop_once(&r->loop, 5000) > 0);
		check_rate(r, r->host_len);
		wakes++;
		if (wakes % 16 == 0)
			kick(r, TXQ);
	}
	/* It sleeps in between: a piece at a time is 512. */
	assert_in_range(wakes, 1, 600);
	/* 2 MiB beyond the burst are half a second, not for ever. */
	assert_true(io_now_ns() - r->start_ns < 10 * 1000000000ull);
}

/* A host that takes a byte at a time is not charged for what it refused. */
static void test_slow_host_is_not_charged(void **state)
{
	struct rig *r = *state;
	static uint8_t text[64 * 1024];
	struct fake_buf b = {.data = text, .len = sizeof(text)};
	r->room = 0;
	assert_true(fake_queue_add(&r->tx, &b, 1) >= 0);
	kick(r, TXQ);
	for (int i = 0; i < 2000; i++) {
		r->room = 1;
		virtio_console_resume(r->dev);
		/* By the bytes offered, 8 MiB, it would stop soon. */
		assert_int_equal(r->host_len, i + 1);
	}
}

/* Empty chains are no way to keep the thread busy. */
static void test_empty_chains(void **state)
{
	struct rig *r = *state;
	struct fake_buf b = {.data = "", .len = 0};
	uint64_t n = 0;
	do {
		assert_true(fake_queue_add(&r->tx, &b, 1) >= 0);
		kick(r, TXQ);
		n++;
	} while (used(&r->tx) >= 0);
	check_rate(r, (n - 1) * 16);
	assert_int_equal(r->out_calls, 0);
}

static void test_input(void **state)
{
	struct rig *r = *state;
	uint8_t *a = post(r, 4);
	uint8_t *b = post(r, 100);
	kick(r, RXQ);
	assert_int_equal(used(&r->rx), -1);
	assert_int_equal(virtio_console_input(r->dev, "abcdefg", 7), 7);
	assert_int_equal(used(&r->rx), 4);
	assert_int_equal(used(&r->rx), 3);
	assert_memory_equal(a, "abcd", 4);
	assert_memory_equal(b, "efg", 4);
	assert_true(fake_queue_interrupts(&r->rx) > 0);
	/* No buffer: the device asks to be kicked, and keeps it. */
	assert_int_equal(virtio_console_input(r->dev, "later", 5), 5);
	uint16_t *flags = (uint16_t *)gmem_ptr(&r->dev->mem, r->dev->vq[RXQ].used, 2);
	assert_int_equal(*flags, 0);
	a = post(r, 100);
	kick(r, RXQ);
	assert_int_equal(used(&r->rx), 5);
	assert_memory_equal(a, "later", 6);
	assert_int_equal(r->rooms, 0);
}

static void test_input_odd_chains(void **state)
{
	struct rig *r = *state;
	struct fake_buf readable = {.data = "mine", .len = 4};
	struct fake_buf b[3] = {
		{.data = "mine", .len = 4}, {.in = true, .len = 2}, {.in = true, .len = 2}};
	assert_true(fake_queue_add(&r->rx, &readable, 1) >= 0);
	assert_true(fake_queue_add(&r->rx, b, 3) >= 0);
	assert_int_equal(virtio_console_input(r->dev, "xyz", 3), 3);
	assert_int_equal(used(&r->rx), 0);
	assert_int_equal(used(&r->rx), 3);
	assert_memory_equal(b[0].host, "mine", 4);
	assert_memory_equal(b[1].host, "xy", 2);
	assert_memory_equal(b[2].host, "z", 2);
	assert_memory_equal(readable.host, "mine", 4);
}

static void test_input_full(void **state)
{
	struct rig *r = *state;
	static uint8_t text[VIRTIO_CONSOLE_INPUT_MAX + 10];
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)(i * 3 + i / 256);
	/* The ring's ends don't meet its start. */
	uint8_t *a = post(r, 1000);
	assert_int_equal(virtio_console_input(r->dev, text, 1000), 1000);
	assert_int_equal(used(&r->rx), 1000);
	assert_int_equal(virtio_console_input(r->dev, text, sizeof(text)),
			 VIRTIO_CONSOLE_INPUT_MAX);
	assert_int_equal(virtio_console_input(r->dev, text, 1), 0);
	assert_int_equal(r->rooms, 0);
	a = post(r, 10);
	kick(r, RXQ);
	assert_int_equal(used(&r->rx), 10);
	assert_int_equal(r->rooms, 1);
	assert_int_equal(virtio_console_input(r->dev, text + VIRTIO_CONSOLE_INPUT_MAX, 10), 10);
	uint8_t *b = post(r, 2 * VIRTIO_CONSOLE_INPUT_MAX);
	kick(r, RXQ);
	assert_int_equal(used(&r->rx), VIRTIO_CONSOLE_INPUT_MAX);
	assert_memory_equal(a, text, 10);
	assert_memory_equal(b, text + 10, VIRTIO_CONSOLE_INPUT_MAX);
	assert_int_equal(r->rooms, 1);
	/* With buffers there, one call takes more than the ring holds. */
	post(r, 2 * VIRTIO_CONSOLE_INPUT_MAX);
	post(r, 2 * VIRTIO_CONSOLE_INPUT_MAX);
	assert_int_equal(virtio_console_input(r->dev, text, sizeof(text)), sizeof(text));
}

/* Keys typed before there is a driver, or between two. */
static void test_input_outlives_reset(void **state)
{
	struct rig *r = *state;
	fake_queue_destroy(&r->rx);
	fake_queue_destroy(&r->tx);
	assert_int_equal(virtio_console_input(r->dev, "early", 5), 5);
	r->dev->ops->reset(r->dev);
	start_queues(r);
	uint8_t *a = post(r, 100);
	kick(r, RXQ);
	assert_int_equal(used(&r->rx), 5);
	assert_memory_equal(a, "early", 6);
}

/* Buffers of no use, more of them than a call looks at: the loop goes on by itself. */
static void test_input_budget(void **state)
{
	struct rig *r = *state;
	struct fake_buf b = {.in = true, .len = 0};
	unsigned n = 0;
	for (int i = 0; i < QSIZE - 1; i++)
		assert_true(fake_queue_add(&r->rx, &b, 1) >= 0);
	uint8_t *a = post(r, 1);
	virtio_console_input(r->dev, "k", 1);
	while (used(&r->rx) == 0)
		n++;
	assert_in_range(n, 1, QSIZE - 2);
	/* Output does not wait for that for long. */
	say(r, "text");
	for (int i = 0; i < 4 && (*a == 0 || r->host_len == 0); i++)
		assert_true(evloop_once(&r->loop, 5000) > 0);
	assert_int_equal(*a, 'k');
	heard(r, "text");
}

/* After a reset the new driver's first chain is not taken for the rest of the old one's. */
static void test_reset_midway(void **state)
{
	struct rig *r = *state;
	r->room = 3;
	say(r, "abcdef");
	fake_queue_destroy(&r->rx);
	fake_queue_destroy(&r->tx);
	r->dev->ops->reset(r->dev);
	start_queues(r);
	r->room = SIZE_MAX;
	say(r, "123456");
	heard(r, "abc");
	virtio_console_resume(r->dev);
	heard(r, "abc123456");
}

static void test_reset_while_waiting(void **state)
{
	struct rig *r = *state;
	static uint8_t text[3u << 20];
	struct fake_buf b = {.data = text, .len = sizeof(text)};
	assert_true(fake_queue_add(&r->tx, &b, 1) >= 0);
	kick(r, TXQ);
	for (int i = 0; i < 8; i++)
		assert_true(evloop_once(&r->loop, 5000) > 0);
	fake_queue_destroy(&r->rx);
	fake_queue_destroy(&r->tx);
	r->dev->ops->reset(r->dev);
	assert_int_equal(evloop_once(&r->loop, 100), 0);
	start_queues(r);
	r->host_len = 0;
	say(r, "new");
	while (r->host_len == 0)
		assert_true(evloop_once(&r->loop, 5000) > 0);
	heard(r, "new");
}

static void break_queue(struct rig *r, unsigned q)
{
	uint16_t *avail = (uint16_t *)gmem_ptr(&r->dev->mem, r->dev->vq[q].avail, 4);
	avail[1] = QSIZE + 1;
	virtio_console_input(r->dev, "x", 1);
	kick(r, q);
	assert_true(r->dev->needs_reset);
	/* Nothing more in either direction. */
	say(r, "text");
	post(r, 10);
	assert_int_equal(virtio_console_input(r->dev, "y", 1), 1);
	virtio_console_resume(r->dev);
	kick(r, RXQ);
	assert_int_equal(used(&r->rx), -1);
	assert_int_equal(r->host_len, 0);
}

static void test_broken_rx(void **state)
{
	break_queue(*state, RXQ);
}

static void test_broken_tx(void **state)
{
	break_queue(*state, TXQ);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_config),
		T(test_output),
		T(test_output_blocked),
		T(test_chain_shrinks),
		T(test_large_output),
		T(test_rate),
		T(test_slow_host_is_not_charged),
		T(test_empty_chains),
		T(test_input),
		T(test_input_odd_chains),
		T(test_input_full),
		T(test_input_outlives_reset),
		T(test_input_budget),
		T(test_reset_midway),
		T(test_reset_while_waiting),
		T(test_broken_rx),
		T(test_broken_tx),
	};
	log_init("test", LOG_ERROR);
	alarm(30);
	return cmocka_run_group_tests_name("console", tests, NULL, NULL);
}
