// SPDX-License-Identifier: Apache-2.0
// vu_front.c - a vhost-user front end as QEMU is one, and a device that echoes, for tests
#include "lib/vu_front.h"

#include "base/cleanup.h"
#include "base/fdpass.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>

static void must(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "vu_front: %s: %s\n", what, strerror(errno));
		abort();
	}
}

static void echo_kick(struct virtio_dev *dev, unsigned q)
{
	struct vu_echo *e = (struct vu_echo *)(void *)dev;
	struct virtqueue *vq = &dev->vq[q];
	uint8_t buf[64];
	e->kicks[q]++;
	for (unsigned n = 0; n < VU_FRONT_QSIZE; n++) {
		int got = virtqueue_pop(vq, &e->chain);
		if (got < 0)
			virtio_dev_fail(dev, "broken queue");
		if (got <= 0)
			break;
		size_t len = e->chain.out_len < sizeof(buf) ? e->chain.out_len : sizeof(buf);
		if (len > e->chain.in_len)
			len = e->chain.in_len;
		chain_read(&e->chain, 0, buf, len);
		chain_write(&e->chain, 0, buf, len);
		virtqueue_push(vq, e->chain.head, (uint32_t)len);
		e->served++;
	}
	virtqueue_notify(vq);
}

static void echo_reset(struct virtio_dev *dev)
{
	((struct vu_echo *)(void *)dev)->resets++;
}

static void echo_config(struct virtio_dev *dev, uint32_t off, void *buf, uint32_t len)
{
	(void)dev;
	virtio_config_copy("configured", 10, off, buf, len);
}

static const struct virtio_dev_ops echo_ops = {
	.name = "echo",
	.id = VIRTIO_ID_VSOCK_DEV,
	.num_queues = VU_FRONT_QUEUES,
	.features = 1ull << 5,
	.queue_kick = echo_kick,
	.reset = echo_reset,
	.get_config = echo_config,
};

static void on_gone(struct vhost_user *vu, void *arg)
{
	(void)vu;
	((struct vu_front *)arg)->gone++;
}

int vu_front_memfd(size_t size, int seals)
{
	AUTO_CLOSE int fd = memfd_create("guest-ram", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0 || ftruncate(fd, (off_t)size) < 0 ||
	    (seals && fcntl(fd, F_ADD_SEALS, seals) < 0))
		return -1;
	return steal_fd(&fd);
}

void vu_front_init(struct vu_front *f)
{
	int pair[2];
	memset(f, 0, sizeof(*f));
	must(evloop_init(&f->loop) == 0, "event loop");
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0, "socketpair");
	f->sock = pair[0];
	must(fcntl(f->sock, F_SETFL, O_NONBLOCK) == 0, "O_NONBLOCK");
	f->memfd = vu_front_memfd(VU_FRONT_MEM, F_SEAL_SHRINK | F_SEAL_GROW);
	must(f->memfd >= 0, "memfd");
	f->mem = mmap(NULL, VU_FRONT_MEM, PROT_READ | PROT_WRITE, MAP_SHARED, f->memfd, 0);
	must(f->mem != MAP_FAILED, "mmap");
	for (unsigned q = 0; q < VU_FRONT_QUEUES; q++) {
		f->kick[q] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		f->call[q] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		must(f->kick[q] >= 0 && f->call[q] >= 0, "eventfd");
	}
	virtio_dev_init(&f->echo.dev, &echo_ops, &f->loop);
	must(vhost_user_start(&f->vu, &f->echo.dev, pair[1], on_gone, f) == 0, "start");
}

void vu_front_destroy(struct vu_front *f)
{
	vhost_user_stop(&f->vu);
	for (unsigned q = 0; q < VU_FRONT_QUEUES; q++) {
		close_fd(&f->kick[q]);
		close_fd(&f->call[q]);
	}
	munmap(f->mem, VU_FRONT_MEM);
	close_fd(&f->memfd);
	close_fd(&f->sock);
	evloop_close(&f->loop);
}

void vu_front_run(struct vu_front *f)
{
	for (unsigned i = 0; i < 100; i++)
		if (evloop_once(&f->loop, 0) <= 0)
			break;
}

void vu_front_send_flags(struct vu_front *f, uint32_t request, uint32_t flags, const void *payload,
			 uint32_t len, const int *fds, size_t nfds)
{
	uint32_t hdr[3] = {request, VU_VERSION | flags, len};
	struct iovec iov[2] = {
		{hdr, sizeof(hdr)},
		{(void *)(uintptr_t)payload, len},
	};
	/* The back end may be gone already: that shows elsewhere. */
	fdpass_send(f->sock, iov, 2, fds, nfds, MSG_DONTWAIT);
	vu_front_run(f);
}

void vu_front_send(struct vu_front *f, uint32_t request, const void *payload, uint32_t len,
		   const int *fds, size_t nfds)
{
	vu_front_send_flags(f, request, 0, payload, len, fds, nfds);
}

