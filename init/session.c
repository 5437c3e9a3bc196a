// SPDX-License-Identifier: Apache-2.0
// session.c - one command connection: from its words to its exit status
#include "session.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "fetch.h"
#include "put.h"
#include "session_words.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

/* After the command and all it started are dead, its pipes end at once; this is the backstop. */
#define DRAIN_NS 2000000000ull

static void update(struct session *s);

static void session_over(struct session *s)
{
	s->state = SESSION_OVER;
	evloop_del(s->loop, &s->sock);
	close_fd(&s->sock.fd);
	s->conn.fd = -1;
}

static void send_exit(struct session *s)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	s->exit.monotonic_ns = io_now_ns();
	s->exit.text = s->exit_text;
	f.body_case = MAYFLY__FRAME__BODY_EXIT;
	f.exit = &s->exit;
	s->state = SESSION_EXITED;
	stream_close(&s->in.src, s->loop);
	for (int i = 0; i < 2; i++)
		stream_close(&s->out[i].src, s->loop);
	if (frame_send(&s->conn, &f) < 0)
		session_over(s);
}

static void not_started(struct session *s, int code, const struct err *e)
{
	s->exit.kind = MAYFLY__EXIT__KIND__NOT_STARTED;
	s->exit.code = -code;
	snprintf(s->exit_text, sizeof(s->exit_text), "%s", e->text);
	s->pid = 0;
	send_exit(s);
}

static void on_pipe(struct evsource *src, uint32_t events)
{
	struct session *s = src->arg;
	int ret = 0;
	if (s->state == SESSION_OVER)
		return;
	if (src == &s->in.src) {
		/* Error without room to write: nobody reads it any more. */
		if ((events & EPOLLERR) && s->in.len == 0) {
			stream_close(src, s->loop);
			ret = frame_send_closed(&s->conn, MAYFLY__STREAM__STDIN);
		} else {
			ret = stream_in_push(&s->in, s->loop, &s->conn);
		}
	} else {
		ret = stream_out_pull(src == &s->out[0].src ? &s->out[0] : &s->out[1], s->loop,
				      &s->conn);
	}
	if (ret < 0)
		session_over(s);
	else
		update(s);
}

static void on_status(struct evsource *src, uint32_t events)
{
	struct session *s = src->arg;
	struct err e;
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__ExecStarted st = MAYFLY__EXEC_STARTED__INIT;
	(void)events;
	if (s->state == SESSION_OVER)
		return;
	int ret = spawn_result(src->fd, &s->req, &e);
	if (ret == -EAGAIN)
		return;
	evloop_del(s->loop, src);
	close_fd(&src->fd);
	if (ret < 0) {
		not_started(s, ret, &e);
	} else {
		f.body_case = MAYFLY__FRAME__BODY_EXEC_STARTED;
		f.exec_started = &st;
		st.pid = (uint32_t)s->pid;
		st.monotonic_ns = io_now_ns();
		if (s->state == SESSION_STARTING)
			s->state = SESSION_RUNNING;
		if (frame_send(&s->conn, &f) < 0)
			session_over(s);
	}
	update(s);
}

static int watch_pipes(struct session *s, const int ends[3])
{
	int ret = 0;
	s->in.src = (struct evsource){.fd = ends[0], .fn = on_pipe, .arg = s};
	s->out[0].src = (struct evsource){.fd = ends[1], .fn = on_pipe, .arg = s};
	s->out[1].src = (struct evsource){.fd = ends[2], .fn = on_pipe, .arg = s};
	ret = evloop_add(s->loop, &s->in.src, 0);
	for (int i = 0; ret == 0 && i < 2; i++)
		ret = evloop_add(s->loop, &s->out[i].src, EPOLLIN);
	return ret;
}

/* Three pipes: ours is the write end of the first and the read end of the others. */
static int make_pipes(int ours[3], int theirs[3])
{
	for (int i = 0; i < 3; i++) {
		int p[2];
		if (pipe2(p, O_CLOEXEC) < 0)
			return -errno;
		ours[i] = i == 0 ? p[1] : p[0];
		theirs[i] = i == 0 ? p[0] : p[1];
		int ret = io_set_nonblock(ours[i], 1);
		if (ret < 0)
			return ret;
	}
	return 0;
}

