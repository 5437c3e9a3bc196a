// SPDX-License-Identifier: Apache-2.0
// run_command.c - what the command's connection means for the run: its start, terminal and end
#include "base/cleanup.h"
#include "base/io.h"
#include "base/log.h"
#include "cli/client_signals.h"
#include "cli/run.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

static void on_started(void *arg, uint32_t pid)
{
	struct run *r = arg;
	(void)pid;
	r->start_deadline_ns = 0;
	r->verdict.t.exec = io_now_ns();
}

static void on_exited(void *arg, const Mayfly__Exit *x)
{
	struct run *r = arg;
	r->verdict.t.exit = io_now_ns();
	r->start_deadline_ns = 0;
	if (r->phase >= RUN_EXITED)
		return;
	verdict_from_exit(&r->verdict, x, r->cfg->memory);
	r->phase = RUN_EXITED;
	r->phase_deadline_ns = 0;
	run_out_begin(r);
}

/* Its text is the guest's. */
static void on_refused(void *arg, const Mayfly__Failed *m)
{
	struct run *r = arg;
	if (r->phase < RUN_EXITED)
		run_end(r, VERDICT_GUEST_FAILED,
			"the agent in the guest refused the command: %.200s", m->text);
}

static void on_lost(void *arg, int error)
{
	struct run *r = arg;
	r->start_deadline_ns = 0;
	if (r->phase >= RUN_EXITED)
		return;
	if (error == -ENODATA || error == -ECONNRESET)
		r->phase_deadline_ns = io_now_ns() + RUN_LOST_NS;
	else
		run_end(r, VERDICT_GUEST_FAILED, "the agent's connection broke: %s",
			strerror(-error));
}

static void on_taken(void *arg)
{
	on_lost(arg, -EPROTO);
}

static void on_output_error(void *arg, int which, int error)
{
	if (error != EPIPE && error != ECONNRESET)
		run_end(arg, VERDICT_OUTPUT, "can't write standard %s: %s",
			which ? "error" : "output", strerror(error));
}

static void on_input_error(void *arg, int error)
{
	run_end(arg, VERDICT_CONFIG, "can't pass standard input on: %s", strerror(error));
}

/* Its signal may come after the key that was typed behind a new size. */
static void on_typed(void *arg)
{
	run_command_terminal(arg, SIGWINCH);
}

static void on_step(void *arg)
{
	run_step(arg);
}

void run_command_init(struct run *r)
{
	static const struct exec_client_ops ops = {
		.started = on_started,
		.refused = on_refused,
		.exited = on_exited,
		.lost = on_lost,
		.taken = on_taken,
		.output_error = on_output_error,
		.input_error = on_input_error,
		.typed = on_typed,
		.step = on_step,
	};
	exec_client_init(&r->exec, &r->loop, &ops, r, &r->in, r->out);
	r->term = TERM_NONE;
}

int run_command_prepare(struct run *r, struct err *e)
{
	return exec_client_words(&r->exec, r->cfg->argv, r->env, e);
}

int run_command_start(struct run *r, struct err *e)
{
	Mayfly__ExecStart x = MAYFLY__EXEC_START__INIT;
	Mayfly__Tty tty = MAYFLY__TTY__INIT;
	Mayfly__WindowSize size = MAYFLY__WINDOW_SIZE__INIT;
	uint16_t rows;
	uint16_t columns;
	int fd = machine_connect(&r->machine, e);
	if (fd < 0)
		return fd;
	x.session = 1;
	x.uid = r->user.uid;
	x.gid = r->user.gid;
	x.group = r->user.groups;
	x.n_group = r->user.n_groups;
	x.cwd = r->workdir;
	if (r->cfg->tty)
		x.tty = &tty;
	if (term_size(&r->term, &rows, &columns)) {
		size.rows = rows;
		size.columns = columns;
		tty.size = &size;
	}
	int ret = exec_client_start(&r->exec, fd, &x, e);
	if (ret < 0)
		return ret;
	r->phase = RUN_RUNNING;
	r->start_deadline_ns = io_now_ns() + r->cfg->boot_timeout_ns;
	term_want(&r->term);
	return 0;
}

/*
 * The command stops with us, as a job of the shell that mayfly was started from. One with a
 * terminal of its own has a shell of its own for that.
 */
static void stop_both(struct run *r)
{
	bool running = r->phase == RUN_RUNNING && !r->cfg->tty;
	if (running)
		exec_client_signal(&r->exec, SIGSTOP);
	exec_client_pump(&r->exec);
	term_pause(&r->term);
	client_signals_stop();
	term_resumed(&r->term);
	if (running)
		exec_client_signal(&r->exec, SIGCONT);
}

void run_command_terminal(struct run *r, int number)
{
	uint16_t rows;
	uint16_t columns;
	if (number == SIGTSTP)
		stop_both(r);
	else if (number == SIGCONT)
		term_resumed(&r->term);
	if (term_size(&r->term, &rows, &columns))
		exec_client_resize(&r->exec, rows, columns);
}

void run_command_free(struct run *r)
{
	hostio_close(&r->in);
	for (int i = 0; i < 2; i++)
		hostio_close(&r->out[i]);
	exec_client_free(&r->exec);
	frame_conn_free(&r->control);
}
