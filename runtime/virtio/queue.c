// SPDX-License-Identifier: Apache-2.0
// queue.c - available and used ring, notification decisions (virtio 1.2, section 2.7)
#include "virtio/queue.h"

#include "base/checked.h"
#include "virtio/chain.h"

#include <endian.h>
#include <errno.h>
#include <stdatomic.h>
#include <unistd.h>

/* Ring layout in 16-bit words: flags, idx, then entries, then the event word. */
#define RING_FLAGS 0
#define RING_IDX 1
#define RING_ENTRIES 2
#define USED_WORDS_PER_ELEM 4

#define AVAIL_F_NO_INTERRUPT 1
#define USED_F_NO_NOTIFY 1

static uint16_t word_load(const uint16_t *p)
{
	return le16toh(__atomic_load_n(p, __ATOMIC_ACQUIRE));
}

static void word_store(uint16_t *p, uint16_t v)
{
	__atomic_store_n(p, htole16(v), __ATOMIC_RELEASE);
}

static uint16_t *avail_used_event(const struct virtqueue *vq)
{
	return vq->avail_h + RING_ENTRIES + vq->size;
}

static uint16_t *used_avail_event(const struct virtqueue *vq)
{
	return vq->used_h + RING_ENTRIES + (size_t)vq->size * USED_WORDS_PER_ELEM;
}

int virtqueue_start(struct virtqueue *vq, uint16_t next_avail)
{
	if (vq->size == 0 || vq->size > VIRTQUEUE_MAX_SIZE || (vq->size & (vq->size - 1)) != 0)
		return -EINVAL;
	if ((vq->desc.v & 15) != 0 || (vq->avail.v & 1) != 0 || (vq->used.v & 3) != 0)
		return -EINVAL;
	/* The event words behind the rings count even without EVENT_IDX, as the layout has them. */
	size_t avail_len = 2 * (RING_ENTRIES + (size_t)vq->size + 1);
	size_t used_len = 2 * (RING_ENTRIES + (size_t)vq->size * USED_WORDS_PER_ELEM + 1);
	vq->desc_h = gmem_ptr(vq->mem, vq->desc, (uint64_t)vq->size * CHAIN_DESC_SIZE);
	vq->avail_h = gmem_ptr(vq->mem, vq->avail, avail_len);
	vq->used_h = gmem_ptr(vq->mem, vq->used, used_len);
	if (!vq->desc_h || !vq->avail_h || !vq->used_h)
		return -EFAULT;
	vq->next_avail = next_avail;
	vq->next_used = word_load(&vq->used_h[RING_IDX]);
	vq->signalled_valid = false;
	vq->broken = false;
	vq->started = true;
	return 0;
}

void virtqueue_stop(struct virtqueue *vq)
{
	vq->started = false;
	vq->desc_h = NULL;
	vq->avail_h = NULL;
	vq->used_h = NULL;
}

int virtqueue_pop(struct virtqueue *vq, struct chain *c)
{
	if (!vq->started || vq->broken)
		return 0;
	uint16_t idx = word_load(&vq->avail_h[RING_IDX]);
	uint16_t waiting = (uint16_t)(idx - vq->next_avail);
	if (waiting == 0)
		return 0;
	int ret = -EPROTO;
	if (waiting <= vq->size) {
		uint16_t slot = vq->next_avail & (uint16_t)(vq->size - 1);
		uint16_t head = word_load(&vq->avail_h[RING_ENTRIES + slot]);
		ret = chain_walk(vq->mem, vq->desc_h, vq->size, head, c);
	}
	if (ret < 0) {
		vq->broken = true;
		return ret;
	}
	vq->next_avail++;
	return 1;
}

void virtqueue_unpop(struct virtqueue *vq)
{
	vq->next_avail--;
}

void virtqueue_push(struct virtqueue *vq, uint16_t head, uint32_t len)
{
	if (!vq->started)
		return;
	size_t slot = vq->next_used & (vq->size - 1u);
	uint16_t *elem = vq->used_h + RING_ENTRIES + slot * USED_WORDS_PER_ELEM;
	uint32_t id_len[2] = {htole32(head), htole32(len)};
	__builtin_memcpy(elem, id_len, sizeof(id_len));
	vq->next_used++;
	word_store(&vq->used_h[RING_IDX], vq->next_used);
}

/* The event index rule of section 2.7.10: has next_used passed the event since old? */
static bool event_passed(uint16_t event, uint16_t now, uint16_t old)
{
	return (uint16_t)(now - event - 1) < (uint16_t)(now - old);
}

static bool interrupt_wanted(struct virtqueue *vq)
{
	/* Our index store must be visible before we read what the driver asked for. */
	atomic_thread_fence(memory_order_seq_cst);
	if (!vq->event_idx)
		return !(word_load(&vq->avail_h[RING_FLAGS]) & AVAIL_F_NO_INTERRUPT);
	uint16_t old = vq->signalled_used;
	bool valid = vq->signalled_valid;
	vq->signalled_used = vq->next_used;
	vq->signalled_valid = true;
	return !valid || event_passed(word_load(avail_used_event(vq)), vq->next_used, old);
}

void virtqueue_notify(struct virtqueue *vq)
{
	if (!vq->started || vq->call_fd < 0 || !interrupt_wanted(vq))
		return;
	if (vq->irq_status)
		__atomic_fetch_or(vq->irq_status, VIRTQUEUE_IRQ_USED, __ATOMIC_SEQ_CST);
	uint64_t one = 1;
	/* A full eventfd counter means that an interrupt is pending anyway. */
	ssize_t n = write(vq->call_fd, &one, sizeof(one));
	(void)n;
}

void virtqueue_quiet(struct virtqueue *vq, bool quiet)
{
	if (!vq->started)
		return;
	if (vq->event_idx) {
		if (!quiet)
			word_store(used_avail_event(vq), vq->next_avail);
	} else {
		word_store(&vq->used_h[RING_FLAGS], quiet ? USED_F_NO_NOTIFY : 0);
	}
	atomic_thread_fence(memory_order_seq_cst);
}
