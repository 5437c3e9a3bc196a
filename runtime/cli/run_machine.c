// SPDX-License-Identifier: Apache-2.0
// run_machine.c - what the supervisor, the devices and the processes' logs say
#include "base/cleanup.h"
#include "base/fdpass.h"
#include "base/io.h"
#include "base/log.h"
#include "cli/keep.h"
#include "cli/run.h"
#include "proto/config_io.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#define NO_WORDS "no message"
/* For a machine that hangs to say where; on a busy host its process may have to wait for a CPU. */
#define WHERE_MS 1000
/* mayfly-vmm could not start with what it was given. */
#define VMM_EXIT_SETUP 2
/* Before its report: one is not asked for before the other has come. */
#define NOTES_MAX 4

static void on_started(struct run *r, int *fds, size_t nfds)
{
	struct machine *m = &r->machine;
	size_t at = 2;
	for (unsigned i = 0; i < MACHINE_PROCESSES; i++)
		at += m->has[i];
	bool own_id = nfds == at + 1;
	if ((nfds != at && !own_id) || m->dir_fd >= 0) {
		run_end(r, VERDICT_JAILER_KILLED, "the supervisor reported a wrong start");
		return;
	}
	m->dir_fd = steal_fd(&fds[0]);
	m->lock_fd = steal_fd(&fds[1]);
	at = 2;
	if (own_id)
		m->id_fd = steal_fd(&fds[at++]);
	for (unsigned i = 0; i < MACHINE_PROCESSES; i++)
		if (m->has[i])
			m->pidfd[i] = steal_fd(&fds[at++]);
	r->verdict.t.started = io_now_ns();
	log_info("machine %s started", m->id);
}

static void on_exited(struct run *r, const Mayfly__JailEvent *ev)
{
	int which = -1;
	for (unsigned i = 0; i < MACHINE_PROCESSES; i++)
		if (strcmp(ev->process, machine_process_name(i)) == 0)
			which = (int)i;
	log_info("%s ended with status 0x%x, %llu KiB at most, %llu us user, %llu us system",
		 ev->process, (unsigned)ev->status, (unsigned long long)ev->max_rss_kib,
		 (unsigned long long)ev->user_usec, (unsigned long long)ev->system_usec);
	struct machine_death one = {
		.which = (unsigned)which, .status = ev->status, .host_oom = ev->host_oom};
	if (which >= 0)
		machine_death_note(&r->death, &one, ev->told_to);
	if (which == MACHINE_VMM)
		r->verdict.vmm_end = io_now_ns();
	if (r->phase < RUN_DYING)
		r->phase = RUN_DYING;
}

/* Whatever the call was for: a process that makes it is not ours any more. */
static void on_seccomp(struct run *r, const Mayfly__JailEvent *ev)
{
	struct verdict *v = &r->verdict;
	snprintf(v->process, sizeof(v->process), "%s", ev->process);
	snprintf(v->thread, sizeof(v->thread), "%s", ev->thread);
	snprintf(v->call, sizeof(v->call), "%s", ev->text);
	run_end(r, VERDICT_SECCOMP,
		"the machine's %s process (thread %s) made a forbidden system call, %s, and was "
		"killed: its guest may have taken it over",
		v->process, v->thread, v->call);
}

static void on_paused(struct run *r, bool paused)
{
	if (r->keep)
		keep_paused(r->keep, paused);
}

static void log_line_done(struct run_log *l)
{
	l->line[l->len] = '\0';
	memcpy(l->last, l->line, l->len + 1);
	l->len = 0;
	if (l->last[0])
		log_info("[%s] %s", machine_process_name(l->which), l->last);
}

static void on_log(struct evsource *src, uint32_t events)
{
	struct run_log *l = src->arg;
	char buf[RUN_LOG_LINE];
	(void)events;
	ssize_t n = read(src->fd, buf, sizeof(buf));
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		evloop_del(&l->run->loop, src);
		src->fd = -1;
		return;
	}
	for (ssize_t i = 0; i < n; i++) {
		if (buf[i] == '\n')
			log_line_done(l);
		else if (l->len < sizeof(l->line) - 1)
			l->line[l->len++] = buf[i];
	}
}

