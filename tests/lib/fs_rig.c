// SPDX-License-Identifier: Apache-2.0
// fs_rig.c - device, rings and requests for the virtio-fs tests
#include "lib/fs_rig.h"

#include "base/checked.h"
#include "base/cleanup.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#define GUEST_BYTES (8u << 20)
#define WAIT_TURNS 2000

static void rig_device(struct rig *r, int sock)
{
	assert_int_equal(evloop_init(&r->loop), 0);
	assert_int_equal(virtio_fs_create(&r->dev, &r->loop, sock, "mayfly", RIG_MAX_FILES, true),
			 0);
	assert_int_equal(fake_guest_init(&r->guest, &r->dev->mem, GUEST_BYTES), 0);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(fake_queue_init(&r->q[i], &r->guest, &r->dev->vq[i], RIG_QSIZE),
				 0);
		r->dev->ops->queue_kick(r->dev, i);
	}
}

void rig_start(struct rig *r)
{
	rig_start_with(r, &(struct fx_options){0});
}

void rig_start_with(struct rig *r, const struct fx_options *o)
{
	memset(r, 0, sizeof(*r));
	r->peer = -1;
	fx_tree(&r->fx);
	fx_start_child(&r->fx, o);
	rig_device(r, steal_fd(&r->fx.sock));
}

void rig_start_fake(struct rig *r)
{
	int sv[2];
	memset(r, 0, sizeof(*r));
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv), 0);
	r->peer = sv[0];
	rig_device(r, sv[1]);
}

void rig_stop(struct rig *r)
{
	for (unsigned i = 0; i < 2; i++)
		fake_queue_destroy(&r->q[i]);
	virtio_fs_destroy(r->dev);
	fake_guest_destroy(&r->guest);
	evloop_close(&r->loop);
	close_fd(&r->peer);
	if (r->fx.pid > 0)
		assert_int_equal(fx_stop(&r->fx), 0);
}

struct fuse_in_header rig_header(struct rig *r, uint32_t opcode, uint64_t node, size_t len)
{
	return (struct fuse_in_header){
		.len = (uint32_t)(sizeof(struct fuse_in_header) + len),
		.opcode = opcode,
		.unique = ++r->unique,
		.nodeid = node,
	};
}

int rig_submit(struct rig *r, unsigned q, uint32_t opcode, uint64_t node, const void *arg,
	       size_t len, size_t room, struct fake_buf buf[4])
{
	struct fuse_in_header in = rig_header(r, opcode, node, len);
	unsigned n = 0;
	buf[n++] = (struct fake_buf){.data = &in, .len = sizeof(in)};
	if (len > 0)
		buf[n++] = (struct fake_buf){.data = arg, .len = len};
	if (room > 0) {
		size_t head = MIN(room, sizeof(struct fuse_out_header));
		buf[n++] = (struct fake_buf){.in = true, .len = head};
		if (room > head)
			buf[n++] = (struct fake_buf){.in = true, .len = room - head};
	}
	return fake_queue_add(&r->q[q], buf, n);
}

bool rig_wait_used(struct rig *r, unsigned q, uint16_t *head, uint32_t *len)
{
	for (unsigned i = 0; i < WAIT_TURNS; i++) {
		if (fake_queue_used(&r->q[q], head, len))
			return true;
		assert_true(evloop_once(&r->loop, 10) >= 0);
	}
	return false;
}

int rig_call_room(struct rig *r, uint32_t opcode, uint64_t node, const void *arg, size_t len,
		  size_t room)
{
	struct fake_buf buf[4];
	uint16_t head;
	uint32_t used;
	size_t mark = r->guest.used;
	int h = rig_submit(r, 1, opcode, node, arg, len, room, buf);
	assert_true(h >= 0);
	r->dev->ops->queue_kick(r->dev, 1);
	assert_true(rig_wait_used(r, 1, &head, &used));
	assert_int_equal(head, h);
	r->guest.used = mark;
	if (used < sizeof(struct fuse_out_header))
		return -EPIPE;
	unsigned first = len > 0 ? 2 : 1;
	struct fuse_out_header out;
	memcpy(&out, buf[first].host, sizeof(out));
	assert_int_equal(out.len, used);
	assert_int_equal(out.unique, r->unique);
	if (used > sizeof(out))
		memcpy(r->reply, buf[first + 1].host, MIN(used - sizeof(out), sizeof(r->reply)));
	return out.error < 0 ? out.error : (int)(used - sizeof(out));
}

int rig_call(struct rig *r, uint32_t opcode, uint64_t node, const void *arg, size_t len)
{
	return rig_call_room(r, opcode, node, arg, len, 8192);
}

int rig_init(struct rig *r)
{
	struct fuse_init_in in = {.major = 7, .minor = 41, .flags = ~0u};
	return rig_call(r, FUSE_INIT, 0, &in, sizeof(in));
}

uint64_t rig_lookup(struct rig *r, uint64_t dir, const char *name)
{
	struct fuse_entry_out e;
	int ret = rig_call(r, FUSE_LOOKUP, dir, name, strlen(name) + 1);
	assert_int_equal(ret, sizeof(e));
	memcpy(&e, r->reply, sizeof(e));
	return e.nodeid;
}

int rig_open(struct rig *r, uint64_t node, uint32_t flags, uint64_t *fh)
{
	struct fuse_open_in in = {.flags = flags};
	struct fuse_open_out out;
	int ret = rig_call(r, FUSE_OPEN, node, &in, sizeof(in));
	if (ret < 0)
		return ret;
	assert_int_equal(ret, sizeof(out));
	memcpy(&out, r->reply, sizeof(out));
	*fh = out.fh;
	return 0;
}

int rig_read(struct rig *r, uint64_t node, uint64_t fh, uint64_t off, uint32_t size)
{
	struct fuse_read_in in = {.fh = fh, .offset = off, .size = size};
	return rig_call_room(r, FUSE_READ, node, &in, sizeof(in),
			     size + sizeof(struct fuse_out_header));
}
