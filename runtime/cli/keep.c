// SPDX-License-Identifier: Apache-2.0
// keep.c - the keeper's life: its record, the machine's states, its end
#include "cli/keep.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Each connection takes two: it is accepted, and its request read. */
#define LAST_TURNS (4 * KEEP_CONTROL_CLIENTS)
#define TERM_GRACE_NS 10000000000ull

static uint64_t wall_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

/* ---- the record ---- */

static json_t *text_json(const char *text)
{
	json_t *o = json_string(text);
	return o ? o : json_string("(not UTF-8)");
}

static json_t *make_machine_json(const struct vm_config *c, uint64_t started_ns)
{
	json_t *command = json_array();
	for (int i = 0; i < c->argc; i++)
		json_array_append_new(command, text_json(c->argv[i]));
	json_t *o = json_pack("{s:i, s:s, s:I, s:i, s:I, s:i, s:b, s:o}", "version", 1, "state",
			      "booting", "created_ns", (json_int_t)started_ns, "keeper",
			      (int)getpid(), "memory", (json_int_t)c->memory, "cpus", (int)c->cpus,
			      "rm", c->remove, "command", command);
	if (o && c->image)
		json_object_set_new(o, "image", text_json(c->image));
	if (o && c->rootfs)
		json_object_set_new(o, "rootfs", text_json(c->rootfs));
	return o;
}

static void save(struct keep *k)
{
	int ret = record_save(&k->record, RECORD_MACHINE, k->machine);
	if (ret < 0)
		log_error("the machine's record can't be written: %s", strerror(-ret));
}

void keep_set_state(struct keep *k, Mayfly__MachineState state)
{
	k->state = state;
	json_object_set_new(k->machine, "state", json_string(keep_control_state_name(state)));
	save(k);
}

static void use_log(struct keep *k)
{
	if (dup2(k->log.fd, STDERR_FILENO) < 0)
		log_error("the log can't be used: %s", strerror(errno));
}

static void trim_log(struct keep *k)
{
	if (k->told && record_log_trim(&k->log) == 1)
		use_log(k);
}

/* The last lines, for whoever wants to know why a machine ended. */
static void save_console(const struct keep *k)
{
	const struct verdict *v = &k->run->verdict;
	struct record_log l;
	if (v->n_console == 0 ||
	    record_log_open(&l, k->record.dir_fd, RECORD_CONSOLE, RECORD_LOG_MAX) < 0)
		return;
	for (unsigned i = 0; i < v->n_console; i++) {
		record_log_add(&l, v->console[i], strlen(v->console[i]));
		record_log_add(&l, "\n", 1);
	}
	record_log_close(&l);
}

/* ---- who started us ---- */

/* It is gone: nobody knows of this machine. */
static void on_starter(struct evsource *src, uint32_t events)
{
	struct keep *k = src->arg;
	(void)events;
	evloop_del(&k->run->loop, src);
	close_fd(&src->fd);
	k->run->verdict.signal = SIGINT;
	run_end(k->run, VERDICT_INTERRUPTED, "interrupted");
	run_step(k->run);
}

/* From here on nothing of the caller's is open, nor its directory in use. */
static void tell_starter(struct keep *k)
{
	char line[RECORD_NAME_MAX + 16];
	int n = snprintf(line, sizeof(line), "ready %s\n", k->record.name);
	k->told = true;
	use_log(k);
	log_init("mayfly", LOG_INFO);
	if (fchdir(k->record.dir_fd) < 0)
		log_warn("the caller's directory stays in use: %s", strerror(errno));
	log_info("machine %s (%s) is ready", k->record.name, k->run->machine.id);
	if (k->starter.fd < 0)
		return;
	evloop_del(&k->run->loop, &k->starter);
	/* A line always has room in a new pipe. */
	if (io_write_full(k->starter.fd, line, (size_t)n) < 0)
		log_warn("who started this machine is gone");
	close_fd(&k->starter.fd);
}

/* ---- the life ---- */

static int on_connect(void *arg, struct err *e)
{
	const struct keep *k = arg;
	return machine_connect(&k->run->machine, e);
}

static void on_running(void *arg, struct keep_exec *x)
{
	struct keep *k = arg;
	if (x->number == k->command && !k->told)
		tell_starter(k);
}

