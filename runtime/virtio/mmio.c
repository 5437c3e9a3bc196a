// SPDX-License-Identifier: Apache-2.0
// mmio.c - virtio-mmio version 2 registers and the driver's status machine (virtio 1.2, 4.2, 2.1)
//
// Theory of operation: under the lock the registers are a plain state machine. Setting DRIVER_OK,
// and resetting a device that has seen a driver, posts a job to the device's thread and waits for
// it; meanwhile all other writes that change state wait, too, so the thread reads the queues'
// registers without the lock. Afterwards those are fixed until the next reset.
#include "virtio/mmio.h"

#include "base/checked.h"
#include "base/cleanup.h"

#include <endian.h>
#include <string.h>
#include <sys/eventfd.h>

/* Registers (section 4.2.2). */
enum {
	REG_MAGIC = 0x00,
	REG_VERSION = 0x04,
	REG_DEVICE_ID = 0x08,
	REG_VENDOR_ID = 0x0c,
	REG_DEVICE_FEATURES = 0x10,
	REG_DEVICE_FEATURES_SEL = 0x14,
	REG_DRIVER_FEATURES = 0x20,
	REG_DRIVER_FEATURES_SEL = 0x24,
	REG_QUEUE_SEL = 0x30,
	REG_QUEUE_NUM_MAX = 0x34,
	REG_QUEUE_NUM = 0x38,
	REG_QUEUE_READY = 0x44,
	REG_QUEUE_NOTIFY = VIRTIO_MMIO_QUEUE_NOTIFY,
	REG_INTERRUPT_STATUS = 0x60,
	REG_INTERRUPT_ACK = 0x64,
	REG_STATUS = 0x70,
	REG_QUEUE_DESC_LOW = 0x80,
	REG_QUEUE_DESC_HIGH = 0x84,
	REG_QUEUE_DRIVER_LOW = 0x90,
	REG_QUEUE_DRIVER_HIGH = 0x94,
	REG_QUEUE_DEVICE_LOW = 0xa0,
	REG_QUEUE_DEVICE_HIGH = 0xa4,
	REG_SHM_LEN_LOW = 0xb0,
	REG_SHM_LEN_HIGH = 0xb4,
	REG_SHM_BASE_LOW = 0xb8,
	REG_SHM_BASE_HIGH = 0xbc,
	REG_CONFIG_GENERATION = 0xfc,
	REG_CONFIG = 0x100,
};

#define MAGIC 0x74726976u /* "virt" */
#define VERSION 2
#define VENDOR 0x594c464du /* "MFLY" */
#define IRQ_CONFIG 2u	   /* InterruptStatus, beside VIRTQUEUE_IRQ_USED */

/* Device status (section 2.1). */
#define ACKNOWLEDGE 1u
#define DRIVER 2u
#define DRIVER_OK 4u
#define FEATURES_OK 8u
#define NEEDS_RESET 64u
#define FAILED 128u
#define DRIVER_BITS (ACKNOWLEDGE | DRIVER | DRIVER_OK | FEATURES_OK | FAILED)

static const uint32_t status_order[] = {ACKNOWLEDGE, DRIVER, FEATURES_OK, DRIVER_OK};

static void signal_fd(int fd)
{
	uint64_t one = 1;
	/* A full counter means that the signal is pending anyway. */
	ssize_t n = write(fd, &one, sizeof(one));
	(void)n;
}

static void drain_fd(int fd)
{
	uint64_t count;
	ssize_t n = read(fd, &count, sizeof(count));
	(void)n;
}

static void raise_config_irq(struct virtio_mmio *t)
{
	__atomic_fetch_or(&t->irq_status, IRQ_CONFIG, __ATOMIC_SEQ_CST);
	signal_fd(t->irq_fd);
}

static uint64_t offered_features(const struct virtio_mmio *t)
{
	return VIRTIO_CORE_FEATURES | t->dev->ops->features;
}

/* --- the device's thread --- */

static void queues_stop(struct virtio_mmio *t)
{
	virtio_dev_quiesce(t->dev);
	for (unsigned i = 0; i < t->dev->ops->num_queues; i++) {
		struct virtqueue *vq = &t->dev->vq[i];
		virtqueue_stop(vq);
		vq->call_fd = -1;
		vq->irq_status = NULL;
	}
}

