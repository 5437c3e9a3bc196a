// SPDX-License-Identifier: Apache-2.0
// test_mmio.c - virtio-mmio registers, the status machine, queue set-up
// links: runtime/virtio/mmio.c runtime/virtio/virtio.c runtime/virtio/queue.c runtime/virtio/chain.c runtime/vmm/gmem.c tests/lib/mmio_rig.c
#include "lib/mmio_rig.h"

#include "base/checked.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define ALL_FEATURES (VIRTIO_CORE_FEATURES | MMIO_DEVICE_FEATURE)

static struct mmio_rig rig;

static int setup(void **state)
{
	mmio_rig_init(&rig);
	*state = &rig;
	return 0;
}

static int teardown(void **state)
{
	mmio_rig_destroy(*state);
	return 0;
}

/* Brings a fresh device to a status by the legal way. */
static void go_to(struct mmio_rig *r, uint32_t status)
{
	mmio_put(r, R_STATUS, 0);
	if (status & S_DRIVER_OK)
		mmio_rig_start(r, 0);
	else if (status & S_FEATURES_OK)
		mmio_rig_negotiate(r, 0);
	else
		mmio_put(r, R_STATUS, status & ~(uint32_t)S_FAILED);
	if (status & S_FAILED)
		mmio_put(r, R_STATUS, status);
	assert_int_equal(mmio_get(r, R_STATUS), status);
}

static void test_identity(void **state)
{
	struct mmio_rig *r = *state;
	assert_int_equal(mmio_get(r, R_MAGIC), 0x74726976);
	assert_int_equal(mmio_get(r, R_VERSION), 2);
	assert_int_equal(mmio_get(r, R_DEVICE_ID), VIRTIO_ID_VSOCK_DEV);
	uint32_t vendor = mmio_get(r, R_VENDOR_ID);
	assert_memory_equal(&vendor, "MFLY", 4);
	static const uint64_t words[] = {ALL_FEATURES & UINT32_MAX, ALL_FEATURES >> 32, 0, 0};
	static const uint32_t sels[] = {0, 1, 2, UINT32_MAX};
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		mmio_put(r, R_DEV_FEATURES_SEL, sels[i]);
		assert_int_equal(mmio_get(r, R_DEV_FEATURES), words[i]);
	}
	for (uint32_t id = 0; id < 3; id++) {
		mmio_put(r, R_SHM_SEL, id);
		for (uint64_t reg = R_SHM_LEN; reg < R_SHM_LEN + 16; reg += 4)
			assert_int_equal(mmio_get(r, reg), UINT32_MAX);
	}
	assert_int_equal(mmio_get(r, R_QUEUE_RESET), 0);
	assert_int_equal(mmio_get(r, R_STATUS), 0);
	assert_int_equal(mmio_get(r, R_IRQ_STATUS), 0);
}

static void test_legal_steps(void **state)
{
	struct mmio_rig *r = *state;
	static const uint32_t steps[] = {S_ACK, S_ACK | S_DRIVER, S_OPEN, S_RUNNING};
	mmio_put(r, R_DRV_FEATURES_SEL, 1);
	mmio_put(r, R_DRV_FEATURES, 1);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		mmio_put(r, R_STATUS, steps[i]);
		assert_int_equal(mmio_get(r, R_STATUS), steps[i]);
		mmio_put(r, R_STATUS, steps[i]);
		assert_int_equal(mmio_get(r, R_STATUS), steps[i]);
	}
	/* Several at once, as some firmware does it. */
	mmio_put(r, R_STATUS, 0);
	mmio_put(r, R_STATUS, S_ACK | S_DRIVER);
	assert_int_equal(mmio_get(r, R_STATUS), S_ACK | S_DRIVER);
}

