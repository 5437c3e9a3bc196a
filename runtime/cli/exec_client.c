// SPDX-License-Identifier: Apache-2.0
// exec_client.c - one command in a guest as its host sees it: a connection to the agent
#include "cli/exec_client.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "base/log.h"

#include <errno.h>
#include <string.h>

#define PUMP_ROUNDS 8
#define TTY_RETRY_NS 250000000ull

#define CALL(c, op, ...)                                                                           \
	do {                                                                                       \
		if ((c)->ops->op)                                                                  \
			(c)->ops->op((c)->arg, ##__VA_ARGS__);                                     \
	} while (0)

void exec_client_init(struct exec_client *c, struct evloop *loop, const struct exec_client_ops *ops,
		      void *arg, struct hostio *in, struct hostio out[2])
{
	*c = (struct exec_client){.loop = loop,
				  .ops = ops,
				  .arg = arg,
				  .in = in,
				  .out = out,
				  .window = PROTO_WINDOW,
				  .size = MAYFLY__WINDOW_SIZE__INIT};
	c->conn.fd = c->src.fd = -1;
}

int exec_client_words(struct exec_client *c, char *const *argv, char *const *env, struct err *e)
{
	int ret = exec_words_pack(&c->argv, argv, "argument", e);
	return ret < 0 ? ret : exec_words_pack(&c->env, env, "environment variable", e);
}

bool exec_client_connected(const struct exec_client *c)
{
	return c->src.fd >= 0;
}

void exec_client_stop(struct exec_client *c)
{
	if (c->src.fd < 0)
		return;
	evloop_del(c->loop, &c->src);
	close_fd(&c->src.fd);
	c->conn.fd = -1;
	c->feeding = false;
	c->tty_retry_ns = 0;
	hostio_want(c->in, 0);
}

static int credit_return(struct exec_client *c, int i)
{
	struct hostio *h = &c->out[i];
	uint32_t bytes = MIN(h->owed, c->uncredited[i]);
	/* What is kept for whoever attaches is given up only when it is credited. Else credit may
	 * wait. */
	bool at_once = c->window == PROTO_KEEP_WINDOW && h->len == 0;
	if (bytes == 0 || (bytes < c->window / 4 && !at_once))
		return 0;
	int ret = frame_send_credit(&c->conn, i ? MAYFLY__STREAM__STDERR : MAYFLY__STREAM__STDOUT,
				    bytes);
	/* With a queue that is full it waits for the next time. */
	if (ret < 0)
		return ret;
	h->owed -= bytes;
	c->uncredited[i] -= bytes;
	return 0;
}

static void tell_closed(struct exec_client *c, int i)
{
	if (c->out_closed[i])
		return;
	c->out_closed[i] = true;
	if (c->src.fd >= 0)
		frame_send_closed(&c->conn, i ? MAYFLY__STREAM__STDERR : MAYFLY__STREAM__STDOUT);
}

static void push_output(struct exec_client *c, int i)
{
	struct hostio *h = &c->out[i];
	hostio_push(h);
	if (h->error && !c->out_closed[i]) {
		/* The reader is gone: the command learns it as it would without us. */
		tell_closed(c, i);
		CALL(c, output_error, i, h->error);
	}
}

static void pump_output(struct exec_client *c, int i)
{
	push_output(c, i);
	if (c->src.fd >= 0 && !c->mute && c->uncredited[i] > 0)
		credit_return(c, i);
}

/* Input that was read and can't be passed on must not go missing unseen. */
static bool pass_on(struct exec_client *c, const uint8_t *data, size_t len)
{
	int ret = len > 0 ? frame_send_data(&c->conn, MAYFLY__STREAM__STDIN, data, len) : 0;
	if (ret < 0)
		CALL(c, input_error, -ret);
	return ret == 0;
}

static void end_input(struct exec_client *c)
{
	uint8_t rest[DETACH_KEYS_MAX];
	size_t n = c->keys ? detach_keys_rest(c->keys, rest) : 0;
	hostio_close(c->in);
	/* Whoever looks in on a terminal does not end what is typed there later. */
	if (!pass_on(c, rest, n) || (c->attach && c->tty))
		return;
	int ret = frame_send_eof(&c->conn, MAYFLY__STREAM__STDIN);
	if (ret < 0)
		CALL(c, input_error, -ret);
}

/* One read. Returns true if there may be more. */
static bool pump_piece(struct exec_client *c)
{
	uint8_t buf[PROTO_DATA_MAX - DETACH_KEYS_MAX];
	uint8_t out[PROTO_DATA_MAX];
	size_t held = c->keys ? c->keys->at : 0;
	ssize_t n = hostio_read(c->in, buf, MIN(sizeof(buf), c->in_credit - held));
	if (n == -EAGAIN) {
		hostio_want(c->in, EPOLLIN);
		return false;
	}
	if (n == -EBUSY) {
		/* No event tells when we come to the foreground. */
		hostio_want(c->in, 0);
		c->tty_retry_ns = io_now_ns() + TTY_RETRY_NS;
		return false;
	}
	if (n <= 0) {
		if (n < 0)
			log_warn("can't read standard input: %s", strerror((int)-n));
		end_input(c);
		return false;
	}
	size_t len = (size_t)n;
	if (c->tty)
		CALL(c, typed);
	if (c->keys)
		len = detach_keys_filter(c->keys, buf, (size_t)n, out);
	c->in_credit -= (uint32_t)len;
	if (!pass_on(c, c->keys ? out : buf, len))
		return false;
	if (c->keys && c->keys->hit) {
		c->feeding = false;
		hostio_want(c->in, 0);
		CALL(c, detach);
		return false;
	}
	return true;
}

/* Returns true if there may be more to read once the queue has room again. */
static bool pump_stdin(struct exec_client *c)
{
	if (c->feeding && c->input == EXEC_INPUT_EMPTY) {
		c->input = EXEC_INPUT_NONE;
		end_input(c);
	}
	if (!c->feeding || c->input == EXEC_INPUT_NONE || c->in->done ||
	    io_now_ns() < c->tty_retry_ns)
		return false;
	c->tty_retry_ns = 0;
	while (c->in_credit > (c->keys ? c->keys->at : 0) && frame_room(&c->conn))
		if (!pump_piece(c))
			return false;
	hostio_want(c->in, 0);
	return c->in_credit > 0;
}

/* As much of the words as there is room for; the rest follows when the queue is shorter. */
static int pump_words(struct exec_client *c)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__ExecRun x = MAYFLY__EXEC_RUN__INIT;
	int ret = exec_words_send(&c->argv, false, &c->conn);
	if (ret == 1)
		ret = exec_words_send(&c->env, true, &c->conn);
	if (ret != 1)
		return ret;
	f.body_case = MAYFLY__FRAME__BODY_EXEC_RUN;
	f.exec_run = &x;
	ret = frame_send(&c->conn, &f);
	c->words_done = c->feeding = ret == 0;
	return ret;
}

