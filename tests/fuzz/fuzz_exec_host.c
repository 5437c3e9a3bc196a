// SPDX-License-Identifier: Apache-2.0
// fuzz_exec_host.c - the host's end of a command, against an agent that does what the input says
// links: runtime/cli/exec_client.c runtime/cli/agent_ok.c runtime/cli/detach_keys.c
//
// Input: a byte of options, then steps of the agent, which runs in a thread of its own. Whatever
// it says, the host ends with the connection, reports one end at most, sends whole frames only, no
// input beyond its credit, and gives back no credit for bytes that did not come.
#include "base/checked.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "base/log.h"
#include "cli/exec_client.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define WAIT_NS 10000000000ull

enum option {
	OPT_KEEP = 1,
	OPT_TTY = 2,
	OPT_ATTACH = 4,
	OPT_HOLD = 8,
	OPT_KEYS = 16,
	OPT_MUTE = 32
};

struct input {
	const uint8_t *data;
	size_t len;
};

struct agent {
	struct input in;
	uint8_t options;
	struct frame_conn conn;
	int out_fd[2];
	uint64_t allowed, got;	   /* bytes of stdin */
	uint64_t sent[2], back[2]; /* bytes of output, credit for them */
};

static struct {
	struct exec_client c;
	unsigned ends, started;
} t;

static void must(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "fuzz_exec_host: %s\n", what);
		abort();
	}
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	signal(SIGPIPE, SIG_IGN);
	log_init("fuzz", LOG_ERROR);
	return 0;
}

static uint64_t take(struct input *in, size_t n)
{
	uint64_t v = 0;
	for (size_t i = 0; i < n && in->len > 0; i++, in->data++, in->len--)
		v = v << 8 | *in->data;
	return v;
}

static void heard(struct agent *a, const Mayfly__Frame *f)
{
	if (f->body_case == MAYFLY__FRAME__BODY_DATA) {
		must(f->data->stream == MAYFLY__STREAM__STDIN, "data of another stream");
		a->got += f->data->data.len;
		must(a->got <= a->allowed, "input beyond its credit");
	} else if (f->body_case == MAYFLY__FRAME__BODY_CREDIT) {
		int i = f->credit->stream == MAYFLY__STREAM__STDERR;
		must(f->credit->stream != MAYFLY__STREAM__STDIN, "credit of input");
		a->back[i] += f->credit->bytes;
		must(a->back[i] <= a->sent[i], "credit for what did not come");
	}
}

/* All that the host has said, and what it has written for its user. */
static void listen_now(struct agent *a)
{
	char buf[4096];
	for (int i = 0; i < 2; i++)
		while (recv(a->out_fd[i], buf, sizeof(buf), MSG_DONTWAIT) > 0)
			;
	int more = 1;
	while (more > 0) {
		Mayfly__Frame *f = NULL;
		int ret = frame_next(&a->conn, &f);
		must(ret >= 0, "the host's frame is broken");
		if (ret == 1) {
			heard(a, f);
			mayfly__frame__free_unpacked(f, NULL);
			continue;
		}
		more = frame_fill(&a->conn);
	}
}

static void say(struct agent *a, const Mayfly__Frame *f)
{
	if (frame_send(&a->conn, f) < 0)
		return;
	uint64_t end = io_now_ns() + WAIT_NS;
	while (frame_flush(&a->conn) == 1) {
		struct pollfd p = {.fd = a->conn.fd, .events = POLLOUT};
		must(io_now_ns() < end, "the host does not read");
		poll(&p, 1, 10);
		listen_now(a);
	}
}

static void say_data(struct agent *a, Mayfly__Stream s)
{
	static uint8_t zeros[PROTO_DATA_MAX];
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__Data d = MAYFLY__DATA__INIT;
	d.stream = s;
	d.data.data = zeros;
	d.data.len = take(&a->in, 2) % (PROTO_DATA_MAX + 1);
	a->sent[s == MAYFLY__STREAM__STDERR] += d.data.len;
	f.body_case = MAYFLY__FRAME__BODY_DATA;
	f.data = &d;
	say(a, &f);
}