/* The last words of a process that ended before its time, for the message. */
static const char *last_words(struct run *r, unsigned which)
{
	struct run_log *l = &r->log[which];
	while (l->src.fd >= 0) {
		size_t before = l->len;
		on_log(&l->src, EPOLLIN);
		if (l->src.fd < 0 || (l->len == before && errno == EAGAIN))
			break;
	}
	if (l->len > 0)
		log_line_done(l);
	return l->last[0] ? l->last : NO_WORDS;
}

/* What the supervisor said before it ended, "" if nothing: then it was killed. */
static const char *jailer_words(struct run *r)
{
	const char *words = last_words(r, MACHINE_PROCESSES);
	return strcmp(words, NO_WORDS) == 0 ? "" : words;
}

static void on_owner(struct evsource *src, uint32_t events)
{
	struct run *r = src->arg;
	int fds[FDPASS_MAX];
	size_t nfds = 0;
	ProtobufCMessage *msg = NULL;
	(void)events;
	int ret =
		config_recv(src->fd, &mayfly__jail_event__descriptor, &msg, fds, FDPASS_MAX, &nfds);
	if (ret == -EAGAIN)
		return;
	if (ret <= 0) {
		/* End of the socket without CLEAN: somebody killed the supervisor. */
		evloop_del(&r->loop, src);
		if (!r->machine_gone && r->phase < RUN_DYING) {
			r->phase = RUN_DYING;
			verdict_set(&r->verdict, VERDICT_JAILER_KILLED,
				    "the machine's supervisor was killed%s%s",
				    jailer_words(r)[0] ? ": " : "", jailer_words(r));
		}
		r->machine_gone = true;
		run_step(r);
		return;
	}
	const Mayfly__JailEvent *ev = (const Mayfly__JailEvent *)msg;
	switch (ev->kind) {
	case MAYFLY__JAIL_EVENT__KIND__STARTED: on_started(r, fds, nfds); break;
	case MAYFLY__JAIL_EVENT__KIND__EXITED: on_exited(r, ev); break;
	case MAYFLY__JAIL_EVENT__KIND__FAILED: run_end(r, VERDICT_CONFIG, "%s", ev->text); break;
	case MAYFLY__JAIL_EVENT__KIND__SECCOMP: on_seccomp(r, ev); break;
	case MAYFLY__JAIL_EVENT__KIND__CLEAN: r->machine_gone = true; break;
	case MAYFLY__JAIL_EVENT__KIND__PAUSED: on_paused(r, true); break;
	case MAYFLY__JAIL_EVENT__KIND__RUNNING: on_paused(r, false); break;
	default: log_warn("unknown event from the supervisor"); break;
	}
	for (size_t i = 0; i < nfds; i++)
		close_fd(&fds[i]);
	protobuf_c_message_free_unpacked(msg, NULL);
	run_step(r);
}

/* Returns true if it was a note: the report may be right behind it. */
static bool read_one(struct run *r)
{
	ProtobufCMessage *msg = NULL;
	if (r->report.fd < 0)
		return false;
	int ret = config_recv(r->report.fd, &mayfly__vmm_report__descriptor, &msg, NULL, 0, NULL);
	if (ret == -EAGAIN)
		return false;
	const Mayfly__VmmReport *rep = (const Mayfly__VmmReport *)msg;
	if (ret > 0 && rep->note != MAYFLY__VMM_REPORT__NOTE__NO_NOTE) {
		on_paused(r, rep->note == MAYFLY__VMM_REPORT__NOTE__NOTE_PAUSED);
		protobuf_c_message_free_unpacked(msg, NULL);
		return true;
	}
	evloop_del(&r->loop, &r->report);
	r->report.fd = -1;
	if (ret <= 0)
		return false;
	r->got_report = true;
	r->vmm_end = rep->end;
	snprintf(r->vmm_detail, sizeof(r->vmm_detail), "%s", rep->detail);
	r->power_off = rep->power_off;
	verdict_take_exits(&r->verdict, rep);
	verdict_take_console(&r->verdict, rep);
	if (r->cfg->boot && rep->cpus_started > 0 && rep->cpus_started < r->cfg->cpus)
		log_warn("note: the guest used %u of %u CPUs (a kernel that looks for them in ACPI "
			 "tables finds one: this machine has an MP table)",
			 rep->cpus_started, r->cfg->cpus);
	if (rep->panic_line[0]) {
		r->got_panic = true;
		snprintf(r->panic, sizeof(r->panic), "%s", rep->panic_line);
	}
	for (size_t i = 0; i < rep->n_console_tail; i++) {
		log_info("console: %s", rep->console_tail[i]);
		snprintf(r->last_line, sizeof(r->last_line), "%s", rep->console_tail[i]);
	}
	protobuf_c_message_free_unpacked(msg, NULL);
	return false;
}

