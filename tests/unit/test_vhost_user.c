// SPDX-License-Identifier: Apache-2.0
// test_vhost_user.c - a device behind a real socket: QEMU's handshake, ring life, hostile messages
// links: runtime/virtio/vhost_user.c runtime/virtio/vhost_user_msg.c runtime/virtio/vhost_user_mem.c runtime/virtio/virtio.c runtime/virtio/queue.c runtime/virtio/chain.c runtime/vmm/gmem.c tests/lib/vu_front.c
#include "lib/vu_front.h"

#include "base/cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static struct vu_front front;

static int setup(void **state)
{
	vu_front_init(&front);
	*state = &front;
	return 0;
}

static int teardown(void **state)
{
	vu_front_destroy(*state);
	return 0;
}

static unsigned open_fds(void)
{
	unsigned n = 0;
	DIR *d = opendir("/proc/self/fd");
	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static uint64_t interrupts(struct vu_front *f, unsigned q)
{
	uint64_t n = 0;
	return read(f->call[q], &n, sizeof(n)) == sizeof(n) ? n : 0;
}

static void assert_gone(struct vu_front *f)
{
	char c;
	assert_int_equal(f->gone, 1);
	assert_int_equal(f->vu.sock.fd, -1);
	assert_int_equal(recv(f->sock, &c, 1, MSG_DONTWAIT), 0);
	for (unsigned q = 0; q < VU_FRONT_QUEUES; q++) {
		assert_false(f->echo.dev.vq[q].started);
		assert_int_equal(f->echo.dev.vq[q].call_fd, -1);
	}
	assert_int_equal(f->echo.dev.mem.n, 0);
}

static void test_handshake(void **state)
{
	struct vu_front *f = *state;
	vu_front_handshake(f, 0);
	assert_int_equal(f->gone, 0);
	assert_true(f->echo.dev.vq[0].started);
	assert_true(f->echo.dev.vq[1].started);
	assert_true(f->echo.dev.driver_features == VIRTIO_F_VERSION_1);
	/* Each ring is looked at once when it starts. */
	assert_int_equal(interrupts(f, 0), 1);
	assert_int_equal(interrupts(f, 1), 1);
	for (unsigned i = 0; i < 20; i++) {
		vu_front_add(f, i % 2, "hello", true);
		assert_int_equal(vu_front_used(f, i % 2), i / 2 + 1);
		assert_memory_equal(f->mem + VU_FRONT_BUF(i % 2) + 64, "hello", 5);
		assert_int_equal(interrupts(f, i % 2), 1);
	}
}

static void test_answers(void **state)
{
	struct vu_front *f = *state;
	struct vu_msg m;
	vu_front_send(f, VU_GET_FEATURES, NULL, 0, NULL, 0);
	assert_true(vu_front_reply(f, &m));
	assert_int_equal(m.request, VU_GET_FEATURES);
	assert_int_equal(m.size, 8);
	assert_true(m.u64 == (VIRTIO_CORE_FEATURES | VU_F_PROTOCOL_FEATURES | (1ull << 5)));
	vu_front_send(f, VU_GET_PROTOCOL_FEATURES, NULL, 0, NULL, 0);
	assert_true(vu_front_reply(f, &m));
	assert_true(m.u64 == ((1ull << VU_PROTOCOL_F_REPLY_ACK) | (1ull << VU_PROTOCOL_F_CONFIG)));
	vu_front_send(f, VU_GET_QUEUE_NUM, NULL, 0, NULL, 0);
	assert_true(vu_front_reply(f, &m));
	assert_true(m.u64 == VU_FRONT_QUEUES);
	assert_false(vu_front_reply(f, &m));
}

/* QEMU answers for the fs device's configuration itself. */
static void test_fs_keeps_no_config(void **state)
{
	struct vu_front *f = *state;
	struct vu_msg m;
	struct virtio_dev_ops fs = *f->echo.dev.ops;
	const struct virtio_dev_ops *saved = f->echo.dev.ops;
	fs.id = VIRTIO_ID_FS_DEV;
	f->echo.dev.ops = &fs;
	vu_front_send(f, VU_GET_PROTOCOL_FEATURES, NULL, 0, NULL, 0);
	assert_true(vu_front_reply(f, &m));
	assert_true(m.u64 == 1ull << VU_PROTOCOL_F_REPLY_ACK);
	vu_front_u64(f, VU_SET_PROTOCOL_FEATURES, 1ull << VU_PROTOCOL_F_CONFIG);
	assert_gone(f);
	f->echo.dev.ops = saved;
}

static void test_config(void **state)
{
	struct vu_front *f = *state;
	const struct {
		uint32_t off, len;
		const char *want;
	} rows[] = {
		{0, 10, "configured"},	   {3, 4, "figu"}, {8, 4, "ed\0"}, {10, 4, "\0\0\0"},
		{UINT32_MAX, 4, "\0\0\0"},
	};
	struct vu_msg m;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint32_t req[3 + 64] = {rows[i].off, rows[i].len, 0};
		vu_front_send(f, VU_GET_CONFIG, req, VU_CONFIG_HDR + rows[i].len, NULL, 0);
		assert_true(vu_front_reply(f, &m));
		assert_int_equal(m.size, VU_CONFIG_HDR + rows[i].len);
		assert_memory_equal(m.config.data, rows[i].want, rows[i].len);
	}
	uint32_t full[3 + 64] = {0, VU_CONFIG_MAX, 0};
	vu_front_send(f, VU_GET_CONFIG, full, sizeof(full), NULL, 0);
	assert_true(vu_front_reply(f, &m));
	assert_int_equal(f->gone, 0);
}

