// SPDX-License-Identifier: Apache-2.0
// test_virtio_fs.c - the device with fake rings against a real server
#include "base/checked.h"
#include "base/cleanup.h"
#include "fs/fs_wire.h"
#include "lib/fs_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_fs.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void test_mount_and_read(void **state)
{
	struct rig *r = *state;
	rig_start(r);
	assert_int_equal(rig_init(r), sizeof(struct fuse_init_out));
	uint64_t sys = rig_lookup(r, FUSE_ROOT_ID, "sys");
	uint64_t file = rig_lookup(r, sys, "file");
	uint64_t fh = 0;
	assert_int_equal(rig_open(r, file, O_RDONLY, &fh), 0);
	assert_int_equal(rig_read(r, file, fh, 0, 4096), 9);
	assert_memory_equal(r->reply, "hello fs\n", 9);
	assert_int_equal(rig_read(r, file, fh, 6, 2), 2);
	assert_memory_equal(r->reply, "fs", 2);
	assert_int_equal(rig_read(r, file, fh, 100, 4096), 0);
	rig_stop(r);
}

static void test_directories(void **state)
{
	struct rig *r = *state;
	rig_start(r);
	assert_true(rig_init(r) > 0);
	uint64_t sys = rig_lookup(r, FUSE_ROOT_ID, "sys");
	struct fuse_open_in in = {0};
	struct fuse_open_out out;
	assert_int_equal(rig_call(r, FUSE_OPENDIR, sys, &in, sizeof(in)), sizeof(out));
	memcpy(&out, r->reply, sizeof(out));
	struct fuse_read_in rd = {.fh = out.fh, .size = 4096};
	assert_true(rig_call(r, FUSE_READDIRPLUS, sys, &rd, sizeof(rd)) > 1000);
	struct fuse_release_in rel = {.fh = out.fh};
	assert_int_equal(rig_call(r, FUSE_RELEASEDIR, sys, &rel, sizeof(rel)), 0);
	assert_int_equal(rig_call(r, FUSE_RELEASEDIR, sys, &rel, sizeof(rel)), -EBADF);
	rig_stop(r);
}

static void test_config_space(void **state)
{
	struct rig *r = *state;
	struct virtio_fs_config c;
	uint32_t word = 1;
	rig_start_fake(r);
	r->dev->ops->get_config(r->dev, 0, &c, sizeof(c));
	assert_string_equal((char *)c.tag, "mayfly");
	assert_int_equal(c.num_request_queues, 1);
	r->dev->ops->get_config(r->dev, 4096, &word, sizeof(word));
	assert_int_equal(word, 0);
	rig_stop(r);
}

static void test_forged_handles(void **state)
{
	struct rig *r = *state;
	uint64_t fh = 0, again = 0;
	rig_start(r);
	assert_true(rig_init(r) > 0);
	uint64_t sys = rig_lookup(r, FUSE_ROOT_ID, "sys");
	uint64_t file = rig_lookup(r, sys, "file");
	uint64_t suid = rig_lookup(r, sys, "suid");
	assert_int_equal(rig_open(r, file, O_RDONLY, &fh), 0);
	static const uint64_t forged[] = {1, 2, 99, UINT64_MAX, 1ull << 32, 0xffffffffull};
	for (unsigned i = 0; i < ARRAY_SIZE(forged); i++)
		assert_int_equal(rig_read(r, file, fh ^ forged[i], 0, 16), -EBADF);
	assert_int_equal(rig_read(r, suid, fh, 0, 16), -EBADF); /* another file's */
	struct fuse_release_in rel = {.fh = fh};
	assert_int_equal(rig_call(r, FUSE_RELEASE, suid, &rel, sizeof(rel)), -EBADF);
	assert_int_equal(rig_call(r, FUSE_RELEASE, file, &rel, sizeof(rel)), 0);
	assert_int_equal(rig_call(r, FUSE_RELEASE, file, &rel, sizeof(rel)), -EBADF);
	assert_int_equal(rig_read(r, file, fh, 0, 16), -EBADF);
	assert_int_equal(rig_open(r, file, O_RDONLY, &again), 0);
	assert_int_not_equal(again, fh);
	assert_int_equal(rig_read(r, file, fh, 0, 16), -EBADF); /* stale */
	rig_stop(r);
}

