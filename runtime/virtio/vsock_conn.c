// SPDX-License-Identifier: Apache-2.0
// vsock_conn.c - state, credit and half-close of one vsock stream (virtio 1.2, section 5.10.6)
#include "virtio/vsock_conn.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/io.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define OP_BIT(op) ((uint16_t)(1u << (op)))
/* A quarter of the window: seldom enough to be cheap, often enough to keep the guest sending. */
#define CREDIT_STEP (VSOCK_BUF_SIZE / 4)

static void on_socket(struct evsource *src, uint32_t events);

static void set_pending(struct vsock_conn *c, enum vsock_op op)
{
	c->pending |= OP_BIT(op);
	c->events->ready(c, c->events->arg);
}

static uint32_t peer_room(const struct vsock_conn *c)
{
	uint32_t in_flight = c->tx_cnt - c->peer_fwd_cnt;
	return in_flight < c->peer_buf_alloc ? c->peer_buf_alloc - in_flight : 0;
}

static void watch(struct vsock_conn *c)
{
	uint32_t ev = EPOLLHUP;
	bool may_read = c->state == VSOCK_OPEN && !c->host_no_send && !c->guest_no_recv &&
			peer_room(c) > 0 && !(c->pending & OP_BIT(VSOCK_OP_RW));
	if (c->sock.fd < 0)
		return;
	if (c->hup) {
		/* Off the event loop, which would report the hang-up for ever: ask by reading. */
		if (may_read)
			set_pending(c, VSOCK_OP_RW);
		return;
	}
	if (may_read)
		ev |= EPOLLIN;
	if (c->buf_len > 0)
		ev |= EPOLLOUT;
	evloop_mod(c->loop, &c->sock, ev);
}

static void drop_socket(struct vsock_conn *c)
{
	if (c->sock.fd < 0)
		return;
	evloop_del(c->loop, &c->sock);
	close_fd(&c->sock.fd);
	c->fwd_cnt += c->buf_len;
	c->buf_len = 0;
}

static void conn_dead(struct vsock_conn *c)
{
	drop_socket(c);
	c->state = VSOCK_DEAD;
	c->deadline_ns = 0;
	c->events->dead(c, c->events->arg);
}

/* The end from our side: RST is the last packet, the connection dies when it is sent. */
static void abort_conn(struct vsock_conn *c)
{
	drop_socket(c);
	c->state = VSOCK_CLOSING;
	c->pending = 0;
	set_pending(c, VSOCK_OP_RST);
}

static void send_shutdown(struct vsock_conn *c, uint32_t flags)
{
	c->shut_flags |= flags;
	set_pending(c, VSOCK_OP_SHUTDOWN);
}

int vsock_conn_open(struct vsock_conn **out, struct evloop *loop,
		    const struct vsock_conn_events *events, int sock, uint32_t local_port,
		    uint32_t peer_port, const struct vsock_hdr *request)
{
	struct vsock_conn *c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->loop = loop;
	c->events = events;
	c->local_port = local_port;
	c->peer_port = peer_port;
	c->sock = (struct evsource){.fd = sock, .fn = on_socket, .arg = c};
	int ret = evloop_add(loop, &c->sock, EPOLLHUP);
	if (ret < 0) {
		free(c);
		return ret;
	}
	if (request) {
		c->state = VSOCK_OPEN;
		c->peer_buf_alloc = request->buf_alloc;
		c->peer_fwd_cnt = request->fwd_cnt;
		set_pending(c, VSOCK_OP_RESPONSE);
	} else {
		c->state = VSOCK_REQUESTED;
		c->say_ok = true;
		c->deadline_ns = io_now_ns() + VSOCK_CONNECT_NS;
		set_pending(c, VSOCK_OP_REQUEST);
	}
	*out = c;
	return 0;
}

void vsock_conn_free(struct vsock_conn *c)
{
	drop_socket(c);
	free(c->buf);
	free(c);
}

/* Gives the guest its credit back in steps, so that a quick reader costs few packets. */
static void account_forwarded(struct vsock_conn *c, uint32_t n)
{
	c->fwd_cnt += n;
	if (c->fwd_cnt - c->fwd_told >= CREDIT_STEP)
		set_pending(c, VSOCK_OP_CREDIT_UPDATE);
}

/* What follows when all of the guest's bytes have reached the host socket. */
static void after_flush(struct vsock_conn *c)
{
	if (c->buf_len > 0)
		return;
	if (c->state == VSOCK_CLOSING)
		abort_conn(c);
	else if (c->guest_no_send && c->sock.fd >= 0)
		shutdown(c->sock.fd, SHUT_WR);
}