/* Queues words and stdin and writes them. Returns 1 if some is left, 0 if not, -errno. */
static int pump_in(struct exec_client *c)
{
	/* A bound, so that output and signals get their turn; EPOLLOUT brings us back. */
	for (int i = 0; i < PUMP_ROUNDS; i++) {
		bool more = false;
		if (!c->words_done && !c->attach && !c->exited) {
			int ret = pump_words(c);
			if (ret < 0)
				return ret;
			more = !c->words_done;
		}
		if (c->feeding)
			more = pump_stdin(c);
		if (c->src.fd < 0)
			return 0;
		int left = frame_flush(&c->conn);
		if (left != 0 || !more)
			return left;
	}
	return 1;
}

void exec_client_pump(struct exec_client *c)
{
	for (int i = 0; i < 2; i++)
		pump_output(c, i);
	if (c->src.fd < 0)
		return;
	int left = c->mute ? 0 : pump_in(c);
	if (c->src.fd < 0)
		return;
	if (left < 0) {
		/* Its last words, an Exit even, may still wait to be read. */
		c->mute = true;
		c->feeding = false;
		hostio_want(c->in, 0);
	}
	evloop_mod(c->loop, &c->src, EPOLLIN | (left > 0 ? EPOLLOUT : 0));
}

uint64_t exec_client_wait(const struct exec_client *c)
{
	return c->tty_retry_ns ? c->tty_retry_ns : UINT64_MAX;
}

