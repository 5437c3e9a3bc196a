// SPDX-License-Identifier: Apache-2.0
// virtio.c - what all devices share beside their queues
#include "virtio/virtio.h"

#include "base/checked.h"

#include <string.h>

void virtio_dev_init(struct virtio_dev *dev, const struct virtio_dev_ops *ops, struct evloop *loop)
{
	*dev = (struct virtio_dev){.ops = ops, .loop = loop};
	for (unsigned i = 0; i < VIRTIO_DEV_MAX_QUEUES; i++)
		dev->vq[i] = (struct virtqueue){.mem = &dev->mem, .call_fd = -1};
}

void virtio_dev_quiesce(struct virtio_dev *dev)
{
	if (dev->ops->quiesce)
		dev->ops->quiesce(dev);
}

void virtio_dev_fail(struct virtio_dev *dev, const char *what)
{
	dev->needs_reset = true;
	for (unsigned i = 0; i < VIRTIO_DEV_MAX_QUEUES; i++)
		dev->vq[i].broken = true;
	log_guest(&dev->limit, "%s device needs reset: %s", dev->ops->name, what);
	virtio_dev_ask_reset(dev);
}

void virtio_dev_ask_reset(struct virtio_dev *dev)
{
	if (dev->transport)
		dev->transport->needs_reset(dev->transport);
}

void virtio_dev_config_changed(struct virtio_dev *dev)
{
	if (dev->transport)
		dev->transport->config_changed(dev->transport);
}

void virtio_config_copy(const void *config, uint32_t size, uint32_t off, void *buf, uint32_t len)
{
	memset(buf, 0, len);
	if (off < size)
		memcpy(buf, (const uint8_t *)config + off, MIN(len, size - off));
}
