// SPDX-License-Identifier: Apache-2.0
// fs_rig.h - a virtio-fs device with fake rings, for tests: a real server behind it, or the test
#ifndef MAYFLY_TESTS_FS_RIG_H
#define MAYFLY_TESTS_FS_RIG_H

#include "lib/fake_guest.h"
#include "lib/fs_fixture.h"
#include "virtio/fs.h"

#define RIG_QSIZE 64
#define RIG_MAX_FILES 8

/* One machine: fixture (server child), loop, device, two queues. */
struct rig {
	struct fs_fixture fx;
	struct evloop loop;
	struct virtio_dev *dev;
	struct fake_guest guest;
	struct fake_queue q[2];
	int peer; /* our end if the test plays the server itself */
	uint64_t unique;
	uint8_t reply[70000];
};

void rig_start(struct rig *r);
void rig_start_with(struct rig *r, const struct fx_options *o);

/* rig_start_fake() - the test answers the device's requests itself, at r->peer. */
void rig_start_fake(struct rig *r);
void rig_stop(struct rig *r);

/* rig_header() - a request header with the next unique for len bytes of arguments. */
struct fuse_in_header rig_header(struct rig *r, uint32_t opcode, uint64_t node, size_t len);

/* rig_submit() - a request of up to four descriptors into queue q, without a kick; its head. */
int rig_submit(struct rig *r, unsigned q, uint32_t opcode, uint64_t node, const void *arg,
	       size_t len, size_t room, struct fake_buf buf[4]);

/* rig_wait_used() - runs the loop until a chain comes back; false if none does. */
bool rig_wait_used(struct rig *r, unsigned q, uint16_t *head, uint32_t *len);

/* rig_call() - a whole request; the reply's data is in r->reply. Length, or negative errno;
 * -EPIPE for a chain that came back empty. */
int rig_call(struct rig *r, uint32_t opcode, uint64_t node, const void *arg, size_t len);
int rig_call_room(struct rig *r, uint32_t opcode, uint64_t node, const void *arg, size_t len,
		  size_t room);

int rig_init(struct rig *r);
uint64_t rig_lookup(struct rig *r, uint64_t dir, const char *name);
int rig_open(struct rig *r, uint64_t node, uint32_t flags, uint64_t *fh);
int rig_read(struct rig *r, uint64_t node, uint64_t fh, uint64_t off, uint32_t size);

#endif
