// SPDX-License-Identifier: Apache-2.0
// test_fs_link.c - the device against fs processes that are confused, hostile, slow or dead
#include "base/checked.h"
#include "base/cleanup.h"
#include "base/fdpass.h"
#include "fs/fs_wire.h"
#include "lib/fs_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* One request as the server sees it. */
struct seen {
	struct fs_wire_req req;
	struct fuse_in_header in;
	uint8_t rest[1024];
};

static bool server_take(struct rig *r, struct seen *m)
{
	struct iovec iov = {.iov_base = m, .iov_len = sizeof(*m)};
	ssize_t n = fdpass_recv(r->peer, &iov, 1, NULL, 0, NULL, MSG_DONTWAIT);
	if (n == -EAGAIN)
		return false;
	assert_true(n >= (ssize_t)(sizeof(m->req) + sizeof(m->in)));
	assert_int_equal(m->req.len, n);
	return true;
}

static void server_answer(struct rig *r, uint64_t tag, int error, const void *body, size_t len,
			  int fd)
{
	struct fs_wire_rep rep = {
		.len = (uint32_t)(sizeof(rep) + 16 + len), .nfds = fd >= 0, .tag = tag};
	struct fuse_out_header out = {
		.len = (uint32_t)(sizeof(out) + len), .error = error, .unique = 0xbad};
	struct iovec iov[3] = {{.iov_base = &rep, .iov_len = sizeof(rep)},
			       {.iov_base = &out, .iov_len = sizeof(out)},
			       {.iov_base = (void *)(uintptr_t)body, .iov_len = len}};
	assert_true(fdpass_send(r->peer, iov, 3, &fd, fd >= 0, MSG_DONTWAIT) >= 0);
}

/* Sends OPEN, answers it with fd, returns what the guest sees. */
static int open_with(struct rig *r, int fd, size_t body)
{
	struct fake_buf buf[4];
	struct seen m;
	struct fuse_open_in in = {0};
	struct fuse_open_out out[2] = {{.open_flags = FOPEN_KEEP_CACHE | FOPEN_DIRECT_IO}};
	uint16_t head;
	uint32_t used;
	rig_submit(r, 1, FUSE_OPEN, 55, &in, sizeof(in), 300, buf);
	r->dev->ops->queue_kick(r->dev, 1);
	assert_true(server_take(r, &m));
	assert_int_equal(m.in.opcode, FUSE_OPEN);
	server_answer(r, m.req.tag, 0, out, body, fd);
	assert_true(rig_wait_used(r, 1, &head, &used));
	struct fuse_out_header o;
	memcpy(&o, buf[2].host, sizeof(o));
	assert_int_equal(o.unique, r->unique);
	if (o.error == 0) {
		memcpy(&out[0], buf[3].host, sizeof(out[0]));
		assert_int_equal(out[0].open_flags, FOPEN_KEEP_CACHE | FOPEN_DIRECT_IO);
	}
	return o.error;
}

static void test_wrong_descriptors(void **state)
{
	struct rig *r = *state;
	char path[] = "/tmp/mayfly-test-XXXXXX";
	size_t body = sizeof(struct fuse_open_out);
	rig_start_fake(r);
	int rw = mkostemp(path, O_CLOEXEC);
	int ro = open(path, O_RDONLY | O_CLOEXEC);
	int opath = open(path, O_PATH | O_CLOEXEC);
	int dir = open("/tmp", O_RDONLY | O_CLOEXEC);
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int pipes[2];
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(open_with(r, ro, body), 0);
	assert_int_equal(open_with(r, rw, body), -EIO);
	assert_int_equal(open_with(r, opath, body), -EIO);
	assert_int_equal(open_with(r, dir, body), -EIO);
	assert_int_equal(open_with(r, null, body), -EIO);
	assert_int_equal(open_with(r, pipes[0], body), -EIO);
	assert_int_equal(open_with(r, -1, body), -EIO);
	assert_int_equal(open_with(r, ro, body - 1), -EIO);
	assert_int_equal(open_with(r, ro, body + 8), -EIO);
	assert_false(virtio_fs_server_gone(r->dev));
	int all[] = {rw, ro, opath, dir, null, pipes[0], pipes[1]};
	for (unsigned i = 0; i < ARRAY_SIZE(all); i++)
		close(all[i]);
	unlink(path);
	rig_stop(r);
}