bool vu_front_reply(struct vu_front *f, struct vu_msg *m)
{
	memset(m, 0, sizeof(*m));
	if (recv(f->sock, m, VU_HDR, MSG_DONTWAIT) != (ssize_t)VU_HDR)
		return false;
	must(m->flags == (VU_VERSION | VU_FLAG_REPLY), "reply flags");
	must(m->size <= sizeof(*m) - VU_HDR, "reply size");
	return m->size == 0 ||
	       recv(f->sock, (uint8_t *)m + VU_HDR, m->size, MSG_DONTWAIT) == (ssize_t)m->size;
}

void vu_front_u64(struct vu_front *f, uint32_t request, uint64_t v)
{
	vu_front_send(f, request, &v, sizeof(v), NULL, 0);
}

void vu_front_state(struct vu_front *f, uint32_t request, uint32_t index, uint32_t num)
{
	uint32_t s[2] = {index, num};
	vu_front_send(f, request, s, sizeof(s), NULL, 0);
}

void vu_front_mem_table(struct vu_front *f)
{
	struct {
		uint32_t n, padding;
		struct vu_mem_region r;
	} t = {1, 0, {VU_FRONT_GPA, VU_FRONT_MEM, VU_FRONT_UADDR, 0}};
	vu_front_send(f, VU_SET_MEM_TABLE, &t, sizeof(t), &f->memfd, 1);
}

void vu_front_addr(struct vu_front *f, uint32_t q)
{
	struct {
		uint32_t index, flags;
		uint64_t desc, used, avail, log;
	} a = {q,
	       0,
	       VU_FRONT_UADDR + VU_FRONT_DESC(q),
	       VU_FRONT_UADDR + VU_FRONT_USED(q),
	       VU_FRONT_UADDR + VU_FRONT_AVAIL(q),
	       0};
	vu_front_send(f, VU_SET_VRING_ADDR, &a, sizeof(a), NULL, 0);
}

void vu_front_ring_fds(struct vu_front *f, uint32_t q)
{
	uint64_t index = q;
	vu_front_send(f, VU_SET_VRING_KICK, &index, sizeof(index), &f->kick[q], 1);
	vu_front_send(f, VU_SET_VRING_CALL, &index, sizeof(index), &f->call[q], 1);
}

void vu_front_handshake(struct vu_front *f, uint64_t extra_features)
{
	struct vu_msg m;
	vu_front_send(f, VU_GET_FEATURES, NULL, 0, NULL, 0);
	must(vu_front_reply(f, &m), "features");
	vu_front_send(f, VU_GET_PROTOCOL_FEATURES, NULL, 0, NULL, 0);
	must(vu_front_reply(f, &m), "protocol features");
	vu_front_u64(f, VU_SET_PROTOCOL_FEATURES, m.u64);
	vu_front_send(f, VU_SET_OWNER, NULL, 0, NULL, 0);
	for (unsigned q = 0; q < VU_FRONT_QUEUES; q++) {
		uint64_t index = q;
		vu_front_send(f, VU_SET_VRING_CALL, &index, sizeof(index), &f->call[q], 1);
	}
	vu_front_u64(f, VU_SET_FEATURES,
		     VIRTIO_F_VERSION_1 | VU_F_PROTOCOL_FEATURES | extra_features);
	vu_front_mem_table(f);
	for (unsigned q = 0; q < VU_FRONT_QUEUES; q++) {
		vu_front_state(f, VU_SET_VRING_NUM, q, VU_FRONT_QSIZE);
		vu_front_state(f, VU_SET_VRING_BASE, q, 0);
		vu_front_addr(f, q);
		vu_front_ring_fds(f, q);
	}
	for (unsigned q = 0; q < VU_FRONT_QUEUES; q++)
		vu_front_state(f, VU_SET_VRING_ENABLE, q, 1);
}

void vu_front_add(struct vu_front *f, unsigned q, const char *text, bool kick)
{
	struct {
		uint64_t addr;
		uint32_t len;
		uint16_t flags, next;
	} d[2];
	uint16_t *avail = (uint16_t *)(void *)(f->mem + VU_FRONT_AVAIL(q));
	uint32_t len = (uint32_t)strlen(text);
	memcpy(f->mem + VU_FRONT_BUF(q), text, len);
	d[0].addr = htole64(VU_FRONT_GPA + VU_FRONT_BUF(q));
	d[1].addr = htole64(VU_FRONT_GPA + VU_FRONT_BUF(q) + 64);
	d[0].len = d[1].len = htole32(len);
	d[0].flags = htole16(1);
	d[1].flags = htole16(2);
	d[0].next = htole16(1);
	d[1].next = 0;
	memcpy(f->mem + VU_FRONT_DESC(q), d, sizeof(d));
	avail[2 + avail[1] % VU_FRONT_QSIZE] = 0;
	__atomic_store_n(&avail[1], (uint16_t)(avail[1] + 1), __ATOMIC_RELEASE);
	uint64_t one = 1;
	if (kick)
		must(write(f->kick[q], &one, sizeof(one)) == sizeof(one), "kick");
	vu_front_run(f);
}

uint16_t vu_front_used(const struct vu_front *f, unsigned q)
{
	const uint16_t *used = (const uint16_t *)(const void *)(f->mem + VU_FRONT_USED(q));
	return __atomic_load_n(&used[1], __ATOMIC_ACQUIRE);
}
