// SPDX-License-Identifier: Apache-2.0
// guest_serial.c - one chunk each way, flow control by not asking
#include "vmm/guest_serial.h"

#include "base/io.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

/* A guest that writes without end must not keep the loop from its other sources. */
#define TAKE_ROUNDS 16
/* 16 MiB of last words are enough for anybody. */
#define DRAIN_ROUNDS 256

/* Returns true if nothing is left to be written. */
static bool push_out(struct guest_serial *s)
{
	while (s->out_pos < s->out_len) {
		ssize_t n = send(s->console.fd, s->out + s->out_pos, s->out_len - s->out_pos,
				 MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		/* A reader that went away loses the rest, as does a slow one of text nobody needs.
		 */
		if (n < 0 && (errno != EAGAIN || !s->lossless))
			s->out_pos = s->out_len;
		if (n < 0)
			break;
		s->out_pos += (size_t)n;
	}
	return s->out_pos == s->out_len;
}

static void push_in(struct guest_serial *s)
{
	if (s->in_pos < s->in_len)
		s->in_pos += s->port.give(s, s->in + s->in_pos, s->in_len - s->in_pos);
}

static void set_interest(struct guest_serial *s)
{
	uint32_t events = 0;
	if (s->console.fd < 0)
		return;
	if (s->out_pos < s->out_len || s->refused)
		events |= EPOLLOUT;
	if (s->in_pos == s->in_len && !s->typed_end)
		events |= EPOLLIN;
	evloop_mod(s->loop, &s->console, events);
}

/* Moves what can be moved. Returns true if there may be more at once. */
static bool pump(struct guest_serial *s)
{
	bool more = true;
	for (int i = 0; more && i < TAKE_ROUNDS; i++) {
		if (!push_out(s))
			return false;
		s->out_pos = 0;
		s->out_len = s->port.take(s, s->out, sizeof(s->out));
		more = s->out_len > 0;
		serial_log_add(&s->log, s->out, s->out_len);
		if (s->console.fd < 0)
			s->out_len = 0;
	}
	/* Text that may be lost does not wait here for its reader. */
	return push_out(s) && more;
}

static void on_source(struct evsource *src, uint32_t events)
{
	struct guest_serial *s = src->arg;
	(void)events;
	pump(s);
	push_in(s);
	/* With text waiting for its reader the port is not looked at: so the guest waits, too. */
	evloop_mod(s->loop, &s->source,
		   s->out_pos < s->out_len || s->source_end ? 0 : (uint32_t)EPOLLIN);
	set_interest(s);
}

static void on_console(struct evsource *src, uint32_t events)
{
	struct guest_serial *s = src->arg;
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR) && s->in_pos == s->in_len) {
		ssize_t n = recv(src->fd, s->in, sizeof(s->in), MSG_DONTWAIT);
		s->in_pos = 0;
		s->in_len = n > 0 ? (size_t)n : 0;
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			s->typed_end = true;
	}
	if ((events & EPOLLOUT) && s->refused) {
		s->refused = false;
		s->port.room(s);
	}
	on_source(&s->source, 0);
	/* A hang-up is reported for ever. */
	if (events & (EPOLLHUP | EPOLLERR) && s->typed_end) {
		evloop_del(s->loop, src);
		src->fd = -1;
		s->out_pos = s->out_len = 0;
		on_source(&s->source, 0);
	}
}

int guest_serial_init(struct guest_serial *s, struct evloop *loop, int source_fd, int console_fd,
		      bool lossless)
{
	s->loop = loop;
	s->lossless = lossless;
	s->source = (struct evsource){.fd = source_fd, .fn = on_source, .arg = s};
	s->console = (struct evsource){.fd = console_fd, .fn = on_console, .arg = s};
	int ret = io_set_nonblock(source_fd, 1);
	if (ret == 0)
		ret = evloop_add(loop, &s->source, EPOLLIN);
	if (ret == 0 && console_fd >= 0)
		ret = evloop_add(loop, &s->console, EPOLLIN);
	return ret;
}

size_t guest_serial_say(struct guest_serial *s, const char *data, size_t len)
{
	ssize_t n = -1;
	if (s->console.fd >= 0)
		n = send(s->console.fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	size_t taken = len;
	if (s->lossless && s->port.room && s->console.fd >= 0 && (n >= 0 || errno == EAGAIN)) {
		taken = n < 0 ? 0 : (size_t)n;
		s->refused = taken < len;
		set_interest(s);
	}
	serial_log_add(&s->other, data, taken);
	return taken;
}

const char *guest_serial_panic(const struct guest_serial *s)
{
	if (s->log.panicked)
		return s->log.panic;
	return s->other.panicked ? s->other.panic : NULL;
}

enum serial_end guest_serial_end(const struct guest_serial *s)
{
	return s->log.end != SERIAL_END_NONE ? s->log.end : s->other.end;
}

void guest_serial_drain(struct guest_serial *s)
{
	/* The port holds no more than its ring, but a socket's other end may go on for ever. */
	for (int i = 0; i < DRAIN_ROUNDS; i++) {
		bool more = pump(s);
		if (!more && s->out_pos == s->out_len)
			return;
		struct pollfd p = {.fd = s->console.fd, .events = POLLOUT};
		if (s->out_pos < s->out_len && poll(&p, 1, -1) < 0 && errno != EINTR)
			return;
	}
}