static void test_illegal_steps(void **state)
{
	struct mmio_rig *r = *state;
	static const struct {
		uint32_t at, write;
	} rows[] = {
		{0, S_DRIVER},
		{0, S_FEATURES_OK},
		{0, S_DRIVER_OK},
		{0, S_NEEDS_RESET},
		{0, 0x10},
		{0, 0x20 | S_ACK},
		{0, 0x100},
		{S_ACK, S_DRIVER},
		{S_ACK, S_ACK | S_FEATURES_OK},
		{S_ACK, S_ACK | S_DRIVER_OK},
		{S_ACK, S_ACK | S_DRIVER | 0x10},
		{S_ACK, S_ACK | S_NEEDS_RESET},
		{S_ACK | S_DRIVER, S_ACK},
		{S_ACK | S_DRIVER, S_DRIVER},
		{S_ACK | S_DRIVER, S_FEATURES_OK},
		{S_ACK | S_DRIVER, S_ACK | S_DRIVER | S_DRIVER_OK},
		{S_OPEN, S_ACK | S_DRIVER},
		{S_OPEN, S_FEATURES_OK},
		{S_OPEN, S_DRIVER_OK},
		{S_OPEN, S_ACK | S_DRIVER | S_DRIVER_OK},
		{S_OPEN, S_RUNNING | 0x20},
		{S_RUNNING, S_OPEN},
		{S_RUNNING, S_ACK},
		{S_RUNNING, S_RUNNING | 0xff00},
		{S_FAILED, S_ACK},
		{S_FAILED | S_ACK, S_ACK},
		{S_FAILED | S_ACK, S_ACK | S_DRIVER},
		{S_FAILED | S_OPEN, S_RUNNING},
		{S_FAILED | S_OPEN, S_RUNNING | S_FAILED},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		go_to(r, rows[i].at);
		mmio_put(r, R_STATUS, rows[i].write);
		assert_int_equal(mmio_get(r, R_STATUS), rows[i].at);
		assert_int_equal(r->echo.dev.vq[0].started, (rows[i].at & S_DRIVER_OK) != 0);
	}
}

static void test_failed_at_any_time(void **state)
{
	struct mmio_rig *r = *state;
	static const uint32_t at[] = {0, S_ACK, S_ACK | S_DRIVER, S_OPEN, S_RUNNING};
	for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
		go_to(r, at[i]);
		mmio_put(r, R_STATUS, S_FAILED);
		assert_int_equal(mmio_get(r, R_STATUS), at[i] | S_FAILED);
		mmio_put(r, R_STATUS, 0);
		assert_int_equal(mmio_get(r, R_STATUS), 0);
	}
	/* A driver that gave up sets up nothing. */
	go_to(r, S_OPEN | S_FAILED);
	mmio_rig_queue(r, 0);
	assert_int_equal(mmio_get(r, R_QUEUE_READY), 0);
}

static void test_features(void **state)
{
	struct mmio_rig *r = *state;
	static const struct {
		uint64_t features;
		bool ok;
	} rows[] = {
		{VIRTIO_F_VERSION_1, true},
		{ALL_FEATURES, true},
		{0, false},
		{ALL_FEATURES & ~VIRTIO_F_VERSION_1, false},
		{VIRTIO_F_VERSION_1 | 1, false},
		{VIRTIO_F_VERSION_1 | 1ull << 33, false},
		{VIRTIO_F_VERSION_1 | 1ull << 40, false},
		{UINT64_MAX, false},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		go_to(r, S_ACK | S_DRIVER);
		/* Nothing is left of the last driver's. */
		mmio_put(r, R_STATUS, S_OPEN);
		assert_int_equal(mmio_get(r, R_STATUS), S_ACK | S_DRIVER);
		mmio_rig_features(r, rows[i].features);
		mmio_put(r, R_STATUS, S_OPEN);
		assert_int_equal(mmio_get(r, R_STATUS), rows[i].ok ? S_OPEN : S_ACK | S_DRIVER);
		/* The rest of a write that goes too far counts for nothing. */
		mmio_put(r, R_STATUS, S_RUNNING);
		assert_int_equal(mmio_get(r, R_STATUS), rows[i].ok ? S_RUNNING : S_ACK | S_DRIVER);
		if (rows[i].ok)
			assert_true(r->echo.dev.driver_features == rows[i].features);
		/* A driver may think again. */
		mmio_rig_features(r, VIRTIO_F_VERSION_1);
		mmio_put(r, R_STATUS, S_RUNNING);
		assert_int_equal(mmio_get(r, R_STATUS), S_RUNNING);
	}
}