static int start_command(struct session *s, struct err *e)
{
	int ours[3] = {-1, -1, -1};
	int theirs[3] = {-1, -1, -1};
	int ret = make_pipes(ours, theirs);
	if (ret == 0) {
		ret = watch_pipes(s, ours);
	} else {
		err_errno(e, -ret, "can't make pipes");
		for (int i = 0; i < 3; i++)
			close_fd(&ours[i]);
	}
	if (ret == 0) {
		memcpy(s->req.stdio, theirs, sizeof(theirs));
		s->cgroup_fd = spawn_cgroup_make(s->id);
		s->req.cgroup_fd = s->cgroup_fd;
		s->pid = spawn_start(&s->req, &s->status.fd, e);
		ret = s->pid < 0 ? (int)s->pid : 0;
	}
	for (int i = 0; i < 3; i++)
		close_fd(&theirs[i]);
	if (ret < 0)
		return ret;
	s->status.fn = on_status;
	s->status.arg = s;
	s->state = SESSION_STARTING;
	for (int n = 1; n <= 64; n++)
		if (s->early_signals & 1ull << (n - 1))
			kill(s->pid, n);
	return evloop_add(s->loop, &s->status, EPOLLIN);
}

static int exec_start(struct session *s, const Mayfly__ExecStart *m)
{
	if (s->state != SESSION_WORDS || s->req.cwd)
		return -EPROTO;
	s->id = m->session;
	s->req.uid = m->uid;
	s->req.gid = m->gid;
	s->req.n_groups = m->n_group;
	for (size_t i = 0; i < m->n_group; i++)
		s->groups[i] = m->group[i];
	s->req.groups = s->groups;
	s->req.cwd = strdup(m->cwd[0] ? m->cwd : "/");
	return s->req.cwd ? 0 : -ENOMEM;
}

static int exec_run(struct session *s)
{
	struct err e = {0};
	if (s->state != SESSION_WORDS || !s->req.cwd)
		return -EPROTO;
	s->req.argv = words_vector(&s->argv);
	s->req.env = words_vector(&s->env);
	if (!s->req.argv || !s->req.env || s->argv.count == 0)
		return -EPROTO;
	int ret = start_command(s, &e);
	if (ret < 0)
		not_started(s, ret, &e);
	return 0;
}

static int take_signal(struct session *s, uint32_t number)
{
	if (number == 0 || number > MIN((uint32_t)SIGRTMAX, 64u))
		return -EPROTO;
	if (s->state == SESSION_WORDS)
		s->early_signals |= 1ull << (number - 1);
	/* To the whole group, as a terminal would: a shell and what it runs. */
	else if (s->pid > 0 && kill(-s->pid, (int)number) < 0)
		/* Just forked: it has no group of its own yet. */
		kill(s->pid, (int)number);
	return 0;
}

static int take_credit(struct session *s, const Mayfly__Credit *c)
{
	if (c->stream != MAYFLY__STREAM__STDOUT && c->stream != MAYFLY__STREAM__STDERR)
		return -EPROTO;
	struct stream_out *o = &s->out[c->stream == MAYFLY__STREAM__STDERR];
	if (c->bytes > PROTO_WINDOW || o->credit + c->bytes > PROTO_WINDOW)
		return -EPROTO;
	o->credit += c->bytes;
	return stream_out_pull(o, s->loop, &s->conn);
}

static int take_closed(struct session *s, Mayfly__Stream id)
{
	if (id != MAYFLY__STREAM__STDOUT && id != MAYFLY__STREAM__STDERR)
		return -EPROTO;
	stream_close(&s->out[id == MAYFLY__STREAM__STDERR].src, s->loop);
	return 0;
}

