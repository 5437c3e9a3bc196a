// SPDX-License-Identifier: Apache-2.0
// test_rng.c - the entropy device with a fake ring: sizes, odd chains, the rate, failure, reset
// links: runtime/virtio/rng.c runtime/virtio/virtio.c runtime/virtio/queue.c runtime/virtio/chain.c runtime/base/ratelimit.c runtime/vmm/gmem.c tests/lib/fake_guest.c
#include "virtio/rng.h"

#include "base/io.h"
#include "lib/fake_guest.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#define MEM (4u << 20)
#define QSIZE 128
#define KIB 1024u

struct rig {
	uint64_t start_ns;
	struct evloop loop;
	struct virtio_dev *dev;
	struct fake_guest g;
	struct fake_queue q;
};

static struct rig rig;

static int setup(void **state)
{
	struct rig *r = &rig;
	memset(r, 0, sizeof(*r));
	*state = r;
	r->start_ns = io_now_ns();
	if (evloop_init(&r->loop) < 0 || virtio_rng_create(&r->dev, &r->loop) < 0)
		return -1;
	if (fake_guest_init(&r->g, &r->dev->mem, MEM) < 0)
		return -1;
	return fake_queue_init(&r->q, &r->g, &r->dev->vq[0], QSIZE);
}

static int setup_event_idx(void **state)
{
	int ret = setup(state);
	rig.dev->vq[0].event_idx = true;
	return ret;
}

static int teardown(void **state)
{
	struct rig *r = *state;
	fake_queue_destroy(&r->q);
	gmem_clear(&r->dev->mem);
	virtio_rng_destroy(r->dev);
	fake_guest_destroy(&r->g);
	evloop_close(&r->loop);
	return 0;
}

static void kick(struct rig *r)
{
	r->dev->ops->queue_kick(r->dev, 0);
}

static uint8_t *ask(struct rig *r, size_t len)
{
	struct fake_buf b = {.in = true, .len = len};
	assert_true(fake_queue_add(&r->q, &b, 1) >= 0);
	return b.host;
}

/* The length of the next answer, -1 if there is none. */
static int64_t answer(struct rig *r)
{
	uint16_t head;
	uint32_t len;
	return fake_queue_used(&r->q, &head, &len) ? (int64_t)len : -1;
}

static int64_t wait_answer(struct rig *r)
{
	int64_t len;
	unsigned wakes = 0;
	while ((len = answer(r)) < 0) {
		assert_true(evloop_once(&r->loop, 5000) > 0);
		wakes++;
	}
	assert_in_range(wakes, 0, 3);
	return len;
}

/* What was let through since the start is no more than the bucket can have held. */
static void check_rate(struct rig *r, uint64_t cost)
{
	uint64_t ns = io_now_ns() - r->start_ns;
	assert_true(cost <= VIRTIO_RNG_BURST + ns / 1000 * VIRTIO_RNG_RATE / 1000000 + 2);
}

/* Asks until the device says nothing: that request waits. Returns how many did not. */
static unsigned drain_bucket(struct rig *r)
{
	unsigned n = 0;
	do {
		ask(r, 64 * KIB);
		kick(r);
		n++;
	} while (answer(r) == 64 * KIB);
	assert_in_range(n, 4, 20);
	return n - 1;
}

static void test_table(void **state)
{
	struct rig *r = *state;
	uint8_t buf[8];
	assert_int_equal(r->dev->ops->id, 4);
	assert_int_equal(r->dev->ops->num_queues, 1);
	assert_int_equal(r->dev->ops->features, 0);
	memset(buf, 0xff, sizeof(buf));
	r->dev->ops->get_config(r->dev, 0, buf, sizeof(buf));
	assert_memory_equal(buf, "\0\0\0\0\0\0\0\0", 8);
}

static void test_fills(void **state)
{
	struct rig *r = *state;
	unsigned zeros = 0;
	kick(r);
	assert_int_equal(answer(r), -1);
	uint8_t *a = ask(r, 64);
	uint8_t *b = ask(r, 1000);
	kick(r);
	assert_int_equal(answer(r), 64);
	assert_int_equal(answer(r), 1000);
	assert_true(fake_queue_interrupts(&r->q) > 0);
	assert_memory_not_equal(a, b, 64);
	for (int i = 0; i < 1000; i++)
		zeros += b[i] == 0;
	assert_true(zeros < 30);
}

/* All of the writable pieces, nothing of the others, nothing behind. */
static void test_pieces(void **state)
{
	struct rig *r = *state;
	static const char text[32] = "what the driver says is left";
	struct fake_buf b[5] = {
		{.data = text, .len = sizeof(text)},
		{.in = true, .len = 48},
		{.in = true, .len = 0},
		{.in = true, .len = 40},
		{.in = true, .len = 56},
	};
	assert_true(fake_queue_add(&r->q, b, 5) >= 0);
	uint8_t *behind = fake_guest_alloc(&r->g, 64, 8);
	kick(r);
	assert_int_equal(answer(r), 48 + 40 + 56);
	assert_memory_equal(b[0].host, text, sizeof(text));
	static const uint8_t none[64];
	assert_memory_not_equal(b[1].host + 40, none, 8);
	assert_memory_not_equal(b[3].host, none, 8);
	assert_memory_not_equal(b[4].host + 48, none, 8);
	assert_memory_equal(behind, none, 64);
}

