// SPDX-License-Identifier: Apache-2.0
// dev_thread.h - a thread of its own for one device
#ifndef MAYFLY_VMM_DEV_THREAD_H
#define MAYFLY_VMM_DEV_THREAD_H

#include "jailer/seccomp_table.h"
#include "virtio/vhost_user.h"

#include <pthread.h>

struct dev_thread {
	struct evloop loop;
	struct vhost_user vu;
	pthread_t thread;
	const char *name;
	enum seccomp_table table; /* set before dev_thread_start() */
	int gone_fd; /* eventfd, readable when the front end is gone; vu.why then says why */
	int why;     /* after the end: -errno if the loop failed */
};

/* dev_thread_init() - makes the loop that the device is then created on; 0 or -errno. */
int dev_thread_init(struct dev_thread *t);

/*
 * dev_thread_start() - runs the loop; with sock, serves dev on it until the front end is gone.
 * @sock: a vhost-user socket, or -1: the device has another transport, and its thread no end
 * @name: of the thread, at most 15 bytes, not copied
 * The device belongs to the thread until dev_thread_join().
 */
int dev_thread_start(struct dev_thread *t, struct virtio_dev *dev, int sock, const char *name);
void dev_thread_join(struct dev_thread *t);

#endif
