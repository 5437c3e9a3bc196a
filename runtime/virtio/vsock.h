// SPDX-License-Identifier: Apache-2.0
// vsock.h - the virtio socket device (virtio 1.2, section 5.10), stream connections only
#ifndef MAYFLY_VIRTIO_VSOCK_H
#define MAYFLY_VIRTIO_VSOCK_H

#include "virtio/virtio.h"
#include "virtio/vsock_mux.h"

#define VSOCK_MAX_CONNS 256
#define VSOCK_MAX_RSTS 256

struct vsock_config {
	uint64_t guest_cid;
	int listen_fd;	/* host programs connect here; -1: none */
	int control_fd; /* becomes the agent's control connection; -1: none */
	struct vsock_dialer dialer;
};

/*
 * vsock_create() - the device; it serves on loop's thread.
 * Takes over the descriptors in cfg, also on failure. Returns 0 or -errno.
 */
int vsock_create(struct virtio_dev **out, struct evloop *loop, const struct vsock_config *cfg);
void vsock_destroy(struct virtio_dev *dev);

/* vsock_count() - connections that exist now. */
unsigned vsock_count(const struct virtio_dev *dev);

#endif