static void test_capped(void **state)
{
	struct rig *r = *state;
	struct fake_buf b[2] = {{.in = true, .len = 40 * KIB}, {.in = true, .len = 60 * KIB}};
	assert_true(fake_queue_add(&r->q, b, 2) >= 0);
	kick(r);
	assert_int_equal(answer(r), VIRTIO_RNG_MAX_REQUEST);
	static const uint8_t none[36 * KIB];
	assert_memory_not_equal(b[1].host + 24 * KIB - 16, none, 16);
	assert_memory_equal(b[1].host + 24 * KIB, none, 36 * KIB);
}

static void test_nothing_writable(void **state)
{
	struct rig *r = *state;
	struct fake_buf b = {.data = "please", .len = 6};
	struct fake_buf empty = {.in = true, .len = 0};
	assert_true(fake_queue_add(&r->q, &b, 1) >= 0);
	assert_true(fake_queue_add(&r->q, &empty, 1) >= 0);
	kick(r);
	assert_int_equal(answer(r), 0);
	assert_int_equal(answer(r), 0);
	assert_false(r->dev->needs_reset);
}

/* Who asks for more than the burst waits, and gets it in the time that the rate says. */
static void test_rate(void **state)
{
	struct rig *r = *state;
	unsigned n = drain_bucket(r);
	/* The driver is asked not to kick; if it does, nothing happens. */
	uint16_t *used = (uint16_t *)gmem_ptr(&r->dev->mem, r->dev->vq[0].used, 2);
	assert_int_equal(*used, 1);
	kick(r);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(wait_answer(r), 64 * KIB);
		n++;
		check_rate(r, n * 64ull * KIB);
		assert_int_equal(*used, 0);
		ask(r, 64 * KIB);
		kick(r);
	}
	/* Three of them are 188 ms, not for ever. */
	assert_true(io_now_ns() - r->start_ns < 10 * 1000000000ull);
}

/* Requests of one byte, or of none, are no way around the rate, nor to keep the thread busy. */
static void test_tiny_requests(void **state)
{
	struct rig *r = *state;
	unsigned n = 0;
	struct fake_buf b = {.in = true, .len = 1};
	do {
		size_t mark = r->g.used;
		b.len = n % 2;
		assert_true(fake_queue_add(&r->q, &b, 1) >= 0);
		r->g.used = mark;
		kick(r);
		n++;
	} while (answer(r) >= 0);
	check_rate(r, (n - 1) * 64ull);
}

static void test_budget(void **state)
{
	struct rig *r = *state;
	unsigned n = 0;
	for (int i = 0; i < QSIZE; i++)
		ask(r, 1);
	kick(r);
	while (answer(r) == 1)
		n++;
	assert_in_range(n, 1, QSIZE - 1);
	/* The rest comes by itself, from the loop. */
	while (n < QSIZE) {
		assert_true(evloop_once(&r->loop, 5000) > 0);
		while (answer(r) == 1)
			n++;
	}
	evloop_once(&r->loop, 0);
	assert_int_equal(evloop_once(&r->loop, 0), 0);
}

static void test_broken(void **state)
{
	struct rig *r = *state;
	uint16_t *avail = (uint16_t *)gmem_ptr(&r->dev->mem, r->dev->vq[0].avail, 4);
	avail[1] = QSIZE + 1;
	kick(r);
	assert_true(r->dev->needs_reset);
	avail[1] = 0;
	ask(r, 64);
	kick(r);
	assert_int_equal(answer(r), -1);
}

/* A reset forgets the timer, not what was used: else it would be a way around the rate. */
static void test_reset(void **state)
{
	struct rig *r = *state;
	drain_bucket(r);
	fake_queue_destroy(&r->q);
	r->dev->ops->reset(r->dev);
	assert_int_equal(evloop_once(&r->loop, 100), 0);
	r->g.used = 0;
	assert_int_equal(fake_queue_init(&r->q, &r->g, &r->dev->vq[0], QSIZE), 0);
	for (int i = 0; i < 6; i++)
		ask(r, 64 * KIB);
	kick(r);
	unsigned n = 0;
	while (answer(r) >= 0)
		n++;
	assert_in_range(n, 1, 5);
	assert_int_equal(wait_answer(r), 64 * KIB);
}

/* The queue is gone without a reset when the timer fires: nothing happens. */
static void test_stopped_while_waiting(void **state)
{
	struct rig *r = *state;
	drain_bucket(r);
	virtqueue_stop(&r->dev->vq[0]);
	assert_int_equal(evloop_once(&r->loop, 5000), 1);
	assert_int_equal(evloop_once(&r->loop, 0), 0);
}

static int open_fds(void)
{
	int n = 0;
	DIR *d = opendir("/proc/self/fd");
	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void test_leaves_nothing(void **state)
{
	(void)state;
	int before = open_fds();
	for (int i = 0; i < 10; i++) {
		void *p;
		assert_int_equal(setup(&p), 0);
		drain_bucket(&rig);
		teardown(&p);
	}
	assert_int_equal(open_fds(), before);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_table),
		T(test_fills),
		T(test_pieces),
		T(test_capped),
		T(test_nothing_writable),
		T(test_rate),
		T(test_tiny_requests),
		T(test_budget),
		cmocka_unit_test_setup_teardown(test_budget, setup_event_idx, teardown),
		T(test_broken),
		T(test_reset),
		T(test_stopped_while_waiting),
		cmocka_unit_test(test_leaves_nothing),
	};
	log_init("test", LOG_ERROR);
	alarm(30);
	return cmocka_run_group_tests_name("rng", tests, NULL, NULL);
}