static int start_fetch(struct session *s, const Mayfly__Fetch *m)
{
	if (s->state != SESSION_WORDS || s->req.cwd || fetch_check(m) < 0)
		return -EPROTO;
	pid_t pid = fetch_spawn(&s->conn, m);
	if (pid < 0)
		return pid;
	s->pid = pid;
	s->fetching = true;
	s->state = SESSION_FETCHING;
	return 0;
}

/* The socket is the other process's from here on; session_reaped() ends the session. */
static int start_put(struct session *s, const Mayfly__Put *m)
{
	if (s->state != SESSION_WORDS || s->req.cwd || put_check(m) < 0)
		return -EPROTO;
	pid_t pid = put_spawn(&s->conn, m);
	if (pid < 0)
		return pid;
	evloop_del(s->loop, &s->sock);
	s->pid = pid;
	s->fetching = true;
	s->state = SESSION_PUTTING;
	return 0;
}

static int handle(struct session *s, const Mayfly__Frame *f)
{
	int ret;
	/* The host has nothing more to say then. */
	if (s->state == SESSION_FETCHING)
		return -EPROTO;
	switch (f->body_case) {
	case MAYFLY__FRAME__BODY_HELLO: return 0;
	case MAYFLY__FRAME__BODY_FETCH: return start_fetch(s, f->fetch);
	case MAYFLY__FRAME__BODY_PUT: return start_put(s, f->put);
	case MAYFLY__FRAME__BODY_EXEC_START: return exec_start(s, f->exec_start);
	case MAYFLY__FRAME__BODY_EXEC_WORDS:
		if (s->state != SESSION_WORDS)
			return -EPROTO;
		return words_add(f->exec_words->env ? &s->env : &s->argv, f->exec_words->data.data,
				 f->exec_words->data.len);
	case MAYFLY__FRAME__BODY_EXEC_RUN: return exec_run(s);
	case MAYFLY__FRAME__BODY_DATA:
		if (f->data->stream != MAYFLY__STREAM__STDIN || s->state == SESSION_WORDS)
			return -EPROTO;
		ret = stream_in_add(&s->in, f->data->data.data, f->data->data.len);
		return ret < 0 ? ret : stream_in_push(&s->in, s->loop, &s->conn);
	case MAYFLY__FRAME__BODY_EOF:
		if (f->eof->stream != MAYFLY__STREAM__STDIN)
			return -EPROTO;
		s->in.eof = true;
		return stream_in_push(&s->in, s->loop, &s->conn);
	case MAYFLY__FRAME__BODY_CREDIT: return take_credit(s, f->credit);
	case MAYFLY__FRAME__BODY_STREAM_CLOSED: return take_closed(s, f->stream_closed->stream);
	case MAYFLY__FRAME__BODY_SIGNAL: return take_signal(s, f->signal->number);
	default: return -EPROTO;
	}
}

static void on_sock(struct evsource *src, uint32_t events)
{
	struct session *s = src->arg;
	int ret = 0;
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		ret = frame_fill(&s->conn);
	while (ret >= 0 && s->state != SESSION_OVER && s->state != SESSION_PUTTING) {
		Mayfly__Frame *f = NULL;
		ret = frame_next(&s->conn, &f);
		if (ret <= 0)
			break;
		ret = handle(s, f);
		mayfly__frame__free_unpacked(f, NULL);
	}
	if (ret < 0)
		session_over(s);
	update(s);
}

/* Sends what waits, resumes what waited for room, and moves to the next state if it is time. */
static void update(struct session *s)
{
	if (s->state == SESSION_OVER || s->state == SESSION_PUTTING)
		return;
	int left = frame_flush(&s->conn);
	if (left < 0) {
		session_over(s);
		return;
	}
	for (int i = 0; i < 2; i++)
		stream_out_watch(&s->out[i], s->loop, &s->conn);
	if (s->state == SESSION_DRAINING && s->out[0].src.fd < 0 && s->out[1].src.fd < 0) {
		send_exit(s);
		if (s->state == SESSION_OVER)
			return;
		left = frame_flush(&s->conn);
	}
	evloop_mod(s->loop, &s->sock, EPOLLIN | (left > 0 ? EPOLLOUT : 0));
}

