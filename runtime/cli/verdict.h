// SPDX-License-Identifier: Apache-2.0
// verdict.h - how a run ended: exit status, message, JSON
#ifndef MAYFLY_CLI_VERDICT_H
#define MAYFLY_CLI_VERDICT_H

#include "proto/agent.pb-c.h"
#include "proto/config.pb-c.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* The exit status where it is not the command's own; part of the interface. */
enum exit_code {
	EXIT_BOOT_PANIC = 1, /* mayfly boot only, these two */
	EXIT_BOOT_FAULT = 2,
	EXIT_TIMEOUT = 124,
	EXIT_MAYFLY = 125,
	EXIT_NOT_EXECUTABLE = 126,
	EXIT_NOT_FOUND = 127,
	EXIT_SIGNAL_BASE = 128,
};

enum verdict_reason {
	VERDICT_NONE,
	VERDICT_EXIT,
	VERDICT_SIGNAL,
	VERDICT_NOT_STARTED,
	VERDICT_OOM,
	VERDICT_TIMEOUT,
	VERDICT_BOOT_TIMEOUT,
	VERDICT_INTERRUPTED,
	VERDICT_GUEST_PANIC,
	VERDICT_GUEST_RESET,
	VERDICT_TRIPLE_FAULT, /* kvm: the guest's CPU could not even report its exception */
	VERDICT_GUEST_HALT,   /* its kernel stopped the CPUs, or was about to: these two */
	VERDICT_GUEST_POWEROFF,
	VERDICT_GUEST_FAILED,
	VERDICT_VMM_KILLED,
	VERDICT_FS_KILLED,
	VERDICT_ENGINE_KILLED,
	VERDICT_ENGINE_FAILED,
	VERDICT_JAILER_KILLED,
	VERDICT_HOST_OOM, /* the host's kernel killed a process of the machine for lack of memory */
	VERDICT_IDLE,
	VERDICT_OUTPUT_LIMIT,
	VERDICT_SECCOMP, /* a process made a system call that its table lacks */
	VERDICT_OUTPUT,
	VERDICT_OUT,	       /* the command succeeded, but --out could not be copied */
	VERDICT_MACHINE_ENDED, /* exec, attach: the machine did, before the command */
	VERDICT_TAKEN,	       /* somebody else attached to the command */
	VERDICT_DETACHED,      /* the command was left running, as asked */
	VERDICT_STOPPED,       /* machines that live: mayfly stop, in good order */
	VERDICT_KILLED,	       /* the same, by mayfly kill */
	VERDICT_CONFIG,
	VERDICT_REASONS,
};

/* Points on this process's monotonic clock, nanoseconds; 0: not reached. */
struct verdict_times {
	uint64_t start;
	uint64_t parsed;
	uint64_t started; /* the machine's processes run */
	uint64_t kernel;  /* the guest's clock began to count */
	uint64_t init;
	uint64_t ready;
	uint64_t exec; /* the command's program runs */
	uint64_t exit;
	uint64_t stop; /* the verdict was made */
	uint64_t end;
};

#define VERDICT_EXITS_MAX 64
#define VERDICT_CONSOLE_LINES 20
#define VERDICT_CONSOLE_LINE_MAX 256

/* How often the guest's CPUs came back, and why. */
struct verdict_exit {
	char name[40];
	uint64_t count, until_ready;
};

struct verdict {
	const char *engine; /* what ran the guest; NULL: it did not come to that */
	const char *jail;   /* full, reduced, none; NULL like engine */
	char process[24], thread[24], call[48]; /* of seccomp: who did what; host-oom */
	bool boot; /* of mayfly boot: how the guest ended is the status */
	enum verdict_reason reason;
	int code;		 /* of exit; errno value of not-started */
	int signal;		 /* of signal, oom, interrupted */
	char message[1024];	 /* for people, empty: none needed */
	bool met_pids, met_disk; /* limits of the guest that were met, as it says */
	char oom_process[32];	 /* that the guest's kernel killed, as it says */
	char panic[VERDICT_CONSOLE_LINE_MAX];
	char console[VERDICT_CONSOLE_LINES][VERDICT_CONSOLE_LINE_MAX]; /* the guest's last lines */
	unsigned n_console;
	struct verdict_times t;
	uint64_t user_usec, system_usec, max_rss_kib;
	bool has_usage;
	struct verdict_exit exits[VERDICT_EXITS_MAX];
	unsigned n_exits;
	/* kvm: the vmm process began, first entry into the guest, last exit, that process was gone
	 */
	uint64_t vmm_start, entered, left, vmm_end;
};

/* verdict_name() - the word in the JSON object. */
const char *verdict_name(enum verdict_reason r);

/* verdict_set() - the first one counts; returns false if there was one already. */
bool verdict_set(struct verdict *v, enum verdict_reason r, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * verdict_from_exit() - what the agent reported; all of it is the guest's word, range-checked.
 * @memory_bytes: 0: not known
 */
void verdict_from_exit(struct verdict *v, const Mayfly__Exit *x, uint64_t memory_bytes);

/* verdict_take_console() - the lines of the vmm's report; guest text, shown as ASCII. */
void verdict_take_console(struct verdict *v, const Mayfly__VmmReport *r);

/* verdict_status() - mayfly's exit status, 0 to 255. */
int verdict_status(const struct verdict *v);

/* verdict_add_limits() - limits of the guest that were met and whom it cost, to a JSON object. */
void verdict_add_limits(const struct verdict *v, json_t *o);

/* verdict_text() - one JSON object, the caller's to free; NULL: no memory. */
char *verdict_text(const struct verdict *v);

/* verdict_write() - one JSON object and a newline to fd; 0 or -errno. */
int verdict_write(const struct verdict *v, int fd);

/* verdict_take_exits() - copies the counts of the vmm's report. */
void verdict_take_exits(struct verdict *v, const Mayfly__VmmReport *r);

/* verdict_print_exits() - a table of the counts on standard error. */
void verdict_print_exits(const struct verdict *v);

/* One part of a run's time, on the clock of struct verdict_times. */
struct verdict_phase {
	const char *name;
	uint64_t from, to;
};

#define VERDICT_PHASES 7

/*
 * verdict_phases() - the whole run in parts without gaps, none outside of it. That in which it
 * was cut short lasts until the verdict; those after it are empty.
 */
void verdict_phases(const struct verdict *v, struct verdict_phase p[VERDICT_PHASES]);

/* verdict_timings() - a waterfall of the phases on standard error. */
void verdict_timings(const struct verdict *v);

#endif
