// SPDX-License-Identifier: Apache-2.0
// keep.h - the keeper of a machine that lives: what `mayfly start` leaves behind
//
// A process of its own, in a session of its own, that is to its machine what `mayfly run` is: run.c
// and its parts do the same for it, in the phase RUN_KEPT. keep.c is its life, keep_control.c its
// socket, keep_answer.c what is asked there, keep_exec.c the commands, keep_stats.c numbers.
#ifndef MAYFLY_CLI_KEEP_H
#define MAYFLY_CLI_KEEP_H

#include "cli/keep_control.h"
#include "cli/keep_exec.h"
#include "cli/record.h"
#include "cli/record_log.h"
#include "cli/run.h"

struct keep {
	struct run *run;
	struct record record;
	json_t *machine; /* machine.json */
	struct record_log log;
	struct evsource starter; /* who waits for the machine to be ready; -1: told, or gone */
	struct keep_control control;
	struct keep_execs execs;
	uint64_t command; /* the exec whose end is the machine's; 0: none */
	Mayfly__MachineState state;
	uint64_t started_ns; /* wall clock */
	bool told;	     /* it was ready once */
	bool asked_stop;
	uint64_t stop_ns;  /* when the commands' grace is over; 0: not stopping in good order */
	uint64_t pause_ns; /* until when pause or resume is to be answered; 0: not asked */
	bool pausing;	   /* which of both */
	bool pause_late;   /* the answer did not come in time, and still may */
	char *verdict;	   /* JSON, when it is over */
	uint64_t stats_ns; /* the same for the guest's numbers */
	uint64_t idle_ns;  /* since when nothing has run in it; 0: something does */
	int root_fd;	   /* of --rootfs, for names of users; -1: none */
};

/*
 * keep_main() - in the keeper's process: all of the machine's life.
 * @starter: a pipe; gets "ready NAME\n" when the machine is. Taken over. Standard error is the
 * starter's until then, the log afterwards.
 * Returns the machine's exit status.
 */
int keep_main(struct vm_config *c, int starter, uint64_t start_ns);

/* For run.c: the loop is there; what the machine is made of is; it is launched; it is gone. */
int keep_open(struct keep *k, struct err *e);
int keep_prepared(struct keep *k, struct err *e);
void keep_launched(struct keep *k);
void keep_finish(struct keep *k);

/* For run_control.c and run_machine.c: what the agent, the supervisor and the vmm say. */
void keep_ready(struct keep *k);
void keep_session(struct keep *k, const Mayfly__SessionEvent *ev);
void keep_guest_stats(struct keep *k, const Mayfly__GuestStats *s);
void keep_paused(struct keep *k, bool paused);

/* keep_signal() - to the keeper. */
void keep_signal(struct keep *k, int number);

/* keep_tick() - deadlines; keep_wait(): when it is to be called next, UINT64_MAX: never. */
void keep_tick(struct keep *k, uint64_t now);
uint64_t keep_wait(const struct keep *k);

/* keep_stop() - ends the machine: at once, or after the commands' grace. */
void keep_stop(struct keep *k, bool kill, uint64_t grace_ns);

/* keep_set_state() - also in the record. */
void keep_set_state(struct keep *k, Mayfly__MachineState state);

/* keep_answer.c: requests, and the answers that had to wait. */
void keep_answer_open(struct keep *k);
void keep_answer_exec(struct keep *k, const struct keep_exec *x);
void keep_answer_forgotten(struct keep *k, const struct keep_exec *x);
void keep_answer_paused(struct keep *k);
void keep_answer_stats(struct keep *k, const Mayfly__GuestStats *guest);
void keep_answer_over(struct keep *k);

/* keep_stats.c: what the machine's processes take of the host, as far as it can be read. */
void keep_stats_host(const struct machine *m, Mayfly__MachineStats *s);

#endif