static void flush_buf(struct vsock_conn *c)
{
	while (c->buf_len > 0) {
		uint32_t part = MIN(c->buf_len, VSOCK_BUF_SIZE - c->buf_head);
		ssize_t n =
			send(c->sock.fd, c->buf + c->buf_head, part, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		if (n < 0) {
			abort_conn(c);
			return;
		}
		c->buf_head = (c->buf_head + (uint32_t)n) % VSOCK_BUF_SIZE;
		c->buf_len -= (uint32_t)n;
		account_forwarded(c, (uint32_t)n);
	}
	after_flush(c);
}

/*
 * Nobody holds the other end any more. Bytes may still wait to be read, so the reading finds the
 * end; bytes for the other end have nowhere to go.
 */
static void on_hangup(struct vsock_conn *c)
{
	evloop_del(c->loop, &c->sock);
	c->hup = true;
	if (c->state != VSOCK_OPEN || c->host_no_send || c->guest_no_recv || c->buf_len > 0)
		abort_conn(c);
	else
		watch(c);
}

static void on_socket(struct evsource *src, uint32_t events)
{
	struct vsock_conn *c = src->arg;
	if (events & (EPOLLERR | EPOLLHUP)) {
		on_hangup(c);
		return;
	}
	if (events & EPOLLOUT)
		flush_buf(c);
	if (c->sock.fd >= 0 && (events & EPOLLIN) && c->state == VSOCK_OPEN)
		set_pending(c, VSOCK_OP_RW);
	watch(c);
}

static int buf_append(struct vsock_conn *c, const struct chain *chain, size_t off, uint32_t len)
{
	if (!c->buf) {
		c->buf = malloc(VSOCK_BUF_SIZE);
		if (!c->buf)
			return -ENOMEM;
	}
	if (len > VSOCK_BUF_SIZE - c->buf_len)
		return -ENOBUFS;
	while (len > 0) {
		uint32_t tail = (c->buf_head + c->buf_len) % VSOCK_BUF_SIZE;
		uint32_t part = MIN(len, VSOCK_BUF_SIZE - tail);
		if (chain_read(chain, off, c->buf + tail, part) < 0)
			return -EFAULT;
		c->buf_len += part;
		off += part;
		len -= part;
	}
	return 0;
}

static void guest_data(struct vsock_conn *c, const struct vsock_hdr *h, const struct chain *chain)
{
	struct iovec iov[CHAIN_MAX_IOV];
	uint32_t done = 0;
	if (c->state != VSOCK_OPEN || c->guest_no_send) {
		abort_conn(c);
		return;
	}
	if (c->buf_len == 0 && h->len > 0) {
		int n = chain_out_slice(chain, VSOCK_HDR_LEN, h->len, iov);
		struct msghdr msg = {.msg_iov = iov, .msg_iovlen = (size_t)MAX(n, 0)};
		ssize_t w = n > 0 ? sendmsg(c->sock.fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
		if (w < 0 && errno != EAGAIN && errno != EINTR) {
			abort_conn(c);
			return;
		}
		done = w > 0 ? (uint32_t)w : 0;
	}
	if (done < h->len && buf_append(c, chain, VSOCK_HDR_LEN + done, h->len - done) < 0) {
		/* More than its credit, or no memory: this connection ends, the others live. */
		abort_conn(c);
		return;
	}
	if (done > 0)
		account_forwarded(c, done);
}

static void guest_shutdown(struct vsock_conn *c, uint32_t flags)
{
	if (flags & VSOCK_SHUT_RCV) {
		c->guest_no_recv = true;
		c->pending &= (uint16_t)~OP_BIT(VSOCK_OP_RW);
		if (c->sock.fd >= 0)
			shutdown(c->sock.fd, SHUT_RD);
	}
	if (flags & VSOCK_SHUT_SEND)
		c->guest_no_send = true;
	if (c->guest_no_recv && c->guest_no_send) {
		c->state = VSOCK_CLOSING;
		c->deadline_ns = io_now_ns() + VSOCK_TIMEOUT_NS;
	}
	after_flush(c);
}

static void guest_response(struct vsock_conn *c)
{
	char line[32];
	if (c->state != VSOCK_REQUESTED) {
		abort_conn(c);
		return;
	}
	int n = snprintf(line, sizeof(line), "OK %u\n", c->local_port);
	if (c->say_ok && send(c->sock.fd, line, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL) != n) {
		abort_conn(c);
		return;
	}
	c->state = VSOCK_OPEN;
	c->deadline_ns = 0;
}

void vsock_conn_packet(struct vsock_conn *c, const struct vsock_hdr *h, const struct chain *chain)
{
	if (c->state == VSOCK_DEAD)
		return;
	if (c->pending & OP_BIT(VSOCK_OP_RST)) {
		/* It is over for us; nothing that the guest still says changes that. */
		if (h->op == VSOCK_OP_RST)
			conn_dead(c);
		return;
	}
	c->peer_buf_alloc = h->buf_alloc;
	c->peer_fwd_cnt = h->fwd_cnt;
	switch (h->op) {
	case VSOCK_OP_RESPONSE: guest_response(c); break;
	case VSOCK_OP_RW: guest_data(c, h, chain); break;
	case VSOCK_OP_SHUTDOWN: guest_shutdown(c, h->flags); break;
	case VSOCK_OP_CREDIT_UPDATE: break;
	case VSOCK_OP_CREDIT_REQUEST: set_pending(c, VSOCK_OP_CREDIT_UPDATE); break;
	case VSOCK_OP_RST: conn_dead(c); return;
	default: abort_conn(c); return;
	}
	watch(c);
}

/* Reads the host socket straight into the chain; returns the payload length or 0. */
static uint32_t read_payload(struct vsock_conn *c, const struct chain *chain, struct iovec *scratch)
{
	size_t room = chain->in_len - VSOCK_HDR_LEN;
	size_t len = MIN(MIN(room, (size_t)peer_room(c)), (size_t)VSOCK_MAX_PAYLOAD);
	int cnt = len > 0 ? chain_in_slice(chain, VSOCK_HDR_LEN, len, scratch) : 0;
	ssize_t n = -1;
	errno = EAGAIN;
	if (cnt > 0)
		n = readv(c->sock.fd, scratch, cnt);
	if (n > 0) {
		c->tx_cnt += (uint32_t)n;
		/* Likely there is more: stay ready until the socket says that it is empty. */
		if (peer_room(c) > 0)
			set_pending(c, VSOCK_OP_RW);
		return (uint32_t)n;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	c->host_no_send = true;
	if (c->hup || n < 0) {
		send_shutdown(c, VSOCK_SHUT_RCV | VSOCK_SHUT_SEND);
		c->deadline_ns = io_now_ns() + VSOCK_TIMEOUT_NS;
	} else {
		send_shutdown(c, VSOCK_SHUT_SEND);
	}
	return 0;
}

/* The pending operation to be sent first, after data, which must not be overtaken by its end. */
static enum vsock_op take_pending(struct vsock_conn *c)
{
	static const enum vsock_op order[] = {
		VSOCK_OP_RST,		VSOCK_OP_REQUEST, VSOCK_OP_RESPONSE,
		VSOCK_OP_CREDIT_UPDATE, VSOCK_OP_RW,	  VSOCK_OP_SHUTDOWN,
	};
	for (size_t i = 0; i < ARRAY_SIZE(order); i++)
		if (c->pending & OP_BIT(order[i])) {
			c->pending &= (uint16_t)~OP_BIT(order[i]);
			return order[i];
		}
	return VSOCK_OP_INVALID;
}

uint32_t vsock_conn_fill(struct vsock_conn *c, uint64_t guest_cid, const struct chain *chain,
			 struct iovec *scratch)
{
	struct vsock_hdr h = {
		.src_cid = VSOCK_HOST_CID,
		.dst_cid = guest_cid,
		.src_port = c->local_port,
		.dst_port = c->peer_port,
		.type = VSOCK_TYPE_STREAM,
		.buf_alloc = VSOCK_BUF_SIZE,
	};
	enum vsock_op op = take_pending(c);
	if (op == VSOCK_OP_RW) {
		h.len = c->sock.fd >= 0 ? read_payload(c, chain, scratch) : 0;
		if (h.len == 0)
			op = take_pending(c);
	}
	watch(c);
	if (op == VSOCK_OP_INVALID)
		return 0;
	h.op = (uint16_t)op;
	if (op == VSOCK_OP_SHUTDOWN)
		h.flags = c->shut_flags;
	h.fwd_cnt = c->fwd_told = c->fwd_cnt;
	if (vsock_pkt_write(chain, &h) < 0)
		return 0;
	if (op == VSOCK_OP_RST)
		conn_dead(c);
	return (uint32_t)VSOCK_HDR_LEN + h.len;
}

void vsock_conn_expired(struct vsock_conn *c)
{
	c->deadline_ns = 0;
	abort_conn(c);
}
