// SPDX-License-Identifier: Apache-2.0
// test_exec_client.c - the host's end of a command, against agents that answer right and wrong
// links: runtime/cli/exec_client.c runtime/cli/exec_words.c
#include "cli/exec_client.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

static struct {
	struct evloop loop;
	struct exec_client c;
	struct hostio in, out[2];
	struct detach_keys keys;
	int in_fd;		/* the user's end of stdin */
	int out_fd[2];		/* where the user reads */
	int given[2];		/* what hostio was given for the outputs */
	struct frame_conn peer; /* the agent's end */
	char line[32];		/* CONNECT */
	unsigned started, attached, refused, exited, lost, taken, detached, errors[2];
	int error, lost_error;
	uint32_t pid;
	int32_t code;
} t;

static void on_started(void *arg, uint32_t pid)
{
	(void)arg;
	t.started++;
	t.pid = pid;
}

static void on_attached(void *arg, const Mayfly__ExecAttached *m)
{
	(void)arg;
	t.attached++;
	t.pid = m->pid;
}

static void on_refused(void *arg, const Mayfly__Failed *m)
{
	(void)arg;
	t.refused++;
	t.code = m->code;
}

static void on_exited(void *arg, const Mayfly__Exit *x)
{
	(void)arg;
	t.exited++;
	t.code = x->code;
}

static void on_lost(void *arg, int error)
{
	(void)arg;
	t.lost++;
	t.lost_error = error;
}

static void on_taken(void *arg)
{
	(void)arg;
	t.taken++;
}

static void on_output_error(void *arg, int which, int error)
{
	(void)arg;
	t.errors[which]++;
	t.error = error;
}

