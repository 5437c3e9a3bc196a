// SPDX-License-Identifier: Apache-2.0
// sessions.c - all commands and all connections of the host, bounded
#include "sessions.h"

#include "base/checked.h"
#include "base/io.h"
#include "spawn_cgroup.h"

#include <errno.h>

/* Looking for empty cgroups: soon after a process has ended, else now and then (guest root may have
 * moved processes). */
#define SWEEP_SOON_NS 500000000ull
#define SWEEP_NS 30000000000ull

int sessions_accept(struct sessions *set, int sock)
{
	if (set->n_conns >= SESSIONS_CONNS_MAX)
		return -EBUSY;
	struct session_conn *c = session_conn_new(set, sock);
	if (!c)
		return -ENOMEM;
	LIST_INSERT_HEAD(&set->conns, c, link);
	set->n_conns++;
	return 0;
}

struct session *sessions_find(const struct sessions *set, uint64_t id)
{
	struct session *s;
	LIST_FOREACH(s, &set->list, link)
		if (s->id == id && s->state != SESSION_OVER)
			return s;
	return NULL;
}

struct session *sessions_start(struct sessions *set, struct session_conn *c,
			       const Mayfly__ExecStart *m, int *ret)
{
	*ret = -EPROTO;
	if (m->session == 0 || sessions_find(set, m->session))
		return NULL;
	*ret = -EUSERS;
	if (set->n >= PROTO_SESSIONS_MAX)
		return NULL;
	struct session *s = session_new(set->loop, c, m, ret);
	if (!s)
		return NULL;
	s->event = set->event;
	s->event_arg = set->event_arg;
	LIST_INSERT_HEAD(&set->list, s, link);
	set->n++;
	return s;
}

void sessions_reaped(struct sessions *set, pid_t pid, int status, const struct rusage *ru)
{
	struct session *s;
	struct session_conn *c;
	set->reaped = true;
	LIST_FOREACH(s, &set->list, link)
		if (s->pid == pid) {
			session_reaped(s, status, ru);
			return;
		}
	LIST_FOREACH(c, &set->conns, link)
		if (c->copy_pid == pid) {
			session_conn_reaped(c, status);
			return;
		}
}

unsigned sessions_running(const struct sessions *set)
{
	const struct session *s;
	unsigned n = 0;
	LIST_FOREACH(s, &set->list, link)
		n += s->state >= SESSION_STARTING && s->state < SESSION_EXITED;
	return n;
}

static bool has_session(void *arg, uint64_t id)
{
	return sessions_find(arg, id) != NULL;
}

static uint64_t sweep_cgroups(struct sessions *set, uint64_t now)
{
	uint64_t due = UINT64_MAX;
	if (set->reaped)
		due = set->swept_ns + SWEEP_SOON_NS;
	else if (set->cgroups > 0)
		due = set->swept_ns + SWEEP_NS;
	if (now < due)
		return due;
	set->reaped = false;
	set->swept_ns = now;
	set->cgroups = spawn_cgroup_sweep(has_session, set);
	return set->cgroups > 0 ? now + SWEEP_NS : UINT64_MAX;
}

int sessions_sweep(struct sessions *set)
{
	uint64_t now = io_now_ns();
	uint64_t due = UINT64_MAX;
	for (struct session *s = LIST_FIRST(&set->list), *next; s; s = next) {
		next = LIST_NEXT(s, link);
		session_tick(s, now);
		if (s->state != SESSION_OVER) {
			due = MIN(due, session_due_ns(s));
			continue;
		}
		LIST_REMOVE(s, link);
		set->n--;
		session_free(s);
		set->reaped = true;
	}
	for (struct session_conn *c = LIST_FIRST(&set->conns), *next; c; c = next) {
		next = LIST_NEXT(c, link);
		session_conn_tick(c, now);
		if (c->state != SESSION_CONN_OVER) {
			due = MIN(due, session_conn_due_ns(c));
			continue;
		}
		LIST_REMOVE(c, link);
		set->n_conns--;
		session_conn_free(c);
	}
	uint64_t cgroups = sweep_cgroups(set, now);
	due = MIN(due, cgroups);
	if (due == UINT64_MAX)
		return -1;
	/* Rounded up: not a moment too early, to find that it is not time yet. */
	return due <= now ? 0 : (int)MIN((due - now) / 1000000 + 1, 3600000ull);
}

int sessions_signal(struct sessions *set, const Mayfly__Frame *f)
{
	struct session *s;
	int ret = 0;
	LIST_FOREACH(s, &set->list, link)
		if (ret == 0)
			ret = session_frame(s, f);
	return ret;
}

void sessions_close(struct sessions *set)
{
	struct session *s;
	struct session_conn *c;
	LIST_FOREACH(c, &set->conns, link)
		session_conn_end(c);
	LIST_FOREACH(s, &set->list, link)
		s->state = SESSION_OVER;
	sessions_sweep(set);
}
