// SPDX-License-Identifier: Apache-2.0
// ring.c - descriptor chains as drivers make them, and as no driver may
#include "garbage.h"

#define PIECES_MAX 8
/* For an answer that will not come: about 20 ms, and less as a program goes on. */
#define WAIT_TICKS 50000000ull
#define WAITS_MAX 40

static unsigned vain_waits;

struct ring_desc *queue_desc(const struct queue *q)
{
	return (struct ring_desc *)q->desc;
}

uint16_t *queue_avail(const struct queue *q)
{
	return (uint16_t *)(q->page + 0x800);
}

uint16_t *queue_used(const struct queue *q)
{
	return (uint16_t *)(q->page + 0xa00);
}

static uint16_t take_desc(struct queue *q)
{
	uint16_t i = q->next_desc;
	q->next_desc = (uint16_t)(q->next_desc + 1) & (uint16_t)(q->size - 1);
	return i;
}

static void make_available(struct queue *q, uint16_t head, uint16_t count)
{
	volatile uint16_t *avail = queue_avail(q);
	avail[2 + (q->avail & (q->size - 1))] = head;
	q->avail = (uint16_t)(q->avail + count);
	__asm__ volatile("" ::: "memory");
	avail[1] = q->avail;
}

/* A table somewhere in the arena, or where its end is that of memory. */
static uint64_t table_place(unsigned n, unsigned dirty)
{
	if (!chance(dirty))
		return IN_BUF + BUF_SIZE + below(64) * 0x400;
	switch (below(4)) {
	case 0: return program.mem_end - n * sizeof(struct ring_desc);
	case 1: return program.mem_end - n * sizeof(struct ring_desc) + 1 + below(40);
	case 2: return program.high_end - n * sizeof(struct ring_desc) + below(24);
	default: return wild_address();
	}
}

/* What may be wrong with one descriptor, number at of so many. */
static void spoil(struct ring_desc *d, uint16_t at, uint16_t size)
{
	switch (below(8)) {
	case 0: d->len = (uint32_t)odd_number(); break;
	case 1: d->len = 0; break;
	case 2: d->addr = wild_address(); break;
	case 3: d->flags ^= (uint16_t)(1u << below(4)); break;
	case 4: d->flags = (uint16_t)odd_number(); break;
	case 5:
		d->flags |= DESC_NEXT;
		d->next = chance(50) ? at : (uint16_t)below(size);
		if (chance(50))
			d->len = 0;
		break;
	case 6:
		d->flags |= DESC_NEXT;
		d->next = (uint16_t)odd_number();
		break;
	default: d->flags |= DESC_INDIRECT; d->len = (uint32_t)(below(70) * (chance(80) ? 16 : 1));
	}
	/* What the device writes must not be this kernel: that would be another test. */
	if ((d->flags & (DESC_WRITE | DESC_INDIRECT)) == DESC_WRITE && d->addr < ARENA)
		d->addr += ARENA;
}

/* How many bytes at addr are memory that is not this kernel's. */
static uint64_t room_at(uint64_t addr)
{
	if (addr >= ARENA && addr < program.mem_end)
		return program.mem_end - addr;
	return addr >= HOLE_END && addr < program.high_end ? program.high_end - addr : 0;
}

/* Fills n descriptors at table: numbers from 0 (indirect), or taken from the queue. */
static void fill(struct queue *q, struct ring_desc *table, const struct piece *p, unsigned n,
		 unsigned dirty, uint16_t *head)
{
	uint16_t at = q ? take_desc(q) : 0;
	uint16_t size = q ? q->size : (uint16_t)n;
	*head = at;
	for (unsigned i = 0; i < n; i++) {
		uint16_t next = (uint16_t)(i + 1);
		if (i + 1 < n && q)
			next = take_desc(q);
		struct ring_desc d = {.addr = p[i].addr, .len = p[i].len};
		d.flags = (uint16_t)((p[i].in ? DESC_WRITE : 0) | (i + 1 < n ? DESC_NEXT : 0));
		d.next = i + 1 < n ? next : 0;
		if (chance(dirty))
			spoil(&d, at, size);
		table[at] = d;
		at = next;
	}
}

static void add_indirect(struct queue *q, const struct piece *p, unsigned n, unsigned dirty)
{
	uint64_t table = table_place(n, dirty);
	struct ring_desc d = {.addr = table, .len = n * 16, .flags = DESC_INDIRECT};
	struct ring_desc list[PIECES_MAX];
	uint64_t room = room_at(table);
	uint16_t inner;
	uint16_t head = take_desc(q);
	fill(NULL, list, p, n, dirty, &inner);
	memcpy((void *)table, list, room < n * sizeof(list[0]) ? room : n * sizeof(list[0]));
	if (chance(dirty))
		spoil(&d, head, q->size);
	queue_desc(q)[head] = d;
	make_available(q, head, 1);
}