static void on_detach(void *arg)
{
	(void)arg;
	t.detached++;
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

static const struct exec_client_ops ops = {
	.started = on_started,
	.attached = on_attached,
	.refused = on_refused,
	.exited = on_exited,
	.lost = on_lost,
	.taken = on_taken,
	.output_error = on_output_error,
	.detach = on_detach,
	.step = on_step,
};

static int setup(void **state)
{
	int sv[2];
	(void)state;
	memset(&t, 0, sizeof(t));
	signal(SIGPIPE, SIG_IGN);
	t.peer.fd = -1;
	assert_int_equal(evloop_init(&t.loop), 0);
	/* A socket is not opened again, which only works for descriptor 0. */
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	t.in_fd = sv[1];
	assert_int_equal(hostio_open(&t.in, &t.loop, sv[0], on_stdio, NULL), 0);
	t.in.own_fd = true;
	for (int i = 0; i < 2; i++) {
		int p[2];
		assert_int_equal(pipe2(p, O_CLOEXEC), 0);
		t.out_fd[i] = p[0];
		t.given[i] = p[1];
		assert_int_equal(fcntl(p[0], F_SETFL, O_NONBLOCK), 0);
		assert_int_equal(hostio_open(&t.out[i], &t.loop, p[1], on_stdio, NULL), 0);
	}
	exec_client_init(&t.c, &t.loop, &ops, NULL, &t.in, t.out);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	exec_client_free(&t.c);
	exec_client_free(&t.c);
	hostio_close(&t.in);
	for (int i = 0; i < 2; i++) {
		hostio_close(&t.out[i]);
		close_fd(&t.out_fd[i]);
		close_fd(&t.given[i]);
	}
	close_fd(&t.in_fd);
	close_fd(&t.peer.fd);
	frame_conn_free(&t.peer);
	evloop_close(&t.loop);
	return 0;
}

static void run(void)
{
	exec_client_pump(&t.c);
	for (int i = 0; i < 2000; i++)
		if (evloop_once(&t.loop, 0) <= 0)
			return;
	fail_msg("the event loop does not come to rest");
}

static int connection(void)
{
	int sv[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	t.peer.fd = sv[1];
	return sv[0];
}

/* The agent's half of the handshake. */
static void say_ok(void)
{
	for (size_t n = 0; n == 0 || t.line[n - 1] != '\n'; n++)
		assert_int_equal(read(t.peer.fd, t.line + n, 1), 1);
	assert_string_equal(t.line, "CONNECT 1024\n");
	assert_int_equal(io_write_full(t.peer.fd, "OK 1073741824\n", 14), 0);
	assert_int_equal(frame_send_hello(&t.peer, "fake"), 0);
	assert_int_equal(io_set_nonblock(t.peer.fd, 1), 0);
}

static void flush_peer(void)
{
	frame_flush(&t.peer);
	run();
}

static void begin(bool keep, bool tty)
{
	static char *argv[] = {(char *)"cat", (char *)"-u", NULL};
	static char *env[] = {(char *)"A=b", NULL};
	struct err e = {0};
	Mayfly__ExecStart x = MAYFLY__EXEC_START__INIT;
	Mayfly__Tty term = MAYFLY__TTY__INIT;
	x.session = 7;
	x.cwd = (char *)"/";
	x.keep = keep;
	x.tty = tty ? &term : NULL;
	assert_int_equal(exec_client_words(&t.c, argv, env, &e), 0);
	assert_int_equal(exec_client_start(&t.c, connection(), &x, &e), 0);
	say_ok();
	flush_peer();
}

/* The next frame that the client sent; NULL: none. The caller frees it. */
static Mayfly__Frame *next(void)
{
	Mayfly__Frame *f = NULL;
	int ret = frame_next(&t.peer, &f);
	for (int i = 0; ret == 0 && i < 100 && frame_fill(&t.peer) > 0; i++)
		ret = frame_next(&t.peer, &f);
	assert_true(ret >= 0);
	return f;
}

static Mayfly__Frame *expect(Mayfly__Frame__BodyCase kind)
{
	Mayfly__Frame *f = next();
	assert_non_null(f);
	assert_int_equal(f->body_case, kind);
	return f;
}

static void sent(Mayfly__Frame__BodyCase kind)
{
	mayfly__frame__free_unpacked(expect(kind), NULL);
}

static void no_frame(void)
{
	Mayfly__Frame *f = next();
	assert_null(f);
}

static void skip_words(void)
{
	sent(MAYFLY__FRAME__BODY_HELLO);
	sent(MAYFLY__FRAME__BODY_EXEC_START);
	sent(MAYFLY__FRAME__BODY_EXEC_WORDS);
	sent(MAYFLY__FRAME__BODY_EXEC_WORDS);
	sent(MAYFLY__FRAME__BODY_EXEC_RUN);
}

static void send_body(Mayfly__Frame *f)
{
	assert_int_equal(frame_send(&t.peer, f), 0);
	flush_peer();
}

static void send_started(void)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__ExecStarted m = MAYFLY__EXEC_STARTED__INIT;
	m.pid = 42;
	f.body_case = MAYFLY__FRAME__BODY_EXEC_STARTED;
	f.exec_started = &m;
	send_body(&f);
}

static void send_exit(int32_t code)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__Exit m = MAYFLY__EXIT__INIT;
	m.code = code;
	f.body_case = MAYFLY__FRAME__BODY_EXIT;
	f.exit = &m;
	send_body(&f);
}

static void send_attached(uint32_t in_credit, bool in_closed, bool tty)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__ExecAttached m = MAYFLY__EXEC_ATTACHED__INIT;
	m.pid = 9;
	m.in_credit = in_credit;
	m.in_closed = in_closed;
	m.tty = tty;
	f.body_case = MAYFLY__FRAME__BODY_EXEC_ATTACHED;
	f.exec_attached = &m;
	send_body(&f);
}

static void send_failed(void)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__Failed m = MAYFLY__FAILED__INIT;
	m.code = ESRCH;
	m.text = (char *)"no such session";
	f.body_case = MAYFLY__FRAME__BODY_FAILED;
	f.failed = &m;
	send_body(&f);
}

