// SPDX-License-Identifier: Apache-2.0
// test_blk.c - the disk device on io_uring and on threads: data, bounds, flush, holes, floods,
// reset
#include "lib/blk_rig.h"

#include "base/checked.h"
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { IN = 0, OUT = 1, FLUSH = 4, ID = 8, DISCARD = 11, ZEROES = 13 };
#define SECTORS (BLK_RIG_SIZE / BLK_SECTOR)

static struct blk_rig rig;

static int setup_uring(void **state)
{
	*state = &rig;
	return blk_rig_init(&rig, false, NULL);
}

static int setup_threads(void **state)
{
	*state = &rig;
	return blk_rig_init(&rig, true, NULL);
}

static int setup_ro(void **state)
{
	struct virtio_blk_options o = {.read_only = true};
	*state = &rig;
	return blk_rig_init(&rig, false, &o);
}

static int setup_queues(void **state)
{
	struct virtio_blk_options o = {.queues = 4};
	*state = &rig;
	return blk_rig_init(&rig, false, &o);
}

static int teardown(void **state)
{
	blk_rig_destroy(*state);
	return 0;
}

static void fill(uint8_t *p, size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(seed + i * 7 + (i >> 9));
}

static void test_config(void **state)
{
	struct blk_rig *r = *state;
	uint8_t c[64];
	uint64_t capacity;
	uint32_t seg_max;
	r->dev->ops->get_config(r->dev, 0, c, sizeof(c));
	memcpy(&capacity, c, 8);
	memcpy(&seg_max, c + 12, 4);
	assert_int_equal(capacity, SECTORS);
	assert_int_equal(seg_max, BLK_IO_MAX_IOV - 2);
	assert_int_equal(c[60], 0);
	assert_true(r->dev->ops->features & VIRTIO_BLK_F_FLUSH);
	assert_false(r->dev->ops->features & (VIRTIO_BLK_F_RO | VIRTIO_BLK_F_MQ));
}

static void test_write_and_read(void **state)
{
	struct blk_rig *r = *state;
	static uint8_t data[128 * 1024], seen[sizeof(data)];
	uint8_t *got;
	fill(data, sizeof(data), 1);
	assert_int_equal(blk_rig_do(r, OUT, 8, data, sizeof(data), NULL), BLK_OK);
	assert_int_equal(pread(r->fd, seen, sizeof(seen), 8 * 512), sizeof(seen));
	assert_memory_equal(seen, data, sizeof(data));
	assert_int_equal(blk_rig_do(r, IN, 8, NULL, sizeof(data), &got), BLK_OK);
	assert_memory_equal(got, data, sizeof(data));
	/* The last sector, and nothing at all. */
	assert_int_equal(blk_rig_do(r, OUT, SECTORS - 1, data, 512, NULL), BLK_OK);
	assert_int_equal(blk_rig_do(r, IN, SECTORS, NULL, 0, NULL), BLK_OK);
	assert_true(fake_queue_interrupts(&r->q[0]) > 0);
}

static void test_outside(void **state)
{
	struct blk_rig *r = *state;
	static const struct {
		uint64_t sector;
		size_t len;
	} bad[] = {
		{SECTORS, 512},	   {SECTORS - 1, 1024},	    {UINT64_MAX, 512},
		{1ull << 55, 512}, {UINT64_MAX / 512, 512}, {0, 100},
		{0, 513},	   {SECTORS + 1, 0},
	};
	static uint8_t data[1024], seen[512];
	struct stat st;
	memset(data, 0xaa, sizeof(data));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(blk_rig_do(r, OUT, bad[i].sector, data, bad[i].len, NULL),
				 BLK_IOERR);
		assert_int_equal(blk_rig_do(r, IN, bad[i].sector, NULL, bad[i].len, NULL),
				 BLK_IOERR);
	}
	assert_int_equal(fstat(r->fd, &st), 0);
	assert_int_equal(st.st_size, BLK_RIG_SIZE);
	assert_int_equal(st.st_blocks, 0);
	assert_int_equal(pread(r->fd, seen, 512, BLK_RIG_SIZE - 512), 512);
	assert_int_equal(seen[0], 0);
	assert_int_equal(blk_rig_do(r, 99, 0, NULL, 512, NULL), BLK_UNSUPP);
}

