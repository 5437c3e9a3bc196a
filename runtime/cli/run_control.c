// SPDX-License-Identifier: Apache-2.0
// run_control.c - the agent's control connection: setup, ready, goodbye
#include "base/cleanup.h"
#include "base/io.h"
#include "base/log.h"
#include "cli/keep.h"
#include "cli/run.h"

#include <errno.h>
#include <string.h>
#include <time.h>

/* Beside the one that Hello is. */
#define CLOCK_ASKS_MAX 16u

static uint64_t realtime_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

static int send_setup(struct run *r)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__Setup s = MAYFLY__SETUP__INIT;
	s.hostname = (char *)(uintptr_t)r->cfg->hostname;
	s.root = (char *)(uintptr_t)r->views.root_name;
	s.view = r->views.view_ptr;
	s.n_view = r->views.n_view;
	s.passwd_line = r->user.passwd_line;
	s.group_line = r->user.group_line;
	s.home = strcmp(r->user.home, "/") == 0 ? (char *)(uintptr_t) "" : r->user.home;
	s.uid = r->user.uid;
	s.gid = r->user.gid;
	s.scratch = r->disks.scratch;
	s.image = r->disks.image;
	s.pids_max = r->cfg->pids;
	s.changes_max = r->cfg->disk_limit;
	s.own_disks = (uint32_t)r->cfg->n_disk;
	f.body_case = MAYFLY__FRAME__BODY_SETUP;
	f.setup = &s;
	return frame_send(&r->control, &f);
}

static int send_clock(struct run *r)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__Clock c = MAYFLY__CLOCK__INIT;
	c.realtime_ns = realtime_ns();
	f.body_case = MAYFLY__FRAME__BODY_CLOCK;
	f.clock = &c;
	return frame_send(&r->control, &f);
}

/* The guest's clock started kernel_ns before now, as far as the guest is to be believed. */
static void note_ready(struct run *r, const Mayfly__Ready *m)
{
	struct verdict_times *t = &r->verdict.t;
	t->ready = io_now_ns();
	uint64_t zero = m->ready_ns < t->ready ? t->ready - m->ready_ns : t->started;
	t->kernel = zero < t->started ? t->started : zero;
	t->init = m->init_ns < m->ready_ns ? zero + m->init_ns : t->ready;
	log_info("the guest is ready");
}

/* Somebody in the guest asked its PID 1 for that. */
static int ended_itself(struct run *r, const Mayfly__Goodbye *bye)
{
	switch (bye->why) {
	case MAYFLY__GOODBYE__WHY__POWEROFF:
		run_end(r, VERDICT_GUEST_POWEROFF, "the guest powered itself off");
		return 0;
	case MAYFLY__GOODBYE__WHY__REBOOT:
		run_end(r, VERDICT_GUEST_RESET, "the guest reset itself");
		return 0;
	case MAYFLY__GOODBYE__WHY__HALT:
		run_end(r, VERDICT_GUEST_HALT, "the guest halted itself");
		return 0;
	default: return -EPROTO;
	}
}

static int handle(struct run *r, const Mayfly__Frame *f)
{
	struct err e = {0};
	switch (f->body_case) {
	case MAYFLY__FRAME__BODY_HELLO:
		log_debug("hello from %s", f->hello->program);
		/* Not with the setup, which waits in the socket until the guest is up. */
		return send_clock(r);
	case MAYFLY__FRAME__BODY_CLOCK:
		/* Once more: the first answer took too long to be exact. */
		if (r->phase != RUN_BOOTING || ++r->clock_asked > CLOCK_ASKS_MAX)
			return -EPROTO;
		return send_clock(r);
	case MAYFLY__FRAME__BODY_READY:
		if (r->phase != RUN_BOOTING)
			return -EPROTO;
		note_ready(r, f->ready);
		run_machine_tell_ready(r);
		r->phase = r->keep ? RUN_KEPT : RUN_STARTING;
		if (r->keep) {
			keep_ready(r->keep);
			return 0;
		}
		if (run_command_start(r, &e) < 0)
			run_end(r, VERDICT_GUEST_FAILED, "%s", e.text);
		return 0;
	case MAYFLY__FRAME__BODY_FAILED:
		run_end(r, VERDICT_GUEST_FAILED, "the guest could not be set up: %s",
			f->failed->text);
		return 0;
	case MAYFLY__FRAME__BODY_SESSION_EVENT:
		if (!r->keep || r->phase < RUN_KEPT)
			return -EPROTO;
		keep_session(r->keep, f->session_event);
		return 0;
	case MAYFLY__FRAME__BODY_GUEST_STATS:
		if (!r->keep)
			return -EPROTO;
		keep_guest_stats(r->keep, f->guest_stats);
		return 0;
	case MAYFLY__FRAME__BODY_GOODBYE:
		if (f->goodbye->why != MAYFLY__GOODBYE__WHY__ASKED)
			return ended_itself(r, f->goodbye);
		if (r->phase != RUN_GOODBYE)
			return -EPROTO;
		/* What the exits were is known when the guest has reset itself. */
		if (!r->cfg->trace_exits)
			r->phase = RUN_OVER;
		return 0;
	default: return -EPROTO;
	}
}