void run_machine_read_report(struct run *r)
{
	for (int i = 0; i < NOTES_MAX && read_one(r); i++)
		;
}

void run_machine_tell_ready(struct run *r)
{
	Mayfly__VmmRequest q = MAYFLY__VMM_REQUEST__INIT;
	q.ready = true;
	if (r->cfg->engine == ENGINE_KVM && r->report.fd >= 0)
		config_send(r->report.fd, &q.base, NULL, 0);
}

int run_machine_pause(struct run *r, bool on)
{
	Mayfly__JailRequest j = MAYFLY__JAIL_REQUEST__INIT;
	Mayfly__VmmRequest q = MAYFLY__VMM_REQUEST__INIT;
	j.pause = q.pause = on;
	j.resume = q.resume = !on;
	if (r->cfg->engine == ENGINE_KVM)
		return r->report.fd < 0 ? -EPIPE : config_send(r->report.fd, &q.base, NULL, 0);
	return r->owner.fd < 0 ? -EPIPE : config_send(r->owner.fd, &j.base, NULL, 0);
}

void run_machine_ask_where(struct run *r)
{
	Mayfly__VmmRequest q = MAYFLY__VMM_REQUEST__INIT;
	q.end = true;
	if (r->report.fd < 0 || config_send(r->report.fd, &q.base, NULL, 0) < 0)
		return;
	struct pollfd p = {.fd = r->report.fd, .events = POLLIN};
	if (poll(&p, 1, WHERE_MS) > 0)
		run_machine_read_report(r);
}

static void on_report(struct evsource *src, uint32_t events)
{
	struct run *r = src->arg;
	(void)events;
	run_machine_read_report(r);
	/* Its engine does not know that the guest is at its end. */
	if (r->vmm_end == MAYFLY__VMM_REPORT__END__GUEST_HALTED && r->phase < RUN_DYING) {
		r->phase = RUN_DYING;
		machine_kill(&r->machine);
	}
	run_step(r);
}

static int watch(struct run *r, struct evsource *src, int fd, evsource_fn *fn, void *arg)
{
	*src = (struct evsource){.fd = fd, .fn = fn, .arg = arg};
	if (fd < 0)
		return 0;
	int ret = io_set_nonblock(fd, 1);
	return ret < 0 ? ret : evloop_add(&r->loop, src, EPOLLIN);
}

int run_machine_watch(struct run *r, struct err *e)
{
	int ret = watch(r, &r->owner, r->machine.owner, on_owner, r);
	if (ret == 0)
		ret = watch(r, &r->report, r->machine.report, on_report, r);
	for (unsigned i = 0; ret == 0 && i < MACHINE_LOGS; i++) {
		r->log[i].run = r;
		r->log[i].which = i;
		ret = watch(r, &r->log[i].src, r->machine.log[i], on_log, &r->log[i]);
	}
	return ret < 0 ? err_errno(e, -ret, "can't watch the machine") : run_console_watch(r, e);
}

/* Its set-up failed over what it was given: its words are the message. */
static bool judge_setup(struct run *r)
{
	static const char prefix[] = "mayfly-vmm: ";
	const char *words = last_words(r, MACHINE_VMM);
	if (r->death.which != MACHINE_VMM || r->got_report || !WIFEXITED(r->death.status) ||
	    WEXITSTATUS(r->death.status) != VMM_EXIT_SETUP)
		return false;
	if (strncmp(words, prefix, sizeof(prefix) - 1) == 0)
		words += sizeof(prefix) - 1;
	return verdict_set(&r->verdict, VERDICT_CONFIG, "%s", words);
}