bool exec_client_flushed(const struct exec_client *c)
{
	return c->out[0].len == 0 && c->out[1].len == 0;
}

static int take_data(struct exec_client *c, const Mayfly__Data *d)
{
	if (d->stream != MAYFLY__STREAM__STDOUT && d->stream != MAYFLY__STREAM__STDERR)
		return -EPROTO;
	int i = d->stream == MAYFLY__STREAM__STDERR;
	if ((c->tty && i) || (c->attach && !c->started) ||
	    d->data.len > c->window - c->uncredited[i])
		return -EPROTO;
	c->uncredited[i] += (uint32_t)d->data.len;
	if (c->hold)
		return 0;
	int ret = hostio_add(&c->out[i], d->data.data, d->data.len);
	/* At once: an Exit that came with it must not be believed before the error is known. */
	if (ret == 0)
		push_output(c, i);
	return ret;
}

static int take_credit(struct exec_client *c, const Mayfly__Credit *m)
{
	if (m->stream != MAYFLY__STREAM__STDIN || m->bytes > c->window - c->in_credit)
		return -EPROTO;
	c->in_credit += m->bytes;
	return 0;
}

static int take_started(struct exec_client *c, const Mayfly__ExecStarted *m)
{
	if (c->started || !c->words_done)
		return -EPROTO;
	c->started = true;
	CALL(c, started, m->pid);
	return 0;
}

static int take_attached(struct exec_client *c, const Mayfly__ExecAttached *m)
{
	if (!c->attach || c->started || m->in_credit > c->window)
		return -EPROTO;
	c->started = c->feeding = true;
	c->tty = m->tty;
	c->in_credit = m->in_credit;
	if (m->in_closed)
		hostio_close(c->in);
	CALL(c, attached, m);
	return 0;
}

static int take_refused(struct exec_client *c, const Mayfly__Failed *m)
{
	if (c->started)
		return -EPROTO;
	exec_client_stop(c);
	CALL(c, refused, m);
	return 0;
}

static int take_exit(struct exec_client *c, const Mayfly__Exit *x)
{
	/* A command that can't start has no Started. */
	if (c->attach && !c->started)
		return -EPROTO;
	c->exited = true;
	c->feeding = false;
	hostio_close(c->in);
	CALL(c, exited, x);
	return 0;
}

static int take_taken(struct exec_client *c)
{
	if (!c->started)
		return -EPROTO;
	exec_client_stop(c);
	CALL(c, taken);
	return 0;
}

static int handle(struct exec_client *c, const Mayfly__Frame *f)
{
	/* Exit is the agent's last word. */
	if (c->exited)
		return -EPROTO;
	switch (f->body_case) {
	case MAYFLY__FRAME__BODY_HELLO: return 0;
	case MAYFLY__FRAME__BODY_EXEC_STARTED: return take_started(c, f->exec_started);
	case MAYFLY__FRAME__BODY_EXEC_ATTACHED: return take_attached(c, f->exec_attached);
	case MAYFLY__FRAME__BODY_FAILED: return take_refused(c, f->failed);
	case MAYFLY__FRAME__BODY_DATA: return take_data(c, f->data);
	case MAYFLY__FRAME__BODY_EOF: return f->eof->stream <= MAYFLY__STREAM__STDERR ? 0 : -EPROTO;
	case MAYFLY__FRAME__BODY_CREDIT: return take_credit(c, f->credit);
	case MAYFLY__FRAME__BODY_STREAM_CLOSED:
		if (f->stream_closed->stream != MAYFLY__STREAM__STDIN)
			return -EPROTO;
		hostio_close(c->in);
		return 0;
	case MAYFLY__FRAME__BODY_EXIT: return take_exit(c, f->exit);
	case MAYFLY__FRAME__BODY_EXEC_TAKEN: return take_taken(c);
	default: return -EPROTO;
	}
}