static int queue_start(struct virtio_mmio *t, unsigned i)
{
	const struct virtio_mmio_queue *q = &t->queue[i];
	struct virtqueue *vq = &t->dev->vq[i];
	if (q->num > VIRTIO_MMIO_QUEUE_SIZE)
		return -EINVAL;
	vq->size = (uint16_t)q->num;
	vq->desc = GPA(q->desc);
	vq->avail = GPA(q->driver);
	vq->used = GPA(q->device);
	vq->event_idx = t->dev->driver_features & VIRTIO_F_EVENT_IDX;
	vq->call_fd = t->irq_fd;
	vq->irq_status = &t->irq_status;
	return virtqueue_start(vq, 0);
}

static void device_start(struct virtio_mmio *t)
{
	int ret = 0;
	/* It failed before it was started: only a reset helps. */
	if (t->dev->needs_reset)
		return;
	t->dev->driver_features = t->driver_features;
	for (unsigned i = 0; ret == 0 && i < t->dev->ops->num_queues; i++)
		if (t->queue[i].ready)
			ret = queue_start(t, i);
	if (ret == 0)
		return;
	queues_stop(t);
	virtio_dev_fail(t->dev, "a queue's size or address is wrong");
}

static void device_reset(struct virtio_mmio *t)
{
	queues_stop(t);
	t->dev->needs_reset = false;
	t->dev->driver_features = 0;
	t->dev->ops->reset(t->dev);
}

static void registers_reset(struct virtio_mmio *t)
{
	t->status = 0;
	t->device_features_sel = t->driver_features_sel = t->queue_sel = 0;
	t->driver_features = 0;
	t->dirty = false;
	__atomic_store_n(&t->irq_status, 0, __ATOMIC_SEQ_CST);
	for (unsigned i = 0; i < VIRTIO_DEV_MAX_QUEUES; i++) {
		struct virtio_mmio_queue *q = &t->queue[i];
		q->num = 0;
		q->desc = q->driver = q->device = 0;
		q->ready = false;
	}
}

static void kick(struct virtio_mmio *t, unsigned i)
{
	if (t->dev->vq[i].started && !t->dev->needs_reset)
		t->dev->ops->queue_kick(t->dev, i);
}

/* The job that is under way, if any. Called and left without the lock. */
static void do_job(struct virtio_mmio *t)
{
	pthread_mutex_lock(&t->lock);
	bool due = t->finished < t->posted && !t->stopped;
	enum virtio_mmio_job job = t->job;
	pthread_mutex_unlock(&t->lock);
	if (!due)
		return;
	if (job == VIRTIO_MMIO_START)
		device_start(t);
	else
		device_reset(t);
	pthread_mutex_lock(&t->lock);
	if (job == VIRTIO_MMIO_START) {
		t->status |= DRIVER_OK;
		if (t->dev->needs_reset) {
			t->status |= NEEDS_RESET;
			raise_config_irq(t);
		}
	} else {
		registers_reset(t);
	}
	t->finished++;
	pthread_cond_broadcast(&t->changed);
	pthread_mutex_unlock(&t->lock);
	/* Chains may wait from before the start. */
	if (job == VIRTIO_MMIO_START)
		for (unsigned i = 0; i < t->dev->ops->num_queues; i++)
			kick(t, i);
}

static void on_work(struct evsource *src, uint32_t events)
{
	(void)events;
	drain_fd(src->fd);
	do_job(src->arg);
}

static void on_kick(struct evsource *src, uint32_t events)
{
	struct virtio_mmio_queue *q = src->arg;
	(void)events;
	drain_fd(src->fd);
	kick(q->t, (unsigned)(q - q->t->queue));
}

static void on_needs_reset(struct virtio_transport *transport)
{
	struct virtio_mmio *t = container_of(transport, struct virtio_mmio, transport);
	pthread_mutex_lock(&t->lock);
	t->dirty = true;
	/* While it starts, DRIVER_OK is not set yet: do_job() sees to it. */
	if ((t->status & (DRIVER_OK | NEEDS_RESET)) == DRIVER_OK) {
		t->status |= NEEDS_RESET;
		raise_config_irq(t);
	}
	pthread_mutex_unlock(&t->lock);
}

