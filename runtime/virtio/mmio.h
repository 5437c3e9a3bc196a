// SPDX-License-Identifier: Apache-2.0
// mmio.h - carries one of our devices to the guest over virtio-mmio version 2 registers
//
// Registers are touched by any vCPU's thread, the device belongs to the thread that runs
// dev->loop. So the registers, the queues' addresses included, are the transport's, behind a lock;
// the device hears of them when the driver sets DRIVER_OK. That, and a reset of a device that has
// run, is done by the device's thread while the vCPU waits.
#ifndef MAYFLY_VIRTIO_MMIO_H
#define MAYFLY_VIRTIO_MMIO_H

#include "virtio/virtio.h"

#include <pthread.h>

#define VIRTIO_MMIO_WINDOW 0x1000

/* Where a driver notifies a queue: a 4-byte write of the queue's number. */
#define VIRTIO_MMIO_QUEUE_NOTIFY 0x50

/* What QueueNumMax says. A driver fills a receive queue with buffers: more costs guest memory. */
#define VIRTIO_MMIO_QUEUE_SIZE 128

/* The part of a device's config space that a driver sees; the rest reads 0. */
#define VIRTIO_MMIO_CONFIG_SIZE 256

struct virtio_mmio;

struct virtio_mmio_queue {
	struct evsource kick;
	struct virtio_mmio *t;
	/* As the driver wrote them, unchecked. */
	uint32_t num;
	uint64_t desc, driver, device;
	bool ready;
};

enum virtio_mmio_job { VIRTIO_MMIO_START, VIRTIO_MMIO_RESET };

struct virtio_mmio {
	struct virtio_transport transport;
	struct virtio_dev *dev;
	int irq_fd;
	uint32_t irq_status;  /* InterruptStatus, atomic */
	struct evsource work; /* an eventfd: a job for the device's thread */

	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t changed;
	bool stopped;
	bool dirty; /* the device saw this driver, or failed: reset is its thread's work */
	enum virtio_mmio_job job;
	uint64_t posted, finished; /* jobs; at most one is under way */
	bool own_thread_set;
	pthread_t own_thread;
	uint32_t status;
	uint32_t device_features_sel, driver_features_sel, queue_sel;
	uint64_t driver_features;
	uint32_t config_generation;
	uint8_t config[VIRTIO_MMIO_CONFIG_SIZE];
	struct virtio_mmio_queue queue[VIRTIO_DEV_MAX_QUEUES];
	struct log_limit limit;
};

/*
 * virtio_mmio_init() - gives dev a transport. Before dev->loop runs, or on its thread; the device
 * is complete: its config space is copied here, and again at virtio_dev_config_changed().
 * @ram: the machine's memory, outlives the transport
 * @irq_fd: eventfd that interrupts the guest, borrowed, EFD_NONBLOCK
 * Returns 0 or -errno.
 */
int virtio_mmio_init(struct virtio_mmio *t, struct virtio_dev *dev, const struct gmem *ram,
		     int irq_fd);

/*
 * virtio_mmio_kick_fd() - the eventfd that a write of q to QueueNotify signals, for an ioeventfd.
 * Stays the transport's; -1 if the device has no queue q.
 */
int virtio_mmio_kick_fd(const struct virtio_mmio *t, unsigned q);

/*
 * virtio_mmio_read(), virtio_mmio_write() - one access of the guest, on any thread.
 * @arg: a struct virtio_mmio
 * @off: inside the window
 * @len: 1, 2, 4 or 8
 * A write that starts or resets the device returns when the device's thread has done it, or
 * after virtio_mmio_stop(): nothing else ends the wait. Registers take aligned accesses of 4
 * bytes (virtio 1.2, section 4.2.2); what else comes reads 0 and is ignored.
 */
void virtio_mmio_read(void *arg, uint64_t off, void *data, unsigned len);
void virtio_mmio_write(void *arg, uint64_t off, const void *data, unsigned len);

/*
 * virtio_mmio_own_thread() - with own: the calling thread drives dev->loop and accesses registers
 * as well, as tests and fuzzers do, so what would wait for the device's thread is done at once.
 */
void virtio_mmio_own_thread(struct virtio_mmio *t, bool own);

/*
 * virtio_mmio_stop() - the machine ends: no write waits any more, and none but notifications and
 * acknowledgements has an effect. Any thread, any number of times.
 */
void virtio_mmio_stop(struct virtio_mmio *t);

/*
 * virtio_mmio_close() - stops the queues and resets the device. When no vCPU runs any more, on
 * the device's thread or after its end; before the device is destroyed.
 */
void virtio_mmio_close(struct virtio_mmio *t);

#endif
