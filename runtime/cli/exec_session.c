// SPDX-License-Identifier: Apache-2.0
// exec_session.c - mayfly exec and attach from the connection to the verdict
#include "cli/exec_session.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "base/log.h"
#include "cli/client_signals.h"
#include "cli/machine_end.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* A command that the agent has not begun by then will not be. */
#define START_NS 60000000000ull
/* The agent keeps --timeout; so much later it is mute. */
#define BACKSTOP_NS 5000000000ull
/* After its connection has ended, a machine has so long to show why. */
#define LOST_NS 3000000000ull
#define TWICE_NS 2000000000ull

/* The first reason counts. The command itself is left alone. */
static void end(struct exec_session *s, enum verdict_reason reason, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static void end(struct exec_session *s, enum verdict_reason reason, const char *fmt, ...)
{
	char text[sizeof(s->verdict.message)];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	verdict_set(&s->verdict, reason, "%s", text);
	s->over = true;
}

static void resize(struct exec_session *s)
{
	uint16_t rows;
	uint16_t columns;
	if (term_size(&s->term, &rows, &columns))
		exec_client_resize(&s->client, rows, columns);
}

static void step(struct exec_session *s)
{
	if (term_update(&s->term))
		resize(s);
	exec_client_pump(&s->client);
	if (s->client.exited && exec_client_flushed(&s->client))
		s->over = true;
	/* Nobody types for a command that has ended: Ctrl-C is mayfly's again. */
	if (s->over || s->client.exited)
		term_restore(&s->term);
	s->loop.stop = s->over;
}

static void on_started(void *arg, uint32_t pid)
{
	struct exec_session *s = arg;
	s->verdict.t.exec = io_now_ns();
	s->start_deadline_ns = 0;
	log_info("exec %llu runs as process %u of the guest", (unsigned long long)s->number, pid);
	if (!s->cfg->detach)
		return;
	/* Its output, from the first byte on, is for the keeper. */
	exec_client_stop(&s->client);
	s->detached = true;
	end(s, VERDICT_DETACHED, "%s", "");
}

static void on_attached(void *arg, const Mayfly__ExecAttached *m)
{
	struct exec_session *s = arg;
	s->verdict.t.exec = io_now_ns();
	s->start_deadline_ns = 0;
	if (!m->tty)
		s->client.keys = NULL;
	else if (s->client.input == EXEC_INPUT_PASS)
		term_want(&s->term);
}

static void on_refused(void *arg, const Mayfly__Failed *m)
{
	struct exec_session *s = arg;
	s->start_deadline_ns = 0;
	if (!s->cfg->attach) {
		end(s, VERDICT_GUEST_FAILED, "the agent in %.64s refused the command: %.200s",
		    s->cfg->machine, m->text);
		return;
	}
	end(s, VERDICT_CONFIG, "exec %llu of %.64s can't be attached to: %.200s",
	    (unsigned long long)s->number, s->cfg->machine, m->text);
}

static void on_exited(void *arg, const Mayfly__Exit *x)
{
	struct exec_session *s = arg;
	s->verdict.t.exit = io_now_ns();
	s->start_deadline_ns = s->deadline_ns = 0;
	if (x->cut)
		log_info("an output was closed: a process in the background still had it");
	verdict_from_exit(&s->verdict, x, 0);
}

static void on_lost(void *arg, int error)
{
	struct exec_session *s = arg;
	s->lost = true;
	s->start_deadline_ns = 0;
	if (error == -ENODATA || error == -ECONNRESET || error == -ECONNREFUSED)
		s->lost_deadline_ns = io_now_ns() + (s->gone ? 0 : LOST_NS);
	else if (error == -EPROTONOSUPPORT)
		end(s, VERDICT_GUEST_FAILED,
		    "the agent in %.64s speaks version %u of the protocol, this program version %u "
		    "(start the machine anew)",
		    s->cfg->machine, s->client.conn.peer_version, PROTO_VERSION);
	else
		end(s, VERDICT_GUEST_FAILED, "the agent in %.64s broke the protocol: %s",
		    s->cfg->machine, strerror(-error));
}

static void on_taken(void *arg)
{
	end(arg, VERDICT_TAKEN, "somebody else attached");
}

static void on_output_error(void *arg, int which, int error)
{
	struct exec_session *s = arg;
	/* The command goes on without it, as without any reader. */
	if (error != EPIPE && error != ECONNRESET)
		verdict_set(&s->verdict, VERDICT_OUTPUT, "can't write standard %s: %s",
			    which ? "error" : "output", strerror(error));
}

static void on_input_error(void *arg, int error)
{
	end(arg, VERDICT_CONFIG, "can't pass standard input on: %s", strerror(error));
}

/* Its signal may come after the key that was typed behind a new size. */
static void on_typed(void *arg)
{
	resize(arg);
}

static void on_detach(void *arg)
{
	struct exec_session *s = arg;
	end(s, VERDICT_DETACHED, "left exec %llu of %.64s running", (unsigned long long)s->number,
	    s->cfg->machine);
}

static void on_step(void *arg)
{
	step(arg);
}

static void on_stdio(struct evsource *src, uint32_t events)
{
	(void)events;
	step(src->arg);
}

static void on_keeper(struct evsource *src, uint32_t events)
{
	struct exec_session *s = src->arg;
	(void)events;
	if (machine_end_read(src->fd, s->how, sizeof(s->how)) == -EAGAIN)
		return;
	evloop_del(&s->loop, src);
	src->fd = -1;
	s->gone = true;
	/* An Exit may still be on its way. */
	s->lost_deadline_ns = io_now_ns() + (s->lost ? 0 : LOST_NS);
}

/* Ctrl-Z: the command stops with us, unless it has a terminal, and a shell, of its own. */
static void stop_both(struct exec_session *s)
{
	bool running = !s->client.tty && !s->client.exited;
	if (running)
		exec_client_signal(&s->client, SIGSTOP);
	exec_client_pump(&s->client);
	term_pause(&s->term);
	client_signals_stop();
	term_resumed(&s->term);
	if (running)
		exec_client_signal(&s->client, SIGCONT);
}

static void leave(struct exec_session *s, int number)
{
	/* A status that says "all is well" would be wrong if output is lost. */
	if (s->client.exited && !exec_client_flushed(&s->client))
		s->verdict.reason = VERDICT_NONE;
	if (s->verdict.reason == VERDICT_NONE)
		s->verdict.signal = number;
	if (s->client.exited || s->lost)
		end(s, VERDICT_INTERRUPTED, "interrupted");
	else
		end(s, VERDICT_INTERRUPTED, "left exec %llu of %.64s running (mayfly attach)",
		    (unsigned long long)s->number, s->cfg->machine);
}

/* Whether a signal ends us, and not the command. */
static bool is_ours(struct exec_session *s, int number)
{
	uint64_t now = io_now_ns();
	bool twice = number == SIGINT && s->interrupt_ns && now - s->interrupt_ns < TWICE_NS;
	if (number == SIGINT)
		s->interrupt_ns = now;
	if (number == SIGUSR1 || number == SIGUSR2)
		return false;
	if (s->cfg->attach && (number == SIGTERM || number == SIGHUP))
		return true;
	return twice || s->client.exited || !exec_client_connected(&s->client);
}

static void on_signal(struct evsource *src, uint32_t events)
{
	struct exec_session *s = src->arg;
	struct signalfd_siginfo si;
	(void)events;
	if (read(src->fd, &si, sizeof(si)) != sizeof(si))
		return;
	int number = (int)si.ssi_signo;
	if (number == SIGTSTP)
		stop_both(s);
	else if (number == SIGCONT)
		term_resumed(&s->term);
	if (number == SIGTSTP || number == SIGCONT || number == SIGWINCH)
		resize(s);
	else if (is_ours(s, number))
		leave(s, number);
	else if (!s->client.exited)
		exec_client_signal(&s->client, number);
	step(s);
}

static void choose_input(struct exec_session *s)
{
	const struct exec_config *c = s->cfg;
	s->client.input = EXEC_INPUT_PASS;
	if (c->attach)
		s->client.input = c->no_stdin ? EXEC_INPUT_NONE : EXEC_INPUT_PASS;
	else if (c->detach)
		/* Whoever attaches may want to type. */
		s->client.input = c->interactive || c->tty ? EXEC_INPUT_NONE : EXEC_INPUT_EMPTY;
	else if (c->no_stdin || (!c->interactive && !c->tty && isatty(STDIN_FILENO)))
		s->client.input = EXEC_INPUT_EMPTY;
}

static int open_stdio(struct exec_session *s, struct err *e)
{
	int ret = 0;
	if (s->client.input == EXEC_INPUT_PASS)
		ret = hostio_open(&s->in, &s->loop, STDIN_FILENO, on_stdio, s);
	for (int i = 0; ret == 0 && i < 2; i++)
		ret = hostio_open(&s->out[i], &s->loop, i + 1, on_stdio, s);
	return ret < 0 ? err_errno(e, -ret, "can't use standard input or output") : 0;
}

static int open_loop(struct exec_session *s, int keeper, struct err *e)
{
	int ret = evloop_init(&s->loop);
	int fd = ret < 0 ? ret : client_signals_open();
	if (fd >= 0) {
		s->signals = (struct evsource){.fd = fd, .fn = on_signal, .arg = s};
		ret = evloop_add(&s->loop, &s->signals, EPOLLIN);
	} else {
		ret = fd;
	}
	if (ret < 0)
		return err_errno(e, -ret, "can't make an event loop");
	ret = machine_end_ask(keeper);
	s->keeper = (struct evsource){.fd = keeper, .fn = on_keeper, .arg = s};
	if (ret == 0)
		ret = evloop_add(&s->loop, &s->keeper, EPOLLIN);
	return ret < 0 ? err_errno(e, -ret, "can't talk to the machine's keeper") : 0;
}

int exec_session_open(struct exec_session *s, const struct exec_config *c, int keeper,
		      uint64_t start_ns, struct err *e)
{
	static const struct exec_client_ops ops = {
		.started = on_started,
		.attached = on_attached,
		.refused = on_refused,
		.exited = on_exited,
		.lost = on_lost,
		.taken = on_taken,
		.output_error = on_output_error,
		.input_error = on_input_error,
		.typed = on_typed,
		.detach = on_detach,
		.step = on_step,
	};
	*s = (struct exec_session){
		.cfg = c, .keys = c->keys, .term = TERM_NONE, .verdict.t.start = start_ns};
	s->loop.epfd = s->signals.fd = s->keeper.fd = -1;
	s->in.done = s->out[0].done = s->out[1].done = true;
	exec_client_init(&s->client, &s->loop, &ops, s, &s->in, s->out);
	choose_input(s);
	s->client.hold = c->detach;
	int ret = 0;
	if (c->attach ? isatty(STDIN_FILENO) : c->tty && !c->detach)
		ret = term_open(&s->term, STDIN_FILENO, e);
	if (ret == 0 && (c->tty || c->attach))
		s->client.keys = &s->keys;
	if (ret == 0)
		ret = open_loop(s, keeper, e);
	if (ret == 0)
		ret = open_stdio(s, e);
	s->verdict.t.parsed = io_now_ns();
	return ret;
}

int exec_session_start(struct exec_session *s, int fd, const Mayfly__ExecGrant *grant,
		       char *const *env, struct err *e)
{
	const struct exec_config *c = s->cfg;
	Mayfly__ExecStart x = MAYFLY__EXEC_START__INIT;
	Mayfly__Tty tty = MAYFLY__TTY__INIT;
	Mayfly__WindowSize size = MAYFLY__WINDOW_SIZE__INIT;
	Mayfly__Rlimit limit[PROTO_RLIMITS_MAX];
	Mayfly__Rlimit *limits[PROTO_RLIMITS_MAX];
	uint16_t rows;
	uint16_t columns;
	s->number = x.session = grant->session;
	x.uid = grant->uid;
	x.gid = grant->gid;
	x.group = grant->group;
	x.n_group = grant->n_group;
	x.cwd = c->workdir ? (char *)(uintptr_t)c->workdir : grant->cwd;
	x.keep = true;
	x.timeout_ms = (c->timeout_ns + 999999) / 1000000;
	x.umask = c->umask;
	x.pids_max = c->pids_max;
	for (size_t i = 0; i < c->n_ulimit; i++) {
		limit[i] = (Mayfly__Rlimit)MAYFLY__RLIMIT__INIT;
		limit[i].resource = c->ulimit[i].resource;
		limit[i].soft = c->ulimit[i].soft;
		limit[i].hard = c->ulimit[i].hard;
		limits[i] = &limit[i];
	}
	x.rlimit = limits;
	x.n_rlimit = c->n_ulimit;
	if (c->tty)
		x.tty = &tty;
	if (term_size(&s->term, &rows, &columns)) {
		size.rows = rows;
		size.columns = columns;
		tty.size = &size;
	}
	AUTO_CLOSE int conn = fd;
	int ret = exec_client_words(&s->client, c->argv, env, e);
	if (ret < 0)
		return ret;
	s->start_deadline_ns = io_now_ns() + START_NS;
	if (c->timeout_ns)
		s->deadline_ns = io_now_ns() + c->timeout_ns + BACKSTOP_NS;
	ret = exec_client_start(&s->client, steal_fd(&conn), &x, e);
	if (ret == 0)
		term_want(&s->term);
	return ret;
}

int exec_session_attach(struct exec_session *s, int fd, uint64_t number, struct err *e)
{
	Mayfly__WindowSize size = MAYFLY__WINDOW_SIZE__INIT;
	uint16_t rows;
	uint16_t columns;
	s->number = number;
	bool sized = term_size(&s->term, &rows, &columns);
	if (sized) {
		size.rows = rows;
		size.columns = columns;
	}
	s->start_deadline_ns = io_now_ns() + START_NS;
	return exec_client_attach(&s->client, fd, number, sized ? &size : NULL, e);
}

static void check_deadlines(struct exec_session *s, uint64_t now)
{
	if (s->start_deadline_ns && now >= s->start_deadline_ns)
		end(s, VERDICT_GUEST_FAILED, "the agent in %.64s does not answer", s->cfg->machine);
	if (s->deadline_ns && now >= s->deadline_ns)
		end(s, VERDICT_TIMEOUT,
		    "timeout: %.6g s are over, and the agent in %.64s does not answer",
		    (double)s->cfg->timeout_ns / 1e9, s->cfg->machine);
	if (!s->lost_deadline_ns || now < s->lost_deadline_ns || s->client.exited)
		return;
	if (s->gone)
		end(s, VERDICT_MACHINE_ENDED, "%.64s: %s", s->cfg->machine, s->how);
	else
		end(s, VERDICT_GUEST_FAILED, "the agent in %.64s closed the command's connection",
		    s->cfg->machine);
}

static int next_wait(const struct exec_session *s, uint64_t now)
{
	uint64_t at = exec_client_wait(&s->client);
	const uint64_t deadlines[] = {s->start_deadline_ns, s->deadline_ns,
				      s->client.exited ? 0 : s->lost_deadline_ns};
	for (size_t i = 0; i < ARRAY_SIZE(deadlines); i++)
		if (deadlines[i])
			at = MIN(at, deadlines[i]);
	if (at == UINT64_MAX)
		return -1;
	return at <= now ? 0 : (int)MIN((at - now + 999999) / 1000000, 3600000ull);
}

void exec_session_run(struct exec_session *s)
{
	step(s);
	while (!s->loop.stop) {
		int n = evloop_once(&s->loop, next_wait(s, io_now_ns()));
		if (n < 0)
			end(s, VERDICT_CONFIG, "event loop: %s", strerror(-n));
		check_deadlines(s, io_now_ns());
		if (n <= 0 || s->over)
			step(s);
	}
}

int exec_session_finish(struct exec_session *s)
{
	struct verdict *v = &s->verdict;
	/* Before anything is printed. */
	term_restore(&s->term);
	exec_client_free(&s->client);
	hostio_close(&s->in);
	for (int i = 0; i < 2; i++)
		hostio_close(&s->out[i]);
	if (s->keeper.fd >= 0)
		evloop_del(&s->loop, &s->keeper);
	close_fd(&s->signals.fd);
	evloop_close(&s->loop);
	v->t.end = io_now_ns();
	if (s->detached)
		printf("%llu\n", (unsigned long long)s->number);
	if (v->message[0])
		log_msg(LOG_ERROR, "%s", v->message);
	if (s->cfg->status_fd >= 0) {
		int ret = verdict_write(v, s->cfg->status_fd);
		if (ret < 0)
			log_error("can't write the verdict to descriptor %d: %s", s->cfg->status_fd,
				  strerror(-ret));
	}
	return verdict_status(v);
}