static void test_config_size_mismatch(void **state)
{
	struct vu_front *f = *state;
	uint32_t req[4] = {0, 8, 0, 0};
	vu_front_send(f, VU_GET_CONFIG, req, VU_CONFIG_HDR + 4, NULL, 0);
	assert_gone(f);
}

static void test_reply_ack(void **state)
{
	struct vu_front *f = *state;
	struct vu_msg m;
	/* Not negotiated: NEED_REPLY is ignored. */
	vu_front_send_flags(f, VU_SET_OWNER, VU_FLAG_NEED_REPLY, NULL, 0, NULL, 0);
	assert_false(vu_front_reply(f, &m));
	vu_front_u64(f, VU_SET_PROTOCOL_FEATURES, 1ull << VU_PROTOCOL_F_REPLY_ACK);
	vu_front_send_flags(f, VU_SET_OWNER, VU_FLAG_NEED_REPLY, NULL, 0, NULL, 0);
	assert_true(vu_front_reply(f, &m));
	assert_int_equal(m.request, VU_SET_OWNER);
	assert_int_equal(m.size, 8);
	assert_true(m.u64 == 0);
	/* A request with an answer of its own gets that one only. */
	vu_front_send_flags(f, VU_GET_FEATURES, VU_FLAG_NEED_REPLY, NULL, 0, NULL, 0);
	assert_true(vu_front_reply(f, &m));
	assert_true(m.u64 & VIRTIO_F_VERSION_1);
	assert_false(vu_front_reply(f, &m));
}

static void test_bad_values(void **state)
{
	struct vu_front *f = *state;
	static const struct {
		uint32_t request;
		uint64_t payload;
	} rows[] = {
		{VU_SET_FEATURES, 1ull << 40},
		{VU_SET_PROTOCOL_FEATURES, 1ull << 15},
		{VU_SET_VRING_NUM, 0},
		{VU_GET_VRING_BASE, VU_FRONT_QUEUES},
		{VU_SET_VRING_KICK, VU_VRING_NOFD},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		vu_front_u64(f, rows[i].request, rows[i].payload);
		assert_gone(f);
		vu_front_destroy(f);
		vu_front_init(f);
	}
}

