// SPDX-License-Identifier: Apache-2.0
// vhost_user.c - the vhost-user back end, as far as QEMU's front ends need it
//
// Theory of operation: messages are collected without blocking (a stalled peer stalls nobody) and
// handled by a table. QEMU is as untrusted as the guest it runs: each length, index and descriptor
// is checked here, and the first violation ends the connection. A ring runs while it has an
// address, a kick descriptor and is enabled; any change of memory or addresses stops it first.
#include "virtio/vhost_user.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/fdpass.h"
#include "base/io.h"
#include "virtio/vhost_user_mem.h"
#include "virtio/vhost_user_msg.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* QEMU keeps the fs device's configuration itself and warns of a back end that offers it; rng has
 * none. */
static uint64_t protocol_features(const struct vhost_user *vu)
{
	uint64_t f = 1ull << VU_PROTOCOL_F_REPLY_ACK;
	if (vu->dev->ops->id != VIRTIO_ID_FS_DEV && vu->dev->ops->id != VIRTIO_ID_RNG_DEV)
		f |= 1ull << VU_PROTOCOL_F_CONFIG;
	if (vu->dev->ops->id == VIRTIO_ID_BLK_DEV)
		f |= 1ull << VU_PROTOCOL_F_MQ;
	return f;
}

static void ring_stop(struct vhost_user *vu, unsigned i)
{
	struct virtqueue *vq = &vu->dev->vq[i];
	if (!vq->started)
		return;
	virtio_dev_quiesce(vu->dev);
	vu->ring[i].next_avail = vq->next_avail;
	virtqueue_stop(vq);
}

static int ring_start_if_ready(struct vhost_user *vu, unsigned i)
{
	struct vhost_user_ring *r = &vu->ring[i];
	struct virtqueue *vq = &vu->dev->vq[i];
	if (vq->started || !r->enabled || !r->addr_set || r->kick.fd < 0 || vu->dev->mem.n == 0)
		return 0;
	uint64_t s = vq->size;
	int ret = gmem_from_uaddr(&vu->dev->mem, r->desc_uaddr, s * 16, &vq->desc);
	if (ret == 0)
		ret = gmem_from_uaddr(&vu->dev->mem, r->avail_uaddr, 6 + s * 2, &vq->avail);
	if (ret == 0)
		ret = gmem_from_uaddr(&vu->dev->mem, r->used_uaddr, 6 + s * 8, &vq->used);
	if (ret < 0)
		return ret;
	vq->event_idx = vu->features & VIRTIO_F_EVENT_IDX;
	ret = virtqueue_start(vq, r->next_avail);
	if (ret < 0)
		return ret;
	/* Chains may wait from before the start. */
	vu->dev->ops->queue_kick(vu->dev, i);
	return 0;
}

static void rings_stop_all(struct vhost_user *vu)
{
	for (unsigned i = 0; i < vu->dev->ops->num_queues; i++)
		ring_stop(vu, i);
}

static int rings_start_all(struct vhost_user *vu)
{
	int ret = 0;
	for (unsigned i = 0; ret == 0 && i < vu->dev->ops->num_queues; i++)
		ret = ring_start_if_ready(vu, i);
	return ret;
}

static bool any_ring_started(const struct vhost_user *vu)
{
	for (unsigned i = 0; i < vu->dev->ops->num_queues; i++)
		if (vu->dev->vq[i].started)
			return true;
	return false;
}

static void device_reset(struct vhost_user *vu)
{
	vu->dev->needs_reset = false;
	vu->dev->ops->reset(vu->dev);
}

static void on_kick(struct evsource *src, uint32_t events)
{
	struct vhost_user_ring *r = src->arg;
	struct vhost_user *vu = r->vu;
	(void)events;
	uint64_t count;
	ssize_t n = read(src->fd, &count, sizeof(count));
	if (n != sizeof(count) && !(n < 0 && (errno == EAGAIN || errno == EINTR))) {
		/* Not an eventfd after all: watching it further would spin. */
		evloop_del(vu->dev->loop, src);
		close_fd(&src->fd);
		return;
	}
	unsigned i = (unsigned)(r - vu->ring);
	if (vu->dev->vq[i].started && !vu->dev->needs_reset)
		vu->dev->ops->queue_kick(vu->dev, i);
}

