// SPDX-License-Identifier: Apache-2.0
// disks.c - files to devices: io_uring where the host allows it, threads where not
#include "vmm/disks.h"

#include "base/checked.h"
#include "base/log.h"
#include "virtio/blk.h"
#include "virtio/blk_threads.h"
#include "virtio/blk_uring.h"
#include "vmm/confine.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* One device less is a machine that hangs: it ends as a whole. */
static void on_gone(struct evsource *src, uint32_t events)
{
	struct evloop *main = src->arg;
	(void)events;
	main->stop = true;
}

static int begin_worker(const char *thread)
{
	return confine_thread(thread, SECCOMP_BLK_IO);
}

/* The ring has a reference of its own; threads need the descriptor for as long as they live. */
static int make_io(struct disk *d, int fd, bool threads)
{
	struct blk_io_user user = virtio_blk_user(d->dev);
	struct blk_io *io = NULL;
	int ret = threads ? -ENOSYS : blk_uring_create(&io, &d->thread.loop, fd, &user);
	if (ret == 0) {
		close(fd);
	} else {
		log_info("%s is served by threads: %s", d->name,
			 threads ? "asked for" : strerror(-ret));
		ret = blk_threads_create(&io, &d->thread.loop, fd, &user, begin_worker);
		if (ret == 0)
			confine_expect(BLK_THREADS);
	}
	if (ret == 0)
		virtio_blk_io(d->dev, io);
	return ret;
}

static int make(struct disk *d, const Mayfly__VmmDisk *c, unsigned cpus, struct evloop *main)
{
	struct virtio_blk_options o = {
		.size = c->size,
		.read_only = c->read_only,
		.throwaway = c->throwaway,
		.queues = MIN(MAX(cpus, 1u), (unsigned)VIRTIO_DEV_MAX_QUEUES),
		.serial = c->serial,
	};
	int ret = dev_thread_init(&d->thread);
	if (ret == 0)
		ret = virtio_blk_create(&d->dev, &d->thread.loop, &o);
	if (ret == 0)
		ret = make_io(d, c->fd, c->threads);
	d->gone = (struct evsource){.fd = d->thread.gone_fd, .fn = on_gone, .arg = main};
	return ret < 0 ? ret : evloop_add(main, &d->gone, EPOLLIN);
}

int disks_make(struct disks *d, const Mayfly__VmmConfig *cfg, struct evloop *main, struct err *e)
{
	if (cfg->n_disk > DISKS_MAX)
		return err_set(e, EINVAL, "a machine has at most %d disks", DISKS_MAX);
	for (d->n = 0; d->n < cfg->n_disk; d->n++) {
		struct disk *k = &d->disk[d->n];
		snprintf(k->name, sizeof(k->name), "disk%u", d->n);
		int ret = make(k, cfg->disk[d->n], cfg->cpus, main);
		if (ret < 0)
			return err_errno(e, -ret, "can't make the device of %s", k->name);
	}
	return 0;
}

int disks_start(struct disks *d, const Mayfly__VmmConfig *cfg, enum seccomp_table table,
		struct err *e)
{
	confine_expect(d->n);
	for (unsigned i = 0; i < d->n; i++) {
		struct disk *k = &d->disk[i];
		k->thread.table = table;
		int ret = dev_thread_start(&k->thread, k->dev, cfg->disk[i]->vhost_fd, k->name);
		if (ret < 0)
			return err_errno(e, -ret, "can't start the device of %s", k->name);
	}
	return 0;
}

int disks_why(const struct disks *d)
{
	for (unsigned i = 0; i < d->n; i++)
		if (d->disk[i].thread.vu.why < 0)
			return d->disk[i].thread.vu.why;
	return 0;
}