static void test_flush_and_id(void **state)
{
	struct blk_rig *r = *state;
	uint8_t *got;
	assert_int_equal(blk_rig_do(r, FLUSH, 0, NULL, 0, NULL), BLK_OK);
	assert_int_equal(blk_rig_do(r, ID, 0, NULL, BLK_ID_LEN, &got), BLK_OK);
	assert_string_equal((char *)got, "rig");
	/* Less room than the id has. */
	assert_int_equal(blk_rig_do(r, ID, 0, NULL, 2, &got), BLK_OK);
	assert_memory_equal(got, "ri", 2);
}

struct range {
	uint64_t sector;
	uint32_t sectors, flags;
};

static int range(struct blk_rig *r, uint32_t type, uint64_t sector, uint32_t n, uint32_t flags)
{
	struct range g = {sector, n, flags};
	return blk_rig_do(r, type, 0, &g, sizeof(g), NULL);
}

static void test_holes(void **state)
{
	struct blk_rig *r = *state;
	static uint8_t data[1 << 20];
	struct stat st;
	uint8_t *got;
	fill(data, sizeof(data), 3);
	assert_int_equal(blk_rig_do(r, OUT, 0, data, sizeof(data), NULL), BLK_OK);
	assert_int_equal(range(r, DISCARD, 0, 1024, 0), BLK_OK);
	assert_int_equal(fstat(r->fd, &st), 0);
	assert_int_equal(st.st_blocks, 1024);
	assert_int_equal(range(r, ZEROES, 1024, 512, 1), BLK_OK);
	assert_int_equal(fstat(r->fd, &st), 0);
	assert_int_equal(st.st_blocks, 512);
	/* Without the right to unmap, on a file system that can only do that: written zeros. */
	assert_int_equal(range(r, ZEROES, 1536, 256, 0), BLK_OK);
	assert_int_equal(fstat(r->fd, &st), 0);
	assert_int_equal(st.st_blocks, 512);
	assert_int_equal(blk_rig_do(r, IN, 0, NULL, sizeof(data), &got), BLK_OK);
	for (size_t i = 0; i < 1792 * 512; i++)
		assert_int_equal(got[i], 0);
	assert_memory_equal(got + 1792 * 512, data + 1792 * 512, 256 * 512);
	/* All of the disk at once: more than one write's worth of zeros. */
	assert_int_equal(range(r, ZEROES, 0, SECTORS, 0), BLK_OK);
}

static void test_bad_ranges(void **state)
{
	struct blk_rig *r = *state;
	struct range two[2] = {{0, 1, 0}, {1, 1, 0}};
	assert_int_equal(range(r, DISCARD, SECTORS, 1, 0), BLK_IOERR);
	assert_int_equal(range(r, DISCARD, UINT64_MAX, 1, 0), BLK_IOERR);
	assert_int_equal(range(r, ZEROES, 0, UINT32_MAX, 0), BLK_IOERR);
	assert_int_equal(range(r, ZEROES, SECTORS - 1, 2, 1), BLK_IOERR);
	assert_int_equal(range(r, DISCARD, 0, 1, 1), BLK_UNSUPP);
	assert_int_equal(range(r, ZEROES, 0, 1, 2), BLK_UNSUPP);
	assert_int_equal(blk_rig_do(r, DISCARD, 0, two, sizeof(two), NULL), BLK_IOERR);
	assert_int_equal(blk_rig_do(r, DISCARD, 0, two, 7, NULL), BLK_IOERR);
	assert_int_equal(blk_rig_do(r, DISCARD, 0, NULL, 0, NULL), BLK_IOERR);
	r->dev->driver_features &= ~(VIRTIO_BLK_F_DISCARD | VIRTIO_BLK_F_WRITE_ZEROES);
	assert_int_equal(range(r, DISCARD, 0, 1, 0), BLK_UNSUPP);
	assert_int_equal(range(r, ZEROES, 0, 1, 0), BLK_UNSUPP);
}