/* Without VHOST_USER_F_PROTOCOL_FEATURES rings start enabled. */
static void test_old_front_end(void **state)
{
	struct vu_front *f = *state;
	vu_front_u64(f, VU_SET_FEATURES, VIRTIO_F_VERSION_1);
	vu_front_mem_table(f);
	vu_front_state(f, VU_SET_VRING_NUM, 0, VU_FRONT_QSIZE);
	vu_front_addr(f, 0);
	vu_front_ring_fds(f, 0);
	assert_true(f->echo.dev.vq[0].started);
	assert_false(f->echo.dev.vq[1].started);
}

static void test_chains_from_before_the_start(void **state)
{
	struct vu_front *f = *state;
	vu_front_add(f, 0, "early", false);
	vu_front_handshake(f, 0);
	assert_int_equal(vu_front_used(f, 0), 1);
	assert_memory_equal(f->mem + VU_FRONT_BUF(0) + 64, "early", 5);
}

static void test_disable_enable(void **state)
{
	struct vu_front *f = *state;
	vu_front_handshake(f, 0);
	vu_front_add(f, 0, "one", true);
	vu_front_state(f, VU_SET_VRING_ENABLE, 0, 0);
	assert_false(f->echo.dev.vq[0].started);
	vu_front_add(f, 0, "two", true);
	assert_int_equal(vu_front_used(f, 0), 1);
	vu_front_state(f, VU_SET_VRING_ENABLE, 0, 1);
	assert_int_equal(vu_front_used(f, 0), 2);
}

static void test_get_vring_base(void **state)
{
	struct vu_front *f = *state;
	struct vu_msg m;
	vu_front_handshake(f, 0);
	for (unsigned i = 0; i < 3; i++)
		vu_front_add(f, 0, "x", true);
	vu_front_state(f, VU_GET_VRING_BASE, 0, 0);
	assert_true(vu_front_reply(f, &m));
	assert_int_equal(m.state.index, 0);
	assert_int_equal(m.state.num, 3);
	assert_false(f->echo.dev.vq[0].started);
	assert_int_equal(f->echo.resets, 0);
	/* The last ring that stops is the device's reset. */
	vu_front_state(f, VU_GET_VRING_BASE, 1, 0);
	assert_true(vu_front_reply(f, &m));
	assert_int_equal(m.state.num, 0);
	assert_int_equal(f->echo.resets, 1);
	/* A stopped ring takes no kicks. */
	vu_front_add(f, 0, "x", true);
	assert_int_equal(vu_front_used(f, 0), 3);
	/* And it starts again where it was. */
	vu_front_state(f, VU_SET_VRING_BASE, 0, 3);
	vu_front_addr(f, 0);
	vu_front_ring_fds(f, 0);
	assert_true(f->echo.dev.vq[0].started);
	assert_int_equal(vu_front_used(f, 0), 4);
}

static void test_base_survives_restart(void **state)
{
	struct vu_front *f = *state;
	vu_front_handshake(f, 0);
	vu_front_add(f, 0, "x", true);
	/* A new address, as after a change of the memory map: the index goes on. */
	vu_front_addr(f, 0);
	assert_true(f->echo.dev.vq[0].started);
	vu_front_add(f, 0, "x", true);
	assert_int_equal(vu_front_used(f, 0), 2);
	assert_int_equal(f->echo.served, 2);
}

static void test_mem_table_change(void **state)
{
	struct vu_front *f = *state;
	vu_front_handshake(f, 0);
	vu_front_add(f, 0, "x", true);
	for (int i = 0; i < 50; i++)
		vu_front_mem_table(f);
	assert_int_equal(f->gone, 0);
	assert_int_equal(f->echo.dev.mem.n, 1);
	assert_true(f->echo.dev.vq[0].started);
	vu_front_add(f, 0, "x", true);
	assert_int_equal(vu_front_used(f, 0), 2);
	assert_int_equal(f->echo.served, 2);
}