/* The machine's own command has ended, and so does the machine, with its verdict. */
static void command_ended(struct keep *k, const struct keep_exec *x)
{
	struct run *r = k->run;
	struct verdict *v = &r->verdict;
	if (r->phase != RUN_KEPT)
		return;
	if (verdict_set(v, x->end.reason, "%s", x->end.message)) {
		v->code = x->end.code;
		v->signal = x->end.signal;
		v->has_usage = x->end.has_usage;
		v->user_usec = x->end.user_usec;
		v->system_usec = x->end.system_usec;
		v->max_rss_kib = x->end.max_rss_kib;
		v->met_pids = x->end.met_pids;
		v->met_disk = x->end.met_disk;
		memcpy(v->oom_process, x->end.oom_process, sizeof(v->oom_process));
	}
	keep_set_state(k, MAYFLY__MACHINE_STATE__STOPPING);
	run_goodbye(r);
}

static void on_ended(void *arg, struct keep_exec *x)
{
	struct keep *k = arg;
	keep_answer_exec(k, x);
	if (k->command && x->number == k->command)
		command_ended(k, x);
}

static void on_forgotten(void *arg, struct keep_exec *x)
{
	keep_answer_forgotten(arg, x);
}

int keep_open(struct keep *k, struct err *e)
{
	static const struct keep_execs_ops ops = {.connect = on_connect,
						  .running = on_running,
						  .ended = on_ended,
						  .forgotten = on_forgotten};
	struct evloop *loop = &k->run->loop;
	k->starter.fn = on_starter;
	k->starter.arg = k;
	/* All that is of interest of it is its reader's end. */
	int ret = evloop_add(loop, &k->starter, EPOLLHUP);
	if (ret < 0)
		return err_errno(e, -ret, "can't watch who starts the machine");
	keep_execs_init(&k->execs, loop, &ops, k, &k->record, k->run->cfg->memory);
	keep_answer_open(k);
	return keep_control_open(&k->control, k->record.dir_fd, e);
}

int keep_prepared(struct keep *k, struct err *e)
{
	const struct run *r = k->run;
	if (r->cfg->rootfs && r->views.n_fd > 0)
		k->root_fd = fcntl(r->views.fd[0], F_DUPFD_CLOEXEC, 3);
	return r->cfg->rootfs && k->root_fd < 0 ? err_errno(e, errno, "can't keep the root open")
						: 0;
}

void keep_launched(struct keep *k)
{
	const struct run *r = k->run;
	json_object_set_new(k->machine, "id", json_string(r->machine.id));
	json_object_set_new(k->machine, "engine", json_string(r->verdict.engine));
	json_object_set_new(k->machine, "jail", json_string(r->verdict.jail));
	save(k);
}

static int start_command(struct keep *k, struct err *e)
{
	struct run *r = k->run;
	Mayfly__ExecStart x = MAYFLY__EXEC_START__INIT;
	x.uid = r->user.uid;
	x.gid = r->user.gid;
	x.group = r->user.groups;
	x.n_group = r->user.n_groups;
	x.cwd = r->workdir;
	k->command = k->execs.last + 1;
	return keep_execs_start(&k->execs, &x, r->cfg->argv, r->env, r->cfg->boot_timeout_ns, e);
}

void keep_ready(struct keep *k)
{
	struct err e = {0};
	keep_set_state(k, MAYFLY__MACHINE_STATE__READY);
	if (k->run->cfg->argc == 0)
		tell_starter(k);
	else if (start_command(k, &e) < 0)
		run_end(k->run, VERDICT_GUEST_FAILED, "%s", e.text);
}

void keep_session(struct keep *k, const Mayfly__SessionEvent *ev)
{
	keep_execs_event(&k->execs, ev);
}

void keep_guest_stats(struct keep *k, const Mayfly__GuestStats *s)
{
	if (k->stats_ns == 0)
		return;
	k->stats_ns = 0;
	keep_answer_stats(k, s);
}

void keep_paused(struct keep *k, bool paused)
{
	/* Nobody asked: a lie of the vmm's. */
	if (k->pause_ns == 0 && !k->pause_late)
		return;
	k->pause_ns = 0;
	k->pause_late = false;
	if (k->state == MAYFLY__MACHINE_STATE__STOPPING) {
		/* Its end was asked for while this was under way, and it can't end like that. */
		if (paused && run_machine_pause(k->run, false) < 0)
			log_warn("the machine can't go on");
		return;
	}
	keep_set_state(k, paused ? MAYFLY__MACHINE_STATE__PAUSED : MAYFLY__MACHINE_STATE__READY);
	/* Its clock stood still, or not: nobody knows. */
	if (!paused && !k->pausing && run_control_clock(k->run) < 0)
		log_warn("the guest can't be told the time");
	log_info("the machine %s", paused ? "is paused" : "runs");
	keep_answer_paused(k);
}

