// SPDX-License-Identifier: Apache-2.0
// session.c - the life of one command: from its words to its exit status
//
// Theory of operation: a session has at most one connection. Without keep both end together. With
// keep a session that loses its connection goes on; what its outputs said and nobody credited waits
// in two rings (held.c), and whoever attaches gets that first. A session is over when its Exit was
// sent, all output credited and the connection closed, or when nobody has come for it in time.
#include "session.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "changes.h"
#include "pty.h"
#include "session_conn.h"
#include "session_start.h"
#include "spawn_cgroup.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

/* What still has an output open when its command is over is waited for so long, */
#define DRAIN_NS 2000000000ull
/* and with keep so long after it last said something. */
#define QUIET_NS 300000000ull
/* A process that doesn't die of SIGKILL hangs in the kernel. */
#define KILLED_NS 2000000000ull
/* A session that has ended waits so long for somebody to attach. */
#define LINGER_NS 10000000000ull

static struct frame_conn *frames(struct session *s)
{
	return s->conn ? &s->conn->conn : NULL;
}

static void tell(struct session *s, Mayfly__SessionEvent__Kind kind)
{
	if (s->keep && s->event)
		s->event(s->event_arg, s, kind);
}

static void tell_ended(struct session *s)
{
	if (s->told_ended)
		return;
	s->told_ended = true;
	tell(s, MAYFLY__SESSION_EVENT__KIND__ENDED);
}

static void session_over(struct session *s)
{
	struct session_conn *c = s->conn;
	if (s->state > SESSION_WORDS && s->state < SESSION_OVER)
		tell_ended(s);
	s->state = SESSION_OVER;
	s->conn = NULL;
	if (c) {
		c->session = NULL;
		session_conn_end(c);
	}
}

/* A connection that takes no frame any more: with keep only it is over. */
static void conn_failed(struct session *s)
{
	if (s->conn)
		session_conn_end(s->conn);
}

static void send_exit(struct session *s)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	f.body_case = MAYFLY__FRAME__BODY_EXIT;
	f.exit = &s->exit;
	s->exit_sent = true;
	if (frame_send(frames(s), &f) < 0)
		conn_failed(s);
	else
		tell_ended(s);
}

/* Nothing more comes of the command. */
static void finish(struct session *s)
{
	s->state = SESSION_EXITED;
	s->exit.monotonic_ns = io_now_ns();
	s->exit.text = s->exit_text;
	s->exit.oom_process = s->oom_name;
	stream_in_close(&s->in, s->loop);
	for (int i = 0; i < 2; i++) {
		stream_close(&s->out[i].src, s->loop);
		s->exit.cut |= s->out[i].was_cut;
	}
	close_fd(&s->slave);
	close_fd(&s->cgroup_fd);
	if (!s->conn && !s->linger_ns)
		s->linger_ns = io_now_ns() + LINGER_NS;
}

static void not_started(struct session *s, int code, const struct err *e)
{
	s->exit.kind = MAYFLY__EXIT__KIND__NOT_STARTED;
	s->exit.code = -code;
	snprintf(s->exit_text, sizeof(s->exit_text), "%s", e->text);
	s->pid = 0;
	for (int i = 0; i < 2; i++)
		stream_out_stop(&s->out[i], s->loop);
	finish(s);
}

static void on_status(struct evsource *src, uint32_t events);

static void on_pipe(struct evsource *src, uint32_t events)
{
	struct session *s = src->arg;
	int ret;
	/* A program that says something runs: its start is told first. */
	if (s->state == SESSION_STARTING)
		on_status(&s->status, EPOLLIN);
	if (s->state == SESSION_OVER || src->fd < 0)
		return;
	if (src != &s->in.src) {
		ret = stream_out_pull(src == &s->out[0].src ? &s->out[0] : &s->out[1], s->loop,
				      frames(s));
	} else if ((events & EPOLLERR) && s->in.len == 0) {
		/* Error without room to write: nobody reads it any more. */
		stream_in_close(&s->in, s->loop);
		ret = s->conn ? frame_send_closed(frames(s), MAYFLY__STREAM__STDIN) : 0;
	} else {
		ret = stream_in_push(&s->in, s->loop, frames(s));
	}
	if (ret < 0)
		conn_failed(s);
	session_update(s);
}

