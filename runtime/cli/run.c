// SPDX-License-Identifier: Apache-2.0
// run.c - the order of events of one `mayfly run`, its deadlines and signals
#include "cli/run.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "base/log.h"
#include "cli/client_signals.h"
#include "cli/host_memory.h"
#include "cli/keep.h"
#include "cli/timings_svg.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>

#define GOODBYE_NS 2000000000ull
/* With something to write back before; the agent takes a second less (init/agent.c). */
#define SAVE_NS 10000000000ull
#define FLUSH_NS 1000000000ull
/* After that, a supervisor that can't end its machine is not waited for. */
#define CLEAN_NS 2000000000ull
/* --out: for a command that was killed to be reported, then once more without its last output. */
#define KILLED_NS 2000000000ull

void run_end(struct run *r, enum verdict_reason reason, const char *fmt, ...)
{
	char text[sizeof(r->verdict.message)];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	verdict_set(&r->verdict, reason, "%s", text);
	if (r->phase < RUN_DYING)
		r->phase = RUN_DYING;
	/* What has come so far is still written, but not waited for long. */
	if (r->phase_deadline_ns == 0)
		r->phase_deadline_ns = io_now_ns() + FLUSH_NS;
	machine_kill(&r->machine);
}

/* Output is written and files are copied; after a timeout the reader of output is not waited for.
 */
static bool exited_done(struct run *r)
{
	if (run_out_busy(r))
		return false;
	if (exec_client_flushed(&r->exec))
		return true;
	/* The output that a limit lets out is delivered, also to a slow reader. */
	if (r->results.killed && r->phase_deadline_ns == 0 && !r->limits.output.over)
		r->phase_deadline_ns = io_now_ns() + FLUSH_NS;
	return r->phase_deadline_ns && io_now_ns() >= r->phase_deadline_ns;
}

/*
 * Goodbye is for what a guest has to write yet, and only disks and writable shares outlive it. A
 * machine without them has nothing more to say once its command is over.
 */
static bool nothing_to_save(const struct run *r)
{
	return r->cfg->n_disk == 0 && !r->views.writable;
}

void run_goodbye(struct run *r)
{
	r->phase = RUN_GOODBYE;
	r->phase_deadline_ns = io_now_ns() + (nothing_to_save(r) ? GOODBYE_NS : SAVE_NS);
	if (run_control_shutdown(r) < 0)
		r->phase = RUN_OVER;
}

static void command_done(struct run *r)
{
	/* The counts come with the guest's reset. */
	if (nothing_to_save(r) && !r->cfg->trace_exits)
		r->phase = RUN_OVER;
	else
		run_goodbye(r);
}

void run_step(struct run *r)
{
	if (term_update(&r->term))
		run_command_terminal(r, SIGWINCH);
	exec_client_pump(&r->exec);
	run_console_pump(r);
	/* Nobody types for a command that has ended: Ctrl-C is mayfly's again. */
	if (r->phase >= RUN_EXITED && exec_client_flushed(&r->exec))
		term_restore(&r->term);
	if (r->phase == RUN_EXITED && exited_done(r))
		command_done(r);
	bool stuck = r->phase_deadline_ns && io_now_ns() >= r->phase_deadline_ns + CLEAN_NS;
	if (r->phase == RUN_DYING && (r->machine_gone || stuck)) {
		/* The last bytes of the command may still be in its connection. */
		bool drained =
			!exec_client_connected(&r->exec) && (!r->cfg->boot || r->console.fd < 0);
		bool expired = r->phase_deadline_ns && io_now_ns() >= r->phase_deadline_ns;
		if ((drained && exec_client_flushed(&r->exec)) || expired) {
			run_machine_read_report(r);
			run_machine_judge(r);
			r->phase = RUN_OVER;
		}
	}
	if (r->phase == RUN_GOODBYE && (r->machine_gone || r->got_report))
		r->phase = RUN_OVER;
	r->loop.stop = r->phase == RUN_OVER;
}

static void on_stdio(struct evsource *src, uint32_t events)
{
	(void)events;
	run_step(src->arg);
}

/* Nobody waits any longer, also not for output that its reader doesn't take. */
static void interrupted(struct run *r, int number)
{
	/* A status that says "all is well" would be wrong if output or files are lost. */
	if (r->phase == RUN_EXITED && !r->results.killed &&
	    (!exec_client_flushed(&r->exec) || run_out_busy(r)))
		r->verdict.reason = VERDICT_NONE;
	if (r->verdict.reason == VERDICT_NONE)
		r->verdict.signal = number;
	run_end(r, VERDICT_INTERRUPTED, "interrupted");
	r->phase_deadline_ns = io_now_ns();
}

