// SPDX-License-Identifier: Apache-2.0
// put.c - writes a file or a tree that the host sends, in a process of its own
//
// It has the rights of the user it writes for and no more, so whatever lies in its way in the
// guest, a link to elsewhere for one, leads to nothing that this user could not write himself.
#include "put.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "copy/out.h"
#include "proc_alone.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <string.h>

/* How long a host that has its answer may take to close. */
#define CLOSE_NS 10000000000ull

int put_check(const Mayfly__Put *m)
{
	const ProtobufCBinaryData *p = &m->path;
	const ProtobufCBinaryData *n = &m->name;
	if (p->len == 0 || p->len >= PATH_MAX || p->data[0] != '/' || memchr(p->data, '\0', p->len))
		return -EPROTO;
	if (n->len > NAME_MAX ||
	    (n->len > 0 && (memchr(n->data, '\0', n->len) || memchr(n->data, '/', n->len))))
		return -EPROTO;
	return m->n_group > PROTO_GROUPS_MAX ? -EPROTO : 0;
}

static int wait_for(const struct frame_conn *c, short events, int ms)
{
	struct pollfd p = {.fd = c->fd, .events = events};
	int n = poll(&p, 1, ms);
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	return n == 0 ? -ETIMEDOUT : 0;
}

/* The next frame of the host; 0 with *f, or -errno. Its end comes with the connection's. */
static int next_frame(struct frame_conn *c, Mayfly__Frame **f)
{
	for (;;) {
		int ret = frame_next(c, f);
		if (ret != 0)
			return ret < 0 ? ret : 0;
		/* What was queued before the process was made, the agent's Hello. */
		int left = frame_flush(c);
		if (left < 0)
			return left;
		ret = wait_for(c, (short)(POLLIN | (left ? POLLOUT : 0)), -1);
		if (ret == 0)
			ret = frame_fill(c);
		if (ret < 0)
			return ret;
	}
}

/* Takes the whole walk. Returns 0, or -errno with text; -ECONNRESET: there is no peer any more. */
static int take_walk(struct out *o, struct frame_conn *c, struct err *e)
{
	for (;;) {
		Mayfly__Frame *f = NULL;
		int ret = next_frame(c, &f);
		if (ret == -EPROTO || ret == -EMSGSIZE)
			return err_errno(e, EPROTO, "the host sent a frame that is none");
		if (ret < 0)
			return -ECONNRESET;
		bool end = f->body_case == MAYFLY__FRAME__BODY_FETCH_END;
		/* What the host has left out it tells its user itself. */
		bool whole = end && f->fetch_end->code == 0 && f->fetch_end->lost == 0;
		if (end && whole && !o->complete)
			ret = err_set(e, EPROTO, "the host ended the copy before its end");
		else if (!end && f->body_case != MAYFLY__FRAME__BODY_FETCH_NOTE)
			ret = out_frame(o, f, e);
		mayfly__frame__free_unpacked(f, NULL);
		if (ret < 0 || end)
			return ret;
	}
}

static int open_target(struct out_target *t, const Mayfly__Put *m, char path[PATH_MAX],
		       struct err *e)
{
	char name[NAME_MAX + 1];
	memcpy(path, m->path.data, m->path.len);
	path[m->path.len] = '\0';
	if (m->name.len > 0)
		memcpy(name, m->name.data, m->name.len);
	name[m->name.len] = '\0';
	int ret = out_target_open(t, path, INT64_MAX, e);
	if (ret == 0)
		ret = out_target_source(t, name, "", e);
	if (ret == 0 && m->into)
		out_target_into(t);
	return ret;
}

/* Queues the answer and sees it off: what the host still sends is read and thrown away. */
static int answer(struct frame_conn *c, int code, const char *text)
{
	Mayfly__Frame frame = MAYFLY__FRAME__INIT;
	Mayfly__FetchEnd m = MAYFLY__FETCH_END__INIT;
	uint64_t deadline = io_now_ns() + CLOSE_NS;
	m.code = code;
	m.text = (char *)(uintptr_t)text;
	frame.body_case = MAYFLY__FRAME__BODY_FETCH_END;
	frame.fetch_end = &m;
	int ret = frame_send(c, &frame);
	while (ret == 0) {
		int left = frame_flush(c);
		uint64_t now = io_now_ns();
		if (left < 0 || now >= deadline)
			return left < 0 ? left : 0;
		ret = wait_for(c, (short)(POLLIN | (left ? POLLOUT : 0)),
			       (int)((deadline - now) / 1000000) + 1);
		if (ret == 0)
			ret = frame_fill(c);
		if (ret < 0)
			return left ? ret : 0;
		c->in_pos = c->in_len = 0;
		ret = 0;
	}
	return ret;
}

int put_serve(struct frame_conn *conn, const Mayfly__Put *m)
{
	static struct out o;
	struct out_target t;
	struct err e = {0};
	char path[PATH_MAX];
	int ret = open_target(&t, m, path, &e);
	out_init(&o, &t);
	o.peer = "the host";
	if (ret == 0)
		ret = take_walk(&o, conn, &e);
	out_close(&o);
	out_target_close(&t);
	return ret == -ECONNRESET ? ret : answer(conn, -ret, e.text);
}

static int become(const Mayfly__Put *m)
{
	gid_t groups[PROTO_GROUPS_MAX];
	for (size_t i = 0; i < m->n_group; i++)
		groups[i] = m->group[i];
	if (setgroups(m->n_group, groups) < 0 || setresgid(m->gid, m->gid, m->gid) < 0 ||
	    setresuid(m->uid, m->uid, m->uid) < 0)
		return -errno;
	return 0;
}

static int serve_alone(struct frame_conn *conn, const Mayfly__Put *m)
{
	proc_alone(conn->fd);
	int ret = become(m);
	if (ret < 0)
		return answer(conn, -ret, "can't become the user of the copy");
	return put_serve(conn, m);
}

pid_t put_spawn(struct frame_conn *conn, const Mayfly__Put *m)
{
	pid_t pid = fork();
	if (pid == 0)
		_exit(serve_alone(conn, m) == 0 ? 0 : 1);
	if (pid < 0)
		return -errno;
	conn->out_pos = conn->out_len = 0;
	conn->in_pos = conn->in_len = 0;
	return pid;
}
