// SPDX-License-Identifier: Apache-2.0
// keep_control.c - the keeper's socket: who may ask, what, and in which state of the machine
#include "cli/keep_control.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/fdpass.h"
#include "base/io.h"
#include "cli/control_client.h"
#include "cli/record.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define WORDS_MAX 512

#define B(state) (1u << MAYFLY__MACHINE_STATE__##state)
#define ANY (~0u)

static const unsigned legal[] = {
	[MAYFLY__CONTROL_REQUEST__BODY_STATUS] = ANY,
	[MAYFLY__CONTROL_REQUEST__BODY_STOP] = B(BOOTING) | B(READY) | B(PAUSED) | B(STOPPING),
	[MAYFLY__CONTROL_REQUEST__BODY_PAUSE] = B(READY),
	[MAYFLY__CONTROL_REQUEST__BODY_RESUME] = B(PAUSED),
	[MAYFLY__CONTROL_REQUEST__BODY_WAIT] = ANY,
	[MAYFLY__CONTROL_REQUEST__BODY_AGENT] = B(READY),
	[MAYFLY__CONTROL_REQUEST__BODY_EXECS] = ANY,
	[MAYFLY__CONTROL_REQUEST__BODY_STATS] = B(READY) | B(PAUSED),
};

int keep_control_legal(Mayfly__ControlRequest__BodyCase what, Mayfly__MachineState state)
{
	if ((unsigned)what >= ARRAY_SIZE(legal) || legal[what] == 0)
		return EPROTO;
	if (legal[what] & (1u << state))
		return 0;
	return state == MAYFLY__MACHINE_STATE__STOPPED ? ESRCH : EBUSY;
}

const char *keep_control_state_name(Mayfly__MachineState state)
{
	switch (state) {
	case MAYFLY__MACHINE_STATE__BOOTING: return "booting";
	case MAYFLY__MACHINE_STATE__READY: return "ready";
	case MAYFLY__MACHINE_STATE__PAUSED: return "paused";
	case MAYFLY__MACHINE_STATE__STOPPING: return "stopping";
	case MAYFLY__MACHINE_STATE__STOPPED: return "stopped";
	default: return "unknown";
	}
}

static void drop(struct keep_client *c)
{
	evloop_del(c->control->loop, &c->src);
	close_fd(&c->src.fd);
	c->asked = MAYFLY__CONTROL_REQUEST__BODY__NOT_SET;
	c->copies = false;
}

void keep_client_reply(struct keep_client *c, Mayfly__ControlReply *m, const int *fds, size_t nfds)
{
	if (c->src.fd < 0)
		return;
	m->version = CONTROL_VERSION;
	size_t len = mayfly__control_reply__get_packed_size(m);
	AUTO_FREE uint8_t *buf = len <= CONTROL_REPLY_MAX ? malloc(len) : NULL;
	if (!buf) {
		log_warn("an answer of %zu bytes could not be given", len);
		drop(c);
		return;
	}
	mayfly__control_reply__pack(m, buf);
	struct iovec iov = {.iov_base = buf, .iov_len = len};
	c->asked = MAYFLY__CONTROL_REQUEST__BODY__NOT_SET;
	if (fdpass_send(c->src.fd, &iov, 1, fds, nfds, MSG_DONTWAIT) < 0)
		drop(c);
	else
		evloop_mod(c->control->loop, &c->src, EPOLLIN);
}

void keep_client_refuse(struct keep_client *c, int code, const char *fmt, ...)
{
	char text[ERR_TEXT_MAX];
	Mayfly__ControlReply m = MAYFLY__CONTROL_REPLY__INIT;
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	m.code = code;
	m.text = text;
	keep_client_reply(c, &m, NULL, 0);
}

void keep_client_done(struct keep_client *c)
{
	Mayfly__ControlReply m = MAYFLY__CONTROL_REPLY__INIT;
	keep_client_reply(c, &m, NULL, 0);
}

/* What a message holds beside numbers is bounded by its size; how often something comes, here. */
static bool within_bounds(const Mayfly__ControlRequest *q)
{
	return q->body_case != MAYFLY__CONTROL_REQUEST__BODY_AGENT || q->agent->n_argv <= WORDS_MAX;
}

static void ask(struct keep_client *c, const Mayfly__ControlRequest *q)
{
	struct keep_control *s = c->control;
	Mayfly__MachineState state = s->ops->state(s->arg);
	int code = keep_control_legal(q->body_case, state);
	if (q->version != CONTROL_VERSION) {
		keep_client_refuse(c, EPROTO,
				   "the keeper of machine '%s' speaks version %u, not %u: it was "
				   "started by another version of mayfly",
				   s->name, CONTROL_VERSION, q->version);
	} else if (code == EPROTO || !within_bounds(q)) {
		keep_client_refuse(c, EPROTO, "the keeper of machine '%s' does not know this",
				   s->name);
	} else if (code == EBUSY && q->body_case == MAYFLY__CONTROL_REQUEST__BODY_RESUME) {
		keep_client_refuse(c, code, "machine '%s' is not paused but %s", s->name,
				   keep_control_state_name(state));
	} else if (code) {
		keep_client_refuse(
			c, code, "machine '%s' is %s%s", s->name, keep_control_state_name(state),
			state == MAYFLY__MACHINE_STATE__PAUSED ? " (see mayfly resume)" : "");
	} else {
		c->asked = q->body_case;
		s->ops->ask(s->arg, c, q);
		/* Until it is answered only the end of the connection is of interest. */
		if (c->src.fd >= 0 && c->asked != MAYFLY__CONTROL_REQUEST__BODY__NOT_SET)
			evloop_mod(s->loop, &c->src, EPOLLRDHUP);
	}
}

