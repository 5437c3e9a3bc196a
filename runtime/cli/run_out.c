// SPDX-License-Identifier: Apache-2.0
// run_out.c - --out: asks the agent for files when the command has ended, and has them written
#include "base/checked.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "base/log.h"
#include "cli/run.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A guest that has sent nothing for so long is given up. */
#define STALL_NS 10000000000ull
#define PROGRESS_AFTER_NS 2000000000ull
#define PROGRESS_EVERY_NS 200000000ull
#define NOTES_SHOWN 20

static void next(struct run *r);

static struct out_target *current(struct run *r)
{
	return &r->results.target[r->results.at];
}

static int open_target(struct run *r, struct out_target *t, const struct out_spec *s, struct err *e)
{
	int ret = out_target_open(t, s->host, s->max_bytes, e);
	return ret < 0 ? ret : out_target_source(t, s->guest, r->workdir, e);
}

int run_out_open(struct run *r, struct err *e)
{
	struct run_out *o = &r->results;
	int ret = 0;
	for (size_t i = 0; ret == 0 && i < r->cfg->n_out; i++) {
		o->n = i + 1;
		ret = open_target(r, &o->target[i], &r->cfg->out[i], e);
	}
	if (ret == 0 && o->n > 0) {
		o->writer = malloc(sizeof(*o->writer));
		if (!o->writer)
			ret = err_errno(e, ENOMEM, "a copy");
		else
			out_init(o->writer, &o->target[0]);
	}
	return ret < 0 ? err_wrap(e, ret, "option --out") : 0;
}

static void clear_progress(struct run *r)
{
	static const char clear[] = "\r\033[K";
	if (r->results.shown_ns)
		hostio_try(&r->out[1], clear, sizeof(clear) - 1);
	r->results.shown_ns = 0;
}

/* Frees what one copy holds; its target stays open until the end. */
static void disconnect(struct run *r)
{
	struct run_out *o = &r->results;
	clear_progress(r);
	if (o->src.fd >= 0)
		evloop_del(&r->loop, &o->src);
	close_fd(&o->src.fd);
	frame_conn_free(&o->conn);
	out_close(o->writer);
}

/* A command that went well must not look as if its results were there. */
static void report(struct run *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void report(struct run *r, const char *fmt, ...)
{
	struct verdict *v = &r->verdict;
	const struct out_target *t = current(r);
	char text[sizeof(v->message) - 512];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (v->reason == VERDICT_EXIT && v->code == 0) {
		v->reason = VERDICT_NONE;
		verdict_set(v, VERDICT_OUT, "--out %.200s:%.200s: %s", t->guest, t->host, text);
		return;
	}
	log_error("%s--out %.200s:%.200s: %s", v->reason == VERDICT_OUT ? "" : "note: ", t->guest,
		  t->host, text);
}

static void fail(struct run *r, const char *text)
{
	disconnect(r);
	report(r, "%s", text);
	r->results.at++;
	next(r);
}

static int take_note(struct run *r, const Mayfly__FetchNote *m, struct err *e)
{
	const struct out_target *t = current(r);
	if (r->results.noted++ >= PROTO_TREE_NOTES_MAX)
		return err_set(e, EPROTO, "the guest sent more notes than it may");
	if (r->results.noted > NOTES_SHOWN)
		return 0;
	clear_progress(r);
	log_warn("note: --out %.200s%s%.*s: %.200s", t->guest, m->path.len ? "/" : "",
		 (int)MIN(m->path.len, (size_t)300), m->path.data ? (char *)m->path.data : "",
		 m->text);
	return 0;
}

static int take_end(struct run *r, const Mayfly__FetchEnd *m, struct err *e)
{
	struct run_out *o = &r->results;
	int ret = out_end(o->writer, m, e);
	if (m->notes > MIN(o->noted, NOTES_SHOWN))
		log_warn("note: --out %.200s: %llu more like these", current(r)->guest,
			 (unsigned long long)(m->notes - MIN(o->noted, NOTES_SHOWN)));
	if (ret < 0)
		return ret;
	log_info("--out %s: %llu files and directories, %llu bytes", current(r)->host,
		 (unsigned long long)o->writer->entries, (unsigned long long)o->writer->bytes);
	return 1;
}

/* Returns 0, 1 after the last one, -errno with text. */
static int handle(struct run *r, const Mayfly__Frame *f, struct err *e)
{
	switch (f->body_case) {
	case MAYFLY__FRAME__BODY_FETCH_NOTE: return take_note(r, f->fetch_note, e);
	case MAYFLY__FRAME__BODY_FETCH_END: return take_end(r, f->fetch_end, e);
	default: return out_frame(r->results.writer, f, e);
	}
}

/* As handle(), for one buffer of what has come: signals get their turn in between. */
static int receive(struct run *r, struct err *e)
{
	struct run_out *o = &r->results;
	int ret = agent_ok_read(&o->ok, o->conn.fd);
	if (ret == 1)
		ret = frame_fill(&o->conn);
	if (ret < 0)
		return err_errno(e, -ret, "the copy is not complete: the guest's agent is gone");
	for (;;) {
		Mayfly__Frame *f = NULL;
		ret = frame_next(&o->conn, &f);
		if (ret < 0)
			return err_errno(e, -ret, "the guest's agent broke the protocol");
		if (ret == 0)
			return 0;
		o->heard_ns = io_now_ns();
		ret = handle(r, f, e);
		mayfly__frame__free_unpacked(f, NULL);
		if (ret != 0)
			return ret;
	}
}

static void flush(struct run *r)
{
	struct run_out *o = &r->results;
	int left = frame_flush(&o->conn);
	/* A broken connection is seen by the next read. */
	evloop_mod(&r->loop, &o->src, EPOLLIN | (left == 1 ? EPOLLOUT : 0));
}

static void on_fetch(struct evsource *src, uint32_t events)
{
	struct run *r = src->arg;
	struct err e = {0};
	int ret = 0;
	if (events & ~(uint32_t)EPOLLOUT)
		ret = receive(r, &e);
	if (ret < 0) {
		fail(r, e.text);
	} else if (ret == 1) {
		disconnect(r);
		r->results.at++;
		next(r);
	} else {
		flush(r);
	}
	run_step(r);
}

static int send_fetch(struct run *r)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__Fetch m = MAYFLY__FETCH__INIT;
	m.path.data = (uint8_t *)current(r)->guest;
	m.path.len = strlen(current(r)->guest);
	f.body_case = MAYFLY__FRAME__BODY_FETCH;
	f.fetch = &m;
	return frame_send(&r->results.conn, &f);
}

