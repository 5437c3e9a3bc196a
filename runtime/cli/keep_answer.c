// SPDX-License-Identifier: Apache-2.0
// keep_answer.c - what the keeper is asked on its socket, and what it says
#include "base/checked.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "base/log.h"
#include "cli/keep.h"

#include <errno.h>
#include <string.h>

/* Longer environments come as a file. */
#define ENV_INLINE_MAX (32u << 10)
#define USER_MAX 128
#define GRACE_MAX_MS (24ull * 3600 * 1000)
#define PAUSE_NS 5000000000ull
#define STATS_NS 2000000000ull

typedef void client_fn(struct keep *k, struct keep_client *c, const void *arg);

/* Calls fn for whoever waits for this. */
static void each_waiting(struct keep *k, Mayfly__ControlRequest__BodyCase what, client_fn *fn,
			 const void *arg)
{
	for (size_t i = 0; i < KEEP_CONTROL_CLIENTS; i++) {
		struct keep_client *c = &k->control.client[i];
		if (c->src.fd >= 0 && c->asked == what)
			fn(k, c, arg);
	}
}

/* ---- status, stop, pause, resume ---- */

static void answer_status(struct keep *k, struct keep_client *c)
{
	Mayfly__ControlReply m = MAYFLY__CONTROL_REPLY__INIT;
	Mayfly__MachineStatus s = MAYFLY__MACHINE_STATUS__INIT;
	const struct verdict *v = &k->run->verdict;
	s.state = k->state;
	s.id = k->run->machine.id;
	s.name = k->record.name;
	s.engine = (char *)(uintptr_t)(v->engine ? v->engine : "");
	s.jail = (char *)(uintptr_t)(v->jail ? v->jail : "");
	s.started_ns = k->started_ns;
	s.execs = k->execs.live;
	m.body_case = MAYFLY__CONTROL_REPLY__BODY_STATUS;
	m.status = &s;
	keep_client_reply(c, &m, NULL, 0);
}

static void answer_stop(struct keep *k, struct keep_client *c, const Mayfly__StopAsk *q)
{
	uint64_t grace_ms = MIN(q->grace_ms, GRACE_MAX_MS);
	bool kill = q->kill;
	keep_client_done(c);
	keep_stop(k, kill, grace_ms * 1000000);
}

static void answer_pause(struct keep *k, struct keep_client *c, bool on)
{
	if (k->pause_ns) {
		keep_client_refuse(c, EBUSY, "machine '%s' is just being paused or resumed",
				   k->record.name);
		return;
	}
	if (k->run->phase != RUN_KEPT) {
		keep_client_refuse(c, EBUSY, "machine '%s' is about to end", k->record.name);
		return;
	}
	int ret = run_machine_pause(k->run, on);
	if (ret < 0) {
		keep_client_refuse(c, -ret, "machine '%s' can't be %s: %s", k->record.name,
				   on ? "paused" : "resumed", strerror(-ret));
		return;
	}
	k->pausing = on;
	k->pause_ns = io_now_ns() + PAUSE_NS;
}

static void tell_paused(struct keep *k, struct keep_client *c, const void *arg)
{
	(void)arg;
	Mayfly__MachineState want = c->asked == MAYFLY__CONTROL_REQUEST__BODY_PAUSE
					    ? MAYFLY__MACHINE_STATE__PAUSED
					    : MAYFLY__MACHINE_STATE__READY;
	if (k->state == want)
		keep_client_done(c);
	else
		keep_client_refuse(c, ETIMEDOUT, "machine '%s' is %s still", k->record.name,
				   keep_control_state_name(k->state));
}

void keep_answer_paused(struct keep *k)
{
	each_waiting(k, MAYFLY__CONTROL_REQUEST__BODY_PAUSE, tell_paused, NULL);
	each_waiting(k, MAYFLY__CONTROL_REQUEST__BODY_RESUME, tell_paused, NULL);
}

/* ---- execs ---- */

