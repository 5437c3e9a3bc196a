// SPDX-License-Identifier: Apache-2.0
// test_queue.c - available and used ring, interrupts and kicks, rings that break the rules
// links: runtime/virtio/queue.c runtime/virtio/chain.c runtime/vmm/gmem.c tests/lib/fake_guest.c
#include "lib/fake_guest.h"
#include "virtio/queue.h"

#include <endian.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define QSIZE 8

struct rig {
	struct gmem mem;
	struct virtqueue vq;
	struct fake_guest g;
	struct fake_queue q;
	struct chain c;
};

static struct rig rig;

static int setup(void **state)
{
	memset(&rig, 0, sizeof(rig));
	rig.vq = (struct virtqueue){.mem = &rig.mem, .call_fd = -1};
	*state = &rig;
	if (fake_guest_init(&rig.g, &rig.mem, 1 << 20) < 0)
		return -1;
	return fake_queue_init(&rig.q, &rig.g, &rig.vq, QSIZE);
}

static int teardown(void **state)
{
	struct rig *r = *state;
	fake_queue_destroy(&r->q);
	fake_guest_destroy(&r->g);
	return 0;
}

static uint16_t *ring(struct rig *r, struct gpa at)
{
	return (uint16_t *)gmem_ptr(&r->mem, at, 2);
}

static int add_one(struct rig *r, const char *text)
{
	struct fake_buf b = {.data = text, .len = strlen(text)};
	return fake_queue_add(&r->q, &b, 1);
}

static void test_start_checks(void **state)
{
	struct rig *r = *state;
	struct virtqueue good = r->vq;
	const uint16_t sizes[] = {0, 3, 12, 2048, 0xffff};
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct virtqueue vq = good;
		vq.size = sizes[i];
		vq.started = false;
		assert_int_equal(virtqueue_start(&vq, 0), -EINVAL);
		assert_false(vq.started);
	}
	struct virtqueue vq = good;
	vq.desc.v += 8;
	assert_int_equal(virtqueue_start(&vq, 0), -EINVAL);
	vq = good;
	vq.avail.v += 1;
	assert_int_equal(virtqueue_start(&vq, 0), -EINVAL);
	vq = good;
	vq.used.v += 2;
	assert_int_equal(virtqueue_start(&vq, 0), -EINVAL);
}

static void test_start_outside(void **state)
{
	struct rig *r = *state;
	uint64_t end = FAKE_GUEST_BASE + r->g.size;
	struct virtqueue good = r->vq;
	good.started = false;
	struct virtqueue vq = good;
	vq.desc.v = end - QSIZE * 16 + 16;
	assert_int_equal(virtqueue_start(&vq, 0), -EFAULT);
	vq = good;
	vq.avail.v = end - (6 + 2 * QSIZE) + 2;
	assert_int_equal(virtqueue_start(&vq, 0), -EFAULT);
	vq = good;
	vq.used.v = end - (4 + 8 * QSIZE); /* all but the event word */
	assert_int_equal(virtqueue_start(&vq, 0), -EFAULT);
	vq = good;
	vq.used.v = UINT64_MAX - 3;
	assert_int_equal(virtqueue_start(&vq, 0), -EFAULT);
	assert_false(vq.started);
	/* Exactly at the end is inside. */
	vq = good;
	vq.avail.v = end - (6 + 2 * QSIZE);
	assert_int_equal(virtqueue_start(&vq, 0), 0);
}

static void test_pop_push(void **state)
{
	struct rig *r = *state;
	uint16_t head;
	uint32_t len;
	char text[8] = "";
	assert_int_equal(virtqueue_pop(&r->vq, &r->c), 0);
	for (int i = 0; i < 100; i++) {
		int h = add_one(r, "hello");
		assert_true(h >= 0);
		assert_int_equal(virtqueue_pop(&r->vq, &r->c), 1);
		assert_int_equal(r->c.head, h);
		assert_int_equal(chain_read(&r->c, 0, text, 5), 0);
		assert_string_equal(text, "hello");
		assert_int_equal(virtqueue_pop(&r->vq, &r->c), 0);
		assert_false(fake_queue_used(&r->q, &head, &len));
		virtqueue_push(&r->vq, (uint16_t)h, 77);
		assert_true(fake_queue_used(&r->q, &head, &len));
		assert_int_equal(head, h);
		assert_int_equal(len, 77);
		assert_false(fake_queue_used(&r->q, &head, &len));
	}
}

