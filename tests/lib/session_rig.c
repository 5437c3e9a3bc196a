// SPDX-License-Identifier: Apache-2.0
// session_rig.c - the agent's sessions in this process, and hosts that talk to them
#include "session_rig.h"

#include "base/cleanup.h"
#include "base/io.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cmocka.h>

struct srig srig;

static void on_event(void *arg, const struct session *s, Mayfly__SessionEvent__Kind kind)
{
	(void)arg;
	assert_true(srig.n_events < RIG_EVENTS_MAX);
	assert_true(s->keep);
	srig.event[srig.n_events++] = (struct srig_event){
		.kind = kind, .session = s->id, .exit_kind = s->exit.kind, .code = s->exit.code};
}

int srig_setup(void **state)
{
	(void)state;
	memset(&srig, 0, sizeof(srig));
	srig.set.loop = &srig.loop;
	srig.set.event = on_event;
	return evloop_init(&srig.loop);
}

static void reap(void)
{
	struct rusage ru;
	int status;
	pid_t pid;
	while ((pid = wait4(-1, &status, WNOHANG, &ru)) > 0)
		sessions_reaped(&srig.set, pid, status, &ru);
}

int srig_teardown(void **state)
{
	struct session *s;
	(void)state;
	LIST_FOREACH(s, &srig.set.list, link)
		if (s->pid > 0)
			kill(-s->pid, SIGKILL);
	sessions_close(&srig.set);
	evloop_close(&srig.loop);
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	return srig.set.n + srig.set.n_conns > 0 ? -1 : 0;
}

void srig_step(int ms)
{
	int due = sessions_sweep(&srig.set);
	/* A child's end wakes nobody here, so it is looked for now and then. */
	ms = due >= 0 && due < ms ? due : ms;
	assert_true(evloop_once(&srig.loop, ms) >= 0);
	reap();
	sessions_sweep(&srig.set);
}

void srig_connect(struct srig_host *h)
{
	int p[2];
	*h = (struct srig_host){0};
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, p), 0);
	h->conn.fd = p[0];
	assert_int_equal(sessions_accept(&srig.set, p[1]), 0);
	assert_int_equal(frame_send_hello(&h->conn, "rig"), 0);
}

void srig_close(struct srig_host *h)
{
	close_fd(&h->conn.fd);
	frame_conn_free(&h->conn);
}

static void flush(struct srig_host *h)
{
	uint64_t deadline = io_now_ns() + RIG_WAIT_NS;
	int left;
	while ((left = frame_flush(&h->conn)) == 1) {
		assert_true(io_now_ns() < deadline);
		srig_step(10);
	}
}

void srig_send(struct srig_host *h, const Mayfly__Frame *f)
{
	assert_int_equal(frame_send(&h->conn, f), 0);
	flush(h);
}

void srig_data(struct srig_host *h, const void *data, size_t len)
{
	assert_int_equal(frame_send_data(&h->conn, MAYFLY__STREAM__STDIN, data, len), 0);
	flush(h);
}

void srig_eof(struct srig_host *h)
{
	assert_int_equal(frame_send_eof(&h->conn, MAYFLY__STREAM__STDIN), 0);
	flush(h);
}

void srig_credit(struct srig_host *h, Mayfly__Stream s, uint32_t bytes)
{
	assert_int_equal(frame_send_credit(&h->conn, s, bytes), 0);
	flush(h);
}

void srig_signal(struct srig_host *h, int number)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__Signal m = MAYFLY__SIGNAL__INIT;
	m.number = (uint32_t)number;
	f.body_case = MAYFLY__FRAME__BODY_SIGNAL;
	f.signal = &m;
	srig_send(h, &f);
}

static void attach(struct srig_host *h, uint64_t session, bool only_lost)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__ExecAttach m = MAYFLY__EXEC_ATTACH__INIT;
	m.session = session;
	m.only_lost = only_lost;
	f.body_case = MAYFLY__FRAME__BODY_EXEC_ATTACH;
	f.exec_attach = &m;
	srig_send(h, &f);
}

void srig_attach(struct srig_host *h, uint64_t session)
{
	attach(h, session, false);
}

void srig_attach_lost(struct srig_host *h, uint64_t session)
{
	attach(h, session, true);
}

void srig_size(struct srig_host *h, uint32_t rows, uint32_t columns)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__WindowSize m = MAYFLY__WINDOW_SIZE__INIT;
	m.rows = rows;
	m.columns = columns;
	f.body_case = MAYFLY__FRAME__BODY_WINDOW_SIZE;
	f.window_size = &m;
	srig_send(h, &f);
}

static void words(struct srig_host *h, const char *text, size_t len, bool env)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__ExecWords m = MAYFLY__EXEC_WORDS__INIT;
	m.env = env;
	m.data.data = (uint8_t *)(uintptr_t)text;
	m.data.len = len;
	f.body_case = MAYFLY__FRAME__BODY_EXEC_WORDS;
	f.exec_words = &m;
	srig_send(h, &f);
}