static void on_signal(struct evsource *src, uint32_t events)
{
	struct run *r = src->arg;
	struct signalfd_siginfo si;
	(void)events;
	if (read(src->fd, &si, sizeof(si)) != sizeof(si))
		return;
	int number = (int)si.ssi_signo;
	run_limits_touch(r);
	if (r->keep) {
		keep_signal(r->keep, number);
		run_step(r);
		return;
	}
	if (number == SIGINT)
		r->interrupts++;
	if (number == SIGWINCH || number == SIGTSTP || number == SIGCONT)
		run_command_terminal(r, number);
	else if (r->phase == RUN_RUNNING && !(number == SIGINT && r->interrupts > 1)) {
		exec_client_signal(&r->exec, number);
	} else if (number != SIGUSR1 && number != SIGUSR2) {
		interrupted(r, number);
	}
	run_step(r);
}

static int watch_signals(struct run *r)
{
	int fd = client_signals_open();
	if (fd < 0)
		return fd;
	r->signals = (struct evsource){.fd = fd, .fn = on_signal, .arg = r};
	return evloop_add(&r->loop, &r->signals, EPOLLIN);
}

static void boot_timed_out(struct run *r)
{
	run_machine_ask_where(r);
	run_end(r, VERDICT_BOOT_TIMEOUT,
		"the guest was not ready after %.6g s%s%s%s%s (see --boot-timeout, --console)",
		(double)r->cfg->boot_timeout_ns / 1e9, r->vmm_detail[0] ? ": " : "", r->vmm_detail,
		r->last_line[0] ? "; its console said last: " : "", r->last_line);
}

void run_kill_command(struct run *r, enum verdict_reason reason, const char *fmt, ...)
{
	char text[sizeof(r->verdict.message)];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (r->phase != RUN_RUNNING || r->results.n == 0) {
		run_end(r, reason, "%s", text);
		return;
	}
	r->results.killed = true;
	r->phase_deadline_ns = io_now_ns() + KILLED_NS;
	verdict_set(&r->verdict, reason, "%s", text);
	exec_client_signal(&r->exec, SIGKILL);
	run_step(r);
}

/* The command that was killed is not reported: perhaps nobody takes its output. */
static void killed_late(struct run *r, uint64_t now)
{
	if (r->exec.out_closed[0] && r->exec.out_closed[1]) {
		run_end(r, r->verdict.reason, "the agent does not answer");
		return;
	}
	exec_client_drop_output(&r->exec);
	r->phase_deadline_ns = now + KILLED_NS;
}

static void no_goodbye(struct run *r)
{
	if (nothing_to_save(r))
		log_info("the guest said no goodbye");
	else
		log_warn("the guest did not write everything back to its disks and shares within "
			 "%llu s",
			 SAVE_NS / 1000000000);
	r->phase = RUN_OVER;
}

static void check_deadlines(struct run *r, uint64_t now)
{
	run_out_tick(r, now);
	run_limits_tick(r, now);
	if (r->keep)
		keep_tick(r->keep, now);
	if (r->deadline_ns && now >= r->deadline_ns && !run_out_busy(r)) {
		r->deadline_ns = 0;
		if (r->phase == RUN_RUNNING && r->results.n > 0) {
			run_kill_command(r, VERDICT_TIMEOUT,
					 "timeout: the command was killed after %.6g s",
					 (double)r->cfg->timeout_ns / 1e9);
			return;
		}
		/* A machine that is dying anyway may still wait for the reader of its output. */
		if (r->phase == RUN_DYING && r->phase_deadline_ns == 0)
			r->phase_deadline_ns = now;
		/* The counts come with the report. */
		if (r->cfg->trace_exits)
			run_machine_ask_where(r);
		run_end(r, VERDICT_TIMEOUT, "timeout: the machine was ended after %.6g s",
			(double)r->cfg->timeout_ns / 1e9);
	}
	if (r->phase == RUN_BOOTING && now >= r->boot_deadline_ns)
		boot_timed_out(r);
	if (r->phase == RUN_RUNNING && r->start_deadline_ns && now >= r->start_deadline_ns)
		run_end(r, VERDICT_GUEST_FAILED,
			"the agent in the guest did not start the command for %.6g s (see "
			"--boot-timeout)",
			(double)r->cfg->boot_timeout_ns / 1e9);
	if (!r->phase_deadline_ns || now < r->phase_deadline_ns)
		return;
	if (r->phase == RUN_GOODBYE) {
		no_goodbye(r);
	} else if (r->phase == RUN_RUNNING && r->results.killed) {
		killed_late(r, now);
	} else if (r->phase < RUN_EXITED) {
		run_end(r, VERDICT_GUEST_FAILED, "the agent closed %s connection",
			r->keep ? "its" : "the command's");
	}
	run_step(r);
}

