// SPDX-License-Identifier: Apache-2.0
// session_conn.c - one connection of the host: what it is for, and its end
#include "session_conn.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "fetch.h"
#include "put.h"
#include "sessions.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* A connection that was asked for and says nothing. */
#define NEW_NS 60000000000ull
/* Last words are taken within this, or not at all. */
#define CLOSING_NS 5000000000ull
/* Reads of what a connection had still said when another takes its session: two windows are more.
 */
#define HEAR_MAX 64

void session_conn_end(struct session_conn *c)
{
	struct session *s = c->session;
	if (c->state == SESSION_CONN_OVER)
		return;
	c->state = SESSION_CONN_OVER;
	c->session = NULL;
	evloop_del(c->set->loop, &c->sock);
	close_fd(&c->sock.fd);
	c->conn.fd = -1;
	if (c->copy_pid > 0)
		kill(c->copy_pid, SIGKILL);
	if (s)
		session_detached(s);
}

int session_conn_flush(struct session_conn *c)
{
	if (c->state == SESSION_CONN_OVER)
		return -1;
	if (c->state == SESSION_CONN_PUT)
		return 0;
	int left = frame_flush(&c->conn);
	if (left < 0) {
		session_conn_end(c);
		return -1;
	}
	if (c->state == SESSION_CONN_CLOSING && left == 0 && !c->shut) {
		/* The host closes when it has read it: closed by us, it could be lost. */
		shutdown(c->sock.fd, SHUT_WR);
		c->shut = true;
	}
	evloop_mod(c->set->loop, &c->sock, EPOLLIN | (left > 0 ? EPOLLOUT : 0));
	return left;
}

static void close_after(struct session_conn *c, const Mayfly__Frame *last)
{
	c->session = NULL;
	c->state = SESSION_CONN_CLOSING;
	c->deadline_ns = io_now_ns() + CLOSING_NS;
	if (frame_send(&c->conn, last) < 0)
		session_conn_end(c);
	else
		session_conn_flush(c);
}

void session_conn_taken(struct session_conn *c)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__ExecTaken m = MAYFLY__EXEC_TAKEN__INIT;
	f.body_case = MAYFLY__FRAME__BODY_EXEC_TAKEN;
	f.exec_taken = &m;
	close_after(c, &f);
}

static int refuse(struct session_conn *c, int code, const char *text)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__Failed m = MAYFLY__FAILED__INIT;
	m.code = code;
	m.text = (char *)(uintptr_t)text;
	f.body_case = MAYFLY__FRAME__BODY_FAILED;
	f.failed = &m;
	close_after(c, &f);
	return 0;
}

static int take_start(struct session_conn *c, const Mayfly__ExecStart *m)
{
	int ret = 0;
	c->session = sessions_start(c->set, c, m, &ret);
	if (ret == -EUSERS)
		return refuse(c, EUSERS, "too many commands run in the machine at this time");
	if (!c->session)
		return ret;
	c->state = SESSION_CONN_EXEC;
	return 0;
}

static int take_attach(struct session_conn *c, const Mayfly__ExecAttach *m)
{
	struct session *s = sessions_find(c->set, m->session);
	int ret = s ? session_attach(s, c, m) : -ESRCH;
	if (ret == -ESRCH)
		return refuse(c, ESRCH, "there is no such command in the machine any more");
	if (ret == -EBUSY) {
		session_conn_taken(c);
		return 0;
	}
	if (ret < 0)
		return ret;
	c->session = s;
	c->state = SESSION_CONN_EXEC;
	return 0;
}

static int take_signal(struct session_conn *c, const Mayfly__ExecSignal *m)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__ExecSignalled done = MAYFLY__EXEC_SIGNALLED__INIT;
	struct session *s = sessions_find(c->set, m->session);
	int ret = s ? session_signal(s, m->number) : -ESRCH;
	if (ret == -ESRCH)
		return refuse(c, ESRCH, "there is no such command in the machine any more");
	if (ret < 0)
		return ret;
	f.body_case = MAYFLY__FRAME__BODY_EXEC_SIGNALLED;
	f.exec_signalled = &done;
	close_after(c, &f);
	return 0;
}

static int take_fetch(struct session_conn *c, const Mayfly__Fetch *m)
{
	if (fetch_check(m) < 0)
		return -EPROTO;
	pid_t pid = fetch_spawn(&c->conn, m);
	if (pid < 0)
		return pid;
	c->copy_pid = pid;
	c->state = SESSION_CONN_COPY;
	return 0;
}