/* Each kind of bad answer ends the link, and the waiting request with it. */
static void test_bad_answers(void **state)
{
	struct rig *r = *state;
	for (unsigned kind = 0; kind < 10; kind++) {
		struct fake_buf buf[4];
		struct seen m;
		uint16_t head;
		uint32_t used;
		rig_start_fake(r);
		rig_submit(r, 1, FUSE_LOOKUP, 1, "x", 2, 300, buf);
		r->dev->ops->queue_kick(r->dev, 1);
		assert_true(server_take(r, &m));
		struct {
			struct fs_wire_rep rep;
			struct fuse_out_header out;
			uint8_t body[200];
		} a = {.rep = {.len = 16 + 16 + 128, .tag = m.req.tag}, .out = {.len = 16 + 128}};
		size_t len = a.rep.len;
		int fd = -1;
		switch (kind) {
		case 0: a.rep.tag ^= 1; break;
		case 1: a.rep.tag += 256; break;
		case 2: a.rep.tag = 0; break;
		case 3: a.rep.len--; break;
		case 4: a.out.len++; break;
		case 5: a.out.error = 5; break;
		case 6: a.out.error = -600; break;
		case 7: a.out.error = -2; break; /* with data */
		case 8:
			len = 20;
			a.rep.len = 20;
			break;
		case 9:
			fd = r->loop.epfd;
			a.rep.nfds = 1;
			break; /* not asked for */
		}
		struct iovec iov = {.iov_base = &a, .iov_len = len};
		assert_true(fdpass_send(r->peer, &iov, 1, &fd, fd >= 0, 0) > 0);
		assert_true(rig_wait_used(r, 1, &head, &used));
		struct fuse_out_header o;
		memcpy(&o, buf[2].host, sizeof(o));
		assert_int_equal(o.error, -EIO);
		assert_true(virtio_fs_server_gone(r->dev));
		rig_stop(r);
	}
}

/* More than the guest has room for: an error for this one, the link stays. */
static void test_answer_larger_than_chain(void **state)
{
	struct rig *r = *state;
	struct fake_buf buf[4];
	struct seen m;
	uint16_t head;
	uint32_t used;
	static uint8_t body[1000];
	rig_start_fake(r);
	rig_submit(r, 1, FUSE_READLINK, 1, NULL, 0, 100, buf);
	r->dev->ops->queue_kick(r->dev, 1);
	assert_true(server_take(r, &m));
	assert_int_equal(m.req.room, 100);
	server_answer(r, m.req.tag, 0, body, sizeof(body), -1);
	assert_true(rig_wait_used(r, 1, &head, &used));
	struct fuse_out_header o;
	memcpy(&o, buf[1].host, sizeof(o));
	assert_int_equal(o.error, -EIO);
	assert_false(virtio_fs_server_gone(r->dev));
	rig_stop(r);
}