static void started(struct session *s)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__ExecStarted st = MAYFLY__EXEC_STARTED__INIT;
	f.body_case = MAYFLY__FRAME__BODY_EXEC_STARTED;
	f.exec_started = &st;
	st.pid = (uint32_t)s->started_pid;
	st.monotonic_ns = io_now_ns();
	s->state = SESSION_RUNNING;
	tell(s, MAYFLY__SESSION_EVENT__KIND__STARTED);
	/* Who has attached before knows that it is started. */
	if (!s->told_started && s->conn && frame_send(frames(s), &f) < 0)
		conn_failed(s);
	s->told_started = true;
}

static void on_status(struct evsource *src, uint32_t events)
{
	struct session *s = src->arg;
	struct err e = {0};
	(void)events;
	if (s->state != SESSION_STARTING)
		return;
	int ret = spawn_result(src->fd, &s->req, &e);
	if (ret == -EAGAIN)
		return;
	stream_close(src, s->loop);
	if (ret < 0)
		not_started(s, ret, &e);
	else
		started(s);
	session_forget_words(s);
	session_update(s);
}

static int exec_run(struct session *s)
{
	struct err e = {0};
	if (s->state != SESSION_WORDS)
		return -EPROTO;
	s->req.argv = words_vector(&s->argv);
	s->req.env = words_vector(&s->env);
	if (!s->req.argv || !s->req.env || s->argv.count == 0)
		return -EPROTO;
	int ret = session_fork(s, on_pipe, &e);
	if (ret < 0) {
		not_started(s, ret, &e);
		session_forget_words(s);
		return 0;
	}
	s->state = SESSION_STARTING;
	s->status.fn = on_status;
	s->status.arg = s;
	return evloop_add(s->loop, &s->status, EPOLLIN);
}

static int take_signal(struct session *s, uint32_t number)
{
	if (number == 0 || number > MIN((uint32_t)SIGRTMAX, 64u))
		return -EPROTO;
	if (s->state == SESSION_WORDS)
		s->early_signals |= 1ull << (number - 1);
	else if (s->pid > 0 && s->tty)
		pty_signal(s->out[0].src.fd, s->pid, (int)number);
	/* To the whole group, as a terminal would: a shell and what it runs. */
	else if (s->pid > 0 && kill(-s->pid, (int)number) < 0)
		/* Just forked: it has no group of its own yet. */
		kill(s->pid, (int)number);
	return 0;
}

int session_signal(struct session *s, uint32_t number)
{
	bool runs = s->state == SESSION_WORDS || s->pid > 0;
	int ret = take_signal(s, number);
	return ret == 0 && !runs ? -ESRCH : ret;
}

static int take_data(struct session *s, const Mayfly__Data *d)
{
	if (d->stream != MAYFLY__STREAM__STDIN || s->state == SESSION_WORDS)
		return -EPROTO;
	if (d->data.len > 0) {
		uint8_t last = d->data.data[d->data.len - 1];
		s->line_begun = last != '\n' && last != '\r';
	}
	int ret = stream_in_add(&s->in, d->data.data, d->data.len);
	return ret < 0 ? ret : stream_in_push(&s->in, s->loop, frames(s));
}

static int take_eof(struct session *s, Mayfly__Stream id)
{
	int ret = 0;
	if (id != MAYFLY__STREAM__STDIN || s->state == SESSION_WORDS)
		return -EPROTO;
	if (s->in.eof)
		return 0;
	if (s->tty && s->in.src.fd >= 0) {
		uint8_t typed[PTY_EOF_MAX];
		ret = stream_in_type(&s->in, typed, pty_eof(s->in.src.fd, s->line_begun, typed));
	}
	s->in.eof = true;
	return ret < 0 ? ret : stream_in_push(&s->in, s->loop, frames(s));
}

static struct stream_out *output(struct session *s, Mayfly__Stream id)
{
	if (id == MAYFLY__STREAM__STDOUT)
		return &s->out[0];
	return id == MAYFLY__STREAM__STDERR ? &s->out[1] : NULL;
}

