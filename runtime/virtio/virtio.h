// SPDX-License-Identifier: Apache-2.0
// virtio.h - what a device is, whatever carries it to the guest
//
// A device is a static table of operations and a struct virtio_dev at the start of its own state.
// It never knows its transport: vhost_user.c (tcg engine) or mmio.c (kvm engine) owns the feature
// negotiation, starts and stops the queues, and calls the device from one thread only, the one
// that runs dev->loop. The device pops chains, serves them, pushes them and notifies.
#ifndef MAYFLY_VIRTIO_VIRTIO_H
#define MAYFLY_VIRTIO_VIRTIO_H

#include "base/evloop.h"
#include "base/log.h"
#include "virtio/queue.h"

#define VIRTIO_DEV_MAX_QUEUES 4

/* Feature bits that the queue core serves (virtio 1.2, section 6). */
#define VIRTIO_F_INDIRECT_DESC (1ull << 28)
#define VIRTIO_F_EVENT_IDX (1ull << 29)
#define VIRTIO_F_VERSION_1 (1ull << 32)
#define VIRTIO_CORE_FEATURES (VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX | VIRTIO_F_VERSION_1)

enum virtio_id {
	VIRTIO_ID_BLK_DEV = 2,
	VIRTIO_ID_CONSOLE_DEV = 3,
	VIRTIO_ID_RNG_DEV = 4,
	VIRTIO_ID_VSOCK_DEV = 19,
	VIRTIO_ID_FS_DEV = 26,
};

struct virtio_dev;

struct virtio_dev_ops {
	const char *name;
	enum virtio_id id;
	unsigned num_queues;
	uint64_t features; /* device features beside VIRTIO_CORE_FEATURES */

	/* queue_kick: the driver added chains to a started queue, or the queue has just started.
	 * Must bound its work a call and must cope with spurious calls. */
	void (*queue_kick)(struct virtio_dev *dev, unsigned q);

	/* quiesce: queues or memory are about to go: returns when nothing uses them any more. May
	 * still answer requests. NULL: the device never works on one beyond a call. */
	void (*quiesce)(struct virtio_dev *dev);

	/* reset: all queues are stopped; drop every request and connection of the old driver. */
	void (*reset)(struct virtio_dev *dev);

	/* get_config: copies len bytes at off of the config space; what lies outside reads 0.
	 * What it says may change only together with virtio_dev_config_changed(). */
	void (*get_config)(struct virtio_dev *dev, uint32_t off, void *buf, uint32_t len);
};

/* What a transport hears of its device, on the device's thread. */
struct virtio_transport {
	void (*needs_reset)(struct virtio_transport *t);
	void (*config_changed)(struct virtio_transport *t);
};

struct virtio_dev {
	const struct virtio_dev_ops *ops;
	struct virtio_transport *transport; /* NULL under vhost-user, which has no words for it */
	struct evloop *loop;
	struct gmem mem;
	struct virtqueue vq[VIRTIO_DEV_MAX_QUEUES];
	uint64_t driver_features;
	bool needs_reset;
	struct log_limit limit;
};

/* virtio_dev_init() - empty queues, no memory. The device's owner calls it once. */
void virtio_dev_init(struct virtio_dev *dev, const struct virtio_dev_ops *ops, struct evloop *loop);

/* virtio_dev_quiesce() - the transport calls it before it stops a queue or takes memory away. */
void virtio_dev_quiesce(struct virtio_dev *dev);

/*
 * virtio_dev_fail() - the driver broke the rules: the device serves nothing until its reset.
 * One rate-limited line names the device and what.
 */
void virtio_dev_fail(struct virtio_dev *dev, const char *what);

/*
 * virtio_dev_ask_reset() - what the device relies on is gone for good: the driver is told that
 * the device needs a reset, and requests are still answered (with errors).
 */
void virtio_dev_ask_reset(struct virtio_dev *dev);

/* virtio_dev_config_changed() - the device's config space reads differently from now on. */
void virtio_dev_config_changed(struct virtio_dev *dev);

/* virtio_config_copy() - get_config for a device whose config space is one struct. */
void virtio_config_copy(const void *config, uint32_t size, uint32_t off, void *buf, uint32_t len);

#endif