static void test_features_are_final(void **state)
{
	struct mmio_rig *r = *state;
	mmio_rig_negotiate(r, VIRTIO_F_EVENT_IDX);
	mmio_rig_features(r, UINT64_MAX);
	mmio_rig_queue(r, 0);
	mmio_put(r, R_STATUS, S_RUNNING);
	mmio_rig_features(r, 0);
	assert_true(r->echo.dev.driver_features == (VIRTIO_F_VERSION_1 | VIRTIO_F_EVENT_IDX));
	assert_true(r->echo.dev.vq[0].event_idx);
	mmio_rig_start(r, 0);
	assert_false(r->echo.dev.vq[0].event_idx);
	/* Words beyond the second do not exist. */
	go_to(r, S_ACK | S_DRIVER);
	mmio_rig_features(r, VIRTIO_F_VERSION_1);
	mmio_put(r, R_DRV_FEATURES_SEL, 2);
	mmio_put(r, R_DRV_FEATURES, UINT32_MAX);
	mmio_put(r, R_STATUS, S_RUNNING);
	assert_true(r->echo.dev.driver_features == VIRTIO_F_VERSION_1);
}

static void test_write_only(void **state)
{
	struct mmio_rig *r = *state;
	static const uint64_t regs[] = {
		R_DEV_FEATURES_SEL, R_DRV_FEATURES, R_DRV_FEATURES_SEL, R_QUEUE_SEL,
		R_QUEUE_NUM,	    R_NOTIFY,	    R_IRQ_ACK,		R_DESC,
		R_DESC + 4,	    R_AVAIL,	    R_AVAIL + 4,	R_USED,
		R_USED + 4,	    R_SHM_SEL,
	};
	mmio_rig_negotiate(r, 0);
	for (size_t i = 0; i < ARRAY_SIZE(regs); i++) {
		mmio_put(r, regs[i], 1);
		assert_int_equal(mmio_get(r, regs[i]), 0);
	}
}

static void read_all(struct mmio_rig *r, uint32_t v[64])
{
	for (uint64_t reg = 0; reg < R_CONFIG; reg += 4)
		v[reg / 4] = mmio_get(r, reg);
}

/* What no driver may change: everything, while the device runs. */
static void test_read_only(void **state)
{
	struct mmio_rig *r = *state;
	static const uint32_t values[] = {1, 2, 0x80, 0x1000, 0xffffff7f, UINT32_MAX};
	uint32_t before[64], after[64];
	mmio_rig_start(r, 0);
	mmio_put(r, R_QUEUE_SEL, 0);
	const struct virtqueue vq = r->echo.dev.vq[0];
	read_all(r, before);
	for (uint64_t reg = 0; reg < R_CONFIG; reg += 4) {
		if (reg == R_STATUS || reg == R_QUEUE_SEL || reg == R_IRQ_ACK ||
		    reg == R_DEV_FEATURES_SEL)
			continue;
		for (size_t i = 0; i < ARRAY_SIZE(values); i++)
			mmio_put(r, reg, values[i]);
		read_all(r, after);
		assert_memory_equal(before, after, sizeof(before));
		assert_memory_equal(&vq, &r->echo.dev.vq[0], sizeof(vq));
	}
	mmio_rig_add(r, 0, "still", true);
	mmio_rig_run(r);
	assert_int_equal(mmio_rig_used(r, 0), 1);
}

static void test_register_widths(void **state)
{
	struct mmio_rig *r = *state;
	static const struct {
		uint64_t off;
		unsigned len;
	} rows[] = {{0, 1}, {0, 2}, {0, 8},    {1, 4},	  {2, 4},
		    {3, 4}, {2, 2}, {0xfc, 8}, {0xfe, 4}, {0xff, 1}};
	static const uint8_t zeros[8];
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint8_t buf[8];
		memset(buf, 0xee, sizeof(buf));
		virtio_mmio_read(&r->t, rows[i].off, buf, rows[i].len);
		assert_memory_equal(buf, zeros, rows[i].len);
		if (rows[i].len < 8)
			assert_int_equal(buf[rows[i].len], 0xee);
	}
	static const uint64_t v[2] = {1};
	static const unsigned lens[] = {1, 2, 8};
	mmio_rig_start(r, 0);
	mmio_rig_run(r);
	assert_int_equal(mmio_get(r, R_IRQ_STATUS), 1);
	unsigned kicks = r->echo.kicks[1];
	for (size_t i = 0; i < ARRAY_SIZE(lens); i++) {
		virtio_mmio_write(&r->t, R_STATUS, &v[1], lens[i]);
		virtio_mmio_write(&r->t, R_NOTIFY, &v[0], lens[i]);
		virtio_mmio_write(&r->t, R_IRQ_ACK, &v[0], lens[i]);
	}
	for (uint64_t off = R_STATUS - 3; off < R_STATUS + 4; off++)
		if (off != R_STATUS)
			virtio_mmio_write(&r->t, off, &v[1], 4);
	mmio_rig_run(r);
	assert_int_equal(mmio_get(r, R_STATUS), S_RUNNING);
	assert_int_equal(mmio_get(r, R_IRQ_STATUS), 1);
	assert_int_equal(r->echo.kicks[1], kicks);
}

