// SPDX-License-Identifier: Apache-2.0
// run_command.c - the command's connection: words in, streams both ways, exit status out
#include "base/checked.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "base/log.h"
#include "cli/run.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CREDIT_STEP (PROTO_WINDOW / 4)
#define PUMP_ROUNDS 8
#define TTY_RETRY_NS 1000000000ull

static int words_pack(struct run_words *w, char *const *list, const char *what, struct err *e)
{
	for (size_t i = 0; list[i]; i++) {
		size_t len = strlen(list[i]) + 1;
		if (len > PROTO_WORD_MAX)
			return err_set(e, E2BIG,
				       "one %s of %zu bytes is longer than the %u KiB Linux takes",
				       what, len - 1, PROTO_WORD_MAX / 1024);
		w->len += len;
		if (w->len > PROTO_WORDS_MAX || i >= PROTO_WORDS_COUNT_MAX)
			return err_set(e, E2BIG, "the %ss are larger than %u MiB", what,
				       PROTO_WORDS_MAX >> 20);
	}
	w->buf = malloc(w->len + 1);
	if (!w->buf)
		return err_errno(e, ENOMEM, "%ss", what);
	char *p = w->buf;
	for (size_t i = 0; list[i]; i++)
		p = stpcpy(p, list[i]) + 1;
	return 0;
}

int run_command_prepare(struct run *r, struct err *e)
{
	int ret = words_pack(&r->argv_words, r->cfg->argv, "argument", e);
	return ret < 0 ? ret : words_pack(&r->env_words, r->env, "environment variable", e);
}

static int send_start(struct run *r)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__ExecStart x = MAYFLY__EXEC_START__INIT;
	x.session = 1;
	x.uid = r->user.uid;
	x.gid = r->user.gid;
	x.group = r->user.groups;
	x.n_group = r->user.n_groups;
	x.cwd = r->workdir;
	f.body_case = MAYFLY__FRAME__BODY_EXEC_START;
	f.exec_start = &x;
	return frame_send(&r->command, &f);
}

static int send_words(struct run *r, struct run_words *w, bool env)
{
	while (w->sent < w->len && frame_room(&r->command)) {
		Mayfly__Frame f = MAYFLY__FRAME__INIT;
		Mayfly__ExecWords x = MAYFLY__EXEC_WORDS__INIT;
		x.env = env;
		x.data.data = (uint8_t *)w->buf + w->sent;
		x.data.len = MIN(w->len - w->sent, (size_t)PROTO_DATA_MAX);
		f.body_case = MAYFLY__FRAME__BODY_EXEC_WORDS;
		f.exec_words = &x;
		int ret = frame_send(&r->command, &f);
		if (ret < 0)
			return ret;
		w->sent += x.data.len;
	}
	return w->sent == w->len;
}

/* As much of the words as there is room for; the rest follows when the queue is shorter. */
static int send_all_words(struct run *r)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__ExecRun x = MAYFLY__EXEC_RUN__INIT;
	if (r->words_done)
		return 0;
	int ret = send_words(r, &r->argv_words, false);
	if (ret == 1)
		ret = send_words(r, &r->env_words, true);
	if (ret != 1)
		return ret;
	r->words_done = true;
	f.body_case = MAYFLY__FRAME__BODY_EXEC_RUN;
	f.exec_run = &x;
	return frame_send(&r->command, &f);
}

/* Input that was read and can't be passed on must not go missing unseen. */
static bool check_sent(struct run *r, int ret)
{
	if (ret < 0)
		run_end(r, VERDICT_CONFIG, "can't pass standard input on: %s", strerror(-ret));
	return ret == 0;
}

