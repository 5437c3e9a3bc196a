// SPDX-License-Identifier: Apache-2.0
// verdict.c - how a run ended: exit status, message, JSON
#include "cli/verdict.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/io.h"

#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define NS_PER_MS 1e6
#define BAR_WIDTH 40

static const char *const reason_names[] = {
	[VERDICT_NONE] = "none",
	[VERDICT_EXIT] = "exit",
	[VERDICT_SIGNAL] = "signal",
	[VERDICT_NOT_STARTED] = "not-started",
	[VERDICT_OOM] = "oom",
	[VERDICT_TIMEOUT] = "timeout",
	[VERDICT_BOOT_TIMEOUT] = "boot-timeout",
	[VERDICT_INTERRUPTED] = "interrupted",
	[VERDICT_GUEST_PANIC] = "guest-panic",
	[VERDICT_GUEST_RESET] = "guest-reset",
	[VERDICT_TRIPLE_FAULT] = "triple-fault",
	[VERDICT_GUEST_HALT] = "guest-halt",
	[VERDICT_GUEST_POWEROFF] = "guest-poweroff",
	[VERDICT_GUEST_FAILED] = "guest-failed",
	[VERDICT_VMM_KILLED] = "vmm-killed",
	[VERDICT_FS_KILLED] = "fs-killed",
	[VERDICT_ENGINE_KILLED] = "engine-killed",
	[VERDICT_ENGINE_FAILED] = "engine-failed",
	[VERDICT_JAILER_KILLED] = "jailer-killed",
	[VERDICT_HOST_OOM] = "host-oom",
	[VERDICT_IDLE] = "idle",
	[VERDICT_OUTPUT_LIMIT] = "output-limit",
	[VERDICT_SECCOMP] = "seccomp",
	[VERDICT_OUTPUT] = "output",
	[VERDICT_OUT] = "out",
	[VERDICT_MACHINE_ENDED] = "machine-ended",
	[VERDICT_TAKEN] = "taken",
	[VERDICT_DETACHED] = "detached",
	[VERDICT_STOPPED] = "stopped",
	[VERDICT_KILLED] = "killed",
	[VERDICT_CONFIG] = "config",
};
_Static_assert(ARRAY_SIZE(reason_names) == VERDICT_REASONS, "a name for each reason");

const char *verdict_name(enum verdict_reason r)
{
	return r < VERDICT_REASONS ? reason_names[r] : "?";
}

/* A message may quote the guest, and goes to terminals also as JSON: no controls, C1 neither. */
static void make_plain(char *text)
{
	for (unsigned char *p = (unsigned char *)text; *p; p++) {
		bool c1 = p[0] == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f;
		if (c1)
			p[0] = p[1] = '?';
		else if (*p < ' ' || *p == 0x7f)
			*p = '?';
	}
}

bool verdict_set(struct verdict *v, enum verdict_reason r, const char *fmt, ...)
{
	if (v->reason != VERDICT_NONE)
		return false;
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(v->message, sizeof(v->message), fmt, ap);
	va_end(ap);
	make_plain(v->message);
	v->reason = r;
	v->t.stop = io_now_ns();
	return true;
}

/* What ran out; an exec does not know how much it was. */
static const char *memory_name(char *buf, size_t size, uint64_t bytes)
{
	if (bytes == 0)
		return "memory";
	snprintf(buf, size, "its %llu MiB of memory", (unsigned long long)(bytes >> 20));
	return buf;
}