static int take_credit(struct session *s, const Mayfly__Credit *c)
{
	struct stream_out *o = output(s, c->stream);
	int ret = o ? stream_out_credit(o, c->bytes) : -EPROTO;
	return ret < 0 ? ret : stream_out_pull(o, s->loop, frames(s));
}

static int take_closed(struct session *s, Mayfly__Stream id)
{
	struct stream_out *o = output(s, id);
	if (!o)
		return -EPROTO;
	stream_out_stop(o, s->loop);
	/* Nobody sees this terminal any more: the kernel hangs up on what runs on it. */
	if (s->tty && o == &s->out[0]) {
		stream_in_close(&s->in, s->loop);
		close_fd(&s->slave);
	}
	return 0;
}

static int take_size(struct session *s, const Mayfly__WindowSize *size)
{
	if (!s->tty || !pty_size_ok(size))
		return -EPROTO;
	s->size.rows = size->rows;
	s->size.columns = size->columns;
	pty_resize(s->out[0].src.fd, size);
	return 0;
}

int session_frame(struct session *s, const Mayfly__Frame *f)
{
	switch (f->body_case) {
	case MAYFLY__FRAME__BODY_EXEC_WORDS:
		if (s->state != SESSION_WORDS)
			return -EPROTO;
		return words_add(f->exec_words->env ? &s->env : &s->argv, f->exec_words->data.data,
				 f->exec_words->data.len);
	case MAYFLY__FRAME__BODY_EXEC_RUN: return exec_run(s);
	case MAYFLY__FRAME__BODY_DATA: return take_data(s, f->data);
	case MAYFLY__FRAME__BODY_EOF: return take_eof(s, f->eof->stream);
	case MAYFLY__FRAME__BODY_CREDIT: return take_credit(s, f->credit);
	case MAYFLY__FRAME__BODY_STREAM_CLOSED: return take_closed(s, f->stream_closed->stream);
	case MAYFLY__FRAME__BODY_SIGNAL: return take_signal(s, f->signal->number);
	case MAYFLY__FRAME__BODY_WINDOW_SIZE: return take_size(s, f->window_size);
	default: return -EPROTO;
	}
}

static bool unsent(const struct session *s)
{
	return s->out[0].held.sent < s->out[0].held.len || s->out[1].held.sent < s->out[1].held.len;
}

/* Returns what session_conn_flush() does. */
static int send_what_waits(struct session *s)
{
	int left = 0;
	/* More than once only if what waits is longer than the queue. */
	for (int i = 0; i < 8 && s->conn && s->state != SESSION_OVER; i++) {
		if (session_conn_flush(s->conn) < 0)
			return -1;
		for (int j = 0; j < 2; j++)
			if (stream_out_resume(&s->out[j], s->loop, frames(s)) < 0) {
				conn_failed(s);
				return -1;
			}
		if (s->state == SESSION_EXITED && !s->exit_sent && stream_out_done(&s->out[0]) &&
		    stream_out_done(&s->out[1]))
			send_exit(s);
		if (!s->conn)
			return -1;
		left = session_conn_flush(s->conn);
		if (left != 0 || !unsent(s))
			break;
	}
	return left;
}

void session_update(struct session *s)
{
	if (s->state == SESSION_DRAINING && s->out[0].src.fd < 0 && s->out[1].src.fd < 0)
		finish(s);
	if (s->state == SESSION_OVER || !s->conn)
		return;
	if (send_what_waits(s) == 0 && s->exit_sent)
		s->exit_flushed = true;
}

struct session *session_new(struct evloop *loop, struct session_conn *conn,
			    const Mayfly__ExecStart *m, int *ret)
{
	struct session *s = calloc(1, sizeof(*s));
	*ret = -ENOMEM;
	if (!s)
		return NULL;
	s->loop = loop;
	s->conn = conn;
	s->cgroup_fd = s->status.fd = s->in.src.fd = s->slave = -1;
	s->exit = (Mayfly__Exit)MAYFLY__EXIT__INIT;
	s->size = (Mayfly__WindowSize)MAYFLY__WINDOW_SIZE__INIT;
	*ret = session_take_request(s, m);
	s->in.window = s->keep ? PROTO_KEEP_WINDOW : PROTO_WINDOW;
	for (int i = 0; i < 2; i++)
		s->out[i] = (struct stream_out){
			.src.fd = -1,
			.id = i ? MAYFLY__STREAM__STDERR : MAYFLY__STREAM__STDOUT,
			.keep = s->keep,
			.credit = PROTO_WINDOW,
		};
	if (*ret == 0)
		return s;
	session_free(s);
	return NULL;
}

