// SPDX-License-Identifier: Apache-2.0
// fuzz_mmio.c - a hostile driver at the registers of a virtio-mmio device
// links: runtime/virtio/mmio.c runtime/virtio/virtio.c runtime/virtio/queue.c runtime/virtio/chain.c runtime/vmm/gmem.c tests/lib/mmio_rig.c
//
// Input: a list of steps, see step(). One thread is vCPU and device in turn. After each step the
// status must be one that exists and follow from the last, queues must run only when it says so
// and stay as they were started, and the loop must come to rest. The device itself aborts if it is
// kicked or reset in a wrong state, and ASan sees what is touched outside guest memory.
#include "base/checked.h"
#include "lib/mmio_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum step {
	WRITE32,
	STATUS,
	QUEUE,
	ACCESS,
	READ,
	POKE,
	ADD,
	TURN,
	KICK,
	START,
	CONFIG,
	FAIL,
	ASK_RESET,
	STOP,
	STEPS
};

/* What must not change while the device runs. */
struct shape {
	bool started, ready;
	uint32_t size, num;
	uint64_t addr[3];
	void *ring[3];
};

struct run {
	struct mmio_rig rig;
	uint32_t status;
	bool reset; /* the step asked for status 0 */
	bool stopped;
	struct shape shape[VIRTIO_DEV_MAX_QUEUES];
};

static void must(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "fuzz_mmio: %s\n", what);
		abort();
	}
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	log_init("fuzz", LOG_ERROR);
	return 0;
}

static struct shape shape_of(const struct mmio_rig *g, unsigned q)
{
	const struct virtqueue *vq = &g->echo.dev.vq[q];
	const struct virtio_mmio_queue *mq = &g->t.queue[q];
	struct shape s;
	memset(&s, 0, sizeof(s)); /* compared as bytes */
	s.started = vq->started;
	s.ready = mq->ready;
	s.size = vq->started ? vq->size : 0;
	s.num = mq->num;
	s.addr[0] = mq->desc;
	s.addr[1] = mq->driver;
	s.addr[2] = mq->device;
	s.ring[0] = vq->desc_h;
	s.ring[1] = vq->avail_h;
	s.ring[2] = vq->used_h;
	return s;
}

static void check_queue(const struct run *r, unsigned q)
{
	const struct mmio_rig *g = &r->rig;
	const struct virtqueue *vq = &g->echo.dev.vq[q];
	if (!vq->started) {
		must(vq->call_fd == -1 && !vq->irq_status, "an interrupt of no queue");
		return;
	}
	must(q < MMIO_QUEUES && (r->status & S_DRIVER_OK) && g->t.queue[q].ready,
	     "a queue runs that should not");
	must(vq->size == g->t.queue[q].num && vq->size <= VIRTIO_MMIO_QUEUE_SIZE, "size");
	must(vq->desc_h == gmem_ptr(&g->ram, GPA(g->t.queue[q].desc), 16u * vq->size), "address");
	must(vq->call_fd == g->irq_fd && vq->irq_status, "interrupt of a queue");
}

static void check_queues(struct run *r, bool running_before)
{
	for (unsigned q = 0; q < VIRTIO_DEV_MAX_QUEUES; q++) {
		struct shape now = shape_of(&r->rig, q);
		check_queue(r, q);
		if (running_before && !r->reset)
			must(memcmp(&now, &r->shape[q], sizeof(now)) == 0,
			     "a queue changed behind DRIVER_OK");
		r->shape[q] = now;
	}
}

static void check(struct run *r)
{
	struct mmio_rig *g = &r->rig;
	uint32_t status = mmio_get(g, R_STATUS);
	uint32_t old = r->status;
	must(mmio_status_legal(status), "a status that does not exist");
	if (!r->reset || r->stopped) {
		must((old & ~status) == 0, "a status bit is gone without a reset");
		must(!(old & S_FAILED) || (status & ~(old | S_NEEDS_RESET)) == 0,
		     "a step after FAILED");
	}
	if (g->echo.dev.needs_reset && (status & S_DRIVER_OK))
		must(status & S_NEEDS_RESET, "a failure is not shown");
	if ((status & ~old) & S_NEEDS_RESET)
		must(mmio_get(g, R_IRQ_STATUS) & 2, "a failure without an interrupt");
	must((status & S_DRIVER_OK) || mmio_get(g, R_IRQ_STATUS) == 0,
	     "an interrupt without a driver");
	r->status = status;
	check_queues(r, old & S_DRIVER_OK);
	must((g->echo.dev.driver_features & ~(VIRTIO_CORE_FEATURES | MMIO_DEVICE_FEATURE)) == 0,
	     "features that were not offered");
	must(mmio_get(g, R_MAGIC) == 0x74726976 && mmio_get(g, R_VERSION) == 2, "identity");
	r->reset = false;
}

static uint64_t address(const uint8_t *d)
{
	static const uint64_t table[] = {
		MMIO_GPA + MMIO_DESC(0),
		MMIO_GPA + MMIO_AVAIL(0),
		MMIO_GPA + MMIO_USED(0),
		MMIO_GPA + MMIO_DESC(1),
		MMIO_GPA,
		MMIO_GPA + MMIO_MEM - 64,
		MMIO_GPA - 16,
		UINT64_MAX - 63,
	};
	return table[d[0] % ARRAY_SIZE(table)] + (uint64_t)(d[1] & 0x7f) * (d[1] & 0x80 ? 16 : 1);
}