/* ---- the end ---- */

void keep_stop(struct keep *k, bool kill, uint64_t grace_ns)
{
	struct run *r = k->run;
	bool paused = k->state == MAYFLY__MACHINE_STATE__PAUSED;
	k->asked_stop = true;
	if (r->phase >= (kill ? RUN_DYING : RUN_EXITED))
		return;
	if (!kill && k->state == MAYFLY__MACHINE_STATE__STOPPING) {
		/* Who is in a hurry is not kept waiting by who was not. */
		if (k->stop_ns)
			k->stop_ns = MIN(k->stop_ns, MAX(io_now_ns() + grace_ns, 1ull));
		return;
	}
	keep_set_state(k, MAYFLY__MACHINE_STATE__STOPPING);
	if (kill || r->phase != RUN_KEPT) {
		/* It was about to stop in good order. */
		if (kill &&
		    (r->verdict.reason == VERDICT_STOPPED || r->verdict.reason == VERDICT_IDLE))
			r->verdict.reason = VERDICT_NONE;
		if (r->verdict.reason == VERDICT_NONE)
			r->verdict.signal = kill ? SIGKILL : 0;
		run_end(r, kill ? VERDICT_KILLED : VERDICT_STOPPED, "the machine was %s",
			kill ? "killed" : "stopped");
		run_step(r);
		return;
	}
	log_info("the machine is to stop");
	if (paused && run_machine_pause(r, false) < 0)
		log_warn("the machine can't go on");
	/* A command of its own that ends in time has the last word. */
	if (!k->command)
		verdict_set(&r->verdict, VERDICT_STOPPED, "the machine was stopped");
	k->stop_ns = MAX(io_now_ns() + grace_ns, 1ull);
	if (run_control_signal(r, SIGTERM) < 0)
		k->stop_ns = 1;
}

void keep_signal(struct keep *k, int number)
{
	if (number != SIGTERM && number != SIGINT && number != SIGQUIT)
		return;
	if (k->asked_stop || k->state == MAYFLY__MACHINE_STATE__STOPPED)
		keep_stop(k, true, 0);
	else
		keep_stop(k, number == SIGQUIT, TERM_GRACE_NS);
}

static bool anything_runs(const struct keep *k)
{
	const struct keep_exec *x;
	TAILQ_FOREACH(x, &k->execs.list, link)
		if (x->state == MAYFLY__EXEC_INFO__STATE__RUNNING ||
		    x->state == MAYFLY__EXEC_INFO__STATE__DETACHED)
			return true;
	return false;
}

static void check_stop(struct keep *k, uint64_t now)
{
	struct run *r = k->run;
	if (k->stop_ns == 0 || r->phase != RUN_KEPT || (anything_runs(k) && now < k->stop_ns))
		return;
	k->stop_ns = 0;
	verdict_set(&r->verdict, VERDICT_STOPPED, "the machine was stopped");
	run_goodbye(r);
}

/* A machine that is paused is kept on purpose: its time stands still. */
static bool is_idle(const struct keep *k)
{
	const struct run *r = k->run;
	return r->cfg->idle_timeout_ns && r->phase == RUN_KEPT &&
	       k->state == MAYFLY__MACHINE_STATE__READY && k->execs.live == 0 && k->pause_ns == 0 &&
	       !k->pause_late && !keep_control_copying(&k->control);
}

static void check_idle(struct keep *k, uint64_t now)
{
	struct run *r = k->run;
	if (!is_idle(k)) {
		k->idle_ns = 0;
		return;
	}
	if (k->idle_ns == 0)
		k->idle_ns = now;
	if (now - k->idle_ns < r->cfg->idle_timeout_ns)
		return;
	keep_set_state(k, MAYFLY__MACHINE_STATE__STOPPING);
	verdict_set(&r->verdict, VERDICT_IDLE,
		    "idle: no command ran in the machine for %.6g s (see --idle-timeout)",
		    (double)r->cfg->idle_timeout_ns / 1e9);
	run_goodbye(r);
}

