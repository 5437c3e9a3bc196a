// SPDX-License-Identifier: Apache-2.0
// fs_link.h - requests on their way to the fs process and back
//
// Many requests may be under way at once. Each holds a slot; the slot's number and a sequence
// number make the tag that brings the answer back, so neither the guest's `unique` nor a confused
// fs process can touch another request. An answer that no slot waits for, a message that breaks
// the format, the end of the socket, or no answer for FS_LINK_DEADLINE_S: the link is gone, for
// good, and everything under way is answered with EIO.
#ifndef MAYFLY_VIRTIO_FS_LINK_H
#define MAYFLY_VIRTIO_FS_LINK_H

#include "base/evloop.h"
#include "base/log.h"
#include "fs/fs_wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FS_LINK_SLOTS 128u
#define FS_LINK_DEADLINE_S 60u

/* What the device needs to know when the answer comes. */
struct fs_request {
	uint64_t unique;
	uint64_t node;
	uint32_t opcode;
	uint32_t flags; /* of OPEN and CREATE: what the guest wants */
	uint16_t head;	/* of the guest's chain */
	uint8_t queue;
};

enum fs_slot_state {
	FS_SLOT_FREE,
	FS_SLOT_WAITING,
	FS_SLOT_ABANDONED /* the driver that asked is gone; the answer is thrown away */
};

struct fs_slot {
	struct fs_request req;
	uint64_t seq;
	uint64_t sent_ns;
	uint32_t next_free; /* slot + 1 */
	enum fs_slot_state state;
};

struct fs_link_ops {
	/*
	 * done: a request is over. error is 0 with the FUSE reply (header included) in out, or
	 * a negative errno. fd is the receiver's; -1 if there is none.
	 */
	void (*done)(void *arg, const struct fs_request *req, int error, const uint8_t *out,
		     size_t len, int fd);
	/* ready: after a batch of answers, or when a send that gave -EAGAIN may be tried again. */
	void (*ready)(void *arg);
};

struct fs_link {
	struct evsource sock;
	struct evsource timer;
	struct evloop *loop;
	const struct fs_link_ops *ops;
	void *arg;
	struct fs_slot slot[FS_LINK_SLOTS + 1]; /* the last is for our own DESTROY */
	uint32_t free_head;
	unsigned under_way;
	uint64_t seq;
	bool gone;
	bool timer_on;
	bool destroy_pending;
	struct log_limit limit;
	uint8_t buf[FS_WIRE_MAX];
};

/* fs_link_init() - sock is the link's from now on, also on failure; 0 or -errno. */
int fs_link_init(struct fs_link *l, struct evloop *loop, int sock, const struct fs_link_ops *ops,
		 void *arg);
void fs_link_destroy(struct fs_link *l);

/*
 * fs_link_send() - sends a request; answered by done() later unless @silent.
 * @room: bytes the guest has for the reply
 * Returns 0, -EAGAIN (no slot or no room in the socket: ready() tells when), or -EIO if gone.
 */
int fs_link_send(struct fs_link *l, const struct fs_request *req, bool silent, const void *msg,
		 size_t len, size_t room);

/* fs_link_reset() - the driver is gone: no answer is wanted, and fs forgets what it looked up. */
void fs_link_reset(struct fs_link *l);

#endif