static void tell_exec(struct keep *k, struct keep_client *c, const void *arg)
{
	const struct keep_exec *x = arg;
	static struct keep_exec_info info;
	Mayfly__ControlReply m = MAYFLY__CONTROL_REPLY__INIT;
	(void)k;
	if (c->session != x->number)
		return;
	keep_exec_info(x, KEEP_EXEC_ARGV_MAX, &info);
	m.body_case = MAYFLY__CONTROL_REPLY__BODY_EXEC;
	m.exec = &info.m;
	keep_client_reply(c, &m, NULL, 0);
}

void keep_answer_exec(struct keep *k, const struct keep_exec *x)
{
	each_waiting(k, MAYFLY__CONTROL_REQUEST__BODY_WAIT, tell_exec, x);
}

static void tell_forgotten(struct keep *k, struct keep_client *c, const void *arg)
{
	const struct keep_exec *x = arg;
	if (c->session == x->number)
		keep_client_refuse(c, ENOENT, "exec %llu of machine '%s' was never started",
				   (unsigned long long)x->number, k->record.name);
}

void keep_answer_forgotten(struct keep *k, const struct keep_exec *x)
{
	each_waiting(k, MAYFLY__CONTROL_REQUEST__BODY_WAIT, tell_forgotten, x);
}

static void tell_over(struct keep *k, struct keep_client *c)
{
	Mayfly__ControlReply m = MAYFLY__CONTROL_REPLY__INIT;
	m.body_case = MAYFLY__CONTROL_REPLY__BODY_VERDICT;
	m.verdict = k->verdict;
	keep_client_reply(c, &m, NULL, 0);
}

static void answer_wait(struct keep *k, struct keep_client *c, const Mayfly__WaitAsk *q)
{
	c->session = q->session;
	/* The machine's end is told when it has come. */
	if (q->session == 0) {
		if (k->verdict)
			tell_over(k, c);
		return;
	}
	const struct keep_exec *x = keep_execs_find(&k->execs, q->session);
	if (!x)
		keep_client_refuse(c, ENOENT, "machine '%s' has no exec %llu", k->record.name,
				   (unsigned long long)q->session);
	else if (x->state == MAYFLY__EXEC_INFO__STATE__ENDED)
		tell_exec(k, c, x);
}

/* The newest of those that have ended, or have not, as far as there is room. */
static void list_execs(const struct keep *k, bool ended, Mayfly__ExecList *l)
{
	static struct keep_exec_info info[KEEP_EXEC_LIST_MAX];
	const struct keep_exec *x;
	TAILQ_FOREACH_REVERSE(x, &k->execs.list, keep_exec_list, link)
	{
		if ((x->state == MAYFLY__EXEC_INFO__STATE__ENDED) != ended)
			continue;
		if (l->n_exec == KEEP_EXEC_LIST_MAX) {
			l->more++;
			continue;
		}
		keep_exec_info(x, KEEP_EXEC_LIST_ARGV_MAX, &info[l->n_exec]);
		l->exec[l->n_exec] = &info[l->n_exec].m;
		l->n_exec++;
	}
}

static void answer_execs(struct keep *k, struct keep_client *c)
{
	Mayfly__ExecInfo *list[KEEP_EXEC_LIST_MAX];
	Mayfly__ControlReply m = MAYFLY__CONTROL_REPLY__INIT;
	Mayfly__ExecList l = MAYFLY__EXEC_LIST__INIT;
	l.exec = list;
	/* What runs first: who looks for the only one that does must see whether there are more. */
	list_execs(k, false, &l);
	list_execs(k, true, &l);
	m.body_case = MAYFLY__CONTROL_REPLY__BODY_EXECS;
	m.execs = &l;
	keep_client_reply(c, &m, NULL, 0);
}

/* ---- a connection to the agent ---- */