void queue_add(struct device *d, unsigned i, const struct piece *p, unsigned n, unsigned dirty)
{
	struct queue *q = &d->q[i];
	uint16_t head;
	/* Where the queue is elsewhere, nobody looks at this one. */
	if (i >= d->queues || q->size == 0)
		return;
	if (n > q->size || chance(25)) {
		add_indirect(q, p, n, dirty);
		return;
	}
	fill(q, queue_desc(q), p, n, dirty, &head);
	if (chance(dirty / 2))
		head = (uint16_t)odd_number();
	make_available(q, head, 1);
	if (chance(dirty / 4))
		make_available(q, head, (uint16_t)odd_number());
}

void queue_notify(struct device *d, unsigned q)
{
	store(d->base + REG_NOTIFY, 4, q);
}

int64_t queue_take(struct device *d, unsigned i)
{
	struct queue *q = &d->q[i];
	volatile uint16_t *used = queue_used(q);
	uint64_t start = ticks();
	if (!d->started || !q->sane || vain_waits > WAITS_MAX)
		return -1;
	while (used[1] == q->used)
		if (ticks() - start > WAIT_TICKS) {
			vain_waits++;
			device_broken(d);
			return -1;
		}
	uint32_t len;
	memcpy(&len, (const void *)&used[2 + 4 * (q->used & (q->size - 1)) + 2], sizeof(len));
	q->used++;
	saw(SEEN_USED);
	return len;
}

/* Cuts a buffer by chance; returns how many pieces were added. */
static unsigned cut(struct piece *p, uint64_t addr, uint32_t len, bool in)
{
	unsigned n = 0;
	while (len > 0) {
		uint32_t part =
			n == PIECES_MAX / 2 - 1 || chance(60) ? len : 1 + (uint32_t)below(len);
		p[n++] = (struct piece){.addr = addr, .len = part, .in = in};
		addr += part;
		len -= part;
	}
	return n;
}

int64_t queue_request(struct device *d, unsigned i, uint64_t to, uint32_t to_len, uint64_t from,
		      uint32_t from_len, unsigned dirty)
{
	struct piece p[PIECES_MAX];
	unsigned n = cut(p, to, to_len, false);
	n += cut(p + n, from, from_len, true);
	if (n == 0)
		return -1;
	queue_add(d, i, p, n, dirty);
	queue_notify(d, i);
	return queue_take(d, i);
}

/* A chain of anything. */
static void add_random(struct device *d, unsigned q, unsigned dirty)
{
	struct piece p[PIECES_MAX];
	unsigned n = 1 + (unsigned)below(PIECES_MAX);
	unsigned outs = (unsigned)below(n + 1);
	for (unsigned i = 0; i < n; i++)
		p[i] = (struct piece){
			.addr = (i < outs ? OUT_BUF : IN_BUF) + below(BUF_SIZE),
			.len = (uint32_t)below(chance(20) ? BUF_SIZE : 300),
			.in = i >= outs,
		};
	if (chance(10)) {
		/* As much as there is, and more. */
		p[n - 1].addr = p[n - 1].in ? ARENA_END : ARENA;
		p[n - 1].len = (uint32_t)(program.mem_end - p[n - 1].addr + below(3) - 1);
	}
	queue_add(d, q, p, n, dirty);
}

void step_ring(void)
{
	struct device *d = any_device();
	if (!d)
		return;
	if (!d->started || device_broken(d) || chance(5))
		device_start(d, chance(80) ? 0 : 10);
	unsigned q = (unsigned)below(d->queues);
	unsigned dirty = chance(50) ? 0 : 10 + (unsigned)below(30);
	for (uint64_t n = 1 + below(chance(10) ? 2 * QUEUE_SIZE_MAX : 4); n > 0; n--)
		add_random(d, q, dirty);
	queue_notify(d, q);
	switch (below(6)) {
	case 0: step_vandal(); break;
	case 1: device_reset(d); break;
	case 2:
		step_vandal();
		device_reset(d);
		break;
	default: queue_take(d, q);
	}
}

/* Over the rings and requests of any device, at any time. */
void step_vandal(void)
{
	for (uint64_t n = 1 + below(20); n > 0; n--) {
		uint64_t addr = ARENA + below(DEV_MAX * QUEUES * 0x1000 - 8);
		switch (below(4)) {
		case 0: addr = OUT_BUF + below(0x100); break;
		case 1: addr = ARENA + (addr & 0x1f000) + below(0x100); break;
		case 2:
			addr = ARENA + (addr & 0x1f000) + (chance(50) ? 0x800 : 0xa00) + below(16);
			break;
		default: break;
		}
		store(addr, 1u << below(4), odd_number());
	}
}
