// SPDX-License-Identifier: Apache-2.0
// vsock_conn.h - one vsock stream: a host socket on one side, the guest's packets on the other
//
// Life of a connection:
//   REQUESTED  host asked for it; REQUEST is on its way, RESPONSE or RST will come
//   OPEN       bytes flow both ways; each side may end its direction (half-close)
//   CLOSING    both directions ended; the rest for the host socket is flushed, then RST
// What is to be told to the guest is a set of pending operations: the device asks for the next
// packet when the guest has given it a buffer. Nothing is read from the host socket before the
// guest has room for it, so nothing is buffered in that direction; the other direction has one
// buffer of VSOCK_BUF_SIZE, which is also the credit that the guest is given.
#ifndef MAYFLY_VIRTIO_VSOCK_CONN_H
#define MAYFLY_VIRTIO_VSOCK_CONN_H

#include "base/evloop.h"
#include "virtio/vsock_pkt.h"

#include <sys/queue.h>

#define VSOCK_BUF_SIZE (256u << 10)
#define VSOCK_TIMEOUT_NS 2000000000ull
/* Until a guest takes a connection: it may have all its CPUs' hands full. */
#define VSOCK_CONNECT_NS 10000000000ull

enum vsock_conn_state { VSOCK_REQUESTED, VSOCK_OPEN, VSOCK_CLOSING, VSOCK_DEAD };

struct vsock_conn;

/* The connection has something for the guest (ready) or is over (dead, free it soon). */
struct vsock_conn_events {
	void (*ready)(struct vsock_conn *c, void *arg);
	void (*dead)(struct vsock_conn *c, void *arg);
	void *arg;
};

struct vsock_conn {
	TAILQ_ENTRY(vsock_conn) ready_link;
	LIST_ENTRY(vsock_conn) hash_link;
	bool on_ready;
	enum vsock_conn_state state;
	struct evloop *loop;
	const struct vsock_conn_events *events;
	struct evsource sock;
	uint32_t local_port;  /* host side */
	uint32_t peer_port;   /* guest side */
	uint64_t deadline_ns; /* 0: none */

	uint16_t pending;    /* bit per enum vsock_op to be sent to the guest */
	uint32_t shut_flags; /* of a pending SHUTDOWN */
	bool guest_no_send;  /* guest ended its direction */
	bool guest_no_recv;
	bool host_no_send; /* host socket is at its end */
	bool say_ok;	   /* tell the host program when the guest accepts */
	bool hup;	   /* the host socket is gone for good */

	uint32_t peer_buf_alloc;
	uint32_t peer_fwd_cnt;
	uint32_t tx_cnt;  /* bytes given to the guest */
	uint32_t fwd_cnt; /* bytes of the guest that left for the host socket */
	uint32_t fwd_told;

	uint8_t *buf; /* ring of VSOCK_BUF_SIZE, allocated when the host socket is slow first */
	uint32_t buf_head;
	uint32_t buf_len;
};

/*
 * vsock_conn_open() - a new connection over an owned, non-blocking stream socket.
 * @request: set if the guest asked (c is OPEN and answers RESPONSE), else REQUEST is sent
 * Returns 0 with *out, or -errno; then the socket stays the caller's.
 */
int vsock_conn_open(struct vsock_conn **out, struct evloop *loop,
		    const struct vsock_conn_events *events, int sock, uint32_t local_port,
		    uint32_t peer_port, const struct vsock_hdr *request);
void vsock_conn_free(struct vsock_conn *c);

/* vsock_conn_packet() - takes one checked packet of the guest; h->len bytes follow the header. */
void vsock_conn_packet(struct vsock_conn *c, const struct vsock_hdr *h, const struct chain *chain);

/*
 * vsock_conn_fill() - puts the next packet for the guest into a receive chain.
 * Returns the bytes written, 0 if there is nothing to send after all.
 */
uint32_t vsock_conn_fill(struct vsock_conn *c, uint64_t guest_cid, const struct chain *chain,
			 struct iovec *scratch);

/* vsock_conn_expired() - its deadline has passed; tells the guest and ends it. */
void vsock_conn_expired(struct vsock_conn *c);

#endif