static void say_credit(struct agent *a)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__Credit m = MAYFLY__CREDIT__INIT;
	m.stream = (Mayfly__Stream)(take(&a->in, 1) & 1 ? MAYFLY__STREAM__STDIN
							: MAYFLY__STREAM__STDOUT);
	m.bytes = (uint32_t)take(&a->in, 3);
	a->allowed += m.bytes;
	f.body_case = MAYFLY__FRAME__BODY_CREDIT;
	f.credit = &m;
	say(a, &f);
}

static void say_attached(struct agent *a)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__ExecAttached m = MAYFLY__EXEC_ATTACHED__INIT;
	uint8_t flags = (uint8_t)take(&a->in, 1);
	m.in_credit = (uint32_t)take(&a->in, 3);
	m.in_closed = flags & 1;
	m.tty = flags & 2;
	a->allowed += m.in_credit;
	f.body_case = MAYFLY__FRAME__BODY_EXEC_ATTACHED;
	f.exec_attached = &m;
	say(a, &f);
}

static void say_short(struct agent *a, uint8_t op)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__ExecStarted started = MAYFLY__EXEC_STARTED__INIT;
	Mayfly__Exit ended = MAYFLY__EXIT__INIT;
	Mayfly__ExecTaken taken = MAYFLY__EXEC_TAKEN__INIT;
	Mayfly__Failed failed = MAYFLY__FAILED__INIT;
	Mayfly__Shutdown other = MAYFLY__SHUTDOWN__INIT;
	switch (op % 5) {
	case 0:
		f.body_case = MAYFLY__FRAME__BODY_EXEC_STARTED;
		f.exec_started = &started;
		break;
	case 1:
		ended.kind = (Mayfly__Exit__Kind)(op >> 4);
		f.body_case = MAYFLY__FRAME__BODY_EXIT;
		f.exit = &ended;
		break;
	case 2:
		f.body_case = MAYFLY__FRAME__BODY_EXEC_TAKEN;
		f.exec_taken = &taken;
		break;
	case 3:
		f.body_case = MAYFLY__FRAME__BODY_FAILED;
		f.failed = &failed;
		break;
	default: f.body_case = MAYFLY__FRAME__BODY_SHUTDOWN; f.shutdown = &other;
	}
	say(a, &f);
}