static void copy_config(struct virtio_mmio *t, uint8_t config[VIRTIO_MMIO_CONFIG_SIZE])
{
	memset(config, 0, VIRTIO_MMIO_CONFIG_SIZE);
	if (t->dev->ops->get_config)
		t->dev->ops->get_config(t->dev, 0, config, VIRTIO_MMIO_CONFIG_SIZE);
}

static void on_config_changed(struct virtio_transport *transport)
{
	struct virtio_mmio *t = container_of(transport, struct virtio_mmio, transport);
	uint8_t config[VIRTIO_MMIO_CONFIG_SIZE];
	copy_config(t, config);
	pthread_mutex_lock(&t->lock);
	memcpy(t->config, config, sizeof(config));
	t->config_generation++;
	if (t->status & DRIVER_OK)
		raise_config_irq(t);
	pthread_mutex_unlock(&t->lock);
}

/* --- registers: any thread, with the lock --- */

static void wait_turn(struct virtio_mmio *t)
{
	if (t->own_thread_set && pthread_equal(t->own_thread, pthread_self())) {
		pthread_mutex_unlock(&t->lock);
		do_job(t);
		pthread_mutex_lock(&t->lock);
	} else {
		pthread_cond_wait(&t->changed, &t->lock);
	}
}

static void hand_over(struct virtio_mmio *t, enum virtio_mmio_job job)
{
	uint64_t mine = ++t->posted;
	t->job = job;
	t->dirty = true;
	signal_fd(t->work.fd);
	while (t->finished < mine && !t->stopped)
		wait_turn(t);
}

/* False if the driver accepted what was not offered, or knows no version 1. */
static bool features_ok(struct virtio_mmio *t)
{
	uint64_t f = t->driver_features;
	bool ok = (f & ~offered_features(t)) == 0 && (f & VIRTIO_F_VERSION_1);
	if (!ok)
		log_guest(&t->limit, "%s: the driver's features %#llx are refused",
			  t->dev->ops->name, (unsigned long long)f);
	return ok;
}

static void write_status(struct virtio_mmio *t, uint32_t v)
{
	if (v == 0) {
		if (t->dirty)
			hand_over(t, VIRTIO_MMIO_RESET);
		else
			registers_reset(t);
		return;
	}
	if (v & FAILED) {
		t->status |= FAILED;
		return;
	}
	/* NEEDS_RESET is ours to set. */
	uint32_t old = t->status & DRIVER_BITS;
	v &= ~NEEDS_RESET;
	bool legal = (v & ~DRIVER_BITS) == 0 && (old & ~v) == 0;
	uint32_t before = 0;
	for (size_t i = 0; legal && i < ARRAY_SIZE(status_order); i++) {
		uint32_t bit = status_order[i];
		if (v & ~old & bit) {
			legal = (t->status & before) == before;
			if (legal && bit == DRIVER_OK)
				hand_over(t, VIRTIO_MMIO_START);
			else if (legal && bit == FEATURES_OK && !features_ok(t))
				return;
			else if (legal)
				t->status |= bit;
		}
		before |= bit;
	}
	if (!legal)
		log_guest(&t->limit, "%s: status %#x after %#x is refused", t->dev->ops->name, v,
			  old);
}

/* The selected queue, NULL if the device has no such queue. */
static struct virtio_mmio_queue *selected(struct virtio_mmio *t)
{
	return t->queue_sel < t->dev->ops->num_queues ? &t->queue[t->queue_sel] : NULL;
}

static void set_low(uint64_t *addr, uint32_t v)
{
	*addr = (*addr & ~0xffffffffull) | v;
}

static void set_high(uint64_t *addr, uint32_t v)
{
	*addr = (*addr & 0xffffffffull) | (uint64_t)v << 32;
}

