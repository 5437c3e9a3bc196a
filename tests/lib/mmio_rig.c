// SPDX-License-Identifier: Apache-2.0
// mmio_rig.c - a device that echoes behind virtio-mmio registers, and its driver, for tests
#include "lib/mmio_rig.h"

#include "base/cleanup.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#define DESC_NEXT 1
#define DESC_WRITE 2

static void must(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "mmio_rig: %s: %s\n", what, strerror(errno));
		abort();
	}
}

static void pass_gate(struct mmio_echo *e)
{
	uint64_t one = 1;
	if (e->gate_fd < 0)
		return;
	must(write(e->entered_fd, &one, sizeof(one)) == sizeof(one), "gate");
	must(read(e->gate_fd, &one, sizeof(one)) == sizeof(one), "gate");
}

static void echo_kick(struct virtio_dev *dev, unsigned q)
{
	struct mmio_echo *e = (struct mmio_echo *)(void *)dev;
	struct virtqueue *vq = &dev->vq[q];
	uint8_t buf[64];
	must(q < MMIO_QUEUES && vq->started && !dev->needs_reset, "a kick in the wrong state");
	e->kicks[q]++;
	pass_gate(e);
	for (unsigned n = 0; n < vq->size; n++) {
		int got = virtqueue_pop(vq, &e->chain);
		if (got < 0)
			virtio_dev_fail(dev, "broken queue");
		if (got <= 0)
			break;
		size_t len = e->chain.out_len < sizeof(buf) ? e->chain.out_len : sizeof(buf);
		if (len > e->chain.in_len)
			len = e->chain.in_len;
		chain_read(&e->chain, 0, buf, len);
		chain_write(&e->chain, 0, buf, len);
		virtqueue_push(vq, e->chain.head, (uint32_t)len);
		e->served++;
	}
	virtqueue_notify(vq);
}

static void echo_reset(struct virtio_dev *dev)
{
	for (unsigned q = 0; q < MMIO_QUEUES; q++)
		must(!dev->vq[q].started && dev->vq[q].call_fd == -1, "a reset of running queues");
	((struct mmio_echo *)(void *)dev)->resets++;
}

static void echo_config(struct virtio_dev *dev, uint32_t off, void *buf, uint32_t len)
{
	const char *config = ((struct mmio_echo *)(void *)dev)->config;
	virtio_config_copy(config, (uint32_t)strlen(config), off, buf, len);
}

static const struct virtio_dev_ops echo_ops = {
	.name = "echo",
	.id = VIRTIO_ID_VSOCK_DEV,
	.num_queues = MMIO_QUEUES,
	.features = MMIO_DEVICE_FEATURE,
	.queue_kick = echo_kick,
	.reset = echo_reset,
	.get_config = echo_config,
};

static void on_quit(struct evsource *src, uint32_t events)
{
	struct mmio_rig *r = src->arg;
	uint64_t n;
	(void)events;
	must(read(src->fd, &n, sizeof(n)) == sizeof(n), "quit");
	r->loop.stop = true;
}