/* Returns true if there may be more to read once the queue has room again. */
static bool pump_stdin(struct run *r)
{
	uint8_t buf[PROTO_DATA_MAX];
	if (r->phase != RUN_RUNNING || r->in.done || io_now_ns() < r->tty_retry_ns)
		return false;
	r->tty_retry_ns = 0;
	while (r->in_credit > 0 && frame_room(&r->command)) {
		ssize_t n = hostio_read(&r->in, buf, MIN(sizeof(buf), (size_t)r->in_credit));
		if (n == -EAGAIN) {
			hostio_want(&r->in, EPOLLIN);
			return false;
		}
		if (n == -EBUSY) {
			/* No event tells when we come to the foreground. */
			hostio_want(&r->in, 0);
			r->tty_retry_ns = io_now_ns() + TTY_RETRY_NS;
			return false;
		}
		if (n <= 0) {
			if (n < 0)
				log_warn("can't read standard input: %s", strerror((int)-n));
			hostio_close(&r->in);
			check_sent(r, frame_send_eof(&r->command, MAYFLY__STREAM__STDIN));
			return false;
		}
		r->in_credit -= (uint32_t)n;
		if (!check_sent(
			    r, frame_send_data(&r->command, MAYFLY__STREAM__STDIN, buf, (size_t)n)))
			return false;
	}
	hostio_want(&r->in, 0);
	return r->in_credit > 0;
}

static void pump_output(struct run *r, int i)
{
	Mayfly__Stream id = i ? MAYFLY__STREAM__STDERR : MAYFLY__STREAM__STDOUT;
	struct hostio *h = &r->out[i];
	hostio_push(h);
	if (h->error && !r->out_closed_sent[i]) {
		r->out_closed_sent[i] = true;
		if (h->error != EPIPE && h->error != ECONNRESET)
			run_end(r, VERDICT_OUTPUT, "can't write standard %s: %s",
				i ? "error" : "output", strerror(h->error));
		/* The reader is gone: the command learns it as it would without us. */
		frame_send_closed(&r->command, id);
	}
	if (h->owed >= CREDIT_STEP || (h->owed > 0 && h->len == 0)) {
		if (frame_send_credit(&r->command, id, h->owed) == 0)
			h->owed = 0;
	}
}

static void stop(struct run *r)
{
	evloop_del(&r->loop, &r->command_src);
	close_fd(&r->command_src.fd);
}

/* Queues words and stdin and writes them. Returns 1 if some is left, 0 if not, -errno. */
static int pump_in(struct run *r)
{
	/* A bound, so that output and signals get their turn; EPOLLOUT brings us back. */
	for (int i = 0; i < PUMP_ROUNDS; i++) {
		bool more = false;
		if (r->phase >= RUN_STARTING && !r->words_done) {
			int ret = send_all_words(r);
			if (ret < 0)
				return ret;
			more = !r->words_done;
		}
		if (r->words_done)
			more = pump_stdin(r);
		int left = frame_flush(&r->command);
		if (left != 0 || !more)
			return left;
	}
	return 1;
}

void run_command_pump(struct run *r)
{
	for (int i = 0; i < 2; i++)
		pump_output(r, i);
	if (r->command_src.fd < 0)
		return;
	int left = pump_in(r);
	if (left < 0)
		stop(r);
	else
		evloop_mod(&r->loop, &r->command_src, EPOLLIN | (left ? EPOLLOUT : 0));
}

bool run_command_flushed(const struct run *r)
{
	return r->out[0].len == 0 && r->out[1].len == 0;
}

static int take_data(struct run *r, const Mayfly__Data *d)
{
	if (d->stream != MAYFLY__STREAM__STDOUT && d->stream != MAYFLY__STREAM__STDERR)
		return -EPROTO;
	struct hostio *h = &r->out[d->stream == MAYFLY__STREAM__STDERR];
	int ret = hostio_add(h, d->data.data, d->data.len);
	if (ret == 0)
		hostio_push(h);
	return ret;
}

static int take_credit(struct run *r, const Mayfly__Credit *c)
{
	if (c->stream != MAYFLY__STREAM__STDIN || c->bytes > PROTO_WINDOW ||
	    r->in_credit + c->bytes > PROTO_WINDOW)
		return -EPROTO;
	r->in_credit += c->bytes;
	return 0;
}

static void take_exit(struct run *r, const Mayfly__Exit *x)
{
	r->verdict.t.exit = io_now_ns();
	if (r->phase >= RUN_EXITED)
		return;
	verdict_from_exit(&r->verdict, x, r->cfg->memory);
	r->phase = RUN_EXITED;
	r->phase_deadline_ns = 0;
	hostio_close(&r->in);
	run_out_begin(r);
}