static void write_queue(struct virtio_mmio *t, uint64_t reg, uint32_t v)
{
	struct virtio_mmio_queue *q = selected(t);
	bool ready = reg == REG_QUEUE_READY;
	/* Drivers disable their queues after a reset, too. */
	if (!q || (ready && q->ready == (v & 1)))
		return;
	if ((t->status & (FEATURES_OK | DRIVER_OK | FAILED)) != FEATURES_OK ||
	    (q->ready && !ready)) {
		log_guest(&t->limit, "%s: a change of queue %u is ignored at status %#x",
			  t->dev->ops->name, t->queue_sel, t->status);
		return;
	}
	switch (reg) {
	case REG_QUEUE_READY: q->ready = v & 1; break;
	case REG_QUEUE_NUM: q->num = v; break;
	case REG_QUEUE_DESC_LOW: set_low(&q->desc, v); break;
	case REG_QUEUE_DESC_HIGH: set_high(&q->desc, v); break;
	case REG_QUEUE_DRIVER_LOW: set_low(&q->driver, v); break;
	case REG_QUEUE_DRIVER_HIGH: set_high(&q->driver, v); break;
	case REG_QUEUE_DEVICE_LOW: set_low(&q->device, v); break;
	case REG_QUEUE_DEVICE_HIGH: set_high(&q->device, v); break;
	default: break;
	}
}

static void write_driver_features(struct virtio_mmio *t, uint32_t v)
{
	if ((t->status & FEATURES_OK) || t->driver_features_sel > 1)
		return;
	if (t->driver_features_sel == 0)
		set_low(&t->driver_features, v);
	else
		set_high(&t->driver_features, v);
}

static void write_register(struct virtio_mmio *t, uint64_t reg, uint32_t v)
{
	switch (reg) {
	case REG_DEVICE_FEATURES_SEL: t->device_features_sel = v; break;
	case REG_DRIVER_FEATURES: write_driver_features(t, v); break;
	case REG_DRIVER_FEATURES_SEL: t->driver_features_sel = v; break;
	case REG_QUEUE_SEL: t->queue_sel = v; break;
	case REG_STATUS: write_status(t, v); break;
	case REG_QUEUE_NUM:
	case REG_QUEUE_READY:
	case REG_QUEUE_DESC_LOW:
	case REG_QUEUE_DESC_HIGH:
	case REG_QUEUE_DRIVER_LOW:
	case REG_QUEUE_DRIVER_HIGH:
	case REG_QUEUE_DEVICE_LOW:
	case REG_QUEUE_DEVICE_HIGH: write_queue(t, reg, v); break;
	default: break;
	}
}

void virtio_mmio_write(void *arg, uint64_t off, const void *data, unsigned len)
{
	struct virtio_mmio *t = arg;
	uint32_t v;
	if (off == REG_QUEUE_NOTIFY && len == sizeof(v)) {
		memcpy(&v, data, sizeof(v));
		int fd = virtio_mmio_kick_fd(t, le32toh(v));
		if (fd >= 0)
			signal_fd(fd);
		return;
	}
	if (off == REG_INTERRUPT_ACK && len == sizeof(v)) {
		memcpy(&v, data, sizeof(v));
		__atomic_fetch_and(&t->irq_status, ~le32toh(v), __ATOMIC_SEQ_CST);
		return;
	}
	pthread_mutex_lock(&t->lock);
	if (off >= REG_CONFIG || len != sizeof(v) || (off & 3) != 0) {
		log_guest(&t->limit, "%s: a write of %u bytes at %#llx is ignored",
			  t->dev->ops->name, len, (unsigned long long)off);
	} else {
		while (t->finished < t->posted && !t->stopped)
			wait_turn(t);
		memcpy(&v, data, sizeof(v));
		if (!t->stopped)
			write_register(t, off, le32toh(v));
	}
	pthread_mutex_unlock(&t->lock);
}

static uint32_t read_register(struct virtio_mmio *t, uint64_t reg)
{
	const struct virtio_mmio_queue *q = selected(t);
	switch (reg) {
	case REG_MAGIC: return MAGIC;
	case REG_VERSION: return VERSION;
	case REG_DEVICE_ID: return t->dev->ops->id;
	case REG_VENDOR_ID: return VENDOR;
	case REG_DEVICE_FEATURES:
		if (t->device_features_sel > 1)
			return 0;
		return (uint32_t)(offered_features(t) >> (32 * t->device_features_sel));
	case REG_QUEUE_NUM_MAX: return q ? VIRTIO_MMIO_QUEUE_SIZE : 0;
	case REG_QUEUE_READY: return q && q->ready;
	case REG_INTERRUPT_STATUS: return __atomic_load_n(&t->irq_status, __ATOMIC_SEQ_CST);
	case REG_STATUS: return t->status;
	/* No shared memory regions. */
	case REG_SHM_LEN_LOW:
	case REG_SHM_LEN_HIGH:
	case REG_SHM_BASE_LOW:
	case REG_SHM_BASE_HIGH: return UINT32_MAX;
	case REG_CONFIG_GENERATION: return t->config_generation;
	default: return 0;
	}
}