static void judge_process(struct run *r)
{
	static const enum verdict_reason reasons[] = {
		[MACHINE_QEMU] = VERDICT_ENGINE_KILLED,
		[MACHINE_VMM] = VERDICT_VMM_KILLED,
		[MACHINE_FS] = VERDICT_FS_KILLED,
	};
	unsigned i = r->death.which;
	const char *name = machine_process_name(i);
	if (r->death.host_oom && WIFSIGNALED(r->death.status)) {
		snprintf(r->verdict.process, sizeof(r->verdict.process), "%s", name);
		verdict_set(&r->verdict, VERDICT_HOST_OOM,
			    "the host ran out of memory and killed the machine's %s process: less "
			    "--memory, fewer machines, or a higher limit of mayfly's cgroup",
			    name);
	} else if (WIFSIGNALED(r->death.status))
		verdict_set(&r->verdict, reasons[i], "the machine's %s process was killed by SIG%s",
			    name, sigabbrev_np(WTERMSIG(r->death.status)));
	else if (!judge_setup(r))
		verdict_set(&r->verdict, reasons[i], "the machine's %s process ended early: %s",
			    name, last_words(r, i));
}

/* How the guest ended, by itself. */
static void judge_guest(struct run *r)
{
	bool booted = r->verdict.t.ready != 0 || r->cfg->boot;
	const char *when = booted ? "" : " before it was ready";
	const char *said = !booted && r->last_line[0] ? "; its console said last: " : "";
	const char *line = said[0] ? r->last_line : "";
	/* Where it was is worth telling of a guest that did not get far. */
	const char *where = booted ? "" : r->vmm_detail;
	if (r->vmm_end == MAYFLY__VMM_REPORT__END__GUEST_HALTED)
		verdict_set(&r->verdict, r->power_off ? VERDICT_GUEST_POWEROFF : VERDICT_GUEST_HALT,
			    "the guest %s%s", r->power_off ? "powered itself off" : "halted itself",
			    when);
	else if (r->vmm_end == MAYFLY__VMM_REPORT__END__GUEST_SHUTDOWN)
		verdict_set(&r->verdict, VERDICT_TRIPLE_FAULT,
			    "the guest crashed beyond recovery%s: %s%s%s", when, r->vmm_detail,
			    said, line);
	else
		verdict_set(&r->verdict, VERDICT_GUEST_RESET, "the guest reset itself%s%s%s%s%s",
			    when, where[0] ? ": " : "", where, said, line);
}

/* The kernel's panic when files in memory, which nobody can kill, fill all of it. */
static bool out_of_memory(const char *panic)
{
	static const char deadlock[] = "System is deadlocked on memory";
	return strstr(panic, deadlock) != NULL;
}

static void judge_out_of_memory(struct run *r)
{
	if (verdict_set(&r->verdict, VERDICT_OOM,
			"the guest ran out of its %llu MiB of memory and had nothing left to kill "
			"(see --memory)",
			(unsigned long long)(r->cfg->memory >> 20)))
		r->verdict.signal = SIGKILL;
}

/* An end that this engine can have; anything else was made up, or nobody said anything. */
static bool end_told(const struct run *r)
{
	if (!r->got_report)
		return false;
	if (r->cfg->engine == ENGINE_TCG)
		return true;
	return r->vmm_end == MAYFLY__VMM_REPORT__END__GUEST_RESET ||
	       r->vmm_end == MAYFLY__VMM_REPORT__END__GUEST_HALTED ||
	       r->vmm_end == MAYFLY__VMM_REPORT__END__GUEST_SHUTDOWN;
}

/* Why is the machine gone? Called when all of it is, with no Exit from the command. */
void run_machine_judge(struct run *r)
{
	bool booted = r->verdict.t.ready != 0;
	if (r->vmm_end == MAYFLY__VMM_REPORT__END__ENGINE_ERROR)
		verdict_set(&r->verdict, VERDICT_ENGINE_FAILED, "the kvm engine can't go on: %s",
			    r->vmm_detail);
	else if (r->death.seen && r->vmm_end != MAYFLY__VMM_REPORT__END__GUEST_HALTED)
		judge_process(r);
	else if (!end_told(r))
		verdict_set(&r->verdict, VERDICT_VMM_KILLED,
			    "the machine's vmm process ended without saying why");
	else if (r->got_panic && out_of_memory(r->panic) && !r->cfg->boot)
		judge_out_of_memory(r);
	else if (r->got_panic)
		verdict_set(&r->verdict, VERDICT_GUEST_PANIC, "the guest's kernel panicked%s: %s",
			    booted || r->cfg->boot ? "" : " while booting", r->panic);
	else
		judge_guest(r);
}