static void test_unpop(void **state)
{
	struct rig *r = *state;
	int a = add_one(r, "a");
	int b = add_one(r, "b");
	assert_int_equal(virtqueue_pop(&r->vq, &r->c), 1);
	virtqueue_unpop(&r->vq);
	assert_int_equal(virtqueue_pop(&r->vq, &r->c), 1);
	assert_int_equal(r->c.head, a);
	assert_int_equal(virtqueue_pop(&r->vq, &r->c), 1);
	assert_int_equal(r->c.head, b);
}

static void test_out_of_order(void **state)
{
	struct rig *r = *state;
	uint16_t head;
	uint32_t len;
	int h[3];
	for (int i = 0; i < 3; i++) {
		h[i] = add_one(r, "x");
		assert_int_equal(virtqueue_pop(&r->vq, &r->c), 1);
	}
	for (int i = 2; i >= 0; i--)
		virtqueue_push(&r->vq, (uint16_t)h[i], (uint32_t)i);
	for (int i = 2; i >= 0; i--) {
		assert_true(fake_queue_used(&r->q, &head, &len));
		assert_int_equal(head, h[i]);
		assert_int_equal(len, i);
	}
}

static void test_index_wrap(void **state)
{
	struct rig *r = *state;
	uint16_t *avail = ring(r, r->vq.avail);
	uint16_t *used = ring(r, r->vq.used);
	virtqueue_stop(&r->vq);
	avail[1] = htole16(0xfffe);
	used[1] = htole16(0xfffe);
	r->q.next_avail = r->q.last_used = 0xfffe;
	assert_int_equal(virtqueue_start(&r->vq, 0xfffe), 0);
	for (int i = 0; i < 6; i++) {
		uint16_t head;
		uint32_t len;
		assert_true(add_one(r, "w") >= 0);
		assert_int_equal(virtqueue_pop(&r->vq, &r->c), 1);
		virtqueue_push(&r->vq, r->c.head, 1);
		assert_true(fake_queue_used(&r->q, &head, &len));
	}
	assert_int_equal(le16toh(used[1]), 4);
}

static void test_index_jump_breaks(void **state)
{
	struct rig *r = *state;
	uint16_t *avail = ring(r, r->vq.avail);
	avail[1] = htole16(QSIZE + 1);
	assert_int_equal(virtqueue_pop(&r->vq, &r->c), -EPROTO);
	assert_true(r->vq.broken);
	/* Broken stays broken, whatever the ring says, until the next start. */
	avail[1] = htole16(1);
	assert_int_equal(virtqueue_pop(&r->vq, &r->c), 0);
	virtqueue_stop(&r->vq);
	avail[1] = htole16(0);
	assert_int_equal(virtqueue_start(&r->vq, 0), 0);
	assert_true(add_one(r, "x") >= 0);
	assert_int_equal(virtqueue_pop(&r->vq, &r->c), 1);
}

static void test_index_backwards_breaks(void **state)
{
	struct rig *r = *state;
	assert_true(add_one(r, "x") >= 0);
	assert_int_equal(virtqueue_pop(&r->vq, &r->c), 1);
	ring(r, r->vq.avail)[1] = htole16(0);
	assert_int_equal(virtqueue_pop(&r->vq, &r->c), -EPROTO);
}

static void test_bad_head_breaks(void **state)
{
	struct rig *r = *state;
	assert_true(add_one(r, "x") >= 0);
	ring(r, r->vq.avail)[2] = htole16(QSIZE);
	assert_int_equal(virtqueue_pop(&r->vq, &r->c), -EPROTO);
	assert_true(r->vq.broken);
}

static void test_notify_flag(void **state)
{
	struct rig *r = *state;
	virtqueue_notify(&r->vq);
	assert_int_equal(fake_queue_interrupts(&r->q), 1);
	ring(r, r->vq.avail)[0] = htole16(1);
	virtqueue_notify(&r->vq);
	assert_int_equal(fake_queue_interrupts(&r->q), 0);
	ring(r, r->vq.avail)[0] = 0;
	virtqueue_notify(&r->vq);
	virtqueue_notify(&r->vq);
	assert_int_equal(fake_queue_interrupts(&r->q), 2);
}

static void test_notify_without_call(void **state)
{
	struct rig *r = *state;
	int fd = r->vq.call_fd;
	r->vq.call_fd = -1;
	virtqueue_notify(&r->vq);
	r->vq.call_fd = fd;
	/* A full counter must not block. */
	uint64_t full = UINT64_MAX - 1;
	assert_int_equal(write(fd, &full, sizeof(full)), sizeof(full));
	virtqueue_notify(&r->vq);
	assert_true(fake_queue_interrupts(&r->q) == full);
}

