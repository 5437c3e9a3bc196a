// SPDX-License-Identifier: Apache-2.0
// vhost_user_mem.h - maps the front end's memory table
#ifndef MAYFLY_VIRTIO_VHOST_USER_MEM_H
#define MAYFLY_VIRTIO_VHOST_USER_MEM_H

#include "virtio/vhost_user_msg.h"
#include "vmm/gmem.h"

/*
 * vhost_user_mem_map() - checks a SET_MEM_TABLE message and maps its regions into mem.
 * Each descriptor must be a memfd sealed against shrinking and hold its region wholly, else the
 * peer could make this process fault on a later access.
 * The descriptors stay the caller's. Returns 0 or -errno, then mem is empty.
 */
int vhost_user_mem_map(struct gmem *mem, const struct vu_msg *m, const int *fds, size_t nfds);

#endif