static void test_table_full(void **state)
{
	struct rig *r = *state;
	uint64_t fh[RIG_MAX_FILES + 1] = {0};
	rig_start(r);
	assert_true(rig_init(r) > 0);
	uint64_t file = rig_lookup(r, rig_lookup(r, FUSE_ROOT_ID, "sys"), "file");
	for (unsigned i = 0; i < RIG_MAX_FILES; i++)
		assert_int_equal(rig_open(r, file, O_RDONLY, &fh[i]), 0);
	assert_int_equal(rig_open(r, file, O_RDONLY, &fh[RIG_MAX_FILES]), -ENFILE);
	struct fuse_release_in rel = {.fh = fh[3]};
	assert_int_equal(rig_call(r, FUSE_RELEASE, file, &rel, sizeof(rel)), 0);
	assert_int_equal(rig_open(r, file, O_RDONLY, &fh[3]), 0);
	/* A new session starts with none open. */
	assert_true(rig_init(r) > 0);
	assert_int_equal(rig_read(r, file, fh[0], 0, 16), -EBADF);
	rig_stop(r);
}

static void test_local_answers(void **state)
{
	struct rig *r = *state;
	uint64_t fh = 0;
	rig_start(r);
	assert_true(rig_init(r) > 0);
	uint64_t file = rig_lookup(r, rig_lookup(r, FUSE_ROOT_ID, "sys"), "file");
	assert_int_equal(rig_open(r, file, O_RDWR, &fh), -EROFS);
	assert_int_equal(rig_open(r, file, O_RDONLY, &fh), 0);
	struct fuse_flush_in flush = {.fh = fh};
	assert_int_equal(rig_call(r, FUSE_FLUSH, file, &flush, sizeof(flush)), -ENOSYS);
	struct {
		struct fuse_write_in in;
		char data[100];
	} w = {.in = {.fh = fh, .size = 100}};
	assert_int_equal(rig_call(r, FUSE_WRITE, file, &w, sizeof(w)), -EROFS);
	w.in.fh = fh + 1;
	assert_int_equal(rig_call(r, FUSE_WRITE, file, &w, sizeof(w)), -EBADF);
	struct fuse_lseek_in seek = {.fh = fh, .offset = 0, .whence = SEEK_HOLE};
	assert_int_equal(rig_call(r, FUSE_LSEEK, file, &seek, sizeof(seek)), 8);
	seek.whence = 77;
	assert_int_equal(rig_call(r, FUSE_LSEEK, file, &seek, sizeof(seek)), -EINVAL);
	seek = (struct fuse_lseek_in){.fh = fh, .offset = UINT64_MAX, .whence = SEEK_DATA};
	assert_int_equal(rig_call(r, FUSE_LSEEK, file, &seek, sizeof(seek)), -EINVAL);
	/* Reads that ask for more than the chain holds, or than any file can have. */
	struct fuse_read_in rd = {.fh = fh, .size = 4097};
	assert_int_equal(rig_call_room(r, FUSE_READ, file, &rd, sizeof(rd), 4096 + 16), -EINVAL);
	rd = (struct fuse_read_in){.fh = fh, .offset = UINT64_MAX, .size = 16};
	assert_int_equal(rig_call_room(r, FUSE_READ, file, &rd, sizeof(rd), 4096), -EINVAL);
	rd = (struct fuse_read_in){.fh = fh, .size = UINT32_MAX};
	assert_int_equal(rig_call_room(r, FUSE_READ, file, &rd, sizeof(rd), 4096), -EINVAL);
	rig_stop(r);
}