int session_attach(struct session *s, struct session_conn *conn, const Mayfly__ExecAttach *ask)
{
	const Mayfly__WindowSize *size = ask->size;
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__ExecAttached m = MAYFLY__EXEC_ATTACHED__INIT;
	if (!s->keep || s->state == SESSION_WORDS || s->state == SESSION_OVER)
		return -ESRCH;
	if (!pty_size_ok(size))
		return -EPROTO;
	if (s->conn)
		session_conn_hear(s->conn);
	if (s->state == SESSION_OVER)
		return -ESRCH;
	if (s->conn && ask->only_lost)
		return -EBUSY;
	struct session_conn *former = s->conn;
	m.pid = (uint32_t)s->started_pid;
	m.in_closed = s->in.src.fd < 0 || s->in.eof;
	m.in_credit = m.in_closed ? 0 : stream_in_rewind(&s->in);
	m.tty = s->tty;
	f.body_case = MAYFLY__FRAME__BODY_EXEC_ATTACHED;
	f.exec_attached = &m;
	int ret = frame_send(&conn->conn, &f);
	if (ret < 0)
		return ret;
	s->conn = conn;
	if (former)
		session_conn_taken(former);
	s->linger_ns = 0;
	s->told_started = true;
	s->exit_sent = s->exit_flushed = false;
	stream_out_rewind(&s->out[0]);
	if (!s->tty)
		stream_out_rewind(&s->out[1]);
	return s->tty && size ? take_size(s, size) : 0;
}

void session_detached(struct session *s)
{
	bool taken = s->exit_flushed && s->out[0].held.len == 0 && s->out[1].held.len == 0;
	s->conn = NULL;
	if (s->state == SESSION_OVER)
		return;
	if (!s->keep || s->state == SESSION_WORDS || taken ||
	    s->exit.kind == MAYFLY__EXIT__KIND__NOT_STARTED) {
		session_over(s);
		return;
	}
	if (s->state >= SESSION_DRAINING)
		s->linger_ns = io_now_ns() + LINGER_NS;
	tell(s, MAYFLY__SESSION_EVENT__KIND__LOST);
	/* What has to be read goes on. */
	for (int i = 0; i < 2; i++)
		stream_out_watch(&s->out[i], s->loop, NULL);
}

static void command_over(struct session *s)
{
	uint64_t now = io_now_ns();
	s->pid = 0;
	s->state = SESSION_DRAINING;
	s->ended_ns = now;
	if (!s->conn)
		s->linger_ns = now + LINGER_NS;
	close_fd(&s->slave);
	session_update(s);
}

void session_reaped(struct session *s, int status, const struct rusage *ru)
{
	pid_t pid = s->pid;
	s->pid = 0;
	if (s->state == SESSION_STARTING && s->status.fd >= 0)
		on_status(&s->status, EPOLLIN);
	/* Another child in the middle of its start may hold the pipe; this one is known to be over.
	 */
	if (s->state == SESSION_STARTING) {
		stream_close(&s->status, s->loop);
		session_forget_words(s);
		started(s);
	}
	if (s->state != SESSION_RUNNING)
		return;
	bool killed = WIFSIGNALED(status);
	s->exit.kind = s->timed_out ? MAYFLY__EXIT__KIND__TIMEOUT
		       : killed	    ? MAYFLY__EXIT__KIND__SIGNAL
				    : MAYFLY__EXIT__KIND__CODE;
	s->exit.code = killed ? WTERMSIG(status) : WEXITSTATUS(status);
	s->exit.oom = spawn_cgroup_oom_count(s->cgroup_fd) > 0;
	if (s->exit.oom)
		oom_name_find(s->id, s->oom_name);
	s->exit.pids = spawn_cgroup_pids_count(s->cgroup_fd) > 0 ||
		       spawn_cgroup_pids_count(-1) > s->pids_before;
	/* A command that succeeded had the room it needed. */
	s->exit.full = (killed || s->exit.code != 0) && changes_full();
	s->exit.user_usec =
		(uint64_t)ru->ru_utime.tv_sec * 1000000 + (uint64_t)ru->ru_utime.tv_usec;
	s->exit.system_usec =
		(uint64_t)ru->ru_stime.tv_sec * 1000000 + (uint64_t)ru->ru_stime.tv_usec;
	s->exit.max_rss_kib = (uint64_t)ru->ru_maxrss;
	/* What it left behind would hold the pipes open. */
	if (!s->keep)
		spawn_cgroup_kill(s->cgroup_fd, pid, true);
	command_over(s);
}