static void test_missing_queues(void **state)
{
	struct mmio_rig *r = *state;
	static const uint32_t sels[] = {2, 3, 4, 255, 0x80000000, UINT32_MAX};
	mmio_rig_negotiate(r, 0);
	for (uint32_t q = 0; q < MMIO_QUEUES; q++) {
		mmio_put(r, R_QUEUE_SEL, q);
		assert_int_equal(mmio_get(r, R_QUEUE_NUM_MAX), VIRTIO_MMIO_QUEUE_SIZE);
	}
	for (size_t i = 0; i < ARRAY_SIZE(sels); i++) {
		mmio_put(r, R_QUEUE_SEL, sels[i]);
		assert_int_equal(mmio_get(r, R_QUEUE_NUM_MAX), 0);
		mmio_put(r, R_QUEUE_NUM, 8);
		mmio_put64(r, R_DESC, MMIO_GPA);
		mmio_put(r, R_QUEUE_READY, 1);
		assert_int_equal(mmio_get(r, R_QUEUE_READY), 0);
		mmio_put(r, R_NOTIFY, sels[i]);
	}
	assert_int_equal(virtio_mmio_kick_fd(&r->t, MMIO_QUEUES), -1);
	mmio_put(r, R_STATUS, S_RUNNING);
	assert_int_equal(mmio_get(r, R_STATUS), S_RUNNING);
	for (unsigned q = 0; q < VIRTIO_DEV_MAX_QUEUES; q++)
		assert_false(r->echo.dev.vq[q].started);
}

/* A queue that the driver does not want stays off, and its notifications are nothing. */
static void test_unused_queue(void **state)
{
	struct mmio_rig *r = *state;
	mmio_rig_negotiate(r, 0);
	mmio_rig_queue(r, 1);
	mmio_put(r, R_STATUS, S_RUNNING);
	assert_false(r->echo.dev.vq[0].started);
	assert_true(r->echo.dev.vq[1].started);
	mmio_put(r, R_NOTIFY, 0);
	mmio_rig_run(r);
	assert_int_equal(r->echo.kicks[0], 0);
	mmio_rig_add(r, 1, "x", true);
	mmio_rig_run(r);
	assert_int_equal(mmio_rig_used(r, 1), 1);
}

static void change_queue(struct mmio_rig *r)
{
	mmio_put(r, R_QUEUE_NUM, 4);
	mmio_put64(r, R_DESC, 0x1122334455667780);
	mmio_put64(r, R_AVAIL, 0x1122334455667780);
	mmio_put64(r, R_USED, 0x1122334455667780);
}

static void test_queue_registers_have_their_time(void **state)
{
	struct mmio_rig *r = *state;
	static const uint32_t closed[] = {0, S_ACK, S_ACK | S_DRIVER};
	for (size_t i = 0; i < ARRAY_SIZE(closed); i++) {
		go_to(r, closed[i]);
		change_queue(r);
		mmio_put(r, R_QUEUE_READY, 1);
		assert_int_equal(mmio_get(r, R_QUEUE_READY), 0);
		assert_int_equal(r->t.queue[0].num, 0);
		assert_true(r->t.queue[0].desc == 0 && r->t.queue[0].driver == 0 &&
			    r->t.queue[0].device == 0);
	}
	/* Open, but fixed while ready. */
	mmio_rig_negotiate(r, 0);
	mmio_rig_queue(r, 0);
	change_queue(r);
	assert_int_equal(r->t.queue[0].num, MMIO_QSIZE);
	assert_true(r->t.queue[0].desc == MMIO_GPA + MMIO_DESC(0));
	/* And open again. */
	mmio_put(r, R_QUEUE_READY, 0);
	assert_int_equal(mmio_get(r, R_QUEUE_READY), 0);
	change_queue(r);
	assert_int_equal(r->t.queue[0].num, 4);
	assert_true(r->t.queue[0].desc == 0x1122334455667780);
	assert_true(r->t.queue[0].driver == 0x1122334455667780);
	assert_true(r->t.queue[0].device == 0x1122334455667780);
	/* Only bit 0 of ready counts. */
	mmio_put(r, R_QUEUE_READY, 0xfffffffe);
	assert_int_equal(mmio_get(r, R_QUEUE_READY), 0);
}

