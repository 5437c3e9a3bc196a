// SPDX-License-Identifier: Apache-2.0
// device.c - virtio-mmio registers: a driver's way to DRIVER_OK, and all the ways off it
#include "garbage.h"

enum {
	REG_MAGIC = 0x00,
	REG_DEVICE_ID = 0x08,
	REG_DEVICE_FEATURES = 0x10,
	REG_DEVICE_FEATURES_SEL = 0x14,
	REG_DRIVER_FEATURES = 0x20,
	REG_DRIVER_FEATURES_SEL = 0x24,
	REG_QUEUE_SEL = 0x30,
	REG_QUEUE_NUM_MAX = 0x34,
	REG_QUEUE_NUM = 0x38,
	REG_QUEUE_READY = 0x44,
	REG_INTERRUPT_STATUS = 0x60,
	REG_INTERRUPT_ACK = 0x64,
	REG_QUEUE_DESC = 0x80,
	REG_QUEUE_DRIVER = 0x90,
	REG_QUEUE_DEVICE = 0xa0,
	REG_CONFIG_GENERATION = 0xfc,
	REG_CONFIG = 0x100,
};

#define MAGIC 0x74726976
#define ACKNOWLEDGE 1
#define DRIVER 2
#define DRIVER_OK 4
#define FEATURES_OK 8
#define NEEDS_RESET 64
#define FAILED 128

#define F_VERSION_1_HIGH 1

struct device device[DEV_MAX];
unsigned devices;

static uint32_t get(const struct device *d, unsigned reg)
{
	return (uint32_t)load(d->base + reg, 4);
}

static void set(const struct device *d, unsigned reg, uint64_t v)
{
	store(d->base + reg, 4, v);
}

void device_scan(void)
{
	for (unsigned i = 0; i < DEV_MAX; i++) {
		struct device *d = &device[devices];
		d->base = WINDOWS + i * WINDOW_SIZE;
		if (get(d, REG_MAGIC) != MAGIC || get(d, REG_DEVICE_ID) == 0)
			continue;
		d->id = get(d, REG_DEVICE_ID);
		while (d->queues < QUEUES) {
			set(d, REG_QUEUE_SEL, d->queues);
			if (get(d, REG_QUEUE_NUM_MAX) == 0)
				break;
			d->q[d->queues].page = ARENA + (devices * QUEUES + d->queues) * 0x1000;
			d->queues++;
		}
		devices++;
	}
}

struct device *any_device(void)
{
	return devices ? &device[below(devices)] : NULL;
}

struct device *device_of(uint32_t id)
{
	for (unsigned i = 0; i < devices; i++)
		if (device[i].id == id)
			return &device[i];
	return NULL;
}

/* Addresses that no queue and no buffer can be at, and some that they can. */
uint64_t wild_address(void)
{
	switch (below(12)) {
	case 0: return program.mem_end - below(40);
	case 1: return program.mem_end + below(0x100000);
	case 2: return program.high_end - below(40);
	case 3: return HOLE_START + below(HOLE_END - HOLE_START);
	case 4: return WINDOWS + below(8 * WINDOW_SIZE);
	case 5: return -below(0x1000);
	case 6: return random64();
	case 7: return 1ull << below(64);
	case 8: return below(0x1000);
	case 9: return ARENA + below(0x10000);
	case 10: return (ARENA_END + below(program.mem_end - ARENA_END)) & ~0xfull;
	default: return ARENA_END + below(program.mem_end - ARENA_END);
	}
}

bool device_broken(struct device *d)
{
	if (!(get(d, REG_STATUS) & NEEDS_RESET))
		return false;
	saw(SEEN_BROKEN);
	return true;
}

void device_reset(struct device *d)
{
	for (unsigned i = 0; d->started && i < d->queues; i++)
		if (d->q[i].sane && queue_used(&d->q[i])[1] != d->q[i].avail) {
			saw(SEEN_INFLIGHT);
			break;
		}
	set(d, REG_STATUS, 0);
	d->started = false;
}

static void set_status(struct device *d, uint32_t v)
{
	set(d, REG_STATUS, v);
	if (v)
		saw((get(d, REG_STATUS) & v) == v ? SEEN_STATUS : SEEN_REFUSED);
}

static void set_address(struct device *d, unsigned reg, uint64_t v)
{
	set(d, reg, v);
	set(d, reg + 4, v >> 32);
}

static void random_register(struct device *d);

/* True if this step shall go wrong; perhaps something else happens in its place. */
static bool astray(struct device *d, unsigned dirty)
{
	if (!chance(dirty))
		return false;
	if (chance(50))
		random_register(d);
	return true;
}

static void start_queue(struct device *d, unsigned i, unsigned dirty)
{
	struct queue *q = &d->q[i];
	uint32_t size = 1u << (chance(30) ? below(8) : 4 + below(4));
	/* Behind the last bytes of memory there is nothing that a wrong index could hit. */
	q->desc = chance(5) ? program.mem_end - size * sizeof(struct ring_desc) : q->page;
	uint64_t at[3] = {q->desc, q->page + 0x800, q->page + 0xa00};
	q->size = (uint16_t)size;
	q->avail = q->used = q->next_desc = 0;
	q->sane = true;
	memset((void *)q->page, 0, 0x1000);
	for (unsigned k = 0; k < 3; k++)
		if (chance(dirty)) {
			at[k] = chance(20) ? at[below(3)] : wild_address();
			q->sane = false;
		}
	if (chance(dirty)) {
		size = (uint32_t)odd_number();
		q->sane = false;
	}
	set(d, REG_QUEUE_SEL, i);
	if (!astray(d, dirty))
		set(d, REG_QUEUE_NUM, size);
	for (unsigned k = 0; k < 3; k++)
		if (!astray(d, dirty))
			set_address(d, REG_QUEUE_DESC + 0x10 * k, at[k]);
	if (!astray(d, dirty))
		set(d, REG_QUEUE_READY, 1);
	if (get(d, REG_QUEUE_READY) != 1)
		q->sane = false;
}