static int set_features(struct vhost_user *vu, struct vu_msg *m)
{
	uint64_t offered = VIRTIO_CORE_FEATURES | VU_F_PROTOCOL_FEATURES | vu->dev->ops->features;
	if (m->u64 & ~offered)
		return -EPROTO;
	vu->features = m->u64;
	vu->dev->driver_features = m->u64 & ~VU_F_PROTOCOL_FEATURES;
	if (!(m->u64 & VU_F_PROTOCOL_FEATURES))
		for (unsigned i = 0; i < vu->dev->ops->num_queues; i++)
			vu->ring[i].enabled = true;
	return 0;
}

static int set_mem_table(struct vhost_user *vu, struct vu_msg *m)
{
	rings_stop_all(vu);
	gmem_clear(&vu->dev->mem);
	int ret = vhost_user_mem_map(&vu->dev->mem, m, vu->fds, vu->nfds);
	return ret < 0 ? ret : rings_start_all(vu);
}

static int set_vring_num(struct vhost_user *vu, struct vu_msg *m)
{
	if (m->state.num == 0 || m->state.num > VIRTQUEUE_MAX_SIZE)
		return -EPROTO;
	ring_stop(vu, m->state.index);
	vu->dev->vq[m->state.index].size = (uint16_t)m->state.num;
	return 0;
}

static int set_vring_addr(struct vhost_user *vu, struct vu_msg *m)
{
	struct vhost_user_ring *r = &vu->ring[m->addr.index];
	ring_stop(vu, m->addr.index);
	r->desc_uaddr = m->addr.desc;
	r->avail_uaddr = m->addr.avail;
	r->used_uaddr = m->addr.used;
	r->addr_set = true;
	return ring_start_if_ready(vu, m->addr.index);
}

static int set_vring_base(struct vhost_user *vu, struct vu_msg *m)
{
	ring_stop(vu, m->state.index);
	vu->ring[m->state.index].next_avail = (uint16_t)m->state.num;
	return 0;
}

static void ring_drop_kick(struct vhost_user *vu, unsigned i)
{
	struct vhost_user_ring *r = &vu->ring[i];
	if (r->kick.fd >= 0) {
		evloop_del(vu->dev->loop, &r->kick);
		close_fd(&r->kick.fd);
	}
}

static int get_vring_base(struct vhost_user *vu, struct vu_msg *m)
{
	unsigned i = m->state.index;
	ring_stop(vu, i);
	m->state.num = vu->ring[i].next_avail;
	m->size = sizeof(m->state);
	ring_drop_kick(vu, i);
	vu->ring[i].addr_set = false;
	if (!any_ring_started(vu))
		device_reset(vu);
	return 1;
}

static int set_vring_kick(struct vhost_user *vu, struct vu_msg *m)
{
	unsigned i = m->u64 & VU_VRING_IDX_MASK;
	ring_stop(vu, i);
	ring_drop_kick(vu, i);
	if (vu->nfds != 1)
		return -EPROTO;
	struct vhost_user_ring *r = &vu->ring[i];
	r->kick.fd = steal_fd(&vu->fds[0]);
	int ret = io_set_nonblock(r->kick.fd, 1);
	if (ret == 0)
		ret = evloop_add(vu->dev->loop, &r->kick, EPOLLIN);
	if (ret < 0) {
		close_fd(&r->kick.fd);
		return ret;
	}
	return ring_start_if_ready(vu, i);
}

static int set_vring_call(struct vhost_user *vu, struct vu_msg *m)
{
	struct virtqueue *vq = &vu->dev->vq[m->u64 & VU_VRING_IDX_MASK];
	close_fd(&vq->call_fd);
	if (m->u64 & VU_VRING_NOFD)
		return 0;
	if (vu->nfds != 1)
		return -EPROTO;
	vq->call_fd = steal_fd(&vu->fds[0]);
	/* A blocking descriptor would let the peer stop this thread. */
	return io_set_nonblock(vq->call_fd, 1);
}