void mmio_rig_init(struct mmio_rig *r)
{
	memset(r, 0, sizeof(*r));
	r->mem = mmap(NULL, MMIO_MEM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must(r->mem != MAP_FAILED, "mmap");
	/* As the machine has it: owned here, borrowed by the device. */
	struct gmem_region region = {
		.gpa = MMIO_GPA,
		.size = MMIO_MEM,
		.host = r->mem,
		.map = r->mem,
		.map_len = MMIO_MEM,
	};
	must(gmem_add(&r->ram, &region) == 0, "memory");
	must(evloop_init(&r->loop) == 0, "event loop");
	r->irq_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r->quit = (struct evsource){
		.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .fn = on_quit, .arg = r};
	must(r->irq_fd >= 0 && r->quit.fd >= 0, "eventfd");
	must(evloop_add(&r->loop, &r->quit, EPOLLIN) == 0, "quit");
	r->echo.config = "configured";
	r->echo.entered_fd = r->echo.gate_fd = -1;
	virtio_dev_init(&r->echo.dev, &echo_ops, &r->loop);
	must(virtio_mmio_init(&r->t, &r->echo.dev, &r->ram, r->irq_fd) == 0, "transport");
	virtio_mmio_own_thread(&r->t, true);
}

void mmio_rig_destroy(struct mmio_rig *r)
{
	virtio_mmio_close(&r->t);
	evloop_del(&r->loop, &r->quit);
	close_fd(&r->quit.fd);
	close_fd(&r->irq_fd);
	close_fd(&r->echo.entered_fd);
	close_fd(&r->echo.gate_fd);
	gmem_clear(&r->ram);
	evloop_close(&r->loop);
}

unsigned mmio_rig_run(struct mmio_rig *r)
{
	unsigned i;
	for (i = 0; i < 100; i++)
		if (evloop_once(&r->loop, 0) <= 0)
			break;
	return i;
}

static void *thread_main(void *arg)
{
	struct mmio_rig *r = arg;
	must(evloop_run(&r->loop) == 0, "loop");
	return NULL;
}

void mmio_rig_thread(struct mmio_rig *r)
{
	virtio_mmio_own_thread(&r->t, false);
	r->loop.stop = false;
	must(pthread_create(&r->thread, NULL, thread_main, r) == 0, "thread");
}

void mmio_rig_join(struct mmio_rig *r)
{
	uint64_t one = 1;
	must(write(r->quit.fd, &one, sizeof(one)) == sizeof(one), "quit");
	must(pthread_join(r->thread, NULL) == 0, "join");
	virtio_mmio_own_thread(&r->t, true);
}

uint32_t mmio_get(struct mmio_rig *r, uint64_t reg)
{
	uint32_t v = 0xdeadbeef;
	virtio_mmio_read(&r->t, reg, &v, sizeof(v));
	return le32toh(v);
}

void mmio_put(struct mmio_rig *r, uint64_t reg, uint32_t v)
{
	v = htole32(v);
	virtio_mmio_write(&r->t, reg, &v, sizeof(v));
}

void mmio_put64(struct mmio_rig *r, uint64_t reg, uint64_t v)
{
	mmio_put(r, reg, (uint32_t)v);
	mmio_put(r, reg + 4, (uint32_t)(v >> 32));
}

void mmio_rig_features(struct mmio_rig *r, uint64_t f)
{
	for (uint32_t sel = 0; sel < 2; sel++) {
		mmio_put(r, R_DRV_FEATURES_SEL, sel);
		mmio_put(r, R_DRV_FEATURES, (uint32_t)(f >> (32 * sel)));
	}
}

bool mmio_status_legal(uint32_t status)
{
	bool running = status & S_DRIVER_OK;
	uint32_t steps = status & ~(uint32_t)(S_FAILED | S_NEEDS_RESET);
	if ((status & S_NEEDS_RESET) && !running)
		return false;
	return steps == 0 || steps == S_ACK || steps == (S_ACK | S_DRIVER) || steps == S_OPEN ||
	       steps == S_RUNNING;
}

void mmio_rig_negotiate(struct mmio_rig *r, uint64_t extra)
{
	mmio_put(r, R_STATUS, 0);
	mmio_put(r, R_STATUS, S_ACK);
	mmio_put(r, R_STATUS, S_ACK | S_DRIVER);
	mmio_rig_features(r, VIRTIO_F_VERSION_1 | extra);
	mmio_put(r, R_STATUS, S_OPEN);
}

void mmio_rig_queue_regs(struct mmio_rig *r, unsigned q)
{
	mmio_put(r, R_QUEUE_SEL, q);
	mmio_put(r, R_QUEUE_NUM, MMIO_QSIZE);
	mmio_put64(r, R_DESC, MMIO_GPA + MMIO_DESC(q));
	mmio_put64(r, R_AVAIL, MMIO_GPA + MMIO_AVAIL(q));
	mmio_put64(r, R_USED, MMIO_GPA + MMIO_USED(q));
	mmio_put(r, R_QUEUE_READY, 1);
}

void mmio_rig_queue(struct mmio_rig *r, unsigned q)
{
	memset(r->mem + MMIO_DESC(q), 0, MMIO_DESC(1) - MMIO_DESC(0));
	r->avail[q] = 0;
	mmio_rig_queue_regs(r, q);
}

void mmio_rig_start(struct mmio_rig *r, uint64_t extra)
{
	mmio_rig_negotiate(r, extra);
	for (unsigned q = 0; q < MMIO_QUEUES; q++)
		mmio_rig_queue(r, q);
	mmio_put(r, R_STATUS, S_RUNNING);
}

void mmio_rig_add(struct mmio_rig *r, unsigned q, const char *text, bool notify)
{
	struct {
		uint64_t addr;
		uint32_t len;
		uint16_t flags, next;
	} d[2];
	uint16_t *avail = (uint16_t *)(void *)(r->mem + MMIO_AVAIL(q));
	uint32_t len = (uint32_t)strlen(text);
	memcpy(r->mem + MMIO_BUF(q), text, len);
	d[0].addr = htole64(MMIO_GPA + MMIO_BUF(q));
	d[1].addr = htole64(MMIO_GPA + MMIO_BUF(q) + 64);
	d[0].len = d[1].len = htole32(len);
	d[0].flags = htole16(DESC_NEXT);
	d[1].flags = htole16(DESC_WRITE);
	d[0].next = htole16(1);
	d[1].next = 0;
	memcpy(r->mem + MMIO_DESC(q), d, sizeof(d));
	avail[2 + r->avail[q] % MMIO_QSIZE] = 0;
	r->avail[q]++;
	__atomic_store_n(&avail[1], htole16(r->avail[q]), __ATOMIC_RELEASE);
	if (notify)
		mmio_put(r, R_NOTIFY, q);
}

uint16_t mmio_rig_used(const struct mmio_rig *r, unsigned q)
{
	const uint16_t *used = (const uint16_t *)(const void *)(r->mem + MMIO_USED(q));
	return le16toh(__atomic_load_n(&used[1], __ATOMIC_ACQUIRE));
}

uint64_t mmio_rig_interrupts(struct mmio_rig *r)
{
	uint64_t n = 0;
	return read(r->irq_fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}