void virtio_mmio_read(void *arg, uint64_t off, void *data, unsigned len)
{
	struct virtio_mmio *t = arg;
	memset(data, 0, len);
	pthread_mutex_lock(&t->lock);
	if (off >= REG_CONFIG && off < VIRTIO_MMIO_WINDOW) {
		virtio_config_copy(t->config, sizeof(t->config), (uint32_t)(off - REG_CONFIG), data,
				   len);
	} else if (len == sizeof(uint32_t) && (off & 3) == 0) {
		uint32_t v = htole32(read_register(t, off));
		memcpy(data, &v, sizeof(v));
	}
	pthread_mutex_unlock(&t->lock);
}

/* --- the owner --- */

static int add_eventfd(struct virtio_mmio *t, struct evsource *src, evsource_fn *fn, void *arg)
{
	*src = (struct evsource){.fn = fn, .arg = arg};
	src->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return src->fd < 0 ? -errno : evloop_add(t->dev->loop, src, EPOLLIN);
}

static void drop_eventfd(struct virtio_mmio *t, struct evsource *src)
{
	evloop_del(t->dev->loop, src);
	close_fd(&src->fd);
}

static void release(struct virtio_mmio *t)
{
	drop_eventfd(t, &t->work);
	for (unsigned i = 0; i < VIRTIO_DEV_MAX_QUEUES; i++)
		drop_eventfd(t, &t->queue[i].kick);
	pthread_cond_destroy(&t->changed);
	pthread_mutex_destroy(&t->lock);
	t->dev->transport = NULL;
	t->dev->mem.n = 0;
}

int virtio_mmio_init(struct virtio_mmio *t, struct virtio_dev *dev, const struct gmem *ram,
		     int irq_fd)
{
	if (dev->ops->num_queues > VIRTIO_DEV_MAX_QUEUES)
		return -EINVAL;
	*t = (struct virtio_mmio){
		.transport = {.needs_reset = on_needs_reset, .config_changed = on_config_changed},
		.dev = dev,
		.irq_fd = irq_fd,
		.work.fd = -1,
	};
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->changed, NULL);
	dev->mem = *ram;
	for (unsigned i = 0; i < dev->mem.n; i++)
		dev->mem.region[i].map = NULL;
	for (unsigned i = 0; i < VIRTIO_DEV_MAX_QUEUES; i++)
		t->queue[i] = (struct virtio_mmio_queue){.t = t, .kick.fd = -1};
	copy_config(t, t->config);
	int ret = add_eventfd(t, &t->work, on_work, t);
	for (unsigned i = 0; ret == 0 && i < dev->ops->num_queues; i++)
		ret = add_eventfd(t, &t->queue[i].kick, on_kick, &t->queue[i]);
	if (ret < 0)
		release(t);
	else
		dev->transport = &t->transport;
	return ret;
}

int virtio_mmio_kick_fd(const struct virtio_mmio *t, unsigned q)
{
	return q < t->dev->ops->num_queues ? t->queue[q].kick.fd : -1;
}

void virtio_mmio_own_thread(struct virtio_mmio *t, bool own)
{
	pthread_mutex_lock(&t->lock);
	t->own_thread = pthread_self();
	t->own_thread_set = own;
	pthread_mutex_unlock(&t->lock);
}

void virtio_mmio_stop(struct virtio_mmio *t)
{
	pthread_mutex_lock(&t->lock);
	t->stopped = true;
	pthread_cond_broadcast(&t->changed);
	pthread_mutex_unlock(&t->lock);
}

void virtio_mmio_close(struct virtio_mmio *t)
{
	virtio_mmio_stop(t);
	device_reset(t);
	release(t);
}