/* Who is meant, and with what environment. env belongs to the caller. */
static int choose_user(struct keep *k, const char *name, struct guest_user *u, char ***env,
		       struct err *e)
{
	struct run *r = k->run;
	struct vm_config c = *r->cfg;
	*u = r->user;
	if (name[0]) {
		if (strlen(name) > USER_MAX)
			return err_set(e, EINVAL, "a user's name of %zu bytes", strlen(name));
		int ret = config_set_user(&c, name, e);
		if (ret < 0)
			return err_wrap(e, ret, "option --user");
		if (c.image)
			ret = run_image_user(&r->image, &c, u, e);
		else
			guest_user_find(u, &c, k->root_fd);
		if (ret < 0)
			return ret;
	}
	return guest_user_env(u, &c, env, e);
}

static char *pack_env(char *const *env, size_t *len)
{
	*len = 0;
	for (size_t i = 0; env && env[i]; i++)
		*len += strlen(env[i]) + 1;
	char *buf = malloc(*len + 1);
	char *p = buf;
	for (size_t i = 0; buf && env && env[i]; i++)
		p = stpcpy(p, env[i]) + 1;
	return buf;
}

static int grant(struct keep *k, struct keep_client *c, const Mayfly__AgentAsk *q, int agent,
		 struct err *e)
{
	static struct guest_user u;
	Mayfly__ControlReply m = MAYFLY__CONTROL_REPLY__INIT;
	Mayfly__ExecGrant g = MAYFLY__EXEC_GRANT__INIT;
	char **env = NULL;
	size_t len = 0;
	int fds[2] = {agent, -1};
	int ret = choose_user(k, q->user, &u, &env, e);
	if (ret < 0)
		return ret;
	AUTO_FREE char *packed = pack_env(env, &len);
	guest_user_env_free(env);
	if (!packed)
		return err_errno(e, ENOMEM, "environment");
	g.env_memfd = len > ENV_INLINE_MAX;
	AUTO_CLOSE int file = g.env_memfd ? io_sealed_memfd("environment", packed, len) : -1;
	if (g.env_memfd) {
		if (file < 0)
			return err_errno(e, -file, "environment");
		fds[1] = file;
	} else {
		g.env = (ProtobufCBinaryData){.data = (uint8_t *)packed, .len = len};
	}
	const struct keep_exec *x = keep_execs_new(&k->execs, q->argv, q->n_argv, q->tty, e);
	if (!x)
		return -EAGAIN;
	g.session = x->number;
	g.uid = u.uid;
	g.gid = u.gid;
	g.group = u.groups;
	g.n_group = u.n_groups;
	g.cwd = k->run->workdir;
	m.body_case = MAYFLY__CONTROL_REPLY__BODY_GRANT;
	m.grant = &g;
	keep_client_reply(c, &m, fds, g.env_memfd ? 2 : 1);
	return 0;
}

/* Of a copy: who it is for and what its paths are relative to; no command, no number. */
static int grant_copy(struct keep *k, struct keep_client *c, const char *user, int agent,
		      struct err *e)
{
	static struct guest_user u;
	Mayfly__ControlReply m = MAYFLY__CONTROL_REPLY__INIT;
	Mayfly__ExecGrant g = MAYFLY__EXEC_GRANT__INIT;
	char **env = NULL;
	int ret = choose_user(k, user, &u, &env, e);
	if (ret < 0)
		return ret;
	guest_user_env_free(env);
	g.uid = u.uid;
	g.gid = u.gid;
	g.group = u.groups;
	g.n_group = u.n_groups;
	g.cwd = k->run->workdir;
	m.body_case = MAYFLY__CONTROL_REPLY__BODY_GRANT;
	m.grant = &g;
	c->copies = true;
	keep_client_reply(c, &m, &agent, 1);
	return 0;
}

static void answer_agent(struct keep *k, struct keep_client *c, const Mayfly__AgentAsk *q)
{
	struct err e = {0};
	if (k->run->phase != RUN_KEPT) {
		keep_client_refuse(c, EBUSY, "machine '%s' is about to end", k->record.name);
		return;
	}
	k->idle_ns = 0;
	AUTO_CLOSE int agent = machine_connect(&k->run->machine, &e);
	int ret = agent;
	if (agent >= 0 && q->exec)
		ret = grant(k, c, q, agent, &e);
	else if (agent >= 0)
		ret = grant_copy(k, c, q->user, agent, &e);
	if (ret < 0)
		keep_client_refuse(c, -ret, "%s", e.text);
}