static void test_mem_table_without_the_rings(void **state)
{
	struct vu_front *f = *state;
	struct {
		uint32_t n, padding;
		struct vu_mem_region r;
	} t = {1, 0, {VU_FRONT_GPA, VU_FRONT_MEM, VU_FRONT_UADDR + (1u << 30), 0}};
	vu_front_handshake(f, 0);
	vu_front_send(f, VU_SET_MEM_TABLE, &t, sizeof(t), &f->memfd, 1);
	assert_gone(f);
}

static void test_bad_mem_table(void **state)
{
	struct vu_front *f = *state;
	vu_front_handshake(f, 0);
	AUTO_CLOSE int fd = vu_front_memfd(VU_FRONT_MEM, 0);
	struct {
		uint32_t n, padding;
		struct vu_mem_region r;
	} t = {1, 0, {VU_FRONT_GPA, VU_FRONT_MEM, VU_FRONT_UADDR, 0}};
	vu_front_send(f, VU_SET_MEM_TABLE, &t, sizeof(t), &fd, 1);
	assert_gone(f);
}

static void test_vring_num(void **state)
{
	struct vu_front *f = *state;
	vu_front_state(f, VU_SET_VRING_NUM, 0, 1024);
	assert_int_equal(f->gone, 0);
	vu_front_state(f, VU_SET_VRING_NUM, 0, 1025);
	assert_gone(f);
}

static void test_odd_ring_size(void **state)
{
	struct vu_front *f = *state;
	vu_front_state(f, VU_SET_VRING_NUM, 0, 7);
	assert_int_equal(f->gone, 0);
	vu_front_u64(f, VU_SET_FEATURES, VIRTIO_F_VERSION_1);
	vu_front_mem_table(f);
	vu_front_ring_fds(f, 0);
	vu_front_addr(f, 0);
	assert_gone(f);
}

static void test_ring_outside_memory(void **state)
{
	struct vu_front *f = *state;
	struct {
		uint32_t index, flags;
		uint64_t desc, used, avail, log;
	} a = {0,
	       0,
	       VU_FRONT_UADDR + VU_FRONT_MEM - 64,
	       VU_FRONT_UADDR + VU_FRONT_USED(0),
	       VU_FRONT_UADDR + VU_FRONT_AVAIL(0),
	       0};
	vu_front_handshake(f, 0);
	vu_front_send(f, VU_SET_VRING_ADDR, &a, sizeof(a), NULL, 0);
	assert_gone(f);
}

static void test_guest_breaks_the_ring(void **state)
{
	struct vu_front *f = *state;
	struct vu_msg m;
	vu_front_handshake(f, 0);
	uint16_t *avail = (uint16_t *)(void *)(f->mem + VU_FRONT_AVAIL(0));
	avail[1] = 1000;
	uint64_t one = 1;
	assert_int_equal(write(f->kick[0], &one, 8), 8);
	vu_front_run(f);
	/* The guest's fault, not QEMU's: the device needs a reset, the connection stays. */
	assert_true(f->echo.dev.needs_reset);
	assert_int_equal(f->gone, 0);
	unsigned kicks = f->echo.kicks[0];
	assert_int_equal(write(f->kick[0], &one, 8), 8);
	vu_front_run(f);
	assert_int_equal(f->echo.kicks[0], kicks);
	for (unsigned q = 0; q < VU_FRONT_QUEUES; q++) {
		vu_front_state(f, VU_GET_VRING_BASE, q, 0);
		assert_true(vu_front_reply(f, &m));
	}
	assert_false(f->echo.dev.needs_reset);
}