static void send_taken(void)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__ExecTaken m = MAYFLY__EXEC_TAKEN__INIT;
	f.body_case = MAYFLY__FRAME__BODY_EXEC_TAKEN;
	f.exec_taken = &m;
	send_body(&f);
}

static void send_data(Mayfly__Stream s, const char *text)
{
	assert_int_equal(frame_send_data(&t.peer, s, text, strlen(text)), 0);
	flush_peer();
}

static void reads(int which, const char *want)
{
	char buf[64] = "";
	assert_int_equal(read(t.out_fd[which], buf, sizeof(buf) - 1), strlen(want));
	assert_string_equal(buf, want);
}

static void attach(void)
{
	struct err e = {0};
	assert_int_equal(exec_client_attach(&t.c, connection(), 5, NULL, &e), 0);
	say_ok();
	flush_peer();
	sent(MAYFLY__FRAME__BODY_HELLO);
	Mayfly__Frame *f = expect(MAYFLY__FRAME__BODY_EXEC_ATTACH);
	assert_int_equal(f->exec_attach->session, 5);
	mayfly__frame__free_unpacked(f, NULL);
}

static void broken(void)
{
	assert_int_equal(t.lost, 1);
	assert_false(exec_client_connected(&t.c));
	run();
}

static void test_whole(void **state)
{
	(void)state;
	begin(false, false);
	sent(MAYFLY__FRAME__BODY_HELLO);
	Mayfly__Frame *f = expect(MAYFLY__FRAME__BODY_EXEC_START);
	assert_int_equal(f->exec_start->session, 7);
	mayfly__frame__free_unpacked(f, NULL);
	f = expect(MAYFLY__FRAME__BODY_EXEC_WORDS);
	assert_false(f->exec_words->env);
	assert_memory_equal(f->exec_words->data.data, "cat\0-u\0", 7);
	mayfly__frame__free_unpacked(f, NULL);
	f = expect(MAYFLY__FRAME__BODY_EXEC_WORDS);
	assert_true(f->exec_words->env);
	mayfly__frame__free_unpacked(f, NULL);
	sent(MAYFLY__FRAME__BODY_EXEC_RUN);
	send_started();
	assert_int_equal(t.started, 1);
	assert_int_equal(t.pid, 42);
	assert_int_equal(write(t.in_fd, "typed", 5), 5);
	run();
	f = expect(MAYFLY__FRAME__BODY_DATA);
	assert_int_equal(f->data->data.len, 5);
	mayfly__frame__free_unpacked(f, NULL);
	close_fd(&t.in_fd);
	run();
	sent(MAYFLY__FRAME__BODY_EOF);
	send_data(MAYFLY__STREAM__STDOUT, "out");
	send_data(MAYFLY__STREAM__STDERR, "err");
	reads(0, "out");
	reads(1, "err");
	sent(MAYFLY__FRAME__BODY_CREDIT);
	sent(MAYFLY__FRAME__BODY_CREDIT);
	send_exit(3);
	assert_int_equal(t.exited, 1);
	assert_int_equal(t.code, 3);
	assert_int_equal(t.lost, 0);
	assert_true(exec_client_flushed(&t.c));
}

static void test_signal_and_size(void **state)
{
	(void)state;
	begin(true, true);
	skip_words();
	exec_client_signal(&t.c, SIGTERM);
	exec_client_resize(&t.c, 30, 100);
	run();
	Mayfly__Frame *f = expect(MAYFLY__FRAME__BODY_SIGNAL);
	assert_int_equal(f->signal->number, SIGTERM);
	mayfly__frame__free_unpacked(f, NULL);
	f = expect(MAYFLY__FRAME__BODY_WINDOW_SIZE);
	assert_int_equal(f->window_size->rows, 30);
	assert_int_equal(f->window_size->columns, 100);
	mayfly__frame__free_unpacked(f, NULL);
	/* A terminal has one output. */
	send_started();
	send_data(MAYFLY__STREAM__STDERR, "x");
	assert_int_equal(t.lost_error, -EPROTO);
	broken();
}