/* From here on the socket is that process's; its end is the connection's. */
static int take_put(struct session_conn *c, const Mayfly__Put *m)
{
	if (put_check(m) < 0)
		return -EPROTO;
	pid_t pid = put_spawn(&c->conn, m);
	if (pid < 0)
		return pid;
	evloop_del(c->set->loop, &c->sock);
	c->copy_pid = pid;
	c->state = SESSION_CONN_PUT;
	return 0;
}

static int handle_new(struct session_conn *c, const Mayfly__Frame *f)
{
	switch (f->body_case) {
	case MAYFLY__FRAME__BODY_HELLO: return 0;
	case MAYFLY__FRAME__BODY_FETCH: return take_fetch(c, f->fetch);
	case MAYFLY__FRAME__BODY_PUT: return take_put(c, f->put);
	case MAYFLY__FRAME__BODY_EXEC_START: return take_start(c, f->exec_start);
	case MAYFLY__FRAME__BODY_EXEC_ATTACH: return take_attach(c, f->exec_attach);
	case MAYFLY__FRAME__BODY_EXEC_SIGNAL: return take_signal(c, f->exec_signal);
	default: return -EPROTO;
	}
}

static int handle(struct session_conn *c, const Mayfly__Frame *f)
{
	switch (c->state) {
	case SESSION_CONN_NEW: return handle_new(c, f);
	case SESSION_CONN_EXEC: return session_frame(c->session, f);
	case SESSION_CONN_COPY: return -EPROTO; /* the host has nothing more to say then */
	case SESSION_CONN_CLOSING:
	case SESSION_CONN_PUT:
	case SESSION_CONN_OVER: break;
	}
	return 0;
}

/* What comes while our last words are on their way is of no interest. */
static int drop_input(struct session_conn *c)
{
	int ret = frame_fill(&c->conn);
	c->conn.in_len = c->conn.in_pos = 0;
	return ret;
}

static int read_frames(struct session_conn *c)
{
	int ret = frame_fill(&c->conn);
	int got = ret;
	while (ret >= 0 && c->state < SESSION_CONN_CLOSING) {
		Mayfly__Frame *f = NULL;
		ret = frame_next(&c->conn, &f);
		if (ret <= 0)
			break;
		ret = handle(c, f);
		mayfly__frame__free_unpacked(f, NULL);
	}
	return ret < 0 ? ret : got;
}

void session_conn_hear(struct session_conn *c)
{
	int ret = 1;
	for (int i = 0; i < HEAR_MAX && ret > 0 && c->state == SESSION_CONN_EXEC; i++)
		ret = read_frames(c);
	if (ret < 0)
		session_conn_end(c);
}

static void on_sock(struct evsource *src, uint32_t events)
{
	struct session_conn *c = src->arg;
	bool readable = events & (EPOLLIN | EPOLLHUP | EPOLLERR);
	int ret = 0;
	if (readable)
		ret = c->state == SESSION_CONN_CLOSING ? drop_input(c) : read_frames(c);
	if (ret < 0)
		session_conn_end(c);
	else if (c->session)
		session_update(c->session);
	else
		session_conn_flush(c);
}

struct session_conn *session_conn_new(struct sessions *set, int sock)
{
	struct session_conn *c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->set = set;
	c->conn.fd = sock;
	c->deadline_ns = io_now_ns() + NEW_NS;
	c->sock = (struct evsource){.fd = sock, .fn = on_sock, .arg = c};
	if (frame_send_hello(&c->conn, "mayfly-init") < 0 ||
	    evloop_add(set->loop, &c->sock, EPOLLIN) < 0) {
		frame_conn_free(&c->conn);
		free(c);
		return NULL;
	}
	session_conn_flush(c);
	return c;
}

void session_conn_reaped(struct session_conn *c, int status)
{
	c->copy_pid = 0;
	/* After a whole copy it is the host that closes. */
	if (status != 0 || c->state == SESSION_CONN_PUT)
		session_conn_end(c);
}

static bool has_deadline(const struct session_conn *c)
{
	return c->state == SESSION_CONN_NEW || c->state == SESSION_CONN_CLOSING;
}

void session_conn_tick(struct session_conn *c, uint64_t now)
{
	if (has_deadline(c) && now >= c->deadline_ns)
		session_conn_end(c);
}

uint64_t session_conn_due_ns(const struct session_conn *c)
{
	return has_deadline(c) ? c->deadline_ns : UINT64_MAX;
}

void session_conn_free(struct session_conn *c)
{
	frame_conn_free(&c->conn);
	free(c);
}