static void on_event(struct evsource *src, uint32_t events)
{
	struct exec_client *c = src->arg;
	int ret = 1;
	if (events & ~(uint32_t)EPOLLOUT) {
		ret = agent_ok_read(&c->ok, c->conn.fd);
		if (ret == 1)
			ret = frame_fill(&c->conn);
	}
	while (ret > 0 && c->src.fd >= 0) {
		Mayfly__Frame *f = NULL;
		ret = frame_next(&c->conn, &f);
		if (ret <= 0)
			break;
		ret = handle(c, f);
		mayfly__frame__free_unpacked(f, NULL);
		ret = ret < 0 ? ret : 1;
	}
	if (ret < 0 && c->src.fd >= 0) {
		exec_client_stop(c);
		if (!c->exited)
			c->ops->lost(c->arg, ret);
	}
	CALL(c, step);
}

/* What both kinds begin with; f is the frame behind Hello. */
static int begin(struct exec_client *c, int fd, const Mayfly__Frame *f, struct err *e)
{
	c->conn.fd = fd;
	c->src = (struct evsource){.fd = fd, .fn = on_event, .arg = c};
	c->in_credit = c->window;
	int ret = io_set_nonblock(fd, 1);
	if (ret == 0)
		ret = agent_ok_ask(fd);
	if (ret == 0)
		ret = frame_send_hello(&c->conn, "mayfly");
	if (ret == 0)
		ret = frame_send(&c->conn, f);
	if (ret == 0)
		ret = evloop_add(c->loop, &c->src, EPOLLIN);
	if (ret < 0) {
		exec_client_stop(c);
		return err_errno(e, -ret, "can't talk to the agent");
	}
	exec_client_pump(c);
	return 0;
}

int exec_client_start(struct exec_client *c, int fd, Mayfly__ExecStart *x, struct err *e)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	f.body_case = MAYFLY__FRAME__BODY_EXEC_START;
	f.exec_start = x;
	c->tty = x->tty != NULL;
	if (x->tty && x->tty->size)
		c->size = *x->tty->size;
	c->window = x->keep ? PROTO_KEEP_WINDOW : PROTO_WINDOW;
	return begin(c, fd, &f, e);
}

int exec_client_attach(struct exec_client *c, int fd, uint64_t session, Mayfly__WindowSize *size,
		       struct err *e)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__ExecAttach x = MAYFLY__EXEC_ATTACH__INIT;
	x.session = session;
	x.size = size;
	if (size)
		c->size = *size;
	f.body_case = MAYFLY__FRAME__BODY_EXEC_ATTACH;
	f.exec_attach = &x;
	c->attach = true;
	c->window = PROTO_KEEP_WINDOW;
	return begin(c, fd, &f, e);
}

void exec_client_signal(struct exec_client *c, int number)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__Signal s = MAYFLY__SIGNAL__INIT;
	s.number = (uint32_t)number;
	f.body_case = MAYFLY__FRAME__BODY_SIGNAL;
	f.signal = &s;
	if (c->src.fd >= 0 && frame_send(&c->conn, &f) < 0)
		log_warn("signal %d could not be passed on", number);
}

void exec_client_resize(struct exec_client *c, uint16_t rows, uint16_t columns)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	bool known = c->size.rows == rows && c->size.columns == columns;
	if (c->src.fd < 0 || !c->tty || known)
		return;
	c->size.rows = rows;
	c->size.columns = columns;
	f.body_case = MAYFLY__FRAME__BODY_WINDOW_SIZE;
	f.window_size = &c->size;
	if (frame_send(&c->conn, &f) < 0)
		log_info("the terminal's new size could not be passed on");
}

void exec_client_drop_output(struct exec_client *c)
{
	for (int i = 0; i < 2; i++)
		tell_closed(c, i);
}

void exec_client_free(struct exec_client *c)
{
	exec_client_stop(c);
	frame_conn_free(&c->conn);
	exec_words_free(&c->argv);
	exec_words_free(&c->env);
}
