// SPDX-License-Identifier: Apache-2.0
// fuzz_session.c - the agent's side of commands: what hosts say on two connections, in any order
// links: init/session.c init/session_conn.c init/session_start.c init/sessions.c init/stream.c
//
// Input: steps of a byte that says which connection does what, a length and that many bytes. A step
// sends raw bytes, one well-formed frame with fields from the input, or ends a connection and opens
// a new one. The agent must come to rest after each, within its bounds, and end with nothing left.
// Processes are started, but of three programs only: execvp() is ours.
#include "base/checked.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "sessions.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STEPS_MAX 64

static struct evloop loop;
static struct sessions set;
static struct frame_conn host[2];

/* What an input made up by chance must not do is to name another program. */
int execvp(const char *file, char *const argv[])
{
	static const char *const known[] = {"true", "cat", "head"};
	char path[32];
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		snprintf(path, sizeof(path), "/usr/bin/%s", known[i]);
		if (strcmp(file, known[i]) == 0)
			return execv(path, argv);
	}
	errno = ENOENT;
	return -1;
}

static void must(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "fuzz_session: %s\n", what);
		abort();
	}
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	signal(SIGPIPE, SIG_IGN);
	must(evloop_init(&loop) == 0, "loop");
	return 0;
}

static void on_event(void *arg, const struct session *s, Mayfly__SessionEvent__Kind kind)
{
	(void)arg;
	(void)kind;
	must(s->keep && s->id != 0, "an event of a session without keep");
}

static void turn(void)
{
	struct rusage ru;
	int status;
	pid_t pid;
	int n = 0;
	/* As the agent does it: what a turn has ended is swept before the next, or what its pipes
	 * still say would be told of for ever. */
	while (evloop_once(&loop, 0) > 0) {
		must(n++ < 10000, "the agent does not come to rest");
		sessions_sweep(&set);
	}
	while ((pid = wait4(-1, &status, WNOHANG, &ru)) > 0)
		sessions_reaped(&set, pid, status, &ru);
	sessions_sweep(&set);
	const struct session *s;
	LIST_FOREACH(s, &set.list, link) {
		must(s->keep || s->conn, "a session without keep and connection");
		must(!s->conn || s->conn->session == s, "two minds about a connection");
		for (int i = 0; i < 2; i++)
			must(s->out[i].held.sent <= s->out[i].held.len &&
				     s->out[i].held.len <= PROTO_KEEP_WINDOW,
			     "a ring out of bounds");
		must(s->in.len <= s->in.window + STREAM_IN_SLACK, "stdin out of bounds");
	}
}

static void hang_up(struct frame_conn *c)
{
	close_fd(&c->fd);
	frame_conn_free(c);
	*c = (struct frame_conn){.fd = -1};
}

static void dial(struct frame_conn *c)
{
	int p[2];
	hang_up(c);
	turn();
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, p) == 0, "pair");
	c->fd = p[0];
	must(sessions_accept(&set, p[1]) == 0, "a connection is refused");
	must(frame_send_hello(c, "fuzz") == 0, "hello");
}

/* Everything that the agent has said must be of a known kind, and stay in its window. */
static void listen_to(struct frame_conn *c)
{
	Mayfly__Frame *f = NULL;
	int ret = 1;
	while (c->fd >= 0 && ret > 0) {
		ret = frame_fill(c);
		while (frame_next(c, &f) == 1)
			mayfly__frame__free_unpacked(f, NULL);
	}
	if (ret < 0 && c->fd >= 0)
		dial(c);
}

static void send_words(struct frame_conn *c, bool env, const char *text, size_t len)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__ExecWords m = MAYFLY__EXEC_WORDS__INIT;
	m.env = env;
	m.data.data = (uint8_t *)(uintptr_t)text;
	m.data.len = len;
	f.body_case = MAYFLY__FRAME__BODY_EXEC_WORDS;
	f.exec_words = &m;
	must(frame_send(c, &f) == 0, "words");
}

static void send_start(struct frame_conn *c, const uint8_t *p)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__ExecStart x = MAYFLY__EXEC_START__INIT;
	Mayfly__Tty tty = MAYFLY__TTY__INIT;
	Mayfly__WindowSize size = MAYFLY__WINDOW_SIZE__INIT;
	Mayfly__Rlimit limit = MAYFLY__RLIMIT__INIT;
	Mayfly__Rlimit *limits[] = {&limit};
	x.session = p[0] % 4;
	x.keep = p[1] & 1;
	size.rows = p[2] * 300u;
	tty.size = p[1] & 4 ? &size : NULL;
	x.tty = p[1] & 2 ? &tty : NULL;
	x.timeout_ms = p[1] & 8 ? p[3] : 0;
	x.umask = p[1] & 16 ? p[3] * 4u : 0;
	limit.resource = p[2];
	limit.soft = limit.hard = p[3] * 1000000ull;
	x.rlimit = limits;
	x.n_rlimit = p[1] & 32 ? 1 : 0;
	x.uid = geteuid();
	x.gid = getegid();
	x.cwd = (char *)(uintptr_t)(p[1] & 64 ? "/nowhere" : "/");
	f.body_case = MAYFLY__FRAME__BODY_EXEC_START;
	f.exec_start = &x;
	must(frame_send(c, &f) == 0, "start");
}

