// SPDX-License-Identifier: Apache-2.0
// run.h - one `mayfly run` from launch to verdict
//
// One thread, one event loop. run_machine.c listens to the supervisor and the machine's logs,
// run_control.c to the agent, run_command.c carries the command and its streams, run_out.c copies
// results out, run.c holds the order of events, the deadlines and the signals.
#ifndef MAYFLY_CLI_RUN_H
#define MAYFLY_CLI_RUN_H

#include "base/evloop.h"
#include "cli/agent_ok.h"
#include "cli/exec_client.h"
#include "cli/guest_user.h"
#include "cli/hostio.h"
#include "cli/machine.h"
#include "cli/machine_death.h"
#include "cli/run_image.h"
#include "cli/term.h"
#include "cli/verdict.h"
#include "copy/out.h"
#include "copy/pace.h"
#include "proto/frame.h"

enum run_phase {
	RUN_CONSOLE,  /* mayfly boot: until the machine ends */
	RUN_BOOTING,  /* until the agent says Ready */
	RUN_STARTING, /* the command is on its way in */
	RUN_RUNNING,
	RUN_KEPT,    /* a machine that lives: commands come and go (keep.c) */
	RUN_EXITED,  /* Exit has come; output is flushed, files are copied out */
	RUN_GOODBYE, /* Shutdown is sent */
	RUN_DYING,   /* a part of the machine ended: the rest follows, then the verdict is made */
	RUN_OVER,
};

#define RUN_LOG_LINE 512
/* After the agent has closed the connection, its machine has this long to show why. */
#define RUN_LOST_NS 2000000000ull

struct run_log {
	struct evsource src;
	struct run *run;
	unsigned which;
	size_t len;
	char line[RUN_LOG_LINE];
	char last[RUN_LOG_LINE]; /* the last complete line */
};

/* boot: what was typed and not yet passed on. */
struct run_typed {
	size_t pos, len;
	char buf[4096];
};

/* --out: one after the other, each over a connection of its own. */
struct run_out {
	struct out_target target[CONFIG_MAX_OUTS];
	size_t n, at; /* at is under way, those before it are over */
	bool begun;
	bool killed; /* by --timeout: the machine goes on until all is copied */
	struct out *writer;
	struct frame_conn conn;
	struct evsource src;
	struct agent_ok ok;
	unsigned noted;
	struct pace pace;
	uint64_t start_ns, heard_ns, shown_ns;
};

/* --idle-timeout and --output-limit; run_limits.c */
struct run_limits {
	struct hostio_limit output;
	bool noted;	    /* that it is over */
	uint64_t moved;	    /* bytes, when it was looked last */
	uint64_t active_ns; /* when something moved; 0: nothing is expected to yet */
};

struct keep;

struct run {
	struct vm_config *cfg;
	struct keep *keep; /* of a machine that lives, else NULL */
	struct views views;
	struct disk_files disks;
	struct run_image image;
	struct guest_user user;
	char **env;
	char workdir[PATH_MAX];
	struct machine machine;
	struct evloop loop;
	enum run_phase phase;
	struct verdict verdict;

	struct evsource owner, report, console, signals;
	struct run_log log[MACHINE_LOGS];
	bool machine_gone; /* the supervisor said CLEAN, or died */
	struct machine_death death;
	Mayfly__VmmReport__End vmm_end; /* how the machine ended, from the report */
	bool got_report;
	bool got_panic;
	bool power_off;
	char panic[256];
	char last_line[256];
	char vmm_detail[256]; /* how and where, "" if the engine can't tell */
	struct run_typed typed;

	struct frame_conn control;
	struct evsource control_src;
	unsigned clock_asked;

	struct exec_client exec;
	struct term term;
	struct hostio in, out[2];
	struct run_limits limits;
	struct run_out results;
	int svg_fd; /* --timings=svg; -1: none */

	unsigned interrupts;
	uint64_t deadline_ns;	    /* --timeout */
	uint64_t boot_deadline_ns;  /* until Ready */
	uint64_t start_deadline_ns; /* until the command has begun; 0: it has, or need not */
	uint64_t tty_retry_ns;	    /* boot: stdin's terminal is asked again; 0: no need */
	uint64_t phase_deadline_ns; /* of RUN_GOODBYE and of flushing after a forced end */
};

/* run_end() - decides the verdict, if none is there yet, and ends the machine at once. */
void run_end(struct run *r, enum verdict_reason reason, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* run_step() - moves on after any event: flushes, changes phase. */
void run_step(struct run *r);

/* run_machine.c */
int run_machine_watch(struct run *r, struct err *e);
void run_machine_read_report(struct run *r);
void run_machine_judge(struct run *r);

/*
 * run_machine_ask_where() - the machine ends and tells where it was; waits for that a moment. What
 * it said is in vmm_detail, last_line and the counts then.
 */
void run_machine_ask_where(struct run *r);

/* run_machine_tell_ready() - the machine notes how many exits there were until now. */
void run_machine_tell_ready(struct run *r);

/*
 * run_machine_pause() - the guest's CPUs are to stand still, or to go on; keep_paused() is called
 * when they do. 0 or -errno.
 */
int run_machine_pause(struct run *r, bool on);

/* run_console.c: the guest's console; pump is for mayfly boot. */
int run_console_watch(struct run *r, struct err *e);
void run_console_pump(struct run *r);

/* run_control.c: the agent's control connection. */
int run_control_start(struct run *r, struct err *e);
int run_control_shutdown(struct run *r);

/* Of a machine that lives: the time is told anew; all commands get a signal; how is the guest? */
int run_control_clock(struct run *r);
int run_control_signal(struct run *r, int number);
int run_control_stats(struct run *r);

/* run_command.c: the command's connection, its terminal, and what its end means for the run. */
void run_command_init(struct run *r);
int run_command_prepare(struct run *r, struct err *e);
int run_command_start(struct run *r, struct err *e);
void run_command_free(struct run *r);

/* run_command_terminal() - SIGWINCH, SIGTSTP or SIGCONT: sizes, settings, stopping. */
void run_command_terminal(struct run *r, int number);

/* run_limits.c: open comes with the descriptors, tick with each turn of the loop. */
void run_limits_open(struct run *r);
void run_limits_tick(struct run *r, uint64_t now);

/* run_limits_touch() - something happened that isn't a byte: a signal. */
void run_limits_touch(struct run *r);

/* run_limits_wait() - when run_limits_tick() is to be called next; UINT64_MAX: never. */
uint64_t run_limits_wait(const struct run *r);

/*
 * run_kill_command() - sets the verdict; with --out the command only is killed, and the machine
 * goes on until its files are copied, else all ends at once.
 */
void run_kill_command(struct run *r, enum verdict_reason reason, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* run_out.c: --out. open comes before the machine, close makes failures of what is not copied. */
int run_out_open(struct run *r, struct err *e);
void run_out_begin(struct run *r);
bool run_out_busy(const struct run *r);
void run_out_close(struct run *r);

/* run_out_tick() - shows progress, ends what does not get on. */
void run_out_tick(struct run *r, uint64_t now);

/* run_out_wait() - when run_out_tick() is to be called next; UINT64_MAX: never. */
uint64_t run_out_wait(const struct run *r);

/* run_goodbye() - the guest is asked to end, in good order; the verdict is there. */
void run_goodbye(struct run *r);

/* run_keep() - as run_main(), for a machine that lives. */
int run_keep(struct vm_config *c, struct keep *k, uint64_t start_ns);

/* run_main() - the whole of it, also of mayfly boot; returns mayfly's exit status. */
int run_main(struct vm_config *c, uint64_t start_ns);

#endif
