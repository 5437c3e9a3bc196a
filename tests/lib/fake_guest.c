// SPDX-License-Identifier: Apache-2.0
// fake_guest.c - builds rings and chains in a buffer as a driver would
#include "lib/fake_guest.h"

#include "base/checked.h"

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define DESC_NEXT 1
#define DESC_WRITE 2

struct fake_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

int fake_guest_init(struct fake_guest *g, struct gmem *mem, size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return -errno;
	*g = (struct fake_guest){.mem = p, .size = size};
	struct gmem_region r = {.gpa = FAKE_GUEST_BASE, .size = size, .host = p};
	return gmem_add(mem, &r);
}

void fake_guest_destroy(struct fake_guest *g)
{
	munmap(g->mem, g->size);
	g->mem = NULL;
}

uint8_t *fake_guest_alloc(struct fake_guest *g, size_t len, size_t align)
{
	size_t at = (g->used + align - 1) & ~(align - 1);
	if (!range_inside(at, len, g->size))
		return NULL;
	g->used = at + len;
	memset(g->mem + at, 0, len);
	return g->mem + at;
}

struct gpa fake_guest_gpa(const struct fake_guest *g, const void *host)
{
	return GPA(FAKE_GUEST_BASE + (uint64_t)((const uint8_t *)host - g->mem));
}

int fake_queue_init(struct fake_queue *q, struct fake_guest *g, struct virtqueue *vq, uint16_t size)
{
	*q = (struct fake_queue){.g = g, .vq = vq};
	uint8_t *desc = fake_guest_alloc(g, (size_t)size * sizeof(struct fake_desc), 16);
	uint8_t *avail = fake_guest_alloc(g, 6 + 2 * (size_t)size, 2);
	uint8_t *used = fake_guest_alloc(g, 6 + 8 * (size_t)size, 4);
	if (size > FAKE_QUEUE_MAX || !desc || !avail || !used)
		return -ENOMEM;
	vq->size = size;
	vq->desc = fake_guest_gpa(g, desc);
	vq->avail = fake_guest_gpa(g, avail);
	vq->used = fake_guest_gpa(g, used);
	vq->call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	for (uint16_t i = 0; i < size; i++)
		q->next[i] = (uint16_t)(i + 1);
	return virtqueue_start(vq, 0);
}

void fake_queue_destroy(struct fake_queue *q)
{
	virtqueue_stop(q->vq);
	close(q->vq->call_fd);
	q->vq->call_fd = -1;
}

int fake_queue_add(struct fake_queue *q, struct fake_buf *buf, unsigned n)
{
	struct virtqueue *vq = q->vq;
	struct fake_desc *desc =
		(struct fake_desc *)(void *)(q->g->mem + (vq->desc.v - FAKE_GUEST_BASE));
	uint16_t *avail = (uint16_t *)(void *)(q->g->mem + (vq->avail.v - FAKE_GUEST_BASE));
	uint16_t head = q->free_desc;
	uint16_t i = head;
	for (unsigned k = 0; k < n; k++) {
		if (i >= vq->size)
			return -1;
		buf[k].host = fake_guest_alloc(q->g, buf[k].len, 8);
		if (!buf[k].host)
			return -1;
		if (!buf[k].in && buf[k].len > 0)
			memcpy(buf[k].host, buf[k].data, buf[k].len);
		uint16_t flags = buf[k].in ? DESC_WRITE : 0;
		if (k + 1 < n)
			flags |= DESC_NEXT;
		desc[i] = (struct fake_desc){
			.addr = htole64(fake_guest_gpa(q->g, buf[k].host).v),
			.len = htole32((uint32_t)buf[k].len),
			.flags = htole16(flags),
			.next = htole16(q->next[i]),
		};
		i = q->next[i];
	}
	q->free_desc = i;
	q->count[head] = (uint16_t)n;
	avail[2 + q->next_avail % vq->size] = htole16(head);
	q->next_avail++;
	__atomic_store_n(&avail[1], htole16(q->next_avail), __ATOMIC_RELEASE);
	return head;
}

bool fake_queue_used(struct fake_queue *q, uint16_t *head, uint32_t *len)
{
	struct virtqueue *vq = q->vq;
	uint16_t *used = (uint16_t *)(void *)(q->g->mem + (vq->used.v - FAKE_GUEST_BASE));
	if (le16toh(__atomic_load_n(&used[1], __ATOMIC_ACQUIRE)) == q->last_used)
		return false;
	uint32_t elem[2];
	memcpy(elem, &used[2 + 4 * (size_t)(q->last_used % vq->size)], sizeof(elem));
	q->last_used++;
	*head = (uint16_t)le32toh(elem[0]);
	*len = le32toh(elem[1]);
	if (*head >= vq->size || q->count[*head] == 0)
		return false;
	uint16_t last = *head;
	for (uint16_t k = 1; k < q->count[*head]; k++)
		last = q->next[last];
	q->next[last] = q->free_desc;
	q->free_desc = *head;
	q->count[*head] = 0;
	return true;
}

uint64_t fake_queue_interrupts(struct fake_queue *q)
{
	uint64_t n = 0;
	return read(q->vq->call_fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}