static void test_read_only(void **state)
{
	struct blk_rig *r = *state;
	uint8_t data[512] = {1};
	struct stat st;
	/* Whatever the driver says it took. */
	for (int i = 0; i < 2; i++) {
		assert_int_equal(blk_rig_do(r, OUT, 0, data, sizeof(data), NULL), BLK_IOERR);
		assert_int_equal(range(r, DISCARD, 0, 1, 0), BLK_IOERR);
		assert_int_equal(range(r, ZEROES, 0, 1, 0), BLK_IOERR);
		assert_int_equal(blk_rig_do(r, IN, 0, NULL, 512, NULL), BLK_OK);
		assert_int_equal(blk_rig_do(r, FLUSH, 0, NULL, 0, NULL), BLK_OK);
		r->dev->driver_features = 0;
	}
	assert_int_equal(fstat(r->fd, &st), 0);
	assert_int_equal(st.st_blocks, 0);
}

/* More than there are slots, in one go, then again: each is answered once. */
static void test_flood(void **state)
{
	struct blk_rig *r = *state;
	static uint8_t data[4096];
	for (unsigned round = 0; round < 20; round++) {
		unsigned n = 0;
		r->g.used = r->g.size / 2;
		for (;; n++) {
			fill(data, sizeof(data), n);
			bool write = n % 2 == 0;
			struct blk_rig_request q = blk_rig_add(r, 0, write ? OUT : IN, n / 2 * 8,
							       write ? data : NULL, sizeof(data));
			if (q.head < 0)
				break;
		}
		assert_in_range(n, 40, BLK_RIG_QSIZE);
		blk_rig_kick(r, 0);
		assert_true(blk_rig_wait(r, 0, n));
	}
	assert_false(r->dev->needs_reset);
}

static void test_four_queues(void **state)
{
	struct blk_rig *r = *state;
	uint8_t data[512];
	struct blk_rig_request req[4];
	assert_true(r->dev->ops->features & VIRTIO_BLK_F_MQ);
	for (unsigned q = 0; q < 4; q++) {
		memset(data, (int)q + 1, sizeof(data));
		req[q] = blk_rig_add(r, q, OUT, q, data, sizeof(data));
		blk_rig_kick(r, q);
	}
	for (unsigned q = 0; q < 4; q++) {
		assert_true(blk_rig_wait(r, q, 1));
		assert_int_equal(*req[q].status, BLK_OK);
		assert_int_equal(pread(r->fd, data, 1, q * 512), 1);
		assert_int_equal(data[0], q + 1);
		assert_true(fake_queue_interrupts(&r->q[q]) > 0);
	}
}

/* A file that was cut by somebody else is an error, and the next request is served. */
static void test_cut_file(void **state)
{
	struct blk_rig *r = *state;
	assert_int_equal(ftruncate(r->fd, 4096), 0);
	assert_int_equal(blk_rig_do(r, IN, 0, NULL, 8192, NULL), BLK_IOERR);
	assert_int_equal(blk_rig_do(r, IN, 0, NULL, 4096, NULL), BLK_OK);
}

static void test_many_pieces(void **state)
{
	struct blk_rig *r = *state;
	struct {
		uint32_t type, reserved;
		uint64_t sector;
	} header = {IN, 0, 0};
	for (unsigned pieces = 100; pieces <= 126; pieces += 26) {
		struct fake_buf b[128] = {{.data = &header, .len = sizeof(header)}};
		r->g.used = r->g.size / 2;
		for (unsigned i = 1; i <= pieces; i++)
			b[i] = (struct fake_buf){.in = true, .len = i % 2 ? 256 : 768};
		b[pieces + 1] = (struct fake_buf){.in = true, .len = 1};
		assert_true(fake_queue_add(&r->q[0], b, pieces + 2) >= 0);
		blk_rig_kick(r, 0);
		assert_true(blk_rig_wait(r, 0, 1));
		assert_int_equal(*b[pieces + 1].host, BLK_OK);
	}
}

