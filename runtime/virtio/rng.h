// SPDX-License-Identifier: Apache-2.0
// rng.h - the virtio entropy device (virtio 1.2, section 5.4), rate limited
#ifndef MAYFLY_VIRTIO_RNG_H
#define MAYFLY_VIRTIO_RNG_H

#include "virtio/virtio.h"

/* One request gets at most this much; a driver takes a short answer and asks again. */
#define VIRTIO_RNG_MAX_REQUEST (64u * 1024)

/* Enough for any guest's seed at once; then as much as costs this thread under 1 % of a CPU. */
#define VIRTIO_RNG_BURST (256u * 1024)
#define VIRTIO_RNG_RATE (1024u * 1024)

/* virtio_rng_create() - the device; it serves on loop's thread. Returns 0 or -errno. */
int virtio_rng_create(struct virtio_dev **out, struct evloop *loop);
void virtio_rng_destroy(struct virtio_dev *dev);

#endif