static int handle(struct run *r, const Mayfly__Frame *f)
{
	switch (f->body_case) {
	case MAYFLY__FRAME__BODY_HELLO: return 0;
	case MAYFLY__FRAME__BODY_EXEC_STARTED: r->verdict.t.exec = io_now_ns(); return 0;
	case MAYFLY__FRAME__BODY_DATA: return take_data(r, f->data);
	case MAYFLY__FRAME__BODY_EOF: return f->eof->stream <= MAYFLY__STREAM__STDERR ? 0 : -EPROTO;
	case MAYFLY__FRAME__BODY_CREDIT: return take_credit(r, f->credit);
	case MAYFLY__FRAME__BODY_STREAM_CLOSED:
		if (f->stream_closed->stream != MAYFLY__STREAM__STDIN)
			return -EPROTO;
		hostio_close(&r->in);
		return 0;
	case MAYFLY__FRAME__BODY_EXIT: take_exit(r, f->exit); return 0;
	default: return -EPROTO;
	}
}

static void on_command(struct evsource *src, uint32_t events)
{
	struct run *r = src->arg;
	int ret = 1;
	if (events & ~(uint32_t)EPOLLOUT) {
		ret = agent_ok_read(&r->ok, r->command.fd);
		if (ret == 1)
			ret = frame_fill(&r->command);
	}
	while (ret > 0) {
		Mayfly__Frame *f = NULL;
		ret = frame_next(&r->command, &f);
		if (ret <= 0)
			break;
		ret = handle(r, f);
		mayfly__frame__free_unpacked(f, NULL);
		ret = ret < 0 ? ret : 1;
	}
	if (ret < 0) {
		stop(r);
		if (r->phase < RUN_EXITED && ret != -ENODATA && ret != -ECONNRESET)
			run_end(r, VERDICT_GUEST_FAILED, "the agent's connection broke: %s",
				strerror(-ret));
		else if (r->phase < RUN_EXITED)
			r->phase_deadline_ns = io_now_ns() + RUN_LOST_NS;
	}
	run_step(r);
}

int run_command_start(struct run *r, struct err *e)
{
	int fd = machine_connect(&r->machine, e);
	if (fd < 0)
		return fd;
	r->command.fd = fd;
	r->command_src = (struct evsource){.fd = fd, .fn = on_command, .arg = r};
	r->in_credit = PROTO_WINDOW;
	int ret = agent_ok_ask(fd);
	if (ret == 0)
		ret = frame_send_hello(&r->command, "mayfly");
	if (ret == 0)
		ret = send_start(r);
	if (ret == 0)
		ret = evloop_add(&r->loop, &r->command_src, EPOLLIN);
	if (ret < 0)
		return err_errno(e, -ret, "can't talk to the agent");
	r->phase = RUN_RUNNING;
	run_command_pump(r);
	return 0;
}

void run_command_signal(struct run *r, int number)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__Signal s = MAYFLY__SIGNAL__INIT;
	s.number = (uint32_t)number;
	f.body_case = MAYFLY__FRAME__BODY_SIGNAL;
	f.signal = &s;
	if (r->command_src.fd >= 0 && frame_send(&r->command, &f) < 0)
		log_warn("signal %d could not be passed on", number);
}

void run_command_drop_output(struct run *r)
{
	for (int i = 0; i < 2; i++)
		if (r->command_src.fd >= 0 && !r->out_closed_sent[i]) {
			r->out_closed_sent[i] = true;
			frame_send_closed(&r->command,
					  i ? MAYFLY__STREAM__STDERR : MAYFLY__STREAM__STDOUT);
		}
}

void run_command_free(struct run *r)
{
	hostio_close(&r->in);
	for (int i = 0; i < 2; i++)
		hostio_close(&r->out[i]);
	if (r->command_src.fd >= 0)
		stop(r);
	frame_conn_free(&r->command);
	frame_conn_free(&r->control);
	free(r->argv_words.buf);
	free(r->env_words.buf);
}
