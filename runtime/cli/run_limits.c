// SPDX-License-Identifier: Apache-2.0
// run_limits.c - --idle-timeout and --output-limit: what goes in and out is counted by hostio.c
#include "base/checked.h"
#include "base/io.h"
#include "cli/run.h"

#include <signal.h>

/* As in run.c: for the supervisor, once the output is out. */
#define FLUSH_NS 1000000000ull

void run_limits_open(struct run *r)
{
	r->limits.output.left = r->cfg->output_limit;
	for (int i = 0; i < 2 && r->cfg->output_limit; i++)
		r->out[i].limit = &r->limits.output;
}

void run_limits_touch(struct run *r)
{
	if (r->limits.active_ns)
		r->limits.active_ns = io_now_ns();
}

/* Idle is a command that runs, or whose output nobody takes; copies have a limit of their own. */
static bool may_idle(const struct run *r)
{
	bool running = r->phase == RUN_RUNNING && r->verdict.t.exec != 0;
	bool flushing =
		(r->phase == RUN_EXITED || r->phase == RUN_DYING) && !exec_client_flushed(&r->exec);
	return r->cfg->idle_timeout_ns && !r->results.killed && !run_out_busy(r) &&
	       (running || flushing);
}

static void idle(struct run *r)
{
	r->limits.active_ns = 0;
	/* A command's success would be a wrong word for output that is lost. */
	if (r->phase == RUN_EXITED && !r->results.killed)
		r->verdict.reason = VERDICT_NONE;
	if (r->phase != RUN_RUNNING && r->phase_deadline_ns == 0)
		r->phase_deadline_ns = io_now_ns();
	run_kill_command(r, VERDICT_IDLE,
			 "idle: nothing went in or out for %.6g s, and %s was ended "
			 "(see --idle-timeout)",
			 (double)r->cfg->idle_timeout_ns / 1e9,
			 r->results.n ? "the command" : "the machine");
}

/* Its last words and its end may have come in one piece: then nothing is left to be killed. */
static void too_much(struct run *r)
{
	struct verdict *v = &r->verdict;
	bool ended = r->phase >= RUN_EXITED && r->phase != RUN_DYING;
	r->limits.noted = true;
	if (ended && !r->results.killed)
		v->reason = VERDICT_NONE;
	if (v->reason != VERDICT_NONE)
		return;
	v->signal = SIGKILL;
	verdict_set(v, VERDICT_OUTPUT_LIMIT,
		    "the command wrote more than the %llu bytes of --output-limit and was killed",
		    (unsigned long long)r->cfg->output_limit);
	if (!ended)
		run_kill_command(r, VERDICT_OUTPUT_LIMIT, "%s", "");
	/* What the limit lets out is delivered, however long its reader takes. */
	if (r->phase == RUN_DYING)
		r->phase_deadline_ns = 0;
}

void run_limits_tick(struct run *r, uint64_t now)
{
	struct run_limits *l = &r->limits;
	uint64_t moved = r->in.moved + r->out[0].moved + r->out[1].moved;
	if (l->output.over && !l->noted)
		too_much(r);
	else if (l->noted && r->phase == RUN_DYING && r->phase_deadline_ns == 0 &&
		 exec_client_flushed(&r->exec))
		r->phase_deadline_ns = now + FLUSH_NS;
	if (!may_idle(r)) {
		l->active_ns = 0;
		return;
	}
	if (l->active_ns == 0 || moved != l->moved)
		l->active_ns = now;
	l->moved = moved;
	if (now - l->active_ns >= r->cfg->idle_timeout_ns)
		idle(r);
}

uint64_t run_limits_wait(const struct run *r)
{
	if (r->limits.active_ns == 0)
		return may_idle(r) ? 0 : UINT64_MAX;
	return may_idle(r) ? r->limits.active_ns + r->cfg->idle_timeout_ns : UINT64_MAX;
}