struct session *session_new(struct evloop *loop, int sock)
{
	struct session *s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->loop = loop;
	s->cgroup_fd = s->status.fd = s->in.src.fd = -1;
	s->exit = (Mayfly__Exit)MAYFLY__EXIT__INIT;
	for (int i = 0; i < 2; i++)
		s->out[i] = (struct stream_out){
			.src.fd = -1,
			.id = i ? MAYFLY__STREAM__STDERR : MAYFLY__STREAM__STDOUT,
			.credit = PROTO_WINDOW,
		};
	s->conn.fd = sock;
	s->sock = (struct evsource){.fd = sock, .fn = on_sock, .arg = s};
	if (frame_send_hello(&s->conn, "mayfly-init") < 0 ||
	    evloop_add(loop, &s->sock, EPOLLIN) < 0) {
		frame_conn_free(&s->conn);
		free(s);
		return NULL;
	}
	update(s);
	return s;
}

void session_reaped(struct session *s, int status, const struct rusage *ru)
{
	s->pid = 0;
	if (s->fetching) {
		/* After a whole copy it is the host that closes. */
		if (s->state != SESSION_OVER && (status != 0 || s->state == SESSION_PUTTING))
			session_over(s);
		return;
	}
	if (s->state == SESSION_STARTING && s->status.fd >= 0)
		on_status(&s->status, EPOLLIN);
	/* Another child in the middle of its start may hold the pipe; this one is known to be over.
	 */
	if (s->state == SESSION_STARTING) {
		stream_close(&s->status, s->loop);
		s->state = SESSION_RUNNING;
	}
	if (s->state != SESSION_RUNNING)
		return;
	bool killed = WIFSIGNALED(status);
	s->exit.kind = killed ? MAYFLY__EXIT__KIND__SIGNAL : MAYFLY__EXIT__KIND__CODE;
	s->exit.code = killed ? WTERMSIG(status) : WEXITSTATUS(status);
	s->exit.oom = spawn_oom_count(s->cgroup_fd) > 0;
	s->exit.user_usec =
		(uint64_t)ru->ru_utime.tv_sec * 1000000 + (uint64_t)ru->ru_utime.tv_usec;
	s->exit.system_usec =
		(uint64_t)ru->ru_stime.tv_sec * 1000000 + (uint64_t)ru->ru_stime.tv_usec;
	s->exit.max_rss_kib = (uint64_t)ru->ru_maxrss;
	/* What it left behind would hold the pipes open. */
	spawn_cgroup_kill(s->cgroup_fd);
	s->state = SESSION_DRAINING;
	s->drain_deadline_ns = io_now_ns() + DRAIN_NS;
	update(s);
}

void session_tick(struct session *s)
{
	/* Output that the host doesn't take keeps its pipe; only a pipe held open is cut. */
	bool stuck = s->out[0].src.events == 0 && s->out[1].src.events == 0;
	if (s->state == SESSION_DRAINING && !stuck && io_now_ns() >= s->drain_deadline_ns) {
		send_exit(s);
		update(s);
	}
}

void session_free(struct session *s)
{
	/* An early end of the connection: the command must not go on unseen. */
	if (s->fetching && s->pid > 0)
		kill(s->pid, SIGKILL);
	else if (s->pid > 0 || s->state == SESSION_DRAINING)
		spawn_cgroup_kill(s->cgroup_fd);
	if (s->status.fd >= 0)
		stream_close(&s->status, s->loop);
	stream_close(&s->in.src, s->loop);
	for (int i = 0; i < 2; i++)
		stream_close(&s->out[i].src, s->loop);
	if (s->sock.fd >= 0)
		session_over(s);
	close_fd(&s->cgroup_fd);
	frame_conn_free(&s->conn);
	words_free(&s->argv);
	words_free(&s->env);
	free(s->req.argv);
	free(s->req.env);
	free((char *)(uintptr_t)s->req.cwd);
	free(s->in.buf);
	free(s);
}
