// SPDX-License-Identifier: Apache-2.0
// fuzz_fs_dev.c - a hostile guest in front of the virtio-fs device, a hostile fs process behind it
//
// Input: a list of steps, see step(). The device must survive any of them; a chain comes back at
// most once; a reply never reaches outside its chain (the sanitizers watch the guest's memory).
#include "base/checked.h"
#include "base/cleanup.h"
#include "base/fdpass.h"
#include "fs/fs_wire.h"
#include "lib/fake_guest.h"
#include "virtio/fs.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define GUEST_BYTES (256u << 10)
#define QSIZE 16
#define TAGS_MAX 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct machine {
	struct evloop loop;
	struct virtio_dev *dev;
	struct fake_guest guest;
	struct fake_queue q[2];
	int peer;
	struct fs_wire_req seen[TAGS_MAX];
	uint32_t opcode[TAGS_MAX];
	unsigned nseen;
};

struct input {
	const uint8_t *p;
	size_t left;
};

static uint8_t take(struct input *in)
{
	if (in->left == 0)
		return 0;
	in->left--;
	return *in->p++;
}

static const uint8_t *take_bytes(struct input *in, size_t *len)
{
	size_t want = take(in);
	*len = MIN(want, in->left);
	const uint8_t *p = in->p;
	in->p += *len;
	in->left -= *len;
	return p;
}

static void must(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "fuzz_fs_dev: %s\n", what);
		abort();
	}
}

static void queues_start(struct machine *m)
{
	m->guest.used = 0;
	for (unsigned i = 0; i < 2; i++)
		must(fake_queue_init(&m->q[i], &m->guest, &m->dev->vq[i], QSIZE) == 0, "queue");
}

static void queues_stop(struct machine *m)
{
	for (unsigned i = 0; i < 2; i++)
		fake_queue_destroy(&m->q[i]);
}

/* A chain: header fields and arguments from the input; a right length unless bit 7 says no. */
static void add_chain(struct machine *m, struct input *in)
{
	uint8_t how = take(in);
	struct fuse_in_header h = {.opcode = take(in), .nodeid = take(in), .unique = 9};
	size_t room = take(in) * 16u;
	size_t len;
	const uint8_t *body = take_bytes(in, &len);
	struct fake_buf buf[4] = {
		{.data = &h, .len = sizeof(h)},
		{.data = body, .len = len},
		{.in = true, .len = room / 2},
		{.in = true, .len = room - room / 2},
	};
	h.len = (uint32_t)(sizeof(h) + len);
	if (how & 0x80)
		h.len = take(in);
	if (how & 0x40)
		buf[0].len = take(in) % sizeof(h);
	fake_queue_add(&m->q[how & 1], buf, how & 0x20 ? 3 : 4);
}

static void serve_used(struct machine *m)
{
	uint16_t head;
	uint32_t len;
	for (unsigned i = 0; i < 2; i++)
		for (unsigned n = 0; fake_queue_used(&m->q[i], &head, &len); n++)
			must(n < 2 * QSIZE, "chains come back again and again");
}

static void server_take(struct machine *m)
{
	static uint8_t buf[FS_WIRE_MAX];
	struct iovec iov = {.iov_base = buf, .iov_len = sizeof(buf)};
	struct fuse_in_header h;
	ssize_t n = fdpass_recv(m->peer, &iov, 1, NULL, 0, NULL, MSG_DONTWAIT);
	if (n <= 0)
		return;
	must((size_t)n >= sizeof(struct fs_wire_req) + sizeof(h), "a short message to fs");
	struct fs_wire_req *req = &m->seen[m->nseen % TAGS_MAX];
	memcpy(req, buf, sizeof(*req));
	memcpy(&h, buf + sizeof(*req), sizeof(h));
	must(req->len == n && h.len == (size_t)n - sizeof(*req), "a wrong length to fs");
	must(fs_wire_check(&h, buf + sizeof(*req) + sizeof(h),
			   (size_t)n - sizeof(*req) - sizeof(h)) == 0,
	     "an unchecked request to fs");
	m->opcode[m->nseen % TAGS_MAX] = h.opcode;
	m->nseen++;
}

static int some_fd(uint8_t which)
{
	switch (which % 5) {
	case 0:
	case 1: return open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	case 2: return open("/dev/null", O_RDWR | O_CLOEXEC);
	case 3: return open("/", O_PATH | O_CLOEXEC);
	default: return -1;
	}
}

static void server_answer(struct machine *m, struct input *in)
{
	uint8_t how = take(in);
	uint8_t which = take(in);
	size_t len;
	const uint8_t *body = take_bytes(in, &len);
	AUTO_CLOSE int fd = how & 1 ? some_fd(take(in)) : -1;
	struct fs_wire_rep rep = {.nfds = fd >= 0,
				  .tag = m->seen[which % MAX(MIN(m->nseen, TAGS_MAX), 1u)].tag};
	struct fuse_out_header out = {.len = (uint32_t)(sizeof(out) + len)};
	rep.len = (uint32_t)(sizeof(rep) + out.len);
	if (how & 2)
		rep.tag ^= take(in);
	if (how & 4)
		out.len ^= take(in);
	if (how & 8)
		out.error = -(int)take(in) * 3;
	if (how & 16)
		rep.len ^= take(in);
	struct iovec iov[3] = {{.iov_base = &rep, .iov_len = sizeof(rep)},
			       {.iov_base = &out, .iov_len = sizeof(out)},
			       {.iov_base = (void *)(uintptr_t)body, .iov_len = len}};
	fdpass_send(m->peer, iov, how & 32 ? 1 : 3, &fd, fd >= 0, MSG_DONTWAIT);
}

static void step(struct machine *m, struct input *in)
{
	size_t len, off;
	const uint8_t *bytes;
	switch (take(in) % 8) {
	case 0:
	case 1: add_chain(m, in); break;
	case 2: m->dev->ops->queue_kick(m->dev, take(in) & 3); break;
	case 3: server_take(m); break;
	case 4: server_answer(m, in); break;
	case 5:
		evloop_once(&m->loop, 0);
		serve_used(m);
		break;
	case 6:
		if (take(in) & 1) {
			close_fd(&m->peer);
			break;
		}
		queues_stop(m);
		m->dev->ops->reset(m->dev);
		m->dev->needs_reset = false;
		queues_start(m);
		break;
	case 7:
		off = take(in) * 256u;
		off += take(in);
		bytes = take_bytes(in, &len);
		memcpy(m->guest.mem + off, bytes, len);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct machine m;
	struct input in = {.p = data, .left = size};
	int sv[2];
	memset(&m, 0, sizeof(m));
	log_init("fuzz", LOG_ERROR);
	must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) == 0, "socketpair");
	m.peer = sv[1];
	must(evloop_init(&m.loop) == 0, "evloop");
	must(virtio_fs_create(&m.dev, &m.loop, sv[0], "fuzz", 3, true) == 0, "create");
	must(fake_guest_init(&m.guest, &m.dev->mem, GUEST_BYTES) == 0, "guest");
	queues_start(&m);
	while (in.left > 0)
		step(&m, &in);
	evloop_once(&m.loop, 0);
	queues_stop(&m);
	virtio_fs_destroy(m.dev);
	fake_guest_destroy(&m.guest);
	close_fd(&m.peer);
	evloop_close(&m.loop);
	return 0;
}
