// SPDX-License-Identifier: Apache-2.0
// run_console.c - the guest's console: shown beside a command, or all there is of `mayfly boot`
#include "base/cleanup.h"
#include "base/io.h"
#include "cli/run.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PULL_ROUNDS 16
#define TTY_RETRY_NS 1000000000ull
#define CHUNK sizeof(((struct run_typed *)0)->buf)

/* Nobody is left to type for, either. */
static void stop(struct run *r)
{
	evloop_del(&r->loop, &r->console);
	r->console.fd = -1;
	if (r->cfg->boot) {
		r->typed.pos = r->typed.len = 0;
		hostio_close(&r->in);
	}
}

/* Beside a command: what standard error can't take now is lost, the guest decides how much it is.
 */
static void show(struct run *r)
{
	char buf[4096];
	ssize_t n = read(r->console.fd, buf, sizeof(buf));
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0)
		stop(r);
	else
		hostio_try(&r->out[1], buf, (size_t)n);
}

/* boot: no more is read than standard output has room for, so that nothing is lost. */
static void pull(struct run *r)
{
	struct hostio *out = &r->out[0];
	uint8_t buf[4096];
	/* A bound, so that deadlines and signals get their turn. */
	for (int i = 0; i < PULL_ROUNDS; i++) {
		if (r->console.fd < 0 || PROTO_WINDOW - out->len < sizeof(buf))
			return;
		ssize_t n = read(r->console.fd, buf, sizeof(buf));
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			stop(r);
			return;
		}
		int ret = hostio_add(out, buf, (size_t)n);
		if (ret < 0) {
			run_end(r, VERDICT_CONFIG, "console: %s", strerror(-ret));
			return;
		}
		out->owed = 0;
		hostio_push(out);
	}
}

static void type(struct run *r)
{
	struct run_typed *t = &r->typed;
	if (io_now_ns() < r->tty_retry_ns)
		return;
	r->tty_retry_ns = 0;
	while (r->console.fd >= 0 && !r->in.done) {
		if (t->pos == t->len) {
			ssize_t n = hostio_read(&r->in, t->buf, CHUNK);
			if (n == -EAGAIN) {
				hostio_want(&r->in, EPOLLIN);
				return;
			}
			if (n == -EBUSY) {
				/* No event tells when we come to the foreground. */
				hostio_want(&r->in, 0);
				r->tty_retry_ns = io_now_ns() + TTY_RETRY_NS;
				return;
			}
			if (n <= 0) {
				/* The guest's console has no end: it just stays silent. */
				hostio_close(&r->in);
				return;
			}
			t->pos = 0;
			t->len = (size_t)n;
		}
		ssize_t n = send(r->console.fd, t->buf + t->pos, t->len - t->pos,
				 MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN && errno != EINTR) {
			/* The machine is gone; what it said may still wait to be read. */
			t->pos = t->len = 0;
			hostio_close(&r->in);
			return;
		}
		if (n < 0) {
			hostio_want(&r->in, 0);
			return;
		}
		t->pos += (size_t)n;
	}
}

void run_console_pump(struct run *r)
{
	if (!r->cfg->boot)
		return;
	hostio_push(&r->out[0]);
	pull(r);
	if (r->out[0].error && r->phase < RUN_DYING)
		run_end(r, VERDICT_OUTPUT, "can't write standard output: %s",
			strerror(r->out[0].error));
	type(r);
	if (r->console.fd >= 0) {
		bool room = PROTO_WINDOW - r->out[0].len >= 4096;
		bool typed = r->typed.pos < r->typed.len;
		evloop_mod(&r->loop, &r->console,
			   (room ? (uint32_t)EPOLLIN : 0) | (typed ? (uint32_t)EPOLLOUT : 0));
	}
}

static void on_console(struct evsource *src, uint32_t events)
{
	struct run *r = src->arg;
	(void)events;
	if (r->cfg->boot)
		run_step(r);
	else
		show(r);
}

int run_console_watch(struct run *r, struct err *e)
{
	r->console = (struct evsource){.fd = r->machine.console, .fn = on_console, .arg = r};
	if (r->console.fd < 0)
		return 0;
	int ret = io_set_nonblock(r->console.fd, 1);
	if (ret == 0)
		ret = evloop_add(&r->loop, &r->console, EPOLLIN);
	return ret < 0 ? err_errno(e, -ret, "can't watch the console") : 0;
}