static void stop(struct run *r)
{
	evloop_del(&r->loop, &r->control_src);
	r->control_src.fd = -1;
}

static void flush(struct run *r)
{
	if (r->control_src.fd < 0)
		return;
	int left = frame_flush(&r->control);
	if (left < 0)
		stop(r);
	else
		evloop_mod(&r->loop, &r->control_src, EPOLLIN | (left ? EPOLLOUT : 0));
}

/* The machine's end shows elsewhere; if there is none, a machine that lives is of no use. */
static void lost(struct run *r)
{
	if (r->phase == RUN_KEPT && r->phase_deadline_ns == 0)
		r->phase_deadline_ns = io_now_ns() + RUN_LOST_NS;
}

static void on_control(struct evsource *src, uint32_t events)
{
	struct run *r = src->arg;
	int ret = (events & ~(uint32_t)EPOLLOUT) ? frame_fill(&r->control) : 0;
	while (ret >= 0) {
		Mayfly__Frame *f = NULL;
		ret = frame_next(&r->control, &f);
		if (ret <= 0)
			break;
		ret = handle(r, f);
		mayfly__frame__free_unpacked(f, NULL);
	}
	if (ret < 0) {
		stop(r);
		if (ret == -EPROTONOSUPPORT)
			run_end(r, VERDICT_GUEST_FAILED,
				"the agent in the guest speaks version %u of the protocol, this "
				"program version %u (is the init image of another build?)",
				r->control.peer_version, PROTO_VERSION);
		else if (ret == -ENODATA || ret == -ECONNRESET)
			lost(r);
		else
			run_end(r, VERDICT_GUEST_FAILED,
				"the agent in the guest broke the protocol");
	}
	flush(r);
	run_step(r);
}

int run_control_start(struct run *r, struct err *e)
{
	r->control.fd = r->machine.control;
	r->control_src = (struct evsource){.fd = r->control.fd, .fn = on_control, .arg = r};
	int ret = io_set_nonblock(r->control.fd, 1);
	if (ret == 0)
		ret = evloop_add(&r->loop, &r->control_src, EPOLLIN);
	if (ret == 0)
		ret = frame_send_hello(&r->control, "mayfly");
	if (ret == 0)
		ret = send_setup(r);
	if (ret < 0)
		return err_errno(e, -ret, "control connection");
	flush(r);
	return 0;
}

static int say(struct run *r, const Mayfly__Frame *f)
{
	if (r->control_src.fd < 0)
		return -EPIPE;
	int ret = frame_send(&r->control, f);
	flush(r);
	return ret;
}

int run_control_shutdown(struct run *r)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__Shutdown s = MAYFLY__SHUTDOWN__INIT;
	f.body_case = MAYFLY__FRAME__BODY_SHUTDOWN;
	f.shutdown = &s;
	return say(r, &f);
}

int run_control_clock(struct run *r)
{
	int ret = r->control_src.fd < 0 ? -EPIPE : send_clock(r);
	flush(r);
	return ret;
}

int run_control_signal(struct run *r, int number)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__Signal s = MAYFLY__SIGNAL__INIT;
	s.number = (uint32_t)number;
	f.body_case = MAYFLY__FRAME__BODY_SIGNAL;
	f.signal = &s;
	return say(r, &f);
}

int run_control_stats(struct run *r)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__StatsAsk s = MAYFLY__STATS_ASK__INIT;
	f.body_case = MAYFLY__FRAME__BODY_STATS_ASK;
	f.stats_ask = &s;
	return say(r, &f);
}
