// SPDX-License-Identifier: Apache-2.0
// vsock_mux.c - ports to Unix sockets, as users of other microVM monitors know them
#include "virtio/vsock_mux.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#define HANDSHAKE_NS 2000000000ull

struct pending {
	struct evsource sock;
	size_t have;
	char line[VSOCK_MUX_LINE_MAX];
	struct vsock_mux *mux;
	uint64_t deadline_ns;
};

struct vsock_mux {
	struct evloop *loop;
	struct vsock_mux_events events;
	struct vsock_dialer dialer;
	struct evsource listener;
	int control_fd;
	struct log_limit limit;
	bool paused; /* the listener is not watched, for lack of descriptors */
	struct pending pending[VSOCK_MUX_MAX_PENDING];
};

int vsock_mux_parse(const char *line, size_t len, uint32_t *port)
{
	static const char verb[] = "CONNECT ";
	size_t n = sizeof(verb) - 1;
	uint64_t v = 0;
	if (len < n + 2 || line[len - 1] != '\n' || strncasecmp(line, verb, n) != 0)
		return -EPROTO;
	for (size_t i = n; i < len - 1; i++) {
		if (line[i] < '0' || line[i] > '9')
			return -EPROTO;
		v = v * 10 + (uint64_t)(line[i] - '0');
		if (v > UINT32_MAX)
			return -EPROTO;
	}
	*port = (uint32_t)v;
	return 0;
}

static void pending_close(struct pending *p)
{
	evloop_del(p->mux->loop, &p->sock);
	close_fd(&p->sock.fd);
}

static void on_handshake(struct evsource *src, uint32_t events)
{
	struct pending *p = src->arg;
	uint32_t port;
	(void)events;
	/* Byte by byte: what follows the line belongs to the stream. The line is short. */
	for (;;) {
		ssize_t n = recv(src->fd, p->line + p->have, 1, MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0 || p->have + 1 == sizeof(p->line)) {
			pending_close(p);
			return;
		}
		if (p->line[p->have++] == '\n')
			break;
	}
	if (vsock_mux_parse(p->line, p->have, &port) < 0) {
		pending_close(p);
		return;
	}
	evloop_del(p->mux->loop, src);
	int sock = steal_fd(&src->fd);
	if (p->mux->events.connect(sock, port, p->mux->events.arg) < 0)
		close(sock);
}

static void on_listener(struct evsource *src, uint32_t events)
{
	struct vsock_mux *m = src->arg;
	(void)events;
	AUTO_CLOSE int fd = accept4(src->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0) {
		/* Out of descriptors: whoever waits would wake us for ever. Try again later. */
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM) {
			evloop_mod(m->loop, src, 0);
			m->paused = true;
			if (m->events.pending)
				m->events.pending(m->events.arg);
		}
		return;
	}
	for (size_t i = 0; i < VSOCK_MUX_MAX_PENDING; i++) {
		struct pending *p = &m->pending[i];
		if (p->sock.fd >= 0)
			continue;
		p->sock = (struct evsource){.fd = fd, .fn = on_handshake, .arg = p};
		p->have = 0;
		p->deadline_ns = io_now_ns() + HANDSHAKE_NS;
		if (evloop_add(m->loop, &p->sock, EPOLLIN) < 0) {
			p->sock.fd = -1;
			return;
		}
		steal_fd(&fd);
		if (m->events.pending)
			m->events.pending(m->events.arg);
		return;
	}
	log_guest(&m->limit, "vsock: too many unfinished handshakes, one refused");
}

int vsock_mux_create(struct vsock_mux **out, struct evloop *loop, int listen_fd, int control_fd,
		     const struct vsock_mux_events *events, const struct vsock_dialer *dialer)
{
	struct vsock_mux *m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	m->loop = loop;
	m->events = *events;
	m->dialer = *dialer;
	m->control_fd = control_fd;
	m->listener = (struct evsource){.fd = listen_fd, .fn = on_listener, .arg = m};
	for (size_t i = 0; i < VSOCK_MUX_MAX_PENDING; i++) {
		m->pending[i].mux = m;
		m->pending[i].sock.fd = -1;
	}
	int ret = listen_fd >= 0 ? evloop_add(loop, &m->listener, EPOLLIN) : 0;
	if (ret < 0) {
		free(m);
		return ret;
	}
	*out = m;
	return 0;
}

void vsock_mux_destroy(struct vsock_mux *m)
{
	for (size_t i = 0; i < VSOCK_MUX_MAX_PENDING; i++)
		if (m->pending[i].sock.fd >= 0)
			pending_close(&m->pending[i]);
	if (m->listener.fd >= 0)
		evloop_del(m->loop, &m->listener);
	close_fd(&m->listener.fd);
	close_fd(&m->control_fd);
	free(m);
}

int vsock_mux_dial(struct vsock_mux *m, uint32_t port, uint32_t src_port)
{
	if (port == VSOCK_CONTROL_PORT) {
		if (src_port >= VSOCK_PRIVILEGED_PORTS || m->control_fd < 0)
			return -ECONNREFUSED;
		int ret = io_set_nonblock(m->control_fd, 1);
		return ret < 0 ? ret : steal_fd(&m->control_fd);
	}
	return m->dialer.fn ? m->dialer.fn(m->dialer.arg, port) : -ECONNREFUSED;
}

unsigned vsock_mux_expire(struct vsock_mux *m, uint64_t now_ns)
{
	unsigned left = 0;
	if (m->paused && evloop_mod(m->loop, &m->listener, EPOLLIN) == 0)
		m->paused = false;
	for (size_t i = 0; i < VSOCK_MUX_MAX_PENDING; i++) {
		if (m->pending[i].sock.fd < 0)
			continue;
		if (now_ns >= m->pending[i].deadline_ns)
			pending_close(&m->pending[i]);
		else
			left++;
	}
	return left;
}