static void test_queue_changes_after_driver_ok(void **state)
{
	struct mmio_rig *r = *state;
	mmio_rig_start(r, 0);
	mmio_put(r, R_QUEUE_SEL, 0);
	const struct virtqueue vq = r->echo.dev.vq[0];
	mmio_put(r, R_QUEUE_READY, 0);
	assert_int_equal(mmio_get(r, R_QUEUE_READY), 1);
	change_queue(r);
	mmio_put(r, R_STATUS, S_RUNNING);
	assert_memory_equal(&vq, &r->echo.dev.vq[0], sizeof(vq));
	assert_int_equal(r->t.queue[0].num, MMIO_QSIZE);
	assert_true(r->t.queue[0].desc == MMIO_GPA + MMIO_DESC(0));
	assert_true(r->t.queue[0].driver == MMIO_GPA + MMIO_AVAIL(0));
	assert_true(r->t.queue[0].device == MMIO_GPA + MMIO_USED(0));
	mmio_rig_add(r, 0, "same", true);
	mmio_rig_run(r);
	assert_int_equal(mmio_rig_used(r, 0), 1);
	/* A queue that was left out stays out. */
	mmio_rig_negotiate(r, 0);
	mmio_put(r, R_STATUS, S_RUNNING);
	mmio_rig_queue(r, 1);
	assert_int_equal(mmio_get(r, R_QUEUE_READY), 0);
	assert_false(r->echo.dev.vq[1].started);
}

static void test_bad_queues(void **state)
{
	struct mmio_rig *r = *state;
	const uint64_t end = MMIO_GPA + MMIO_MEM;
	const uint64_t d = MMIO_GPA + MMIO_DESC(1), a = MMIO_GPA + MMIO_AVAIL(1),
		       u = MMIO_GPA + MMIO_USED(1);
	const struct {
		uint32_t num;
		uint64_t desc, avail, used;
	} rows[] = {
		{0, d, a, u},
		{7, d, a, u},
		{VIRTIO_MMIO_QUEUE_SIZE * 2, d, a, u},
		{0x10000, d, a, u},
		{0x10008, d, a, u},
		{0x80000000, d, a, u},
		{8, 0, a, u},
		{8, d, 0, u},
		{8, d, a, 0},
		{8, d + 8, a, u},
		{8, d, a + 1, u},
		{8, d, a, u + 2},
		{8, end - 8 * 16 + 16, a, u},
		{8, d, end - 20, u},
		{8, d, a, end - 68},
		{8, UINT64_MAX - 15, a, u},
		{8, d, UINT64_MAX - 1, u},
		{8, d, a, UINT64_MAX - 3},
		{8, d | 1ull << 32, a, u},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		mmio_rig_negotiate(r, 0);
		mmio_rig_queue(r, 0);
		mmio_put(r, R_QUEUE_SEL, 1);
		mmio_put(r, R_QUEUE_NUM, rows[i].num);
		mmio_put64(r, R_DESC, rows[i].desc);
		mmio_put64(r, R_AVAIL, rows[i].avail);
		mmio_put64(r, R_USED, rows[i].used);
		mmio_put(r, R_QUEUE_READY, 1);
		unsigned kicks = r->echo.kicks[0];
		mmio_rig_interrupts(r);
		mmio_put(r, R_STATUS, S_RUNNING);
		assert_int_equal(mmio_get(r, R_STATUS), S_RUNNING | S_NEEDS_RESET);
		assert_int_equal(mmio_get(r, R_IRQ_STATUS), 2);
		assert_int_equal(mmio_rig_interrupts(r), 1);
		/* Nothing runs, not even the good one. */
		assert_false(r->echo.dev.vq[0].started || r->echo.dev.vq[1].started);
		mmio_rig_add(r, 0, "x", true);
		mmio_rig_run(r);
		assert_int_equal(r->echo.kicks[0], kicks);
		/* A driver that writes back what it read changes nothing. */
		mmio_put(r, R_STATUS, S_RUNNING | S_NEEDS_RESET);
		mmio_put(r, R_STATUS, S_RUNNING);
		assert_int_equal(mmio_get(r, R_STATUS), S_RUNNING | S_NEEDS_RESET);
	}
	mmio_rig_start(r, 0);
	assert_int_equal(mmio_get(r, R_STATUS), S_RUNNING);
}