static void test_malformed(void **state)
{
	struct rig *r = *state;
	struct fake_buf buf[2];
	uint16_t head;
	uint32_t used;
	rig_start(r);
	assert_true(rig_init(r) > 0);
	/* No header, half a header, only writable, only readable, nothing. */
	for (size_t len = 0; len < sizeof(struct fuse_in_header); len += 13) {
		static uint8_t zero[64];
		buf[0] = (struct fake_buf){.data = zero, .len = len};
		buf[1] = (struct fake_buf){.in = true, .len = 100};
		fake_queue_add(&r->q[1], buf, 2);
		r->dev->ops->queue_kick(r->dev, 1);
		assert_true(rig_wait_used(r, 1, &head, &used));
		assert_int_equal(used, 0);
	}
	/* A length that is not the chain's. */
	struct fuse_in_header in = rig_header(r, FUSE_STATFS, 1, 100);
	buf[0] = (struct fake_buf){.data = &in, .len = sizeof(in)};
	buf[1] = (struct fake_buf){.in = true, .len = 200};
	fake_queue_add(&r->q[1], buf, 2);
	r->dev->ops->queue_kick(r->dev, 1);
	assert_true(rig_wait_used(r, 1, &head, &used));
	struct fuse_out_header out;
	memcpy(&out, buf[1].host, sizeof(out));
	assert_int_equal(out.error, -EINVAL);
	assert_int_equal(out.unique, in.unique);
	assert_int_equal(rig_call(r, FUSE_GETATTR, 1, "short", 5), -EINVAL);
	assert_int_equal(rig_call(r, FUSE_LOOKUP, 1, "noend", 5), -EINVAL);
	assert_int_equal(rig_call(r, 12345, 1, NULL, 0), -ENOSYS);
	static uint8_t big[FS_WIRE_BODY_MAX];
	assert_int_equal(rig_call(r, FUSE_SETXATTR, 1, big, sizeof(big)), -EINVAL);
	assert_int_equal(rig_call(r, FUSE_SETXATTR, 1, big, 1000), -EROFS);
	/* Too little room for the answer. */
	struct fuse_getattr_in ga = {0};
	assert_int_equal(rig_call_room(r, FUSE_GETATTR, 1, &ga, sizeof(ga), 20), -EINVAL);
	assert_int_equal(rig_call_room(r, FUSE_GETATTR, 1, &ga, sizeof(ga), 8), -EPIPE);
	assert_int_equal(rig_call_room(r, FUSE_GETATTR, 1, &ga, sizeof(ga), 0), -EPIPE);
	assert_false(r->dev->needs_reset);
	rig_stop(r);
}

static void test_broken_ring(void **state)
{
	struct rig *r = *state;
	rig_start(r);
	uint16_t *avail =
		(uint16_t *)(void *)(r->guest.mem + r->dev->vq[1].avail.v - FAKE_GUEST_BASE);
	avail[1] = RIG_QSIZE + 5;
	r->dev->ops->queue_kick(r->dev, 1);
	assert_true(r->dev->needs_reset);
	r->dev->ops->queue_kick(r->dev, 1);
	r->dev->ops->queue_kick(r->dev, 0);
	rig_stop(r);
}

static void test_forgets(void **state)
{
	struct rig *r = *state;
	uint16_t head;
	uint32_t used;
	rig_start(r);
	assert_true(rig_init(r) > 0);
	uint64_t sys = rig_lookup(r, FUSE_ROOT_ID, "sys");
	uint64_t file = rig_lookup(r, sys, "file");
	struct fuse_forget_in in = {.nlookup = 1};
	struct fake_buf buf[4];
	rig_submit(r, 0, FUSE_FORGET, file, &in, sizeof(in), 0, buf);
	r->dev->ops->queue_kick(r->dev, 0);
	assert_true(fake_queue_used(&r->q[0], &head, &used));
	assert_int_equal(used, 0);
	struct fuse_interrupt_in intr = {.unique = 1};
	rig_submit(r, 0, FUSE_INTERRUPT, 0, &intr, sizeof(intr), 0, buf);
	r->dev->ops->queue_kick(r->dev, 0);
	assert_true(fake_queue_used(&r->q[0], &head, &used));
	struct fuse_getattr_in ga = {0};
	assert_int_equal(rig_call(r, FUSE_GETATTR, file, &ga, sizeof(ga)), -ESTALE);
	rig_stop(r);
}