/* Guest text that goes to terminals and into JSON. */
static void take_text(char *to, size_t size, const char *text)
{
	snprintf(to, size, "%s", text);
	for (char *c = to; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
}

/* Behind what is said already. Limits that are met end nothing, so they are no reason. */
static void add_note(struct verdict *v, const char *note)
{
	size_t len = strlen(v->message);
	snprintf(v->message + len, sizeof(v->message) - len, "%s%s", len ? "; " : "note: ", note);
}

static void add_limits(struct verdict *v, const Mayfly__Exit *x)
{
	v->met_pids = x->pids;
	v->met_disk = x->full;
	if (x->pids)
		add_note(v,
			 "a process or thread could not be made: the guest had as many as it may "
			 "(see --pids)");
	if (x->full)
		add_note(v, "what takes the guest's changes is full (see --disk-limit, --scratch)");
}

void verdict_add_limits(const struct verdict *v, json_t *o)
{
	if (v->oom_process[0])
		json_object_set_new(o, "oom_process", json_string(v->oom_process));
	if (!v->met_pids && !v->met_disk)
		return;
	json_t *list = json_array();
	if (v->met_pids)
		json_array_append_new(list, json_string("pids"));
	if (v->met_disk)
		json_array_append_new(list, json_string("disk"));
	json_object_set_new(o, "limits_met", list);
}

static void from_signal(struct verdict *v, const Mayfly__Exit *x, uint64_t memory_bytes)
{
	const char *name = v->oom_process;
	v->signal = x->code >= 1 && x->code <= SIGRTMAX ? x->code : SIGKILL;
	if (x->oom && v->signal == SIGKILL) {
		char memory[48];
		verdict_set(v, VERDICT_OOM,
			    "the guest ran out of %s and killed the command%s%s%s (see --memory)",
			    memory_name(memory, sizeof(memory), memory_bytes),
			    name[0] ? "; the last process to go was '" : "", name,
			    name[0] ? "'" : "");
	} else {
		verdict_set(v, VERDICT_SIGNAL, "%s", "");
	}
}

void verdict_from_exit(struct verdict *v, const Mayfly__Exit *x, uint64_t memory_bytes)
{
	if (v->reason != VERDICT_NONE)
		return;
	if (x->oom)
		take_text(v->oom_process, sizeof(v->oom_process), x->oom_process);
	const char *name = v->oom_process;
	switch (x->kind) {
	case MAYFLY__EXIT__KIND__TIMEOUT:
		verdict_set(v, VERDICT_TIMEOUT,
			    "timeout: the command and all that it started were killed");
		break;
	case MAYFLY__EXIT__KIND__SIGNAL: from_signal(v, x, memory_bytes); break;
	case MAYFLY__EXIT__KIND__NOT_STARTED:
		v->code = x->code;
		verdict_set(v, VERDICT_NOT_STARTED, "%s", x->text);
		break;
	default:
		v->code = x->code & 0xff;
		verdict_set(v, VERDICT_EXIT, "%s", "");
		if (x->oom) {
			char memory[48];
			snprintf(v->message, sizeof(v->message),
				 "note: the guest ran out of %s and killed %s%s%s (see --memory)",
				 memory_name(memory, sizeof(memory), memory_bytes),
				 name[0] ? "process '" : "a process", name, name[0] ? "'" : "");
		}
	}
	add_limits(v, x);
	v->user_usec = x->user_usec;
	v->system_usec = x->system_usec;
	v->max_rss_kib = x->max_rss_kib;
	v->has_usage = true;
}

/* mayfly boot: the guest has no command, how it ends is what it says. */
static int boot_status(const struct verdict *v)
{
	switch (v->reason) {
	case VERDICT_GUEST_HALT:
	case VERDICT_GUEST_POWEROFF:
	case VERDICT_GUEST_RESET: return 0;
	case VERDICT_GUEST_PANIC: return EXIT_BOOT_PANIC;
	case VERDICT_TRIPLE_FAULT: return EXIT_BOOT_FAULT;
	default: return -1;
	}
}

int verdict_status(const struct verdict *v)
{
	if (v->boot && boot_status(v) >= 0)
		return boot_status(v);
	switch (v->reason) {
	case VERDICT_EXIT: return v->code;
	case VERDICT_SIGNAL:
	case VERDICT_OOM:
	case VERDICT_KILLED:
	case VERDICT_INTERRUPTED: return (EXIT_SIGNAL_BASE + v->signal) & 0xff;
	case VERDICT_OUTPUT_LIMIT: return EXIT_SIGNAL_BASE + SIGKILL;
	case VERDICT_IDLE:
	case VERDICT_TIMEOUT: return EXIT_TIMEOUT;
	case VERDICT_STOPPED:
	case VERDICT_DETACHED: return 0;
	case VERDICT_NOT_STARTED: return v->code == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
	default: return EXIT_MAYFLY;
	}
}

void verdict_phases(const struct verdict *v, struct verdict_phase p[VERDICT_PHASES])
{
	const struct verdict_times *t = &v->t;
	const uint64_t at[VERDICT_PHASES + 1] = {t->start, t->parsed, t->kernel, t->init,
						 t->ready, t->exec,   t->exit,	 t->end};
	static const char *const names[VERDICT_PHASES] = {"parse", "engine",  "kernel",	 "init",
							  "exec",  "command", "teardown"};
	uint64_t last = t->start;
	for (unsigned i = 0; i < VERDICT_PHASES; i++) {
		/* Some points come from the guest's clock: none may lie outside the run. */
		uint64_t to = MIN(at[i + 1] ? at[i + 1] : t->stop, t->end);
		p[i] = (struct verdict_phase){names[i], last, MAX(to, last)};
		last = p[i].to;
	}
}

static json_t *times_json(const struct verdict *v)
{
	struct verdict_phase p[VERDICT_PHASES];
	json_t *o = json_object();
	verdict_phases(v, p);
	for (unsigned i = 0; i < VERDICT_PHASES; i++)
		json_object_set_new(o, p[i].name,
				    json_real((double)(p[i].to - p[i].from) / NS_PER_MS));
	json_object_set_new(o, "total", json_real((double)(v->t.end - v->t.start) / NS_PER_MS));
	const struct {
		const char *name;
		uint64_t at;
	} points[] = {{"vmm_start", v->vmm_start},
		      {"first_entry", v->entered},
		      {"last_exit", v->left},
		      {"vmm_end", v->vmm_end}};
	for (size_t i = 0; i < ARRAY_SIZE(points) && v->entered; i++)
		if (points[i].at)
			json_object_set_new(
				o, points[i].name,
				json_real((double)(points[i].at - v->t.start) / NS_PER_MS));
	return o;
}

void verdict_take_exits(struct verdict *v, const Mayfly__VmmReport *r)
{
	struct verdict_times *t = &v->t;
	uint64_t now = io_now_ns();
	v->n_exits = 0;
	if (r->entered_ns > t->start && r->entered_ns <= r->left_ns && r->left_ns <= now) {
		v->entered = r->entered_ns;
		v->left = r->left_ns;
		if (r->started_ns > t->start && r->started_ns <= r->entered_ns)
			v->vmm_start = r->started_ns;
	}
	/* No agent tells how far the guest has come: all of its time is the kernel's. */
	if (v->boot && v->entered) {
		t->kernel = v->entered;
		t->init = t->ready = t->exec = t->exit = v->left;
	}
	for (size_t i = 0; i < r->n_exit && v->n_exits < VERDICT_EXITS_MAX; i++) {
		struct verdict_exit *x = &v->exits[v->n_exits++];
		take_text(x->name, sizeof(x->name), r->exit[i]->name);
		x->count = r->exit[i]->count;
		x->until_ready = r->exit[i]->until_ready;
	}
}

void verdict_take_console(struct verdict *v, const Mayfly__VmmReport *r)
{
	v->n_console = 0;
	for (size_t i = 0; i < r->n_console_tail && v->n_console < VERDICT_CONSOLE_LINES; i++)
		take_text(v->console[v->n_console++], VERDICT_CONSOLE_LINE_MAX, r->console_tail[i]);
	take_text(v->panic, sizeof(v->panic), r->panic_line);
}

/* Did the guest, or what runs it, end by itself? Then its last words are worth having. */
static bool has_last_words(const struct verdict *v)
{
	switch (v->reason) {
	case VERDICT_GUEST_PANIC:
	case VERDICT_GUEST_RESET:
	case VERDICT_GUEST_HALT:
	case VERDICT_GUEST_POWEROFF:
	case VERDICT_TRIPLE_FAULT:
	case VERDICT_GUEST_FAILED:
	case VERDICT_ENGINE_FAILED:
	case VERDICT_BOOT_TIMEOUT:
	case VERDICT_OOM: return v->n_console > 0;
	default: return false;
	}
}

static json_t *console_json(const struct verdict *v)
{
	json_t *list = json_array();
	for (unsigned i = 0; i < v->n_console; i++)
		json_array_append_new(list, json_string(v->console[i]));
	return list;
}

static json_t *exits_json(const struct verdict *v)
{
	json_t *o = json_object();
	for (unsigned i = 0; i < v->n_exits; i++)
		json_object_set_new(o, v->exits[i].name,
				    json_pack("{s:I,s:I}", "until_ready",
					      (json_int_t)v->exits[i].until_ready, "total",
					      (json_int_t)v->exits[i].count));
	return o;
}

void verdict_print_exits(const struct verdict *v)
{
	uint64_t count = 0;
	uint64_t until_ready = 0;
	if (v->n_exits == 0) {
		fprintf(stderr,
			"mayfly: no exits were counted (the kvm engine has them, if it came to "
			"report)\n");
		return;
	}
	fprintf(stderr, "mayfly: %-24s %12s %12s\n", "exits", "until ready", "in all");
	for (unsigned i = 0; i < v->n_exits; i++) {
		const struct verdict_exit *x = &v->exits[i];
		fprintf(stderr, "mayfly: %-24s %12llu %12llu\n", x->name,
			(unsigned long long)x->until_ready, (unsigned long long)x->count);
		count += x->count;
		until_ready += x->until_ready;
	}
	fprintf(stderr, "mayfly: %-24s %12llu %12llu\n", "total", (unsigned long long)until_ready,
		(unsigned long long)count);
}

char *verdict_text(const struct verdict *v)
{
	json_t *o = json_object();
	json_object_set_new(o, "reason", json_string(verdict_name(v->reason)));
	json_object_set_new(o, "status", json_integer(verdict_status(v)));
	if (v->engine)
		json_object_set_new(o, "engine", json_string(v->engine));
	if (v->jail)
		json_object_set_new(o, "jail", json_string(v->jail));
	if (v->reason == VERDICT_SECCOMP) {
		json_object_set_new(o, "process", json_string(v->process));
		json_object_set_new(o, "thread", json_string(v->thread));
		json_object_set_new(o, "call", json_string(v->call));
	}
	if (v->reason == VERDICT_HOST_OOM)
		json_object_set_new(o, "process", json_string(v->process));
	verdict_add_limits(v, o);
	if (v->panic[0] && has_last_words(v))
		json_object_set_new(o, "panic", json_string(v->panic));
	if (has_last_words(v))
		json_object_set_new(o, "console", console_json(v));
	if (v->reason == VERDICT_EXIT)
		json_object_set_new(o, "code", json_integer(v->code));
	if (v->reason == VERDICT_NOT_STARTED)
		json_object_set_new(o, "errno", json_integer(v->code));
	if (v->signal)
		json_object_set_new(o, "signal", json_integer(v->signal));
	if (v->message[0]) {
		/* May quote guest text, which need not be UTF-8. */
		json_t *text = json_string(v->message);
		json_object_set_new(o, "message", text ? text : json_string("(not UTF-8)"));
	}
	json_object_set_new(o, "timings", times_json(v));
	if (v->has_usage)
		json_object_set_new(o, "usage",
				    json_pack("{s:I,s:I,s:I}", "user_usec",
					      (json_int_t)v->user_usec, "system_usec",
					      (json_int_t)v->system_usec, "max_rss_kib",
					      (json_int_t)v->max_rss_kib));
	if (v->n_exits > 0)
		json_object_set_new(o, "exits", exits_json(v));
	char *text = json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(6));
	json_decref(o);
	return text;
}