/* The last bytes of memory are good for a ring. */
static void test_queue_at_the_end_of_memory(void **state)
{
	struct mmio_rig *r = *state;
	mmio_rig_negotiate(r, 0);
	mmio_put(r, R_QUEUE_SEL, 0);
	mmio_put(r, R_QUEUE_NUM, 8);
	mmio_put64(r, R_DESC, MMIO_GPA + MMIO_MEM - 128);
	mmio_put64(r, R_AVAIL, MMIO_GPA);
	mmio_put64(r, R_USED, MMIO_GPA + 64);
	mmio_put(r, R_QUEUE_READY, 1);
	mmio_put(r, R_STATUS, S_RUNNING);
	assert_int_equal(mmio_get(r, R_STATUS), S_RUNNING);
	assert_true(r->echo.dev.vq[0].started);
}

static void config_row(struct mmio_rig *r, uint64_t off, unsigned len)
{
	char want[8] = {0}, got[10];
	virtio_config_copy(r->echo.config, (uint32_t)strlen(r->echo.config), (uint32_t)off, want,
			   len);
	memset(got, 0x55, sizeof(got));
	virtio_mmio_read(&r->t, R_CONFIG + off, got, len);
	assert_memory_equal(got, want, len);
	assert_int_equal(got[len], 0x55);
}

static void test_config(void **state)
{
	struct mmio_rig *r = *state;
	static const unsigned lens[] = {1, 2, 4, 8};
	for (size_t i = 0; i < ARRAY_SIZE(lens); i++) {
		for (uint64_t off = 0; off < 20; off++)
			config_row(r, off, lens[i]);
		for (uint64_t off = 240; off < 264; off++)
			config_row(r, off, lens[i]);
		config_row(r, VIRTIO_MMIO_WINDOW - R_CONFIG - lens[i], lens[i]);
		virtio_mmio_write(&r->t, R_CONFIG, "overwrite", lens[i]);
		virtio_mmio_write(&r->t, VIRTIO_MMIO_WINDOW - lens[i], "overwrite", lens[i]);
		config_row(r, 0, 8);
	}
}

static void test_full_config_space(void **state)
{
	struct mmio_rig *r = *state;
	char big[VIRTIO_MMIO_CONFIG_SIZE + 9];
	memset(big, 'x', sizeof(big));
	big[VIRTIO_MMIO_CONFIG_SIZE + 8] = 0;
	r->echo.config = big;
	virtio_dev_config_changed(&r->echo.dev);
	assert_int_equal(mmio_get(r, R_CONFIG + VIRTIO_MMIO_CONFIG_SIZE - 4), 0x78787878);
	assert_int_equal(mmio_get(r, R_CONFIG + VIRTIO_MMIO_CONFIG_SIZE - 2), 0x7878);
	assert_int_equal(mmio_get(r, R_CONFIG + VIRTIO_MMIO_CONFIG_SIZE), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_identity),
		T(test_legal_steps),
		T(test_illegal_steps),
		T(test_failed_at_any_time),
		T(test_features),
		T(test_features_are_final),
		T(test_write_only),
		T(test_read_only),
		T(test_register_widths),
		T(test_missing_queues),
		T(test_unused_queue),
		T(test_queue_registers_have_their_time),
		T(test_queue_changes_after_driver_ok),
		T(test_bad_queues),
		T(test_queue_at_the_end_of_memory),
		T(test_config),
		T(test_full_config_space),
	};
	alarm(30);
	log_init("test", LOG_ERROR);
	return cmocka_run_group_tests_name("mmio", tests, NULL, NULL);
}
