// SPDX-License-Identifier: Apache-2.0
// fs.h - the virtio-fs device: FUSE over virtqueues, names from the fs process, bytes from here
#ifndef MAYFLY_VIRTIO_FS_H
#define MAYFLY_VIRTIO_FS_H

#include "virtio/virtio.h"

#include <stdbool.h>

/* virtio 1.2, section 5.11.4 */
#define VIRTIO_FS_TAG_MAX 36

/*
 * virtio_fs_create() - makes the device; add *out to a transport.
 * @loop: the loop of the one thread that drives the device
 * @server_sock: SOCK_SEQPACKET to the fs process, the device's from now on (also on failure)
 * @tag: the name the guest mounts, at most VIRTIO_FS_TAG_MAX bytes
 * @max_open_files: files the guest may hold open, each a descriptor of this process
 * @writable: some view is: files may be opened for writing
 * Returns 0 or -errno.
 */
int virtio_fs_create(struct virtio_dev **out, struct evloop *loop, int server_sock, const char *tag,
		     unsigned max_open_files, bool writable);
void virtio_fs_destroy(struct virtio_dev *dev);

/* virtio_fs_server_gone() - true once the fs process is lost; every request then gets EIO. */
bool virtio_fs_server_gone(const struct virtio_dev *dev);

#endif