static void test_unframed(void **state)
{
	struct blk_rig *r = *state;
	uint8_t half[8] = {0};
	struct fake_buf b[2] = {{.data = half, .len = sizeof(half)}, {.in = true, .len = 1}};
	assert_true(fake_queue_add(&r->q[0], b, 2) >= 0);
	blk_rig_kick(r, 0);
	assert_true(r->dev->needs_reset);
	/* What a transport does when the driver resets the device. */
	virtio_dev_quiesce(r->dev);
	fake_queue_destroy(&r->q[0]);
	r->dev->needs_reset = false;
	r->dev->ops->reset(r->dev);
	r->g.used = 0;
	assert_int_equal(fake_queue_init(&r->q[0], &r->g, &r->dev->vq[0], BLK_RIG_QSIZE), 0);
	assert_int_equal(blk_rig_do(r, IN, 0, NULL, 512, NULL), BLK_OK);
}

/* Requests that are under way when the queue has to stop are answered before it does. */
static void test_quiesce(void **state)
{
	struct blk_rig *r = *state;
	static uint8_t data[65536];
	unsigned n = 0;
	uint16_t head;
	uint32_t len;
	for (; n < 30; n++)
		assert_true(blk_rig_add(r, 0, OUT, n * 128, data, sizeof(data)).head >= 0);
	blk_rig_kick(r, 0);
	virtio_dev_quiesce(r->dev);
	for (unsigned i = 0; i < n; i++)
		assert_true(fake_queue_used(&r->q[0], &head, &len));
	assert_true(fake_queue_interrupts(&r->q[0]) > 0);
}

/* Without the flush feature every write has to be on the disk when it is answered. */
static void test_write_through(void **state)
{
	struct blk_rig *r = *state;
	uint8_t data[512] = {7};
	r->dev->driver_features &= ~VIRTIO_BLK_F_FLUSH;
	assert_int_equal(blk_rig_do(r, OUT, 0, data, sizeof(data), NULL), BLK_OK);
	assert_int_equal(range(r, ZEROES, 0, 1, 0), BLK_OK);
}

static void test_bad_options(void **state)
{
	struct virtio_blk_options o = {.size = 1000, .queues = 1, .serial = ""};
	struct virtio_dev *dev;
	struct evloop loop;
	(void)state;
	assert_int_equal(evloop_init(&loop), 0);
	assert_int_equal(virtio_blk_create(&dev, &loop, &o), -EINVAL);
	o.size = 1024;
	o.queues = 0;
	assert_int_equal(virtio_blk_create(&dev, &loop, &o), -EINVAL);
	o.queues = VIRTIO_DEV_MAX_QUEUES + 1;
	assert_int_equal(virtio_blk_create(&dev, &loop, &o), -EINVAL);
	evloop_close(&loop);
}

#define BOTH(f)                                                                                    \
	{#f " (io_uring)", f, setup_uring, teardown, NULL},                                        \
	{                                                                                          \
#f " (threads)", f, setup_threads, teardown, NULL                                  \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(test_config),
		BOTH(test_write_and_read),
		BOTH(test_outside),
		BOTH(test_flush_and_id),
		BOTH(test_holes),
		BOTH(test_bad_ranges),
		BOTH(test_flood),
		BOTH(test_cut_file),
		BOTH(test_many_pieces),
		BOTH(test_unframed),
		BOTH(test_quiesce),
		BOTH(test_write_through),
		cmocka_unit_test_setup_teardown(test_read_only, setup_ro, teardown),
		cmocka_unit_test_setup_teardown(test_four_queues, setup_queues, teardown),
		cmocka_unit_test(test_bad_options),
	};
	return cmocka_run_group_tests_name("blk", tests, NULL, NULL);
}