static void negotiate(struct device *d, unsigned dirty)
{
	set(d, REG_DEVICE_FEATURES_SEL, 0);
	uint32_t low = get(d, REG_DEVICE_FEATURES);
	uint32_t high = F_VERSION_1_HIGH;
	low &= (uint32_t)random64();
	if (chance(dirty))
		low |= (uint32_t)odd_number();
	if (chance(dirty))
		high = (uint32_t)odd_number();
	set(d, REG_DRIVER_FEATURES_SEL, 0);
	set(d, REG_DRIVER_FEATURES, low);
	set(d, REG_DRIVER_FEATURES_SEL, 1);
	set(d, REG_DRIVER_FEATURES, high);
}

void device_start(struct device *d, unsigned dirty)
{
	static const uint32_t steps[] = {ACKNOWLEDGE, ACKNOWLEDGE | DRIVER};
	device_reset(d);
	for (unsigned i = 0; i < ARRAY_SIZE(steps); i++)
		if (!astray(d, dirty))
			set_status(d, steps[i]);
	if (!astray(d, dirty))
		negotiate(d, dirty);
	if (!astray(d, dirty))
		set_status(d, ACKNOWLEDGE | DRIVER | FEATURES_OK);
	for (unsigned i = 0; i < d->queues; i++)
		if (!astray(d, dirty))
			start_queue(d, i, dirty);
		else
			d->q[i].sane = false;
	if (!astray(d, dirty))
		set_status(d, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
	if (get(d, REG_STATUS) & DRIVER_OK) {
		d->started = true;
		saw(SEEN_STARTED);
	}
	device_broken(d);
}

static uint32_t next_status(const struct device *d)
{
	uint32_t now = get(d, REG_STATUS);
	if (chance(40))
		return (uint32_t)odd_number() & (chance(50) ? 0xcf : 0xffffffff);
	if (!(now & ACKNOWLEDGE))
		return now | ACKNOWLEDGE;
	if (!(now & DRIVER))
		return now | DRIVER;
	return now | (now & FEATURES_OK ? DRIVER_OK : FEATURES_OK);
}

static void random_register(struct device *d)
{
	static const uint16_t regs[] = {
		REG_MAGIC,
		REG_DEVICE_FEATURES,
		REG_DEVICE_FEATURES_SEL,
		REG_DRIVER_FEATURES,
		REG_QUEUE_SEL,
		REG_DRIVER_FEATURES_SEL,
		REG_QUEUE_NUM_MAX,
		REG_QUEUE_NUM,
		REG_QUEUE_READY,
		REG_INTERRUPT_STATUS,
		REG_INTERRUPT_ACK,
		REG_NOTIFY,
		REG_QUEUE_DESC,
		REG_QUEUE_DESC + 4,
		REG_QUEUE_DRIVER,
		REG_QUEUE_DEVICE,
		REG_QUEUE_DEVICE + 4,
		REG_CONFIG_GENERATION,
		0xac,
		0xb0,
		0xc0,
	};
	unsigned reg = regs[below(ARRAY_SIZE(regs))];
	/* Where the queues are is no longer known: chains may go anywhere. */
	if (reg == REG_QUEUE_NUM || reg == REG_QUEUE_READY ||
	    (reg >= REG_QUEUE_DESC && reg < REG_QUEUE_DEVICE + 8))
		for (unsigned i = 0; !d->started && i < d->queues; i++)
			d->q[i].sane = false;
	switch (below(4)) {
	case 0: get(d, reg); break;
	case 1: set(d, reg, below(5)); break;
	default: set(d, reg, odd_number());
	}
}

/* Of all sizes, aligned and not; behind the registers lies the config space. */
static void random_config(const struct device *d)
{
	uint64_t addr = d->base + (chance(70) ? REG_CONFIG + below(0x40) : below(WINDOW_SIZE));
	unsigned size = 1u << below(4);
	/* A reset by the way would be an ending for requests only. */
	if (addr > d->base + REG_STATUS - 8 && addr < d->base + REG_STATUS + 4)
		return;
	if (chance(50))
		load(addr, size);
	else
		store(addr, size, odd_number());
}

void step_registers(void)
{
	struct device *d = any_device();
	if (!d)
		return;
	switch (below(6)) {
	case 0:
	case 1: set_status(d, next_status(d)); break;
	case 2: random_config(d); break;
	case 3:
		if (chance(20))
			device_reset(d);
		break;
	default: random_register(d);
	}
	device_broken(d);
	/* A status that we did not follow: start anew when it is to work again. */
	if (!(get(d, REG_STATUS) & DRIVER_OK))
		d->started = false;
}

/* A start that goes wrong here and there, and what a driver may not do afterwards. */
void step_lifecycle(void)
{
	struct device *d = any_device();
	if (!d)
		return;
	device_start(d, chance(30) ? 0 : 5 + (unsigned)below(20));
	for (uint64_t n = below(6); n > 0; n--) {
		if (chance(50))
			random_register(d);
		else
			queue_notify(d, (unsigned)below(6));
	}
	if (chance(60))
		device_reset(d);
}
