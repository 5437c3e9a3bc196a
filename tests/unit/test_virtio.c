// SPDX-License-Identifier: Apache-2.0
// test_virtio.c - what all devices share: start state, failure, config space reads
// links: runtime/virtio/virtio.c runtime/virtio/queue.c runtime/virtio/chain.c runtime/vmm/gmem.c tests/lib/fake_guest.c
#include "virtio/virtio.h"

#include "lib/fake_guest.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const struct virtio_dev_ops ops = {.name = "test", .num_queues = 2};
static struct virtio_dev dev;

static void test_init(void **state)
{
	(void)state;
	struct evloop loop;
	memset(&dev, 0xff, sizeof(dev));
	virtio_dev_init(&dev, &ops, &loop);
	assert_ptr_equal(dev.ops, &ops);
	assert_ptr_equal(dev.loop, &loop);
	assert_int_equal(dev.mem.n, 0);
	assert_false(dev.needs_reset);
	for (unsigned i = 0; i < VIRTIO_DEV_MAX_QUEUES; i++) {
		assert_ptr_equal(dev.vq[i].mem, &dev.mem);
		assert_int_equal(dev.vq[i].call_fd, -1);
		assert_false(dev.vq[i].started);
	}
}

static void test_fail(void **state)
{
	(void)state;
	struct fake_guest g;
	struct fake_queue q;
	static struct chain c;
	struct fake_buf b = {.data = "x", .len = 1};
	virtio_dev_init(&dev, &ops, NULL);
	assert_int_equal(fake_guest_init(&g, &dev.mem, 65536), 0);
	assert_int_equal(fake_queue_init(&q, &g, &dev.vq[0], 8), 0);
	assert_true(fake_queue_add(&q, &b, 1) >= 0);
	virtio_dev_fail(&dev, "a test");
	assert_true(dev.needs_reset);
	assert_int_equal(virtqueue_pop(&dev.vq[0], &c), 0);
	fake_queue_destroy(&q);
	fake_guest_destroy(&g);
}

static unsigned told_reset, told_config;

static void on_needs_reset(struct virtio_transport *t)
{
	assert_ptr_equal(t, dev.transport);
	told_reset++;
}

static void on_config_changed(struct virtio_transport *t)
{
	assert_ptr_equal(t, dev.transport);
	told_config++;
}

static void test_transport_hears(void **state)
{
	(void)state;
	struct virtio_transport t = {on_needs_reset, on_config_changed};
	virtio_dev_init(&dev, &ops, NULL);
	assert_null(dev.transport);
	virtio_dev_ask_reset(&dev);
	virtio_dev_config_changed(&dev);
	dev.transport = &t;
	virtio_dev_ask_reset(&dev);
	assert_false(dev.needs_reset);
	assert_int_equal(told_reset, 1);
	virtio_dev_fail(&dev, "a test");
	assert_true(dev.needs_reset);
	assert_int_equal(told_reset, 2);
	assert_int_equal(told_config, 0);
	virtio_dev_config_changed(&dev);
	assert_int_equal(told_config, 1);
}

static void test_config_copy(void **state)
{
	(void)state;
	static const uint8_t config[6] = {1, 2, 3, 4, 5, 6};
	uint8_t buf[8];
	for (uint32_t off = 0; off < 10; off++) {
		memset(buf, 0xee, sizeof(buf));
		virtio_config_copy(config, sizeof(config), off, buf, 4);
		for (uint32_t i = 0; i < 4; i++)
			assert_int_equal(buf[i], off + i < 6 ? off + i + 1 : 0);
		assert_int_equal(buf[4], 0xee);
	}
	virtio_config_copy(config, sizeof(config), UINT32_MAX, buf, 4);
	assert_memory_equal(buf, "\0\0\0\0", 4);
	virtio_config_copy(config, sizeof(config), 0, buf, 0);
	assert_memory_equal(buf, "\0\0\0\0", 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_init),
		cmocka_unit_test(test_fail),
		cmocka_unit_test(test_transport_hears),
		cmocka_unit_test(test_config_copy),
	};
	alarm(30);
	log_init("test", LOG_ERROR);
	return cmocka_run_group_tests_name("virtio", tests, NULL, NULL);
}