static int set_vring_enable(struct vhost_user *vu, struct vu_msg *m)
{
	unsigned i = m->state.index;
	vu->ring[i].enabled = m->state.num != 0;
	if (!vu->ring[i].enabled)
		ring_stop(vu, i);
	return ring_start_if_ready(vu, i);
}

static int get_config(struct vhost_user *vu, struct vu_msg *m)
{
	uint32_t len = m->config.size;
	if (len > VU_CONFIG_MAX || m->size != VU_CONFIG_HDR + len || !vu->dev->ops->get_config)
		return -EPROTO;
	vu->dev->ops->get_config(vu->dev, m->config.offset, m->config.data, len);
	return 1;
}

static int reply_u64(struct vu_msg *m, uint64_t v)
{
	m->u64 = v;
	m->size = sizeof(v);
	return 1;
}

/* Returns 1 if m is to be sent as the reply, 0 if done, -errno to end the connection. */
static int dispatch(struct vhost_user *vu, struct vu_msg *m)
{
	switch (m->request) {
	case VU_GET_FEATURES:
		return reply_u64(m, VIRTIO_CORE_FEATURES | VU_F_PROTOCOL_FEATURES |
					    vu->dev->ops->features);
	case VU_SET_FEATURES: return set_features(vu, m);
	case VU_GET_PROTOCOL_FEATURES: return reply_u64(m, protocol_features(vu));
	case VU_SET_PROTOCOL_FEATURES:
		vu->protocol_features = m->u64;
		return (m->u64 & ~protocol_features(vu)) ? -EPROTO : 0;
	case VU_GET_QUEUE_NUM: return reply_u64(m, vu->dev->ops->num_queues);
	case VU_SET_OWNER: return 0;
	case VU_RESET_OWNER:
		rings_stop_all(vu);
		device_reset(vu);
		return 0;
	case VU_SET_MEM_TABLE: return set_mem_table(vu, m);
	case VU_SET_VRING_NUM: return set_vring_num(vu, m);
	case VU_SET_VRING_ADDR: return set_vring_addr(vu, m);
	case VU_SET_VRING_BASE: return set_vring_base(vu, m);
	case VU_GET_VRING_BASE: return get_vring_base(vu, m);
	case VU_SET_VRING_KICK: return set_vring_kick(vu, m);
	case VU_SET_VRING_CALL: return set_vring_call(vu, m);
	case VU_SET_VRING_ERR: return 0;
	case VU_SET_VRING_ENABLE: return set_vring_enable(vu, m);
	case VU_GET_CONFIG: return get_config(vu, m);
	default: return -ENOTSUP;
	}
}

static int send_msg(struct vhost_user *vu, const struct vu_msg *m)
{
	struct iovec iov = {.iov_base = (void *)(uintptr_t)m, .iov_len = VU_HDR + m->size};
	ssize_t n = fdpass_send(vu->sock.fd, &iov, 1, NULL, 0, MSG_DONTWAIT);
	if (n < 0)
		return (int)n;
	return (size_t)n == iov.iov_len ? 0 : -EPIPE;
}

static int handle_msg(struct vhost_user *vu, struct vu_msg *m)
{
	int ret = vhost_user_msg_check(m, vu->dev->ops->num_queues, vu->nfds);
	if (ret < 0)
		return ret;
	bool ack = (m->flags & VU_FLAG_NEED_REPLY) &&
		   (vu->protocol_features & (1ull << VU_PROTOCOL_F_REPLY_ACK));
	ret = dispatch(vu, m);
	if (ret < 0)
		return ret;
	if (ret == 0 && ack)
		ret = reply_u64(m, 0);
	if (ret == 0)
		return 0;
	m->flags = VU_VERSION | VU_FLAG_REPLY;
	return send_msg(vu, m);
}