/* ---- numbers ---- */

static void tell_stats(struct keep *k, struct keep_client *c, const void *arg)
{
	const Mayfly__GuestStats *g = arg;
	Mayfly__ControlReply m = MAYFLY__CONTROL_REPLY__INIT;
	Mayfly__MachineStats s = MAYFLY__MACHINE_STATS__INIT;
	keep_stats_host(&k->run->machine, &s);
	s.memory_max = k->run->cfg->memory;
	s.cpus = k->run->cfg->cpus;
	if (g) {
		s.guest = true;
		s.memory_total = g->memory_total;
		s.memory_available = g->memory_available;
		s.changes_used = g->changes_used;
		s.processes = g->processes;
		s.uptime_ns = g->uptime_ns;
		s.cpu_usec = g->cpu_usec;
		s.oom_kills = g->oom_kills;
		s.sessions = g->sessions;
	}
	m.body_case = MAYFLY__CONTROL_REPLY__BODY_STATS;
	m.stats = &s;
	keep_client_reply(c, &m, NULL, 0);
}

void keep_answer_stats(struct keep *k, const Mayfly__GuestStats *guest)
{
	each_waiting(k, MAYFLY__CONTROL_REQUEST__BODY_STATS, tell_stats, guest);
}

/* The guest is asked once for all who want to know at this time. */
static void ask_stats(struct keep *k, struct keep_client *c)
{
	bool can = k->state == MAYFLY__MACHINE_STATE__READY && k->run->phase == RUN_KEPT;
	if (k->stats_ns)
		return;
	if (!can || run_control_stats(k->run) < 0)
		tell_stats(k, c, NULL);
	else
		k->stats_ns = io_now_ns() + STATS_NS;
}

/* ---- all of them ---- */

static Mayfly__MachineState on_state(void *arg)
{
	return ((const struct keep *)arg)->state;
}

static void on_ask(void *arg, struct keep_client *c, const Mayfly__ControlRequest *q)
{
	struct keep *k = arg;
	switch (q->body_case) {
	case MAYFLY__CONTROL_REQUEST__BODY_STATUS: answer_status(k, c); break;
	case MAYFLY__CONTROL_REQUEST__BODY_STOP: answer_stop(k, c, q->stop); break;
	case MAYFLY__CONTROL_REQUEST__BODY_PAUSE: answer_pause(k, c, true); break;
	case MAYFLY__CONTROL_REQUEST__BODY_RESUME: answer_pause(k, c, false); break;
	case MAYFLY__CONTROL_REQUEST__BODY_WAIT: answer_wait(k, c, q->wait); break;
	case MAYFLY__CONTROL_REQUEST__BODY_AGENT: answer_agent(k, c, q->agent); break;
	case MAYFLY__CONTROL_REQUEST__BODY_EXECS: answer_execs(k, c); break;
	case MAYFLY__CONTROL_REQUEST__BODY_STATS: ask_stats(k, c); break;
	default: keep_client_refuse(c, EPROTO, "the keeper does not know this"); break;
	}
}

void keep_answer_open(struct keep *k)
{
	static const struct keep_control_ops ops = {.state = on_state, .ask = on_ask};
	keep_control_init(&k->control, &k->run->loop, &ops, k, k->record.name);
}

void keep_answer_over(struct keep *k)
{
	for (size_t i = 0; i < KEEP_CONTROL_CLIENTS; i++) {
		struct keep_client *c = &k->control.client[i];
		if (c->src.fd < 0 || c->asked == MAYFLY__CONTROL_REQUEST__BODY__NOT_SET)
			continue;
		if (c->asked == MAYFLY__CONTROL_REQUEST__BODY_WAIT && c->session == 0)
			tell_over(k, c);
		else
			keep_client_refuse(c, ESRCH, "machine '%s' has ended", k->record.name);
	}
}
