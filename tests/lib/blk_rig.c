// SPDX-License-Identifier: Apache-2.0
// blk_rig.c - a disk for tests: file, device, driver
#include "lib/blk_rig.h"

#include "base/io.h"
#include "virtio/blk_threads.h"
#include "virtio/blk_uring.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define WAIT_NS 10000000000ull

int blk_rig_init(struct blk_rig *r, bool threads, const struct virtio_blk_options *given)
{
	struct virtio_blk_options o = {.size = BLK_RIG_SIZE, .queues = 1, .serial = "rig"};
	struct blk_io *io = NULL;
	memset(r, 0, sizeof(*r));
	if (given) {
		o = *given;
		o.size = o.size ? o.size : BLK_RIG_SIZE;
		o.queues = o.queues ? o.queues : 1;
		o.serial = o.serial ? o.serial : "rig";
	}
	r->queues = o.queues;
	r->fd = memfd_create("disk", MFD_CLOEXEC);
	if (r->fd < 0 || ftruncate(r->fd, (off_t)o.size) < 0)
		return -errno;
	int ret = evloop_init(&r->loop);
	if (ret == 0)
		ret = virtio_blk_create(&r->dev, &r->loop, &o);
	if (ret < 0)
		return ret;
	struct blk_io_user user = virtio_blk_user(r->dev);
	ret = threads ? blk_threads_create(&io, &r->loop, r->fd, &user, NULL)
		      : blk_uring_create(&io, &r->loop, r->fd, &user);
	if (ret < 0)
		return ret;
	virtio_blk_io(r->dev, io);
	r->dev->driver_features = r->dev->ops->features;
	ret = fake_guest_init(&r->g, &r->dev->mem, BLK_RIG_MEM);
	for (unsigned i = 0; ret == 0 && i < r->queues; i++)
		ret = fake_queue_init(&r->q[i], &r->g, &r->dev->vq[i], BLK_RIG_QSIZE);
	return ret;
}

void blk_rig_destroy(struct blk_rig *r)
{
	virtio_dev_quiesce(r->dev);
	for (unsigned i = 0; i < r->queues; i++)
		fake_queue_destroy(&r->q[i]);
	gmem_clear(&r->dev->mem);
	virtio_blk_destroy(r->dev);
	fake_guest_destroy(&r->g);
	evloop_close(&r->loop);
	close(r->fd);
}

struct blk_rig_request blk_rig_add(struct blk_rig *r, unsigned q, uint32_t type, uint64_t sector,
				   const void *data, size_t len)
{
	struct {
		uint32_t type, reserved;
		uint64_t sector;
	} header = {type, 0, sector};
	struct fake_buf b[3] = {{.data = &header, .len = sizeof(header)}};
	unsigned n = 1;
	if (len > 0)
		b[n++] = (struct fake_buf){.in = !data, .data = data, .len = len};
	b[n++] = (struct fake_buf){.in = true, .len = 1};
	struct blk_rig_request req = {.head = fake_queue_add(&r->q[q], b, n)};
	req.data = b[1].host;
	req.status = b[n - 1].host;
	if (req.head >= 0)
		*req.status = 0xee;
	return req;
}

void blk_rig_kick(struct blk_rig *r, unsigned q)
{
	r->dev->ops->queue_kick(r->dev, q);
}

bool blk_rig_wait(struct blk_rig *r, unsigned q, unsigned n)
{
	uint64_t until = io_now_ns() + WAIT_NS;
	uint16_t head;
	uint32_t len;
	while (n > 0) {
		if (fake_queue_used(&r->q[q], &head, &len)) {
			n--;
			continue;
		}
		if (io_now_ns() > until || evloop_once(&r->loop, 1000) < 0)
			return false;
	}
	return true;
}

int blk_rig_do(struct blk_rig *r, uint32_t type, uint64_t sector, const void *data, size_t len,
	       uint8_t **out)
{
	struct blk_rig_request req = blk_rig_add(r, 0, type, sector, data, len);
	if (req.head < 0)
		return -1;
	blk_rig_kick(r, 0);
	if (!blk_rig_wait(r, 0, 1))
		return -1;
	if (out)
		*out = req.data;
	return *req.status;
}