static void send_run(struct frame_conn *c, uint8_t what)
{
	static const char env[] = "PATH=/usr/bin:/bin";
	static const char head[] = "head\0-c\00090000\0/dev/zero";
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__ExecRun m = MAYFLY__EXEC_RUN__INIT;
	switch (what % 4) {
	case 0: send_words(c, false, "true", 5); break;
	case 1: send_words(c, false, "cat", 4); break;
	case 2: send_words(c, false, head, sizeof(head)); break;
	default: send_words(c, false, "/nowhere/at/all", 16); break;
	}
	send_words(c, true, env, sizeof(env));
	f.body_case = MAYFLY__FRAME__BODY_EXEC_RUN;
	f.exec_run = &m;
	must(frame_send(c, &f) == 0, "run");
}

static void send_number(struct frame_conn *c, const uint8_t *p)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__WindowSize size = MAYFLY__WINDOW_SIZE__INIT;
	Mayfly__ExecAttach at = MAYFLY__EXEC_ATTACH__INIT;
	Mayfly__Signal sig = MAYFLY__SIGNAL__INIT;
	Mayfly__ExecSignal other = MAYFLY__EXEC_SIGNAL__INIT;
	size.rows = p[1] * 300u;
	size.columns = p[2];
	if (p[0] % 3 == 0) {
		at.session = p[3] % 4;
		at.size = p[0] & 64 ? &size : NULL;
		f.body_case = MAYFLY__FRAME__BODY_EXEC_ATTACH;
		f.exec_attach = &at;
	} else if (p[0] % 3 == 1) {
		f.body_case = MAYFLY__FRAME__BODY_WINDOW_SIZE;
		f.window_size = &size;
	} else {
		/* Nothing that leaves a process stopped, or a core. */
		static const uint8_t numbers[] = {0, 65, 200, SIGTERM, SIGINT, SIGHUP, SIGUSR1};
		sig.number = other.number = numbers[p[1] % sizeof(numbers)];
		other.session = p[3] % 4;
		f.body_case = MAYFLY__FRAME__BODY_SIGNAL;
		f.signal = &sig;
		if (p[0] & 64) {
			f.body_case = MAYFLY__FRAME__BODY_EXEC_SIGNAL;
			f.exec_signal = &other;
		}
	}
	must(frame_send(c, &f) == 0, "number");
}

static void step(const uint8_t *p, size_t len, uint8_t what)
{
	struct frame_conn *c = &host[what & 1];
	uint8_t arg[4] = {0};
	memcpy(arg, p, len < 4 ? len : 4);
	switch (what >> 1 & 15) {
	case 0:
	case 1: send_start(c, arg); break;
	case 2:
	case 3: send_run(c, arg[0]); break;
	case 4: frame_send_data(c, (Mayfly__Stream)(arg[0] % 4 ? 0 : 1), p, len); break;
	case 5: frame_send_eof(c, (Mayfly__Stream)(arg[0] % 8 ? 0 : 2)); break;
	case 6: frame_send_credit(c, (Mayfly__Stream)(arg[0] % 4), arg[1] * 256u + arg[2]); break;
	case 7: frame_send_closed(c, (Mayfly__Stream)(arg[0] % 4)); break;
	case 8:
	case 9:
	case 10: send_number(c, arg); break;
	case 11: dial(c); break;
	case 12: listen_to(c); break;
	case 13: send_words(c, arg[0] & 1, (const char *)p, len); break;
	case 14:
		/* Time for a process to say something, or to end. */
		poll(NULL, 0, 1);
		break;
	default:
		/* Not even a frame. */
		if (c->fd >= 0)
			(void)!send(c->fd, p, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	}
	if (c->fd >= 0 && frame_flush(c) != 0)
		dial(c);
	turn();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	set = (struct sessions){.loop = &loop, .event = on_event};
	for (int i = 0; i < 2; i++) {
		host[i] = (struct frame_conn){.fd = -1};
		dial(&host[i]);
	}
	for (int n = 0; n < STEPS_MAX && size >= 2; n++) {
		size_t len = data[1] < size - 2 ? data[1] : size - 2;
		step(data + 2, len, data[0]);
		data += 2 + len;
		size -= 2 + len;
	}
	hang_up(&host[0]);
	hang_up(&host[1]);
	turn();
	pid_t pid[4];
	unsigned n_pids = 0;
	const struct session *s;
	LIST_FOREACH(s, &set.list, link)
		if (s->pid > 0 && n_pids < ARRAY_SIZE(pid))
			pid[n_pids++] = s->pid;
	sessions_close(&set);
	must(set.n == 0 && set.n_conns == 0, "something is left");
	/* Not any child: the fuzzer has one of its own. */
	while (n_pids-- > 0)
		must(kill(pid[n_pids], SIGKILL) == 0 && waitpid(pid[n_pids], NULL, 0) > 0, "reap");
	return 0;
}