int verdict_write(const struct verdict *v, int fd)
{
	AUTO_FREE char *text = verdict_text(v);
	if (!text)
		return -ENOMEM;
	int ret = io_write_full(fd, text, strlen(text));
	return ret < 0 ? ret : io_write_full(fd, "\n", 1);
}

void verdict_timings(const struct verdict *v)
{
	struct verdict_phase p[VERDICT_PHASES];
	char bar[BAR_WIDTH + 1];
	verdict_phases(v, p);
	double total = (double)(v->t.end - v->t.start);
	for (unsigned i = 0; i < VERDICT_PHASES && total > 0; i++) {
		int from = (int)((double)(p[i].from - v->t.start) / total * BAR_WIDTH);
		int to = (int)((double)(p[i].to - v->t.start) / total * BAR_WIDTH);
		memset(bar, ' ', BAR_WIDTH);
		bar[BAR_WIDTH] = '\0';
		for (int k = from; k < to; k++)
			bar[k] = '#';
		if (from == to && from < BAR_WIDTH)
			bar[from] = '|';
		fprintf(stderr, "mayfly: %-9s %8.1f ms  %s\n", p[i].name,
			(double)(p[i].to - p[i].from) / NS_PER_MS, bar);
	}
	fprintf(stderr, "mayfly: %-9s %8.1f ms\n", "total", total / NS_PER_MS);
}