static void test_no_size_without_terminal(void **state)
{
	(void)state;
	begin(true, false);
	skip_words();
	exec_client_resize(&t.c, 30, 100);
	run();
	no_frame();
}

static void test_input_kinds(void **state)
{
	(void)state;
	t.c.input = EXEC_INPUT_EMPTY;
	begin(true, false);
	skip_words();
	sent(MAYFLY__FRAME__BODY_EOF);
	run();
	no_frame();
}

static void test_no_input(void **state)
{
	(void)state;
	t.c.input = EXEC_INPUT_NONE;
	begin(true, false);
	skip_words();
	close_fd(&t.in_fd);
	run();
	no_frame();
}

/* What is not for us is neither shown nor given back. */
static void test_hold(void **state)
{
	(void)state;
	char c;
	t.c.hold = true;
	begin(true, false);
	skip_words();
	send_data(MAYFLY__STREAM__STDOUT, "early");
	send_started();
	assert_int_equal(read(t.out_fd[0], &c, 1), -1);
	no_frame();
}

static void test_input_credit(void **state)
{
	(void)state;
	static uint8_t buf[PROTO_KEEP_WINDOW + 5000];
	size_t got = 0;
	begin(true, false);
	skip_words();
	int big = (int)sizeof(buf) * 2;
	setsockopt(t.in_fd, SOL_SOCKET, SO_SNDBUF, &big, sizeof(big));
	size_t put = 0;
	for (int i = 0; i < 100; i++) {
		ssize_t n = send(t.in_fd, buf + put, sizeof(buf) - put, MSG_DONTWAIT);
		put += n > 0 ? (size_t)n : 0;
		run();
		for (Mayfly__Frame *f = next(); f; f = next()) {
			assert_int_equal(f->body_case, MAYFLY__FRAME__BODY_DATA);
			got += f->data->data.len;
			mayfly__frame__free_unpacked(f, NULL);
		}
	}
	assert_int_equal(got, PROTO_KEEP_WINDOW);
	assert_int_equal(frame_send_credit(&t.peer, MAYFLY__STREAM__STDIN, 5000), 0);
	flush_peer();
	Mayfly__Frame *f = expect(MAYFLY__FRAME__BODY_DATA);
	assert_int_equal(f->data->data.len, 5000);
	mayfly__frame__free_unpacked(f, NULL);
	/* More than was used. */
	assert_int_equal(frame_send_credit(&t.peer, MAYFLY__STREAM__STDIN, PROTO_KEEP_WINDOW + 1),
			 0);
	flush_peer();
	broken();
}

static void test_credit_of_nothing(void **state)
{
	(void)state;
	begin(false, false);
	assert_int_equal(frame_send_credit(&t.peer, MAYFLY__STREAM__STDIN, 1), 0);
	flush_peer();
	assert_int_equal(t.lost_error, -EPROTO);
	broken();
}

static void test_credit_of_output(void **state)
{
	(void)state;
	begin(false, false);
	assert_int_equal(frame_send_credit(&t.peer, MAYFLY__STREAM__STDOUT, 1), 0);
	flush_peer();
	broken();
}