static void drop_fds(struct vhost_user *vu)
{
	for (size_t i = 0; i < vu->nfds; i++)
		close_fd(&vu->fds[i]);
	vu->nfds = 0;
}

/* Reads what is missing of the header or the payload; 1 when a message is complete. */
static int collect(struct vhost_user *vu)
{
	struct vu_msg *m = (struct vu_msg *)vu->msg;
	size_t want = vu->have < VU_HDR ? VU_HDR : VU_HDR + m->size;
	struct iovec iov = {.iov_base = vu->msg + vu->have, .iov_len = want - vu->have};
	if (iov.iov_len > 0) {
		int fds[VHOST_USER_MAX_FDS];
		size_t got = 0;
		ssize_t n = fdpass_recv(vu->sock.fd, &iov, 1, fds, VHOST_USER_MAX_FDS, &got,
					MSG_DONTWAIT);
		if (n == -EAGAIN)
			return 0;
		if (n <= 0)
			return n < 0 ? (int)n : -ENODATA;
		vu->have += (size_t)n;
		for (size_t i = 0; i < got; i++) {
			if (vu->nfds < VHOST_USER_MAX_FDS)
				vu->fds[vu->nfds++] = fds[i];
			else
				close(fds[i]);
		}
		if (vu->have < want)
			return 0;
	}
	if (m->size > VHOST_USER_MSG_MAX - VU_HDR)
		return -EMSGSIZE;
	return vu->have == VU_HDR + m->size;
}

static void end_connection(struct vhost_user *vu, int why)
{
	if (why != -ENODATA && why != -ECONNRESET && why != -EPIPE)
		vu->why = why;
	if (vu->why < 0)
		log_guest(&vu->dev->limit, "%s: vhost-user connection ended: %s",
			  vu->dev->ops->name, strerror(-why));
	vhost_user_stop(vu);
	vu->gone(vu, vu->gone_arg);
}

static void on_message(struct evsource *src, uint32_t events)
{
	struct vhost_user *vu = src->arg;
	(void)events;
	int ret = collect(vu);
	/* The header alone is complete: one more read may bring the payload. */
	if (ret == 0 && vu->have == VU_HDR)
		ret = collect(vu);
	if (ret == 1) {
		vu->have = 0;
		ret = handle_msg(vu, (struct vu_msg *)vu->msg);
		drop_fds(vu);
	}
	if (ret < 0)
		end_connection(vu, ret);
}

int vhost_user_start(struct vhost_user *vu, struct virtio_dev *dev, int sock,
		     vhost_user_gone_fn *gone, void *arg)
{
	_Static_assert(sizeof(struct vu_msg) <= VHOST_USER_MSG_MAX, "message fits the buffer");
	memset(vu, 0, sizeof(*vu));
	vu->dev = dev;
	vu->gone = gone;
	vu->gone_arg = arg;
	vu->sock = (struct evsource){.fd = sock, .fn = on_message, .arg = vu};
	for (unsigned i = 0; i < VIRTIO_DEV_MAX_QUEUES; i++)
		vu->ring[i] = (struct vhost_user_ring){
			.kick = {.fd = -1, .fn = on_kick, .arg = &vu->ring[i]},
			.vu = vu,
		};
	int ret = io_set_nonblock(sock, 1);
	if (ret == 0)
		ret = evloop_add(dev->loop, &vu->sock, EPOLLIN);
	return ret;
}

void vhost_user_stop(struct vhost_user *vu)
{
	if (vu->sock.fd < 0)
		return;
	rings_stop_all(vu);
	device_reset(vu);
	for (unsigned i = 0; i < vu->dev->ops->num_queues; i++) {
		ring_drop_kick(vu, i);
		close_fd(&vu->dev->vq[i].call_fd);
	}
	gmem_clear(&vu->dev->mem);
	drop_fds(vu);
	evloop_del(vu->dev->loop, &vu->sock);
	close_fd(&vu->sock.fd);
}
