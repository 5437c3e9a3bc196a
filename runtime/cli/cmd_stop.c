// SPDX-License-Identifier: Apache-2.0
// cmd_stop.c - mayfly stop, kill, pause, resume, rm
#include "cli/cmd_stop.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "cli/exec_signal.h"
#include "cli/machine_cmd.h"
#include "cli/verdict.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#define GRACE_NS 10000000000ull
/* Behind the grace: the guest's goodbye, then what the supervisor needs. */
#define END_MS 30000

static int set_time(void *ctx, const char *v, struct err *e)
{
	return opt_duration(v, &((struct machine_args *)ctx)->grace_ns, e);
}

static int set_force(void *ctx, const char *v, struct err *e)
{
	(void)v;
	(void)e;
	((struct machine_args *)ctx)->force = true;
	return 0;
}

static const struct opt stop_rows[] = {
	{"time", 't', "TIME", "how long commands have to end after SIGTERM (default 10s)",
	 set_time},
	MACHINE_ROW_HELP,
};
static int set_signal(void *ctx, const char *v, struct err *e)
{
	return exec_signal_number(v, &((struct machine_args *)ctx)->signal, e);
}

static const struct opt kill_rows[] = {
	{"signal", 's', "SIGNAL", "send this to a command in the machine (TERM, HUP, 15)",
	 set_signal},
	MACHINE_ROW_HELP,
};
static const struct opt rm_rows[] = {
	{"force", 'f', NULL, "kill it first if it runs", set_force},
	MACHINE_ROW_HELP,
};
static const struct opt help_rows[] = {MACHINE_ROW_HELP};

/* Asks for the end and waits until the record is complete, or gone. */
static int end_machine(const struct record *r, bool kill, uint64_t grace_ns, struct err *e)
{
	Mayfly__ControlRequest q = MAYFLY__CONTROL_REQUEST__INIT;
	Mayfly__ControlReply *reply = NULL;
	Mayfly__StopAsk s = MAYFLY__STOP_ASK__INIT;
	Mayfly__WaitAsk w = MAYFLY__WAIT_ASK__INIT;
	uint64_t grace_ms = MIN(grace_ns / 1000000, (uint64_t)INT_MAX / 2);
	size_t n = 0;
	AUTO_CLOSE int sock = control_open_record(r, e);
	/* It ended by itself just now. */
	if (sock == -ESRCH && !record_kept(r))
		return 0;
	if (sock < 0)
		return sock;
	s.kill = kill;
	s.grace_ms = grace_ms;
	q.version = CONTROL_VERSION;
	q.body_case = MAYFLY__CONTROL_REQUEST__BODY_STOP;
	q.stop = &s;
	int ret = control_ask(sock, &q, &reply, NULL, 0, &n, e);
	if (reply)
		mayfly__control_reply__free_unpacked(reply, NULL);
	/* It ends just now: its record will be complete in a moment. */
	if (ret < 0 && ret != -ESRCH && ret != -EBUSY)
		return ret == -ECONNRESET && !record_kept(r) ? 0 : ret;
	q.body_case = MAYFLY__CONTROL_REQUEST__BODY_WAIT;
	q.wait = &w;
	ret = control_send(sock, &q, e);
	if (ret == 0)
		ret = control_receive(sock, (int)grace_ms + END_MS, &reply, NULL, 0, &n, e);
	if (reply)
		mayfly__control_reply__free_unpacked(reply, NULL);
	if (ret == -ETIMEDOUT)
		return err_set(e, ETIMEDOUT, "machine '%s' does not end (see mayfly kill)",
			       r->name);
	/* A keeper that went without a word: then it was killed. */
	return ret == -ECONNRESET ? 0 : ret;
}

static int stop_one(const struct machine_args *a, const char *machine, struct err *e)
{
	struct record r;
	int ret = record_find(&r, machine, e);
	if (ret < 0)
		return ret;
	if (record_kept(&r))
		ret = end_machine(&r, a->force, a->grace_ns, e);
	record_close(&r);
	return ret;
}

int cmd_stop(int argc, char **argv)
{
	static const struct machine_cmd d = {
		.usage = "stop [options] MACHINE...",
		.text = "Ends machines in good order: their commands get SIGTERM, and some time "
			"to\n"
			"end. What they did not write to shares or disks is lost.",
		.rows = stop_rows,
		.n_rows = ARRAY_SIZE(stop_rows),
		.min = 1,
		.max = INT_MAX,
	};
	struct machine_args a = {.grace_ns = GRACE_NS};
	int status = machine_cmd_parse(&d, &a, argc, argv);
	return status >= 0 ? status : machine_cmd_each(&a, stop_one);
}