void srig_start(struct srig_host *h, Mayfly__ExecStart *x, const char *script)
{
	static const char env[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin\0HOME=/\0LC_ALL=C\0TERM=dumb";
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__ExecRun run = MAYFLY__EXEC_RUN__INIT;
	if (h->conn.fd <= 0)
		srig_connect(h);
	f.body_case = MAYFLY__FRAME__BODY_EXEC_START;
	f.exec_start = x;
	srig_send(h, &f);
	words(h, "sh\0-c", 6, false);
	words(h, script, strlen(script) + 1, false);
	words(h, env, sizeof(env), true);
	f.body_case = MAYFLY__FRAME__BODY_EXEC_RUN;
	f.exec_run = &run;
	srig_send(h, &f);
}

void srig_keep(struct srig_host *h, uint64_t session, const char *script)
{
	Mayfly__ExecStart x = MAYFLY__EXEC_START__INIT;
	x.session = session;
	x.keep = true;
	srig_start(h, &x, script);
}

Mayfly__Frame *srig_next(struct srig_host *h)
{
	uint64_t deadline = io_now_ns() + RIG_WAIT_NS;
	for (;;) {
		Mayfly__Frame *f = NULL;
		int ret = frame_next(&h->conn, &f);
		assert_true(ret >= 0);
		if (ret == 1 && f->body_case != MAYFLY__FRAME__BODY_HELLO)
			return f;
		if (ret == 1) {
			mayfly__frame__free_unpacked(f, NULL);
			continue;
		}
		if (h->closed)
			return NULL;
		assert_true(io_now_ns() < deadline);
		ret = frame_fill(&h->conn);
		h->closed = ret < 0;
		if (ret == 0)
			srig_step(5);
	}
}

Mayfly__Frame *srig_expect(struct srig_host *h, Mayfly__Frame__BodyCase kind)
{
	Mayfly__Frame *f = srig_next(h);
	assert_non_null(f);
	assert_int_equal(f->body_case, kind);
	return f;
}

void srig_closed(struct srig_host *h)
{
	Mayfly__Frame *f = srig_next(h);
	if (f)
		print_message("a frame of kind %d\n", (int)f->body_case);
	assert_null(f);
	srig_close(h);
}

static void take(struct srig_host *h, const Mayfly__Data *d, char *out, size_t max, bool credit)
{
	size_t len = strlen(out);
	if (d->stream == MAYFLY__STREAM__STDOUT) {
		assert_true(len + d->data.len < max);
		memcpy(out + len, d->data.data, d->data.len);
		out[len + d->data.len] = '\0';
	}
	if (credit)
		srig_credit(h, d->stream, (uint32_t)d->data.len);
}

Mayfly__Frame *srig_output(struct srig_host *h, char *out, size_t max, bool credit)
{
	for (;;) {
		Mayfly__Frame *f = srig_next(h);
		assert_non_null(f);
		if (f->body_case == MAYFLY__FRAME__BODY_EXIT)
			return f;
		assert_true(f->body_case == MAYFLY__FRAME__BODY_DATA ||
			    f->body_case == MAYFLY__FRAME__BODY_EOF ||
			    f->body_case == MAYFLY__FRAME__BODY_CREDIT ||
			    f->body_case == MAYFLY__FRAME__BODY_EXEC_STARTED ||
			    f->body_case == MAYFLY__FRAME__BODY_STREAM_CLOSED);
		if (f->body_case == MAYFLY__FRAME__BODY_DATA)
			take(h, f->data, out, max, credit);
		mayfly__frame__free_unpacked(f, NULL);
	}
}

void srig_until(struct srig_host *h, const char *text)
{
	char out[65536] = "";
	while (!strstr(out, text)) {
		Mayfly__Frame *f = srig_next(h);
		assert_non_null(f);
		assert_int_not_equal(f->body_case, MAYFLY__FRAME__BODY_EXIT);
		if (f->body_case == MAYFLY__FRAME__BODY_DATA)
			take(h, f->data, out, sizeof(out), true);
		mayfly__frame__free_unpacked(f, NULL);
	}
}

void srig_event(unsigned n, Mayfly__SessionEvent__Kind kind, uint64_t session)
{
	uint64_t deadline = io_now_ns() + RIG_WAIT_NS;
	while (srig.n_events < n) {
		assert_true(io_now_ns() < deadline);
		srig_step(5);
	}
	assert_int_equal(srig.n_events, n);
	assert_int_equal(srig.event[n - 1].kind, kind);
	assert_int_equal(srig.event[n - 1].session, session);
}

void srig_gone(unsigned left)
{
	uint64_t deadline = io_now_ns() + RIG_WAIT_NS;
	while (srig.set.n > left) {
		assert_true(io_now_ns() < deadline);
		srig_step(5);
	}
	assert_int_equal(srig.set.n, left);
}