/* Of a session with keep: an output that something left behind holds open. */
static uint64_t cut_due(const struct session *s, const struct stream_out *o)
{
	if (o->src.fd < 0 || o->cutting)
		return UINT64_MAX;
	uint64_t late = s->ended_ns + DRAIN_NS;
	/* Full: it would say more if it could. */
	if (held_room(&o->held) == 0)
		return late;
	return MIN(late, MAX(s->ended_ns, o->heard_ns) + QUIET_NS);
}

static void tick_drain(struct session *s, uint64_t now)
{
	/* Output that the host doesn't take keeps its pipe; only a pipe held open is cut. */
	bool stuck = s->out[0].src.events == 0 && s->out[1].src.events == 0;
	if (!s->keep) {
		if (!stuck && now >= s->ended_ns + DRAIN_NS)
			finish(s);
	} else {
		for (int i = 0; i < 2; i++) {
			if (now < cut_due(s, &s->out[i]))
				continue;
			stream_out_cut(&s->out[i], s->loop);
			if (stream_out_pull(&s->out[i], s->loop, frames(s)) < 0)
				conn_failed(s);
		}
	}
	session_update(s);
}

static void tick_timeout(struct session *s, uint64_t now)
{
	spawn_cgroup_kill(s->cgroup_fd, s->pid, !s->keep);
	s->timeout_ns = now + KILLED_NS;
	if (s->timed_out) {
		s->exit.kind = MAYFLY__EXIT__KIND__TIMEOUT;
		command_over(s);
	}
	s->timed_out = true;
}

void session_tick(struct session *s, uint64_t now)
{
	if (s->linger_ns && now >= s->linger_ns && s->state != SESSION_OVER) {
		session_over(s);
		return;
	}
	if (s->timeout_ns && now >= s->timeout_ns && s->pid > 0)
		tick_timeout(s, now);
	if (s->state == SESSION_DRAINING)
		tick_drain(s, now);
}

uint64_t session_due_ns(const struct session *s)
{
	uint64_t due = s->linger_ns ? s->linger_ns : UINT64_MAX;
	if (s->timeout_ns && s->pid > 0)
		due = MIN(due, s->timeout_ns);
	if (s->state != SESSION_DRAINING)
		return due;
	/* Where the host doesn't take it there is nothing to do at that time. */
	if (!s->keep && (s->out[0].src.events || s->out[1].src.events))
		return MIN(due, s->ended_ns + DRAIN_NS);
	for (int i = 0; s->keep && i < 2; i++)
		due = MIN(due, cut_due(s, &s->out[i]));
	return due;
}

void session_free(struct session *s)
{
	/* An early end of the connection: the command must not go on unseen. */
	if (!s->keep && (s->pid > 0 || (s->ended_ns && s->cgroup_fd >= 0)))
		spawn_cgroup_kill(s->cgroup_fd, s->pid, true);
	stream_close(&s->status, s->loop);
	stream_in_close(&s->in, s->loop);
	for (int i = 0; i < 2; i++)
		stream_out_stop(&s->out[i], s->loop);
	close_fd(&s->slave);
	close_fd(&s->cgroup_fd);
	session_forget_words(s);
	free((char *)(uintptr_t)s->req.cwd);
	free(s);
}