static int kill_command(const struct machine_args *a)
{
	struct err e = {0};
	int ret = 0;
	if (a->argc > 2)
		ret = err_set(&e, EINVAL, "'%.40s' is one word too much (see 'mayfly kill --help')",
			      a->argv[2]);
	if (ret == 0)
		ret = exec_signal_send(a->argv[0], a->argc > 1 ? a->argv[1] : NULL, a->signal, &e);
	if (ret < 0)
		log_error("%s", e.text);
	return ret < 0 ? EXIT_MAYFLY : 0;
}

int cmd_kill(int argc, char **argv)
{
	static const struct machine_cmd d = {
		.usage = "kill MACHINE... | kill --signal SIGNAL MACHINE [EXEC]",
		.text = "Ends machines at once. With --signal it sends a signal to a command in a "
			"machine:\n"
			"the only one that runs, or the one of this number (see mayfly inspect).",
		.rows = kill_rows,
		.n_rows = ARRAY_SIZE(kill_rows),
		.min = 1,
		.max = INT_MAX,
	};
	struct machine_args a = {.force = true};
	int status = machine_cmd_parse(&d, &a, argc, argv);
	if (status >= 0)
		return status;
	return a.signal ? kill_command(&a) : machine_cmd_each(&a, stop_one);
}

static int simple(const char *machine, Mayfly__ControlRequest *q, struct err *e)
{
	struct record r;
	Mayfly__ControlReply *reply = NULL;
	int ret = record_find(&r, machine, e);
	if (ret < 0)
		return ret;
	ret = machine_cmd_ask(&r, q, &reply, e);
	if (reply)
		mayfly__control_reply__free_unpacked(reply, NULL);
	record_close(&r);
	return ret;
}

static int pause_one(const struct machine_args *a, const char *machine, struct err *e)
{
	Mayfly__ControlRequest q = MAYFLY__CONTROL_REQUEST__INIT;
	Mayfly__PauseAsk p = MAYFLY__PAUSE_ASK__INIT;
	(void)a;
	q.body_case = MAYFLY__CONTROL_REQUEST__BODY_PAUSE;
	q.pause = &p;
	return simple(machine, &q, e);
}

static int resume_one(const struct machine_args *a, const char *machine, struct err *e)
{
	Mayfly__ControlRequest q = MAYFLY__CONTROL_REQUEST__INIT;
	Mayfly__ResumeAsk p = MAYFLY__RESUME_ASK__INIT;
	(void)a;
	q.body_case = MAYFLY__CONTROL_REQUEST__BODY_RESUME;
	q.resume = &p;
	return simple(machine, &q, e);
}

int cmd_pause(int argc, char **argv)
{
	static const struct machine_cmd d = {
		.usage = "pause MACHINE...",
		.text = "Stops machines' CPUs until 'mayfly resume'. Their memory stays in use.",
		.rows = help_rows,
		.n_rows = ARRAY_SIZE(help_rows),
		.min = 1,
		.max = INT_MAX,
	};
	struct machine_args a = {0};
	int status = machine_cmd_parse(&d, &a, argc, argv);
	return status >= 0 ? status : machine_cmd_each(&a, pause_one);
}

int cmd_resume(int argc, char **argv)
{
	static const struct machine_cmd d = {
		.usage = "resume MACHINE...",
		.text = "Lets machines that are paused go on, with the right time.",
		.rows = help_rows,
		.n_rows = ARRAY_SIZE(help_rows),
		.min = 1,
		.max = INT_MAX,
	};
	struct machine_args a = {0};
	int status = machine_cmd_parse(&d, &a, argc, argv);
	return status >= 0 ? status : machine_cmd_each(&a, resume_one);
}

static int rm_one(const struct machine_args *a, const char *machine, struct err *e)
{
	struct record r;
	int ret = record_find(&r, machine, e);
	if (ret < 0)
		return ret;
	if (a->force && record_kept(&r))
		ret = end_machine(&r, true, 0, e);
	if (ret == 0) {
		ret = record_remove(&r, e);
		/* With start --rm its keeper has done it. */
		if (ret == -ENOENT && a->force)
			ret = 0;
	}
	record_close(&r);
	return ret;
}

int cmd_rm(int argc, char **argv)
{
	static const struct machine_cmd d = {
		.usage = "rm [options] MACHINE...",
		.text = "Forgets machines that have ended: their verdicts, logs and names.",
		.rows = rm_rows,
		.n_rows = ARRAY_SIZE(rm_rows),
		.min = 1,
		.max = INT_MAX,
	};
	struct machine_args a = {0};
	int status = machine_cmd_parse(&d, &a, argc, argv);
	return status >= 0 ? status : machine_cmd_each(&a, rm_one);
}