static int next_wait(const struct run *r, uint64_t now)
{
	uint64_t at = MIN(run_out_wait(r), exec_client_wait(&r->exec));
	at = MIN(at, run_limits_wait(r));
	if (r->keep)
		at = MIN(at, keep_wait(r->keep));
	if (r->deadline_ns && !run_out_busy(r))
		at = MIN(at, r->deadline_ns);
	if (r->tty_retry_ns && r->tty_retry_ns < at)
		at = r->tty_retry_ns;
	if (r->phase == RUN_BOOTING && r->boot_deadline_ns < at)
		at = r->boot_deadline_ns;
	if (r->phase == RUN_RUNNING && r->start_deadline_ns)
		at = MIN(at, r->start_deadline_ns);
	if (r->phase_deadline_ns > now && r->phase_deadline_ns < at)
		at = r->phase_deadline_ns;
	/* After its expiry only the supervisor's word is waited for, and not for ever. */
	if (r->phase_deadline_ns && r->phase == RUN_DYING && r->phase_deadline_ns <= now)
		at = MIN(at, r->phase_deadline_ns + CLEAN_NS);
	if (at == UINT64_MAX)
		return -1;
	return at <= now ? 0 : (int)MIN((at - now + 999999) / 1000000, 3600000ull);
}

static void loop_until_over(struct run *r)
{
	while (!r->loop.stop) {
		int n = evloop_once(&r->loop, next_wait(r, io_now_ns()));
		if (n < 0) {
			run_end(r, VERDICT_CONFIG, "event loop: %s", strerror(-n));
			return;
		}
		check_deadlines(r, io_now_ns());
		if (n == 0)
			run_step(r);
	}
}

/* Where the command starts: as asked, else here, else at home, else at the root. */
static void choose_workdir(struct run *r)
{
	const char *dir = "/";
	if (r->cfg->workdir)
		dir = r->cfg->workdir;
	else if (r->views.cwd_shared || views_covers(&r->views, r->views.cwd))
		dir = r->views.cwd;
	else if (!r->cfg->rootfs && strcmp(r->views.cwd, r->user.home) == 0)
		dir = r->user.home;
	else if (strcmp(r->views.cwd, "/tmp") == 0 || strcmp(r->views.cwd, "/var/tmp") == 0)
		dir = r->views.cwd;
	snprintf(r->workdir, sizeof(r->workdir), "%s", dir);
}

static int prepare(struct run *r, struct err *e)
{
	int ret = run_image_open(&r->image, r->cfg, e);
	if (ret == 0)
		ret = views_open(&r->views, r->cfg, e);
	if (ret < 0)
		return ret;
	if (r->views.note[0])
		log_msg(LOG_WARN, "note: %s", r->views.note);
	if (r->cfg->image)
		ret = run_image_user(&r->image, r->cfg, &r->user, e);
	else
		guest_user_find(&r->user, r->cfg, r->cfg->rootfs ? r->views.fd[0] : -1);
	if (ret == 0)
		ret = guest_user_env(&r->user, r->cfg, &r->env, e);
	if (ret == 0 && !r->keep)
		ret = run_command_prepare(r, e);
	if (ret == 0 && r->keep)
		ret = keep_prepared(r->keep, e);
	choose_workdir(r);
	return ret < 0 ? ret : run_out_open(r, e);
}

static int open_stdio(struct run *r, struct err *e)
{
	int ret = hostio_open(&r->in, &r->loop, 0, on_stdio, r);
	for (int i = 0; ret == 0 && i < 2; i++)
		ret = hostio_open(&r->out[i], &r->loop, i + 1, on_stdio, r);
	run_limits_open(r);
	return ret < 0 ? err_errno(e, -ret, "can't use standard input or output") : 0;
}

/* Better than to be killed by the host in the middle of its work. */
static int check_memory(const struct vm_config *c, struct err *e)
{
	struct host_memory m;
	if (c->force_memory)
		return 0;
	host_memory_look(&m);
	return host_memory_enough(&m, c->memory, e);
}