static void on_client(struct evsource *src, uint32_t events)
{
	struct keep_client *c = src->arg;
	uint8_t buf[CONTROL_REQUEST_MAX];
	struct iovec iov = {.iov_base = buf, .iov_len = sizeof(buf)};
	if (c->asked != MAYFLY__CONTROL_REQUEST__BODY__NOT_SET) {
		if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
			drop(c);
		return;
	}
	ssize_t n = fdpass_recv(src->fd, &iov, 1, NULL, 0, NULL, MSG_DONTWAIT);
	if (n == -EAGAIN || n == -EINTR)
		return;
	Mayfly__ControlRequest *q =
		n > 0 ? mayfly__control_request__unpack(NULL, (size_t)n, buf) : NULL;
	if (!q) {
		if (n != 0 && n != -ECONNRESET)
			log_guest(&c->control->limit, "a request broke the rules");
		drop(c);
		return;
	}
	ask(c, q);
	mayfly__control_request__free_unpacked(q, NULL);
}

static bool allowed(int fd)
{
	struct ucred who;
	socklen_t len = sizeof(who);
	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 &&
	       (who.uid == 0 || who.uid == geteuid());
}

static void send_off(struct keep_control *s, int fd)
{
	Mayfly__ControlReply m = MAYFLY__CONTROL_REPLY__INIT;
	char text[160];
	uint8_t buf[256];
	snprintf(text, sizeof(text), "machine '%s' has %d callers: try again later", s->name,
		 KEEP_CONTROL_CLIENTS);
	m.version = CONTROL_VERSION;
	m.code = EAGAIN;
	m.text = text;
	struct iovec iov = {.iov_base = buf, .iov_len = mayfly__control_reply__pack(&m, buf)};
	fdpass_send(fd, &iov, 1, NULL, 0, MSG_DONTWAIT);
}

static void on_listener(struct evsource *src, uint32_t events)
{
	struct keep_control *s = src->arg;
	struct keep_client *c = NULL;
	(void)events;
	AUTO_CLOSE int fd = accept4(src->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return;
	if (!allowed(fd)) {
		log_guest(&s->limit, "somebody else's process asked for the machine");
		return;
	}
	for (size_t i = 0; !c && i < KEEP_CONTROL_CLIENTS; i++)
		if (s->client[i].src.fd < 0)
			c = &s->client[i];
	if (!c) {
		send_off(s, fd);
		return;
	}
	c->src = (struct evsource){.fd = fd, .fn = on_client, .arg = c};
	c->asked = MAYFLY__CONTROL_REQUEST__BODY__NOT_SET;
	if (evloop_add(s->loop, &c->src, EPOLLIN) < 0)
		c->src.fd = -1;
	else
		steal_fd(&fd);
}

void keep_control_init(struct keep_control *s, struct evloop *loop,
		       const struct keep_control_ops *ops, void *arg, const char *name)
{
	*s = (struct keep_control){.loop = loop, .ops = ops, .arg = arg, .name = name};
	s->listener.fd = -1;
	for (size_t i = 0; i < KEEP_CONTROL_CLIENTS; i++) {
		s->client[i].control = s;
		s->client[i].src.fd = -1;
	}
}

int keep_control_open(struct keep_control *s, int dir_fd, struct err *e)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	snprintf(sun.sun_path, sizeof(sun.sun_path), "/proc/self/fd/%d/" RECORD_SOCKET, dir_fd);
	if (fd < 0 || bind(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0 ||
	    listen(fd, KEEP_CONTROL_CLIENTS) < 0)
		return err_errno(e, errno, "can't make the machine's control socket");
	s->listener = (struct evsource){.fd = steal_fd(&fd), .fn = on_listener, .arg = s};
	int ret = evloop_add(s->loop, &s->listener, EPOLLIN);
	return ret < 0 ? err_errno(e, -ret, "can't watch the machine's control socket") : 0;
}

bool keep_control_copying(const struct keep_control *s)
{
	for (size_t i = 0; i < KEEP_CONTROL_CLIENTS; i++)
		if (s->client[i].src.fd >= 0 && s->client[i].copies)
			return true;
	return false;
}

void keep_control_shut(struct keep_control *s)
{
	if (s->listener.fd < 0)
		return;
	evloop_del(s->loop, &s->listener);
	close_fd(&s->listener.fd);
}

void keep_control_close(struct keep_control *s)
{
	keep_control_shut(s);
	for (size_t i = 0; i < KEEP_CONTROL_CLIENTS; i++)
		if (s->client[i].src.fd >= 0)
			drop(&s->client[i]);
}