/* virtio-mmio: the bit is there before the interrupt, and only if there is one. */
static void test_interrupt_status(void **state)
{
	struct rig *r = *state;
	uint32_t irq_status = 2;
	uint16_t *avail = ring(r, r->vq.avail);
	r->vq.irq_status = &irq_status;
	avail[0] = htole16(1);
	virtqueue_notify(&r->vq);
	assert_int_equal(irq_status, 2);
	avail[0] = 0;
	virtqueue_notify(&r->vq);
	assert_int_equal(irq_status, 2 | VIRTQUEUE_IRQ_USED);
	assert_int_equal(fake_queue_interrupts(&r->q), 1);
}

/* Section 2.7.10: an interrupt only when the used index passes the event. */
static void test_event_idx(void **state)
{
	struct rig *r = *state;
	uint16_t *event = ring(r, r->vq.avail) + 2 + QSIZE;
	r->vq.event_idx = true;
	*event = htole16(0);
	virtqueue_push(&r->vq, 0, 0);
	virtqueue_notify(&r->vq); /* the first decision is always yes */
	assert_int_equal(fake_queue_interrupts(&r->q), 1);
	*event = htole16(3);
	for (int i = 2; i <= 6; i++) {
		virtqueue_push(&r->vq, 0, 0);
		virtqueue_notify(&r->vq);
		assert_int_equal(fake_queue_interrupts(&r->q), i == 4 ? 1 : 0);
	}
	/* Nothing new: no interrupt, even if the event is close. */
	*event = htole16(6);
	virtqueue_notify(&r->vq);
	assert_int_equal(fake_queue_interrupts(&r->q), 0);
	/* Several at once that pass it: one. */
	*event = htole16(8);
	for (int i = 0; i < 4; i++)
		virtqueue_push(&r->vq, 0, 0);
	virtqueue_notify(&r->vq);
	assert_int_equal(fake_queue_interrupts(&r->q), 1);
}

static void test_event_idx_wrap(void **state)
{
	struct rig *r = *state;
	virtqueue_stop(&r->vq);
	ring(r, r->vq.used)[1] = htole16(0xffff);
	assert_int_equal(virtqueue_start(&r->vq, 0), 0);
	r->vq.event_idx = true;
	virtqueue_notify(&r->vq);
	assert_int_equal(fake_queue_interrupts(&r->q), 1);
	ring(r, r->vq.avail)[2 + QSIZE] = htole16(0xffff);
	virtqueue_push(&r->vq, 0, 0);
	virtqueue_notify(&r->vq);
	assert_int_equal(fake_queue_interrupts(&r->q), 1);
	assert_int_equal(le16toh(ring(r, r->vq.used)[1]), 0);
}

static void test_quiet(void **state)
{
	struct rig *r = *state;
	uint16_t *used = ring(r, r->vq.used);
	virtqueue_quiet(&r->vq, true);
	assert_int_equal(le16toh(used[0]), 1);
	virtqueue_quiet(&r->vq, false);
	assert_int_equal(le16toh(used[0]), 0);
	r->vq.event_idx = true;
	assert_true(add_one(r, "x") >= 0);
	assert_int_equal(virtqueue_pop(&r->vq, &r->c), 1);
	virtqueue_quiet(&r->vq, false);
	assert_int_equal(le16toh(used[2 + 4 * QSIZE]), 1);
	assert_int_equal(le16toh(used[0]), 0);
}

static void test_stopped(void **state)
{
	struct rig *r = *state;
	uint16_t *used = ring(r, r->vq.used);
	assert_true(add_one(r, "x") >= 0);
	virtqueue_stop(&r->vq);
	assert_int_equal(virtqueue_pop(&r->vq, &r->c), 0);
	virtqueue_push(&r->vq, 0, 1);
	virtqueue_notify(&r->vq);
	virtqueue_quiet(&r->vq, true);
	assert_int_equal(used[0], 0);
	assert_int_equal(used[1], 0);
	assert_int_equal(fake_queue_interrupts(&r->q), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_start_checks),
		T(test_start_outside),
		T(test_pop_push),
		T(test_unpop),
		T(test_out_of_order),
		T(test_index_wrap),
		T(test_index_jump_breaks),
		T(test_index_backwards_breaks),
		T(test_bad_head_breaks),
		T(test_notify_flag),
		T(test_notify_without_call),
		T(test_interrupt_status),
		T(test_event_idx),
		T(test_event_idx_wrap),
		T(test_quiet),
		T(test_stopped),
	};
	alarm(30);
	return cmocka_run_group_tests_name("queue", tests, NULL, NULL);
}