static void set_queue(struct run *r, const uint8_t *d)
{
	static const uint32_t sizes[] = {8, 1, 128, 16, 0, 7, 256, 0x10008};
	struct mmio_rig *g = &r->rig;
	mmio_put(g, R_QUEUE_SEL, d[0] & 3);
	mmio_put(g, R_QUEUE_NUM, sizes[(d[0] >> 2) & 7]);
	mmio_put64(g, R_DESC, address(d + 1));
	mmio_put64(g, R_AVAIL, address(d + 3));
	mmio_put64(g, R_USED, address(d + 5));
	mmio_put(g, R_QUEUE_READY, !(d[0] & 0x80));
}

static void add(struct run *r, const uint8_t *d)
{
	static const char *const texts[] = {"x", "hello", "", "0123456789abcdef0123456789abcdef"};
	unsigned q = d[0] & 1;
	mmio_rig_add(&r->rig, q, texts[(d[0] >> 1) & 3], d[0] & 8);
}

static void put_status(struct run *r, uint32_t v)
{
	r->reset = v == 0;
	mmio_put(&r->rig, R_STATUS, v);
}

static void any_access(struct run *r, const uint8_t *d)
{
	static const unsigned lens[] = {1, 2, 4, 8};
	unsigned len = lens[d[0] & 3];
	uint64_t off = (uint64_t)(d[1] | (d[2] & 15) << 8) % (VIRTIO_MMIO_WINDOW - len + 1);
	uint8_t buf[8];
	memcpy(buf, d + 3, sizeof(buf));
	r->reset = off == R_STATUS && len == 4 && memcmp(buf, "\0\0\0\0", 4) == 0;
	virtio_mmio_write(&r->rig.t, off, buf, len);
	virtio_mmio_read(&r->rig.t, off, buf, len);
}

static void turn(struct run *r)
{
	must(mmio_rig_run(&r->rig) < 50, "the device does not come to rest");
	mmio_rig_interrupts(&r->rig);
}

static void start(struct run *r, const uint8_t *d)
{
	r->reset = true;
	mmio_rig_negotiate(&r->rig, d[0] & 1 ? VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC : 0);
	for (unsigned q = 0; q < MMIO_QUEUES; q++)
		if (!(d[0] & (2u << q)))
			mmio_rig_queue(&r->rig, q);
	if (!(d[0] & 8))
		mmio_put(&r->rig, R_STATUS, S_RUNNING);
}

static void device_step(struct run *r, enum step what, const uint8_t *d)
{
	static const char *const configs[] = {"", "configured", "something longer than before"};
	struct mmio_rig *g = &r->rig;
	uint32_t gen = mmio_get(g, R_GENERATION);
	if (what == CONFIG) {
		g->echo.config = configs[d[0] % ARRAY_SIZE(configs)];
		virtio_dev_config_changed(&g->echo.dev);
		must(mmio_get(g, R_GENERATION) == gen + 1, "generation");
	} else if (what == FAIL) {
		virtio_dev_fail(&g->echo.dev, "the fuzzer");
	} else {
		virtio_dev_ask_reset(&g->echo.dev);
	}
}

/* One step; the bytes it took. d may be read 12 bytes beyond its end. */
static size_t step(struct run *r, const uint8_t *d)
{
	struct mmio_rig *g = &r->rig;
	uint32_t v;
	uint64_t one = 1;
	memcpy(&v, d + 2, sizeof(v));
	switch ((enum step)(d[0] % STEPS)) {
	case WRITE32:
		if ((d[1] & ~3u) == R_STATUS)
			put_status(r, v);
		else
			mmio_put(g, d[1] & ~3u, v);
		return 6;
	case STATUS: put_status(r, d[1]); return 2;
	case QUEUE: set_queue(r, d + 1); return 8;
	case ACCESS: any_access(r, d + 1); return 12;
	case READ: mmio_get(g, d[1] & ~3u); return 2;
	case POKE:
		memcpy(g->mem + (((unsigned)d[1] | (unsigned)d[2] << 8) & (MMIO_MEM - 4)), d + 3,
		       4);
		return 7;
	case ADD: add(r, d + 1); return 2;
	case TURN: turn(r); return 1;
	case KICK:
		must(write(virtio_mmio_kick_fd(&g->t, d[1] & 1), &one, sizeof(one)) == 8, "kick");
		return 2;
	case START: start(r, d + 1); return 2;
	case STOP:
		/* Seldom: nothing happens behind it. */
		if (d[1] == 0) {
			virtio_mmio_stop(&g->t);
			r->stopped = true;
		}
		return 2;
	default: device_step(r, d[0] % STEPS, d + 1); return 2;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct run r;
	uint8_t *copy = calloc(1, size + 12);
	must(copy != NULL, "memory");
	if (size > 0)
		memcpy(copy, data, size);
	memset(&r, 0, sizeof(r));
	mmio_rig_init(&r.rig);
	size_t off = 0;
	for (unsigned i = 0; i < 300 && off < size; i++) {
		off += step(&r, copy + off);
		check(&r);
	}
	turn(&r);
	check(&r);
	/* Whatever happened, a reset brings a working device. */
	if (!r.stopped) {
		r.reset = true;
		mmio_rig_start(&r.rig, 0);
		must(mmio_get(&r.rig, R_STATUS) == S_RUNNING, "no life after a reset");
		mmio_rig_add(&r.rig, 0, "hello", true);
		turn(&r);
		must(mmio_rig_used(&r.rig, 0) == 1, "no answer after a reset");
	}
	mmio_rig_destroy(&r.rig);
	free(copy);
	return 0;
}