static void test_reset_abandons(void **state)
{
	struct rig *r = *state;
	struct fake_buf buf[4];
	struct seen first, m;
	uint16_t head;
	uint32_t used;
	rig_start_fake(r);
	rig_submit(r, 1, FUSE_LOOKUP, 1, "x", 2, 300, buf);
	r->dev->ops->queue_kick(r->dev, 1);
	assert_true(server_take(r, &first));
	for (unsigned i = 0; i < 2; i++)
		fake_queue_destroy(&r->q[i]);
	r->dev->ops->reset(r->dev);
	/* fs is told to forget. */
	assert_true(server_take(r, &m));
	assert_int_equal(m.in.opcode, FUSE_DESTROY);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(fake_queue_init(&r->q[i], &r->guest, &r->dev->vq[i], RIG_QSIZE),
				 0);
	r->dev->ops->reset(r->dev); /* again, while the first is not answered yet */
	rig_submit(r, 1, FUSE_LOOKUP, 1, "y", 2, 300, buf);
	r->dev->ops->queue_kick(r->dev, 1);
	struct seen none;
	assert_false(server_take(r, &none)); /* waits for the second DESTROY to go first */
	server_answer(r, first.req.tag, 0, &(struct fuse_entry_out){0}, 128, -1);
	server_answer(r, m.req.tag, 0, NULL, 0, -1);
	assert_true(evloop_once(&r->loop, 100) >= 0);
	assert_true(server_take(r, &m));
	assert_int_equal(m.in.opcode, FUSE_DESTROY);
	assert_true(server_take(r, &first));
	assert_int_equal(first.in.opcode, FUSE_LOOKUP);
	assert_string_equal((char *)first.rest, "y");
	server_answer(r, first.req.tag, -ENOENT, NULL, 0, -1);
	server_answer(r, m.req.tag, 0, NULL, 0, -1);
	assert_true(rig_wait_used(r, 1, &head, &used));
	assert_int_equal(used, 16);
	assert_false(fake_queue_used(&r->q[1], &head, &used));
	assert_false(virtio_fs_server_gone(r->dev));
	rig_stop(r);
}

/* A server that reads nothing: the socket fills, the ring waits, nothing spins, then all go on. */
static void test_backpressure(void **state)
{
	struct rig *r = *state;
	static uint8_t big[30000];
	struct fake_buf buf[4];
	static struct {
		struct fs_wire_req req;
		struct fuse_in_header in;
		uint8_t rest[FS_WIRE_BODY_MAX];
	} m;
	uint16_t head;
	uint32_t used;
	unsigned taken = 0, done = 0;
	rig_start_fake(r);
	for (unsigned i = 0; i < 15; i++)
		assert_true(rig_submit(r, 1, FUSE_SETXATTR, 1, big, sizeof(big), 100, buf) >= 0);
	r->dev->ops->queue_kick(r->dev, 1);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(evloop_once(&r->loop, 1), 0);
	while (done < 15) {
		struct iovec iov = {.iov_base = &m, .iov_len = sizeof(m)};
		ssize_t n = fdpass_recv(r->peer, &iov, 1, NULL, 0, NULL, MSG_DONTWAIT);
		if (n > 0) {
			taken++;
			server_answer(r, m.req.tag, -EROFS, NULL, 0, -1);
		}
		assert_true(evloop_once(&r->loop, 100) >= 0);
		while (fake_queue_used(&r->q[1], &head, &used))
			done++;
	}
	assert_int_equal(taken, 15);
	rig_stop(r);
}

/* The guest changes a chain that is under way: its own loss. */
static void test_chain_changes(void **state)
{
	struct rig *r = *state;
	struct fake_buf buf[4];
	struct seen m;
	rig_start_fake(r);
	int h = rig_submit(r, 1, FUSE_LOOKUP, 1, "x", 2, 300, buf);
	r->dev->ops->queue_kick(r->dev, 1);
	assert_true(server_take(r, &m));
	uint8_t *desc = r->guest.mem + r->dev->vq[1].desc.v - FAKE_GUEST_BASE + 16 * (size_t)h;
	memset(desc, 0xff, 8); /* far outside */
	server_answer(r, m.req.tag, 0, &(struct fuse_entry_out){0}, 128, -1);
	assert_true(evloop_once(&r->loop, 100) > 0);
	assert_true(r->dev->needs_reset);
	rig_stop(r);
}

#define T(fn) cmocka_unit_test_prestate(fn, &rig)

int main(void)
{
	static struct rig rig;
	const struct CMUnitTest tests[] = {
		T(test_wrong_descriptors), T(test_bad_answers),	 T(test_answer_larger_than_chain),
		T(test_reset_abandons),	   T(test_backpressure), T(test_chain_changes),
	};
	return cmocka_run_group_tests_name("fs_link", tests, NULL, NULL);
}