static void say_raw(struct agent *a)
{
	size_t n = take(&a->in, 1);
	n = MIN(n, a->in.len);
	(void)!send(a->conn.fd, a->in.data, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	a->in.data += n;
	a->in.len -= n;
	/* What it was taken for, if for anything, is not known here. */
	a->allowed = a->sent[0] = a->sent[1] = UINT64_MAX / 2;
}

static void step(struct agent *a)
{
	uint8_t op = (uint8_t)take(&a->in, 1);
	switch (op & 7) {
	case 0: say_data(a, MAYFLY__STREAM__STDOUT); break;
	case 1: say_data(a, op & 8 ? MAYFLY__STREAM__STDERR : MAYFLY__STREAM__STDOUT); break;
	case 2: say_credit(a); break;
	case 3: say_attached(a); break;
	case 4:
	case 5: say_short(a, op >> 3); break;
	case 6:
		if (op & 8)
			say_raw(a);
		else
			frame_send_closed(&a->conn, (Mayfly__Stream)(op >> 4 & 3));
		break;
	default: listen_now(a);
	}
}

static void *agent_run(void *arg)
{
	struct agent *a = arg;
	char line[14] = "";
	must(io_read_full(a->conn.fd, line, 13) == 0 && strcmp(line, "CONNECT 1024\n") == 0,
	     "no CONNECT");
	must(io_set_nonblock(a->conn.fd, 1) == 0, "flags");
	if (!(a->options & OPT_MUTE)) {
		(void)!send(a->conn.fd, "OK 1\n", 5, MSG_NOSIGNAL);
		frame_send_hello(&a->conn, "fuzz");
		frame_flush(&a->conn);
	}
	while (a->in.len > 0)
		step(a);
	listen_now(a);
	shutdown(a->conn.fd, SHUT_RDWR);
	return NULL;
}

static void on_end(void)
{
	must(t.ends++ == 0, "two ends");
}

static void on_started(void *arg, uint32_t pid)
{
	(void)arg;
	(void)pid;
	must(t.started++ == 0, "started twice");
}

static void on_attached(void *arg, const Mayfly__ExecAttached *m)
{
	on_started(arg, m->pid);
}

static void on_refused(void *arg, const Mayfly__Failed *m)
{
	(void)arg;
	(void)m;
	on_end();
}

static void on_exited(void *arg, const Mayfly__Exit *x)
{
	(void)arg;
	(void)x;
	on_end();
}

static void on_lost(void *arg, int error)
{
	(void)arg;
	must(error < 0, "no reason");
	on_end();
}

static void on_taken(void *arg)
{
	(void)arg;
	on_end();
}

static void on_step(void *arg)
{
	(void)arg;
	exec_client_pump(&t.c);
}

static void on_stdio(struct evsource *src, uint32_t events)
{
	(void)src;
	(void)events;
	exec_client_pump(&t.c);
}

static void begin(uint8_t options, int fd)
{
	static char *argv[] = {(char *)"command", NULL};
	Mayfly__ExecStart x = MAYFLY__EXEC_START__INIT;
	Mayfly__Tty tty = MAYFLY__TTY__INIT;
	x.cwd = (char *)"/";
	x.keep = options & OPT_KEEP;
	x.tty = options & OPT_TTY ? &tty : NULL;
	if (options & OPT_ATTACH) {
		must(exec_client_attach(&t.c, fd, 1, NULL, NULL) == 0, "attach");
		return;
	}
	must(exec_client_words(&t.c, argv, argv + 1, NULL) == 0, "words");
	must(exec_client_start(&t.c, fd, &x, NULL) == 0, "start");
}

static void until_over(struct evloop *loop, int typing)
{
	static const uint8_t typed[1000] = {16, 16, 17, 'x'};
	uint64_t end = io_now_ns() + WAIT_NS;
	while (exec_client_connected(&t.c)) {
		(void)!send(typing, typed + 4, sizeof(typed) - 4, MSG_DONTWAIT);
		must(evloop_once(loop, 10) >= 0, "event loop");
		must(t.c.conn.out_cap <= FRAME_OUT_MAX && t.c.out[0].len <= PROTO_WINDOW &&
			     t.c.out[1].len <= PROTO_WINDOW,
		     "too much is kept");
		must(io_now_ns() < end, "it does not end");
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct exec_client_ops ops = {
		.started = on_started,
		.attached = on_attached,
		.refused = on_refused,
		.exited = on_exited,
		.lost = on_lost,
		.taken = on_taken,
		.step = on_step,
	};
	struct hostio io[3];
	struct evloop loop;
	struct detach_keys keys;
	struct agent a = {.in = {data, size}};
	pthread_t thread;
	int pair[4][2];
	if (size < 1)
		return 0;
	memset(&t, 0, sizeof(t));
	must(evloop_init(&loop) == 0, "loop");
	for (int i = 0; i < 4; i++)
		must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair[i]) == 0, "pair");
	for (int i = 0; i < 3; i++)
		must(hostio_open(&io[i], &loop, pair[i][0], on_stdio, NULL) == 0, "hostio");
	a.options = (uint8_t)take(&a.in, 1);
	a.conn.fd = pair[3][1];
	a.out_fd[0] = pair[1][1];
	a.out_fd[1] = pair[2][1];
	if (!(a.options & OPT_ATTACH))
		a.allowed = a.options & OPT_KEEP ? PROTO_KEEP_WINDOW : PROTO_WINDOW;
	exec_client_init(&t.c, &loop, &ops, NULL, &io[0], io + 1);
	must(detach_keys_parse(&keys, DETACH_KEYS_DEFAULT, NULL) == 0, "keys");
	t.c.keys = a.options & OPT_KEYS ? &keys : NULL;
	t.c.hold = a.options & OPT_HOLD;
	begin(a.options, pair[3][0]);
	must(pthread_create(&thread, NULL, agent_run, &a) == 0, "thread");
	until_over(&loop, pair[0][1]);
	pthread_join(thread, NULL);
	must(t.ends == 1, "no end");
	exec_client_free(&t.c);
	frame_conn_free(&a.conn);
	for (int i = 0; i < 3; i++) {
		hostio_close(&io[i]);
		close(pair[i][0]);
		close(pair[i][1]);
	}
	close(pair[3][1]);
	evloop_close(&loop);
	return 0;
}