/* Nobody reads: a window is taken, not a byte more. */
static void test_output_window(void **state)
{
	(void)state;
	static uint8_t buf[16384];
	begin(true, false);
	skip_words();
	send_started();
	/* So much is taken by the pipe and given back. */
	size_t given = 0;
	for (int i = 0; i < 4; i++) {
		assert_int_equal(frame_send_data(&t.peer, MAYFLY__STREAM__STDOUT, buf, sizeof(buf)),
				 0);
		flush_peer();
	}
	for (Mayfly__Frame *f = next(); f; f = next()) {
		assert_int_equal(f->body_case, MAYFLY__FRAME__BODY_CREDIT);
		given += f->credit->bytes;
		mayfly__frame__free_unpacked(f, NULL);
	}
	assert_int_equal(given, 65536);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(frame_send_data(&t.peer, MAYFLY__STREAM__STDOUT, buf, sizeof(buf)),
				 0);
		flush_peer();
	}
	assert_true(exec_client_connected(&t.c));
	assert_int_equal(t.out[0].len, PROTO_KEEP_WINDOW);
	no_frame();
	send_data(MAYFLY__STREAM__STDOUT, "x");
	assert_int_equal(t.lost_error, -EPROTO);
	assert_false(exec_client_flushed(&t.c));
	broken();
}

static void test_closed_output(void **state)
{
	(void)state;
	begin(false, false);
	skip_words();
	send_started();
	close_fd(&t.out_fd[0]);
	send_data(MAYFLY__STREAM__STDOUT, "lost");
	assert_int_equal(t.errors[0], 1);
	assert_int_equal(t.error, EPIPE);
	sent(MAYFLY__FRAME__BODY_STREAM_CLOSED);
	sent(MAYFLY__FRAME__BODY_CREDIT);
	/* Told once. */
	send_data(MAYFLY__STREAM__STDOUT, "lost");
	assert_int_equal(t.errors[0], 1);
	sent(MAYFLY__FRAME__BODY_CREDIT);
	no_frame();
	send_exit(0);
	assert_int_equal(t.exited, 1);
}

static void test_closed_input(void **state)
{
	(void)state;
	begin(false, false);
	skip_words();
	assert_int_equal(frame_send_closed(&t.peer, MAYFLY__STREAM__STDIN), 0);
	flush_peer();
	assert_true(t.in.done);
	assert_int_equal(frame_send_closed(&t.peer, MAYFLY__STREAM__STDOUT), 0);
	flush_peer();
	broken();
}

static void test_exit_twice(void **state)
{
	(void)state;
	begin(false, false);
	send_started();
	send_exit(1);
	send_exit(2);
	assert_int_equal(t.exited, 1);
	assert_int_equal(t.code, 1);
	/* The first one counts; nobody listens any longer. */
	assert_int_equal(t.lost, 0);
	assert_false(exec_client_connected(&t.c));
}

static void test_data_behind_exit(void **state)
{
	(void)state;
	char c;
	begin(false, false);
	send_exit(1);
	send_data(MAYFLY__STREAM__STDOUT, "late");
	assert_int_equal(read(t.out_fd[0], &c, 1), -1);
	assert_int_equal(t.exited, 1);
	assert_int_equal(t.lost, 0);
}

static void test_started_twice(void **state)
{
	(void)state;
	begin(false, false);
	send_started();
	send_started();
	assert_int_equal(t.started, 1);
	broken();
}

static void test_frames_of_others(void **state)
{
	(void)state;
	void (*const wrong[])(void) = {send_failed, send_taken};
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		begin(false, false);
		wrong[i]();
		assert_int_equal(t.lost_error, -EPROTO);
		broken();
		teardown(NULL);
		setup(NULL);
	}
	begin(false, false);
	send_attached(0, false, false);
	broken();
}

static void test_shutdown_is_no_frame_here(void **state)
{
	(void)state;
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__Shutdown m = MAYFLY__SHUTDOWN__INIT;
	begin(false, false);
	f.body_case = MAYFLY__FRAME__BODY_SHUTDOWN;
	f.shutdown = &m;
	send_body(&f);
	broken();
}

static void test_garbage(void **state)
{
	(void)state;
	begin(false, false);
	assert_int_equal(io_write_full(t.peer.fd, "\xff\xff\xff\xff garbage", 12), 0);
	run();
	assert_int_equal(t.lost_error, -EMSGSIZE);
	broken();
}