static void test_call_without_fd(void **state)
{
	struct vu_front *f = *state;
	vu_front_handshake(f, 0);
	vu_front_u64(f, VU_SET_VRING_CALL, VU_VRING_NOFD);
	assert_int_equal(f->echo.dev.vq[0].call_fd, -1);
	vu_front_add(f, 0, "x", true);
	assert_int_equal(vu_front_used(f, 0), 1);
	assert_int_equal(f->gone, 0);
	vu_front_u64(f, VU_SET_VRING_CALL, 0);
	assert_gone(f);
}

static void test_call_fd_never_blocks(void **state)
{
	struct vu_front *f = *state;
	int p[2];
	uint64_t q = 0;
	vu_front_handshake(f, 0);
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	assert_int_equal(fcntl(p[1], F_SETPIPE_SZ, 4096), 4096);
	vu_front_send(f, VU_SET_VRING_CALL, &q, sizeof(q), &p[1], 1);
	for (int i = 0; i < 600; i++)
		vu_front_add(f, 0, "x", true);
	assert_int_equal(f->echo.served, 600);
	close(p[0]);
	close(p[1]);
}

/* What is always readable but is no eventfd must not keep the thread busy for ever. */
static void test_kick_fd_at_its_end(void **state)
{
	struct vu_front *f = *state;
	int p[2];
	uint64_t q = 0;
	vu_front_handshake(f, 0);
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	close(p[1]);
	vu_front_send(f, VU_SET_VRING_KICK, &q, sizeof(q), &p[0], 1);
	close(p[0]);
	unsigned busy = 0;
	for (int i = 0; i < 50 && f->gone == 0; i++)
		busy += evloop_once(&f->loop, 0) > 0;
	assert_true(busy < 5);
}

static void test_kick_fd_regular_file(void **state)
{
	struct vu_front *f = *state;
	uint64_t q = 0;
	AUTO_CLOSE int fd = vu_front_memfd(16, 0);
	vu_front_send(f, VU_SET_VRING_KICK, &q, sizeof(q), &fd, 1);
	assert_gone(f);
}

static void test_needless_fds(void **state)
{
	struct vu_front *f = *state;
	vu_front_send(f, VU_SET_OWNER, NULL, 0, &f->memfd, 1);
	assert_gone(f);
}

static void test_too_many_fds(void **state)
{
	struct vu_front *f = *state;
	int fds[VHOST_USER_MAX_FDS + 1];
	for (size_t i = 0; i <= VHOST_USER_MAX_FDS; i++)
		fds[i] = f->memfd;
	unsigned before = open_fds();
	vu_front_send(f, VU_GET_FEATURES, NULL, 0, fds, VHOST_USER_MAX_FDS + 1);
	assert_gone(f);
	/* Only the back end's own socket is closed, nothing is left open. */
	assert_int_equal(open_fds(), before - 1);
}

static void test_byte_by_byte(void **state)
{
	struct vu_front *f = *state;
	struct vu_msg m;
	uint32_t msg[5] = {VU_SET_VRING_NUM, VU_VERSION, 8, 1, 256};
	for (size_t i = 0; i < sizeof(msg); i++) {
		assert_int_equal(f->echo.dev.vq[1].size, 0);
		assert_int_equal(send(f->sock, (uint8_t *)msg + i, 1, 0), 1);
		vu_front_run(f);
	}
	assert_int_equal(f->echo.dev.vq[1].size, 256);
	vu_front_send(f, VU_GET_FEATURES, NULL, 0, NULL, 0);
	assert_true(vu_front_reply(f, &m));
}

static void test_two_in_one(void **state)
{
	struct vu_front *f = *state;
	struct vu_msg m;
	uint32_t msg[6] = {VU_GET_FEATURES, VU_VERSION, 0, VU_GET_QUEUE_NUM, VU_VERSION, 0};
	assert_int_equal(send(f->sock, msg, sizeof(msg), 0), sizeof(msg));
	vu_front_run(f);
	assert_true(vu_front_reply(f, &m));
	assert_int_equal(m.request, VU_GET_FEATURES);
	assert_true(vu_front_reply(f, &m));
	assert_int_equal(m.request, VU_GET_QUEUE_NUM);
}