void keep_tick(struct keep *k, uint64_t now)
{
	trim_log(k);
	keep_execs_tick(&k->execs, now);
	check_stop(k, now);
	check_idle(k, now);
	if (k->stats_ns && now >= k->stats_ns) {
		k->stats_ns = 0;
		keep_answer_stats(k, NULL);
	}
	if (k->pause_ns && now >= k->pause_ns) {
		k->pause_ns = 0;
		k->pause_late = true;
		keep_answer_paused(k);
	}
}

uint64_t keep_wait(const struct keep *k)
{
	/* In the goodbye it means nothing any more. */
	uint64_t stop_ns = k->run->phase == RUN_KEPT ? k->stop_ns : 0;
	const uint64_t at[] = {stop_ns, k->stats_ns, k->pause_ns};
	uint64_t wait = keep_execs_wait(&k->execs);
	if (is_idle(k))
		wait = MIN(wait, k->idle_ns ? k->idle_ns + k->run->cfg->idle_timeout_ns : 0);
	for (size_t i = 0; i < ARRAY_SIZE(at); i++)
		if (at[i])
			wait = MIN(wait, at[i]);
	return wait;
}

static void record_end(struct keep *k, const char *verdict)
{
	json_t *v = verdict ? json_loads(verdict, 0, NULL) : NULL;
	struct err e = {0};
	if (k->run->cfg->remove || !k->told) {
		if (record_remove(&k->record, &e) < 0)
			log_error("%s", e.text);
		return;
	}
	json_object_set_new(k->machine, "ended_ns", json_integer((json_int_t)wall_ns()));
	if (v)
		json_object_set_new(k->machine, "verdict", v);
	keep_set_state(k, MAYFLY__MACHINE_STATE__STOPPED);
	save_console(k);
	record_release(&k->record);
}

void keep_finish(struct keep *k)
{
	struct run *r = k->run;
	/* It did not come to the socket. */
	if (k->control.loop == NULL) {
		record_end(k, NULL);
		return;
	}
	r->verdict.t.end = io_now_ns();
	keep_execs_end(&k->execs);
	char *verdict = verdict_text(&r->verdict);
	if (!verdict)
		verdict = strdup("{}");
	log_info("machine %s has ended: %s, status %d", k->record.name,
		 verdict_name(r->verdict.reason), verdict_status(&r->verdict));
	/* Before anybody hears of it: then the name is free, or the record complete. */
	record_end(k, verdict);
	k->state = MAYFLY__MACHINE_STATE__STOPPED;
	k->verdict = verdict;
	if (verdict)
		keep_answer_over(k);
	/* Those who have asked already, and were not heard. */
	for (int i = 0; i < LAST_TURNS && evloop_once(&r->loop, 0) > 0; i++)
		;
	keep_control_close(&k->control);
	free(steal_ptr(&k->verdict));
	keep_execs_free(&k->execs);
	if (k->starter.fd >= 0)
		evloop_del(&r->loop, &k->starter);
	close_fd(&k->root_fd);
}

int keep_main(struct vm_config *c, int starter, uint64_t start_ns)
{
	static struct keep k;
	struct err e = {0};
	k = (struct keep){.state = MAYFLY__MACHINE_STATE__BOOTING,
			  .root_fd = -1,
			  .record = RECORD_NONE,
			  .log = RECORD_LOG_NONE,
			  .starter = {.fd = starter},
			  .started_ns = wall_ns()};
	k.machine = make_machine_json(c, k.started_ns);
	int ret = k.machine ? record_make(&k.record, c->name, k.machine, &e)
			    : err_errno(&e, ENOMEM, "the machine's record");
	if (ret == 0) {
		ret = record_log_open(&k.log, k.record.dir_fd, RECORD_LOG, RECORD_LOG_MAX);
		if (ret < 0) {
			err_errno(&e, -ret, "can't make the machine's log");
			record_remove(&k.record, NULL);
		}
	}
	int status = EXIT_MAYFLY;
	if (ret < 0)
		log_error("%s", e.text);
	else
		status = run_keep(c, &k, start_ns);
	record_log_close(&k.log);
	record_close(&k.record);
	json_decref(k.machine);
	char line[32];
	int n = snprintf(line, sizeof(line), "failed %d\n", status);
	/* Behind the last of the text. */
	if (k.starter.fd >= 0 && io_write_full(k.starter.fd, line, (size_t)n) < 0)
		log_debug("who started this machine is gone");
	close_fd(&k.starter.fd);
	return status;
}
