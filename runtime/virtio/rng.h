// SPDX-License-Identifier: Apache-2.0
// rng.h - the virtio entropy device (virtio 1.2, section 5.4), rate limited
#ifndef MAYFLY_VIRTIO_RNG_H
#define MAYFLY_VIRTIO_RNG_H

#include "virtio/virtio.h"

/* One request gets at most this much; a driver takes a short answer and asks again. */
#define VIRTIO_RNG_MAX_REQUEST (64ull * 1024)

/* Enough for any guest's seed at once; then 16,384 of Linux's requests a second. */
#define VIRTIO_RNG_BURST (256ull * 1024)
#define VIRTIO_RNG_RATE (1024ull * 1024)

/* virtio_rng_create() - the device; it serves on loop's thread. Returns 0 or -errno. */
int virtio_rng_create(struct virtio_dev **out, struct evloop *loop);
void virtio_rng_destroy(struct virtio_dev *dev);

#endif