static void test_other_version(void **state)
{
	(void)state;
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__Hello m = MAYFLY__HELLO__INIT;
	struct err e;
	Mayfly__ExecStart x = MAYFLY__EXEC_START__INIT;
	assert_int_equal(exec_client_start(&t.c, connection(), &x, &e), 0);
	assert_int_equal(io_write_full(t.peer.fd, "OK 1\n", 5), 0);
	m.version = PROTO_VERSION + 1;
	f.body_case = MAYFLY__FRAME__BODY_HELLO;
	f.hello = &m;
	send_body(&f);
	assert_int_equal(t.lost_error, -EPROTONOSUPPORT);
	broken();
}

static void test_no_ok(void **state)
{
	(void)state;
	static const char *const answers[] = {"NO 1\n", "OKAY\n",
					      "OK 11111111111111111111111111111111111111111"};
	struct err e;
	for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
		Mayfly__ExecStart x = MAYFLY__EXEC_START__INIT;
		assert_int_equal(exec_client_start(&t.c, connection(), &x, &e), 0);
		assert_int_equal(io_write_full(t.peer.fd, answers[i], strlen(answers[i])), 0);
		run();
		assert_int_equal(t.lost_error, -EPROTO);
		broken();
		teardown(NULL);
		setup(NULL);
	}
	Mayfly__ExecStart x = MAYFLY__EXEC_START__INIT;
	assert_int_equal(exec_client_start(&t.c, connection(), &x, &e), 0);
	close_fd(&t.peer.fd);
	run();
	assert_true(t.lost_error == -ECONNREFUSED || t.lost_error == -ECONNRESET);
	broken();
}

/* It never answers: nothing is read of stdin beyond the window, nothing spins. */
static void test_mute(void **state)
{
	(void)state;
	static uint8_t buf[4096];
	struct err e;
	Mayfly__ExecStart x = MAYFLY__EXEC_START__INIT;
	assert_int_equal(exec_client_start(&t.c, connection(), &x, &e), 0);
	size_t put = 0;
	for (int i = 0; i < 1000; i++) {
		ssize_t n = send(t.in_fd, buf, sizeof(buf), MSG_DONTWAIT);
		put += n > 0 ? (size_t)n : 0;
		run();
	}
	assert_in_range(put, PROTO_WINDOW, PROTO_WINDOW + (1 << 20));
	assert_true(t.c.conn.out_cap <= FRAME_OUT_MAX);
	assert_int_equal(t.started + t.exited + t.lost, 0);
	for (int i = 0; i < 100000; i++)
		exec_client_signal(&t.c, SIGUSR1);
	assert_true(t.c.conn.out_cap <= FRAME_OUT_MAX);
}

/* The agent says its last word and closes while we still write to it. */
static void test_exit_behind_broken_pipe(void **state)
{
	(void)state;
	static uint8_t buf[65536];
	begin(false, false);
	skip_words();
	send_started();
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__Exit m = MAYFLY__EXIT__INIT;
	m.code = 12;
	f.body_case = MAYFLY__FRAME__BODY_EXIT;
	f.exit = &m;
	assert_int_equal(frame_send(&t.peer, &f), 0);
	assert_int_equal(frame_flush(&t.peer), 0);
	close_fd(&t.peer.fd);
	assert_true(send(t.in_fd, buf, sizeof(buf), MSG_DONTWAIT) > 0);
	exec_client_pump(&t.c);
	run();
	assert_int_equal(t.exited, 1);
	assert_int_equal(t.code, 12);
}

static void test_end_without_exit(void **state)
{
	(void)state;
	begin(false, false);
	send_started();
	close_fd(&t.peer.fd);
	run();
	assert_true(t.lost_error == -ENODATA || t.lost_error == -ECONNRESET);
	broken();
}