static void test_oversize(void **state)
{
	struct vu_front *f = *state;
	const uint32_t sizes[] = {VHOST_USER_MSG_MAX - VU_HDR + 1, 1u << 20, UINT32_MAX - 4,
				  UINT32_MAX};
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint32_t msg[3] = {VU_SET_FEATURES, VU_VERSION, sizes[i]};
		assert_int_equal(send(f->sock, msg, sizeof(msg), 0), sizeof(msg));
		vu_front_run(f);
		assert_gone(f);
		vu_front_destroy(f);
		vu_front_init(f);
	}
}

static void test_gone_in_mid_message(void **state)
{
	struct vu_front *f = *state;
	vu_front_handshake(f, 0);
	unsigned before = open_fds();
	uint32_t msg[4] = {VU_SET_MEM_TABLE, VU_VERSION, 40, 1};
	struct iovec iov = {msg, sizeof(msg)};
	char ctl[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8))) = {0};
	struct msghdr mh = {.msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = ctl,
			    .msg_controllen = sizeof(ctl)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&mh);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &f->memfd, sizeof(int));
	assert_int_equal(sendmsg(f->sock, &mh, 0), sizeof(msg));
	vu_front_run(f);
	assert_int_equal(open_fds(), before + 1);
	assert_true(f->echo.dev.vq[0].started);
	shutdown(f->sock, SHUT_WR);
	vu_front_run(f);
	assert_gone(f);
	/* Its socket, two kicks, two calls, and the descriptor of the half message. */
	assert_int_equal(open_fds(), before - 5);
	assert_int_equal(f->echo.resets, 1);
}

static void test_stop_twice(void **state)
{
	struct vu_front *f = *state;
	vu_front_handshake(f, 0);
	vhost_user_stop(&f->vu);
	vhost_user_stop(&f->vu);
	assert_int_equal(f->echo.resets, 1);
	assert_int_equal(f->gone, 0);
}

static void test_event_idx_negotiated(void **state)
{
	struct vu_front *f = *state;
	vu_front_handshake(f, VIRTIO_F_EVENT_IDX);
	assert_true(f->echo.dev.vq[0].event_idx);
}

static void test_peer_that_does_not_read(void **state)
{
	struct vu_front *f = *state;
	int small = 4096;
	setsockopt(f->vu.sock.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	for (int i = 0; i < 2000 && f->gone == 0; i++)
		vu_front_send(f, VU_GET_FEATURES, NULL, 0, NULL, 0);
	assert_int_equal(f->gone, 1);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_handshake),
		T(test_answers),
		T(test_fs_keeps_no_config),
		T(test_config),
		T(test_config_size_mismatch),
		T(test_reply_ack),
		T(test_bad_values),
		T(test_old_front_end),
		T(test_chains_from_before_the_start),
		T(test_disable_enable),
		T(test_get_vring_base),
		T(test_base_survives_restart),
		T(test_mem_table_change),
		T(test_mem_table_without_the_rings),
		T(test_bad_mem_table),
		T(test_vring_num),
		T(test_odd_ring_size),
		T(test_ring_outside_memory),
		T(test_guest_breaks_the_ring),
		T(test_call_without_fd),
		T(test_call_fd_never_blocks),
		T(test_kick_fd_at_its_end),
		T(test_kick_fd_regular_file),
		T(test_needless_fds),
		T(test_too_many_fds),
		T(test_byte_by_byte),
		T(test_two_in_one),
		T(test_oversize),
		T(test_gone_in_mid_message),
		T(test_stop_twice),
		T(test_event_idx_negotiated),
		T(test_peer_that_does_not_read),
	};
	alarm(30);
	log_init("test", LOG_ERROR);
	return cmocka_run_group_tests_name("vhost_user", tests, NULL, NULL);
}