/* Many at once: each answered once, by its own answer, with few interrupts. */
static void test_batches(void **state)
{
	struct rig *r = *state;
	struct fake_buf buf[20][4];
	int heads[20];
	uint64_t unique[20];
	uint16_t head;
	uint32_t used;
	rig_start(r);
	assert_true(rig_init(r) > 0);
	uint64_t sys = rig_lookup(r, FUSE_ROOT_ID, "sys");
	for (unsigned round = 0; round < 50; round++) {
		size_t mark = r->guest.used;
		for (unsigned i = 0; i < 16; i++) {
			const char *name = i & 1 ? "file" : "d1";
			heads[i] = rig_submit(r, 1, FUSE_LOOKUP, sys, name, strlen(name) + 1, 200,
					      buf[i]);
			assert_true(heads[i] >= 0);
			unique[i] = r->unique;
		}
		fake_queue_interrupts(&r->q[1]);
		r->dev->ops->queue_kick(r->dev, 1);
		for (unsigned n = 0; n < 16; n++) {
			assert_true(rig_wait_used(r, 1, &head, &used));
			unsigned i = 0;
			while (i < 16 && heads[i] != head)
				i++;
			assert_true(i < 16);
			heads[i] = -1;
			struct fuse_out_header out;
			struct fuse_entry_out e;
			memcpy(&out, buf[i][2].host, sizeof(out));
			memcpy(&e, buf[i][3].host, sizeof(e));
			assert_int_equal(out.unique, unique[i]);
			assert_int_equal(out.error, 0);
			assert_int_equal((e.attr.mode & S_IFMT) == S_IFREG, i & 1);
		}
		assert_in_range(fake_queue_interrupts(&r->q[1]), 1, 16);
		r->guest.used = mark;
	}
	rig_stop(r);
}

static unsigned told_reset;

static void on_needs_reset(struct virtio_transport *t)
{
	(void)t;
	told_reset++;
}

static void test_server_dies(void **state)
{
	struct virtio_transport transport = {.needs_reset = on_needs_reset};
	struct rig *r = *state;
	struct fake_buf buf[4];
	uint16_t head;
	uint32_t used;
	rig_start(r);
	assert_true(rig_init(r) > 0);
	assert_false(virtio_fs_server_gone(r->dev));
	r->dev->transport = &transport;
	kill(r->fx.pid, SIGSTOP);
	rig_submit(r, 1, FUSE_LOOKUP, 1, "sys", 4, 200, buf);
	r->dev->ops->queue_kick(r->dev, 1);
	kill(r->fx.pid, SIGKILL);
	assert_true(rig_wait_used(r, 1, &head, &used));
	struct fuse_out_header out;
	memcpy(&out, buf[2].host, sizeof(out));
	assert_int_equal(out.error, -EIO);
	assert_true(virtio_fs_server_gone(r->dev));
	/* A reset would be needed, but it goes on answering. */
	assert_int_equal(told_reset, 1);
	assert_false(r->dev->needs_reset);
	assert_int_equal(rig_call(r, FUSE_LOOKUP, 1, "sys", 4), -EIO);
	assert_int_equal(rig_init(r), -EIO);
	struct fuse_forget_in in = {.nlookup = 1};
	rig_submit(r, 0, FUSE_FORGET, 1, &in, sizeof(in), 0, buf);
	r->dev->ops->queue_kick(r->dev, 0);
	assert_true(fake_queue_used(&r->q[0], &head, &used));
	/* Nothing is left to wake up for. */
	assert_int_equal(evloop_once(&r->loop, 50), 0);
	int status;
	assert_int_equal(waitpid(r->fx.pid, &status, 0), r->fx.pid);
	r->fx.pid = 0;
	rig_stop(r);
	assert_int_equal(fx_stop(&r->fx), 0);
}

static void test_create_fails(void **state)
{
	(void)state;
	struct evloop loop;
	struct virtio_dev *dev = NULL;
	int sv[2];
	assert_int_equal(evloop_init(&loop), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv), 0);
	assert_int_equal(virtio_fs_create(&dev, &loop, sv[0], "", 1, false), -EINVAL);
	assert_int_equal(fcntl(sv[0], F_GETFD), -1);
	close(sv[1]);
	assert_int_equal(virtio_fs_create(&dev, &loop, -1, "tag", 1, false), -EBADF);
	const char *longest = "a tag that is longer than the 36 bytes it may have";
	assert_int_equal(virtio_fs_create(&dev, &loop, -1, longest, 1, false), -EINVAL);
	evloop_close(&loop);
}

#define T(fn) cmocka_unit_test_prestate(fn, &rig)

int main(void)
{
	static struct rig rig;
	const struct CMUnitTest tests[] = {
		T(test_mount_and_read), T(test_directories), T(test_config_space),
		T(test_forged_handles), T(test_table_full),  T(test_local_answers),
		T(test_malformed),	T(test_broken_ring), T(test_forgets),
		T(test_batches),	T(test_server_dies), T(test_create_fails),
	};
	return cmocka_run_group_tests_name("virtio_fs", tests, NULL, NULL);
}