static int connect_agent(struct run *r, struct err *e)
{
	struct run_out *o = &r->results;
	int fd = machine_connect(&r->machine, e);
	if (fd < 0)
		return fd;
	o->conn = (struct frame_conn){.fd = fd};
	o->ok = (struct agent_ok){0};
	o->src = (struct evsource){.fd = fd, .fn = on_fetch, .arg = r};
	o->noted = 0;
	o->pace = (struct pace){0};
	o->start_ns = o->heard_ns = io_now_ns();
	out_init(o->writer, current(r));
	int ret = agent_ok_ask(fd);
	if (ret == 0)
		ret = frame_send_hello(&o->conn, "mayfly");
	if (ret == 0)
		ret = send_fetch(r);
	if (ret == 0)
		ret = evloop_add(&r->loop, &o->src, EPOLLIN);
	if (ret < 0)
		return err_errno(e, -ret, "can't talk to the agent");
	flush(r);
	return 0;
}

/* Starts the next copy that can be started; fail() comes back here. */
static void next(struct run *r)
{
	struct err e = {0};
	while (r->results.at < r->results.n) {
		if (connect_agent(r, &e) == 0)
			return;
		disconnect(r);
		report(r, "%s", e.text);
		r->results.at++;
	}
}

void run_out_begin(struct run *r)
{
	if (r->results.n == 0 || r->results.begun)
		return;
	r->results.begun = true;
	next(r);
}

bool run_out_busy(const struct run *r)
{
	return r->results.begun && r->results.at < r->results.n;
}

static void show_progress(struct run *r, uint64_t now)
{
	char line[128];
	struct run_out *o = &r->results;
	if (!isatty(STDERR_FILENO) || !exec_client_flushed(&r->exec) ||
	    now - o->start_ns < PROGRESS_AFTER_NS || now - o->shown_ns < PROGRESS_EVERY_NS)
		return;
	int n = snprintf(line, sizeof(line), "\rmayfly: out: %llu files, %llu MiB\033[K",
			 (unsigned long long)o->writer->entries,
			 (unsigned long long)(o->writer->bytes >> 20));
	hostio_try(&r->out[1], line, (size_t)n);
	o->shown_ns = now;
}

void run_out_tick(struct run *r, uint64_t now)
{
	struct run_out *o = &r->results;
	if (!run_out_busy(r))
		return;
	if (now >= o->heard_ns + STALL_NS) {
		fail(r, "the copy is not complete: the guest has sent nothing for 10 s");
		run_step(r);
		return;
	}
	if (pace_too_slow(&o->pace, now, o->writer->entries, o->writer->received)) {
		fail(r,
		     "the copy is not complete: the guest sends so little that it would never end");
		run_step(r);
		return;
	}
	show_progress(r, now);
}

uint64_t run_out_wait(const struct run *r)
{
	return run_out_busy(r) ? r->results.heard_ns + STALL_NS : UINT64_MAX;
}

void run_out_close(struct run *r)
{
	struct run_out *o = &r->results;
	bool ran = r->verdict.t.ready != 0;
	if (!o->writer)
		o->at = o->n;
	while (o->at < o->n) {
		if (o->begun)
			disconnect(r);
		if (ran)
			report(r, "%s: the machine ended before",
			       o->writer->entries ? "the copy is not complete"
						  : "nothing was copied");
		out_init(o->writer, &o->target[o->at]);
		o->at++;
	}
	for (size_t i = 0; i < o->n; i++)
		out_target_close(&o->target[i]);
	free(o->writer);
	o->writer = NULL;
}
