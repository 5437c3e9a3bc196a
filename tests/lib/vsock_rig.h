// SPDX-License-Identifier: Apache-2.0
// vsock_rig.h - the vsock device between a driver with fake rings and Unix sockets in a temp dir
#ifndef MAYFLY_TESTS_VSOCK_RIG_H
#define MAYFLY_TESTS_VSOCK_RIG_H

#include "lib/fake_guest.h"
#include "virtio/vsock.h"
#include "virtio/vsock_pkt.h"

#define RIG_CID 3
#define RIG_RX_PAYLOAD 4096u

struct vsock_rig {
	struct evloop loop;
	struct virtio_dev *dev;
	struct fake_guest g;
	struct fake_queue rx, tx;
	uint8_t *rx_host[FAKE_QUEUE_MAX]; /* by head */
	size_t rx_len[FAKE_QUEUE_MAX];
	size_t mark;	     /* guest memory below it is the rings and receive buffers */
	unsigned tx_waiting; /* packets that the device has not given back */
	bool keep;	     /* received buffers are not given again by themselves */
	uint32_t alloc, fwd; /* go into packets sent */
	char dir[32];
	int old_dir;
	int control; /* host end of the control connection */
};

/* vsock_rig_start() - the device with rx_bufs receive buffers; its directory becomes the cwd. */
void vsock_rig_start(struct vsock_rig *r, unsigned rx_bufs, bool event_idx);
void vsock_rig_stop(struct vsock_rig *r);

/* vsock_rig_run() - until the device is idle; false if it never is. */
bool vsock_rig_run(struct vsock_rig *r);

/* vsock_rig_post() - n more receive buffers of RIG_RX_PAYLOAD and a header; len 0: that, else len.
 */
void vsock_rig_post(struct vsock_rig *r, unsigned n, size_t len);

/* vsock_rig_packet() - sends a header as it is, and h->len bytes. */
void vsock_rig_packet(struct vsock_rig *r, const struct vsock_hdr *h, const void *data);

/* vsock_rig_raw() - sends bytes that need not be a packet. */
void vsock_rig_raw(struct vsock_rig *r, const void *data, size_t len);

/* vsock_rig_send() - a well-formed packet from guest port src to host port dst. */
void vsock_rig_send(struct vsock_rig *r, enum vsock_op op, uint32_t src, uint32_t dst,
		    uint32_t flags, const void *data, uint32_t len);

/* vsock_rig_reap() - takes transmitted packets back; the number still with the device. */
unsigned vsock_rig_reap(struct vsock_rig *r);

/*
 * vsock_rig_recv() - the next packet; false if there is none.
 * @data: room for RIG_RX_PAYLOAD bytes, or NULL
 */
bool vsock_rig_recv(struct vsock_rig *r, struct vsock_hdr *h, uint8_t *data);

/* vsock_rig_dial(), vsock_rig_listen() - Unix sockets by name in the rig's directory. */
int vsock_rig_dial(const char *name);
int vsock_rig_listen(const char *name);

#endif
