// SPDX-License-Identifier: Apache-2.0
// vsock_mux.h - ports to Unix sockets: listening socket, CONNECT handshake, guest-made connections
#ifndef MAYFLY_VIRTIO_VSOCK_MUX_H
#define MAYFLY_VIRTIO_VSOCK_MUX_H

#include "base/evloop.h"

#include <stdint.h>

#define VSOCK_MUX_MAX_PENDING 64
#define VSOCK_MUX_LINE_MAX 32

/* The port on which the agent reaches mayfly; ports below 1024 can't be bound by guest users. */
#define VSOCK_CONTROL_PORT 1024
#define VSOCK_PRIVILEGED_PORTS 1024

struct vsock_mux;

struct vsock_mux_events {
	/* A host program asked for a guest port; takes the socket and returns 0, or -errno. */
	int (*connect)(int sock, uint32_t guest_port, void *arg);
	/* A handshake has begun: vsock_mux_expire() is to be called until none is left. */
	void (*pending)(void *arg);
	void *arg;
};

/* Who makes connections to the host's programs: fn returns a non-blocking socket or -errno. */
struct vsock_dialer {
	int (*fn)(void *arg, uint32_t port); /* NULL: there are none */
	void *arg;
};

/*
 * vsock_mux_create() - waits for host programs on a listening Unix socket.
 * @listen_fd: owned from here on; -1: nobody can connect
 * @control_fd: stream handed out once, for guest port VSOCK_CONTROL_PORT; owned; -1: none
 * Guest connections to any other port go to the dialer.
 */
int vsock_mux_create(struct vsock_mux **out, struct evloop *loop, int listen_fd, int control_fd,
		     const struct vsock_mux_events *events, const struct vsock_dialer *dialer);
void vsock_mux_destroy(struct vsock_mux *m);

/*
 * vsock_mux_dial() - the guest connects to a host port.
 * Returns a connected, non-blocking socket that belongs to the caller, or -errno.
 */
int vsock_mux_dial(struct vsock_mux *m, uint32_t port, uint32_t src_port);

/*
 * vsock_mux_expire() - drops handshakes that take longer than 2 s; call it about once a second.
 * Returns how many are left.
 */
unsigned vsock_mux_expire(struct vsock_mux *m, uint64_t now_ns);

/*
 * vsock_mux_parse() - reads "CONNECT <port>\n", the verb in any case.
 * @line: len bytes that end with the newline
 * Returns 0, or -EPROTO.
 */
int vsock_mux_parse(const char *line, size_t len, uint32_t *port);

#endif
