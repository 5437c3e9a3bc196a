// SPDX-License-Identifier: Apache-2.0
// session_start.c - what ExecStart asks for, and its start with pipes or a terminal
#include "session_start.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "pty.h"
#include "spawn_cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NS_PER_MS 1000000ull
/* A year: nobody means more, and it fits. */
#define TIMEOUT_MAX_MS (366ull * 86400 * 1000)

static int take_limits(struct session *s, const Mayfly__ExecStart *m)
{
	if (m->umask > 01000 || m->n_rlimit > PROTO_RLIMITS_MAX || m->n_group > PROTO_GROUPS_MAX ||
	    m->timeout_ms > TIMEOUT_MAX_MS)
		return -EPROTO;
	s->req.umask = m->umask ? m->umask - 1 : 022;
	s->req.n_rlimits = m->n_rlimit;
	for (size_t i = 0; i < m->n_rlimit; i++)
		s->req.rlimit[i] = (struct spawn_rlimit){
			.resource = m->rlimit[i]->resource,
			.soft = m->rlimit[i]->soft,
			.hard = m->rlimit[i]->hard,
		};
	s->pids_max = m->pids_max;
	s->timeout_ms = m->timeout_ms;
	return 0;
}

int session_take_request(struct session *s, const Mayfly__ExecStart *m)
{
	int ret = take_limits(s, m);
	if (ret < 0 || (m->tty && !pty_size_ok(m->tty->size)))
		return -EPROTO;
	s->id = m->session;
	s->keep = m->keep;
	s->tty = s->req.tty = m->tty != NULL;
	if (m->tty && m->tty->size) {
		s->size.rows = m->tty->size->rows;
		s->size.columns = m->tty->size->columns;
	}
	s->req.uid = m->uid;
	s->req.gid = m->gid;
	s->req.n_groups = m->n_group;
	for (size_t i = 0; i < m->n_group; i++)
		s->groups[i] = m->group[i];
	s->req.groups = s->groups;
	s->req.cwd = strdup(m->cwd[0] ? m->cwd : "/");
	return s->req.cwd ? 0 : -ENOMEM;
}

static int watch(struct session *s, evsource_fn *on_pipe, struct err *e)
{
	struct evsource *src[3] = {&s->in.src, &s->out[0].src, &s->out[1].src};
	int ret = 0;
	for (int i = 0; i < 3 && ret == 0; i++) {
		*src[i] = (struct evsource){.fd = src[i]->fd, .fn = on_pipe, .arg = s};
		if (src[i]->fd >= 0)
			ret = evloop_add(s->loop, src[i], i == 0 ? 0 : EPOLLIN);
	}
	return ret < 0 ? err_errno(e, -ret, "can't watch the command's streams") : 0;
}

/* Three pipes: ours is the write end of the first and the read end of the others. */
static int make_pipes(struct session *s, int theirs[3], struct err *e)
{
	int *ours[3] = {&s->in.src.fd, &s->out[0].src.fd, &s->out[1].src.fd};
	for (int i = 0; i < 3; i++) {
		int p[2];
		if (pipe2(p, O_CLOEXEC) < 0)
			return err_errno(e, errno, "can't make pipes");
		*ours[i] = i == 0 ? p[1] : p[0];
		theirs[i] = i == 0 ? p[0] : p[1];
		int ret = io_set_nonblock(*ours[i], 1);
		if (ret < 0)
			return err_errno(e, -ret, "can't make pipes");
	}
	return 0;
}

static int make_terminal(struct session *s, int theirs[3], struct err *e)
{
	/* Ours stays open until the command has ended: it may close its own and open it again. */
	int ret = pty_open(s->req.uid, &s->size, &s->out[0].src.fd, &s->slave, e);
	if (ret < 0)
		return ret;
	s->in.src.fd = fcntl(s->out[0].src.fd, F_DUPFD_CLOEXEC, 3);
	for (int i = 0; i < 3; i++) {
		theirs[i] = fcntl(s->slave, F_DUPFD_CLOEXEC, 3);
		if (theirs[i] < 0 || s->in.src.fd < 0)
			return err_errno(e, errno, "can't make a terminal");
	}
	/* All output is one stream. */
	s->out[1].finished = true;
	return 0;
}

static int make_cgroup(struct session *s, struct err *e)
{
	int fd = spawn_cgroup_make(s->id, s->pids_max);
	s->cgroup_fd = fd >= 0 ? fd : -1;
	s->req.cgroup_fd = s->cgroup_fd;
	s->pids_before = spawn_cgroup_pids_count(-1);
	switch (fd) {
	case -ENOENT: return 0;
	case -EEXIST:
		return err_set(
			e, EBUSY,
			"processes that an earlier command of this number left are still there");
	case -EOPNOTSUPP:
		return err_set(e, EOPNOTSUPP,
			       "the guest's kernel can't limit the number of processes");
	default: return fd < 0 ? err_errno(e, -fd, "can't make a cgroup") : 0;
	}
}

int session_fork(struct session *s, evsource_fn *on_pipe, struct err *e)
{
	int theirs[3] = {-1, -1, -1};
	int ret = s->tty ? make_terminal(s, theirs, e) : make_pipes(s, theirs, e);
	if (ret == 0)
		ret = make_cgroup(s, e);
	if (ret == 0)
		ret = watch(s, on_pipe, e);
	if (ret == 0) {
		memcpy(s->req.stdio, theirs, sizeof(theirs));
		s->pid = spawn_start(&s->req, &s->status.fd, e);
		ret = s->pid < 0 ? (int)s->pid : 0;
	}
	for (int i = 0; i < 3; i++)
		close_fd(&theirs[i]);
	if (ret < 0) {
		s->pid = 0;
		return ret;
	}
	s->started_pid = s->pid;
	if (s->timeout_ms)
		s->timeout_ns = io_now_ns() + s->timeout_ms * NS_PER_MS;
	for (int n = 1; n <= 64; n++)
		if (s->early_signals & 1ull << (n - 1))
			kill(s->pid, n);
	return 0;
}

void session_forget_words(struct session *s)
{
	words_free(&s->argv);
	words_free(&s->env);
	free(s->req.argv);
	free(s->req.env);
	s->req.argv = s->req.env = NULL;
}
