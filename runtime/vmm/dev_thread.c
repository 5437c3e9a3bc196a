// SPDX-License-Identifier: Apache-2.0
// dev_thread.c - one event loop, one device, one thread
#include "vmm/dev_thread.h"

#include "base/log.h"
#include "vmm/confine.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void on_gone(struct vhost_user *vu, void *arg)
{
	struct dev_thread *t = arg;
	uint64_t one = 1;
	(void)vu;
	t->loop.stop = true;
	ssize_t n = write(t->gone_fd, &one, sizeof(one));
	(void)n; /* the counter was 0: there is room */
}

static void *thread_main(void *arg)
{
	struct dev_thread *t = arg;
	pthread_setname_np(pthread_self(), t->name);
	int ret = confine_thread(t->name, t->table);
	if (ret == 0)
		ret = evloop_run(&t->loop);
	if (ret < 0) {
		log_error("device thread: %s", strerror(-ret));
		t->why = ret;
	}
	if (t->vu.dev)
		vhost_user_stop(&t->vu);
	if (ret < 0)
		on_gone(&t->vu, t);
	return NULL;
}

int dev_thread_init(struct dev_thread *t)
{
	t->vu.sock.fd = -1;
	t->gone_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return t->gone_fd < 0 ? -errno : evloop_init(&t->loop);
}

int dev_thread_start(struct dev_thread *t, struct virtio_dev *dev, int sock, const char *name)
{
	int ret = sock < 0 ? 0 : vhost_user_start(&t->vu, dev, sock, on_gone, t);
	if (ret < 0)
		return ret;
	t->name = name;
	ret = pthread_create(&t->thread, NULL, thread_main, t);
	if (ret > 0) {
		if (t->vu.dev)
			vhost_user_stop(&t->vu);
		return -ret;
	}
	return 0;
}

void dev_thread_join(struct dev_thread *t)
{
	pthread_join(t->thread, NULL);
	evloop_close(&t->loop);
	close(t->gone_fd);
}