static int start(struct run *r, struct err *e)
{
	int ret = evloop_init(&r->loop);
	if (ret == 0)
		ret = watch_signals(r);
	if (ret < 0)
		return err_errno(e, -ret, "can't make an event loop");
	if (r->keep && (ret = keep_open(r->keep, e)) < 0)
		return ret;
	ret = r->cfg->tty ? term_open(&r->term, STDIN_FILENO, e) : 0;
	if (ret == 0 && !r->keep)
		ret = open_stdio(r, e);
	if (ret == 0 && !r->cfg->boot)
		ret = prepare(r, e);
	if (ret == 0)
		ret = disk_files_open(&r->disks, r->cfg, e);
	r->verdict.t.parsed = io_now_ns();
	if (ret == 0)
		ret = check_memory(r->cfg, e);
	if (ret == 0)
		ret = machine_launch(&r->machine, r->cfg, &r->views, &r->disks, e);
	views_close_fds(&r->views);
	disk_files_close(&r->disks);
	if (ret == 0) {
		static const char *const jails[] = {"full", "reduced", "none"};
		r->verdict.engine = r->cfg->engine == ENGINE_KVM ? "kvm" : "tcg";
		r->verdict.jail = jails[r->cfg->jail];
		ret = run_machine_watch(r, e);
	}
	if (ret == 0 && r->keep)
		keep_launched(r->keep);
	return ret < 0 || r->cfg->boot ? ret : run_control_start(r, e);
}

static void finish(struct run *r)
{
	struct verdict *v = &r->verdict;
	run_out_close(r);
	/* Before anything is printed. */
	term_restore(&r->term);
	run_command_free(r);
	machine_finish(&r->machine);
	if (r->keep)
		keep_finish(r->keep);
	close_fd(&r->signals.fd);
	evloop_close(&r->loop);
	views_close(&r->views);
	guest_user_env_free(r->env);
	run_image_close(&r->image);
	v->t.end = io_now_ns();
	/* A guest of mayfly boot that ends itself in good order has done what it was asked for. */
	if (v->message[0] && !(v->boot && verdict_status(v) == 0))
		log_msg(LOG_ERROR, "%s", v->message);
	if (r->cfg->timings)
		verdict_timings(v);
	if (r->svg_fd >= 0) {
		int ret = timings_svg_write(v, r->cfg->argv, r->svg_fd);
		if (ret < 0)
			log_error("can't write the picture '%s': %s", r->cfg->timings_svg,
				  strerror(-ret));
		else if (isatty(STDERR_FILENO))
			fprintf(stderr, "mayfly: where the time went: %s\n", r->cfg->timings_svg);
		close_fd(&r->svg_fd);
	}
	if (r->cfg->trace_exits)
		verdict_print_exits(v);
	if (r->cfg->status_fd >= 0) {
		int ret = verdict_write(v, r->cfg->status_fd);
		if (ret < 0)
			log_error("can't write the verdict to descriptor %d: %s", r->cfg->status_fd,
				  strerror(-ret));
	}
}

/* Whoever runs with less than the whole jail is to see it each time. */
static void warn_of_jail(const struct vm_config *c)
{
	if (c->jail == JAIL_MODE_NONE)
		log_msg(LOG_ERROR, "warning: --no-jail: nothing confines this machine's processes; "
				   "a guest that breaks out has all your rights");
	else if (c->jail == JAIL_MODE_REDUCED)
		log_msg(LOG_ERROR, "warning: --jail reduced: no namespaces; Landlock and system "
				   "call tables are all that confines this machine's processes");
}

int run_main(struct vm_config *c, uint64_t start_ns)
{
	return run_keep(c, NULL, start_ns);
}

int run_keep(struct vm_config *c, struct keep *k, uint64_t start_ns)
{
	static struct run r;
	struct err e = {0};
	int svg_fd = -1;
	/* With the user's umask: the picture is theirs. */
	int ret = c->timings_svg ? timings_svg_open(c->timings_svg, &svg_fd, &e) : 0;
	/* The directory of machines is for its owner only, whatever the user's umask. */
	umask(077);
	r = (struct run){.cfg = c, .keep = k, .verdict.t.start = start_ns};
	r.svg_fd = svg_fd;
	r.phase = c->boot ? RUN_CONSOLE : RUN_BOOTING;
	r.verdict.boot = c->boot;
	r.machine = MACHINE_NONE;
	r.loop.epfd = r.signals.fd = r.control_src.fd = -1;
	r.results.src.fd = r.results.conn.fd = -1;
	r.control.fd = r.report.fd = r.console.fd = -1;
	r.in.done = r.out[0].done = r.out[1].done = true;
	run_command_init(&r);
	if (k)
		k->run = &r;
	r.deadline_ns = c->timeout_ns ? start_ns + c->timeout_ns : 0;
	r.boot_deadline_ns = start_ns + c->boot_timeout_ns;
	warn_of_jail(c);
	if (ret == 0)
		ret = start(&r, &e);
	if (ret < 0)
		verdict_set(&r.verdict, VERDICT_CONFIG, "%s", e.text);
	else
		loop_until_over(&r);
	finish(&r);
	return verdict_status(&r.verdict);
}
