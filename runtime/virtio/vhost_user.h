// SPDX-License-Identifier: Apache-2.0
// vhost_user.h - carries one of our devices to QEMU over a pre-connected vhost-user socket
#ifndef MAYFLY_VIRTIO_VHOST_USER_H
#define MAYFLY_VIRTIO_VHOST_USER_H

#include "virtio/virtio.h"

#define VHOST_USER_MSG_MAX 512
#define VHOST_USER_MAX_FDS 8

struct vhost_user;

/* Called once, from the loop's thread, when the front end is gone or broke the protocol. */
typedef void vhost_user_gone_fn(struct vhost_user *vu, void *arg);

struct vhost_user_ring {
	struct evsource kick;
	struct vhost_user *vu;
	uint16_t next_avail;
	bool enabled;
	bool addr_set;
	uint64_t desc_uaddr, avail_uaddr, used_uaddr;
};

struct vhost_user {
	struct virtio_dev *dev;
	struct evsource sock;
	vhost_user_gone_fn *gone;
	void *gone_arg;
	int why; /* after the end: 0 if the peer went, -errno if it broke the rules or we failed */
	uint64_t features;
	uint64_t protocol_features;
	struct vhost_user_ring ring[VIRTIO_DEV_MAX_QUEUES];
	size_t have;
	size_t nfds;
	int fds[VHOST_USER_MAX_FDS];
	uint8_t msg[VHOST_USER_MSG_MAX];
};

/*
 * vhost_user_start() - serves dev on sock, in dev->loop's thread.
 * @sock: stream socket, owned from here on, made non-blocking
 * Returns 0 or -errno.
 */
int vhost_user_start(struct vhost_user *vu, struct virtio_dev *dev, int sock,
		     vhost_user_gone_fn *gone, void *arg);

/* vhost_user_stop() - stops the rings, unmaps guest memory, closes what the front end passed. */
void vhost_user_stop(struct vhost_user *vu);

#endif