static void test_attach(void **state)
{
	(void)state;
	static const uint8_t typed[] = {'l', 's', 16, 'x', 16, 17, 'z'};
	struct err e;
	assert_int_equal(detach_keys_parse(&t.keys, DETACH_KEYS_DEFAULT, &e), 0);
	t.c.keys = &t.keys;
	assert_int_equal(write(t.in_fd, typed, sizeof(typed)), sizeof(typed));
	attach();
	/* Nothing is read before the agent says how much there may be. */
	no_frame();
	send_attached(100, false, true);
	assert_int_equal(t.attached, 1);
	assert_true(t.c.tty);
	Mayfly__Frame *f = expect(MAYFLY__FRAME__BODY_DATA);
	assert_int_equal(f->data->data.len, 4);
	assert_memory_equal(f->data->data.data, typed, 4);
	mayfly__frame__free_unpacked(f, NULL);
	assert_int_equal(t.detached, 1);
	no_frame();
	send_data(MAYFLY__STREAM__STDOUT, "hi");
	reads(0, "hi");
	send_taken();
	assert_int_equal(t.taken, 1);
	assert_int_equal(t.lost, 0);
	assert_false(exec_client_connected(&t.c));
}

static void test_attach_refused(void **state)
{
	(void)state;
	attach();
	send_failed();
	assert_int_equal(t.refused, 1);
	assert_int_equal(t.code, ESRCH);
	assert_int_equal(t.lost, 0);
}

static void test_attach_wrong(void **state)
{
	(void)state;
	attach();
	send_attached(PROTO_KEEP_WINDOW + 1, false, false);
	broken();
	teardown(NULL);
	setup(NULL);
	attach();
	send_data(MAYFLY__STREAM__STDOUT, "before");
	broken();
	teardown(NULL);
	setup(NULL);
	attach();
	send_exit(0);
	assert_int_equal(t.exited, 0);
	broken();
	teardown(NULL);
	setup(NULL);
	attach();
	send_attached(10, true, false);
	assert_true(t.in.done);
	send_attached(10, true, false);
	broken();
}

static void test_words_too_large(void **state)
{
	(void)state;
	static char word[PROTO_WORD_MAX + 2];
	static char *list[PROTO_WORDS_MAX / 1024 + 8];
	char *none[] = {NULL};
	char *one[] = {word, NULL};
	struct err e;
	memset(word, 'x', PROTO_WORD_MAX);
	assert_int_equal(exec_client_words(&t.c, one, none, &e), -E2BIG);
	word[1023] = '\0';
	for (size_t i = 0; i <= PROTO_WORDS_MAX / 1024; i++)
		list[i] = word;
	assert_int_equal(exec_client_words(&t.c, list, none, &e), -E2BIG);
	list[PROTO_WORDS_MAX / 1024] = NULL;
	assert_int_equal(exec_client_words(&t.c, list, none, &e), 0);
	assert_int_equal(exec_client_words(&t.c, none, list, &e), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_whole),
		TEST(test_signal_and_size),
		TEST(test_no_size_without_terminal),
		TEST(test_input_kinds),
		TEST(test_no_input),
		TEST(test_hold),
		TEST(test_input_credit),
		TEST(test_credit_of_nothing),
		TEST(test_credit_of_output),
		TEST(test_output_window),
		TEST(test_closed_output),
		TEST(test_closed_input),
		TEST(test_exit_twice),
		TEST(test_data_behind_exit),
		TEST(test_started_twice),
		TEST(test_frames_of_others),
		TEST(test_shutdown_is_no_frame_here),
		TEST(test_garbage),
		TEST(test_other_version),
		TEST(test_no_ok),
		TEST(test_mute),
		TEST(test_exit_behind_broken_pipe),
		TEST(test_end_without_exit),
		TEST(test_attach),
		TEST(test_attach_refused),
		TEST(test_attach_wrong),
		TEST(test_words_too_large),
	};
	/* What is dropped is told, and here that is much. */
	log_init("test", LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
