// SPDX-License-Identifier: Apache-2.0
// exec_rig.c - a client of a command, its user's streams, and the agent that the test plays
#include "exec_rig.h"

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

struct exec_rig rig;

static void on_started(void *arg, uint32_t pid)
{
	(void)arg;
	rig.started++;
	rig.pid = pid;
}

static void on_attached(void *arg, const Mayfly__ExecAttached *m)
{
	(void)arg;
	rig.attached++;
	rig.pid = m->pid;
}

static void on_refused(void *arg, const Mayfly__Failed *m)
{
	(void)arg;
	rig.refused++;
	rig.code = m->code;
}

static void on_exited(void *arg, const Mayfly__Exit *x)
{
	(void)arg;
	rig.exited++;
	rig.code = x->code;
	rig.error_first = rig.errors[0] > 0;
}

static void on_lost(void *arg, int error)
{
	(void)arg;
	rig.lost++;
	rig.lost_error = error;
}

static void on_taken(void *arg)
{
	(void)arg;
	rig.taken++;
}

static void on_output_error(void *arg, int which, int error)
{
	(void)arg;
	rig.errors[which]++;
	rig.error = error;
}

static void on_detach(void *arg)
{
	(void)arg;
	rig.detached++;
}

static void on_step(void *arg)
{
	(void)arg;
	exec_client_pump(&rig.c);
}

static void on_stdio(struct evsource *src, uint32_t events)
{
	(void)src;
	(void)events;
	exec_client_pump(&rig.c);
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

int rig_setup(void **state)
{
	int sv[2];
	(void)state;
	memset(&rig, 0, sizeof(rig));
	signal(SIGPIPE, SIG_IGN);
	rig.peer.fd = -1;
	assert_int_equal(evloop_init(&rig.loop), 0);
	/* A socket is not opened again, which only works for descriptor 0. */
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	rig.in_fd = sv[1];
	assert_int_equal(hostio_open(&rig.in, &rig.loop, sv[0], on_stdio, NULL), 0);
	rig.in.own_fd = true;
	for (int i = 0; i < 2; i++) {
		int p[2];
		assert_int_equal(pipe2(p, O_CLOEXEC), 0);
		rig.out_fd[i] = p[0];
		rig.given[i] = p[1];
		assert_int_equal(fcntl(p[0], F_SETFL, O_NONBLOCK), 0);
		assert_int_equal(hostio_open(&rig.out[i], &rig.loop, p[1], on_stdio, NULL), 0);
	}
	exec_client_init(&rig.c, &rig.loop, &ops, NULL, &rig.in, rig.out);
	return 0;
}

int rig_teardown(void **state)
{
	(void)state;
	exec_client_free(&rig.c);
	exec_client_free(&rig.c);
	hostio_close(&rig.in);
	for (int i = 0; i < 2; i++) {
		hostio_close(&rig.out[i]);
		close_fd(&rig.out_fd[i]);
		close_fd(&rig.given[i]);
	}
	close_fd(&rig.in_fd);
	close_fd(&rig.peer.fd);
	frame_conn_free(&rig.peer);
	evloop_close(&rig.loop);
	return 0;
}

void rig_run(void)
{
	exec_client_pump(&rig.c);
	for (int i = 0; i < 2000; i++)
		if (evloop_once(&rig.loop, 0) <= 0)
			return;
	fail_msg("the event loop does not come to rest");
}

int rig_connection(void)
{
	int sv[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	rig.peer.fd = sv[1];
	return sv[0];
}

/* The agent's half of the handshake. */
void rig_say_ok(void)
{
	for (size_t n = 0; n == 0 || rig.line[n - 1] != '\n'; n++)
		assert_int_equal(read(rig.peer.fd, rig.line + n, 1), 1);
	assert_string_equal(rig.line, "CONNECT 1024\n");
	assert_int_equal(io_write_full(rig.peer.fd, "OK 1073741824\n", 14), 0);
	assert_int_equal(frame_send_hello(&rig.peer, "fake"), 0);
	assert_int_equal(io_set_nonblock(rig.peer.fd, 1), 0);
}

void rig_flush_peer(void)
{
	frame_flush(&rig.peer);
	rig_run();
}

void rig_begin(bool keep, bool tty)
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
	assert_int_equal(exec_client_words(&rig.c, argv, env, &e), 0);
	assert_int_equal(exec_client_start(&rig.c, rig_connection(), &x, &e), 0);
	rig_say_ok();
	rig_flush_peer();
}

/* The next frame that the client sent; NULL: none. The caller frees it. */
Mayfly__Frame *rig_next(void)
{
	Mayfly__Frame *f = NULL;
	int ret = frame_next(&rig.peer, &f);
	for (int i = 0; ret == 0 && i < 100 && frame_fill(&rig.peer) > 0; i++)
		ret = frame_next(&rig.peer, &f);
	assert_true(ret >= 0);
	return f;
}

Mayfly__Frame *rig_expect(Mayfly__Frame__BodyCase kind)
{
	Mayfly__Frame *f = rig_next();
	assert_non_null(f);
	assert_int_equal(f->body_case, kind);
	return f;
}

void rig_sent(Mayfly__Frame__BodyCase kind)
{
	mayfly__frame__free_unpacked(rig_expect(kind), NULL);
}

void rig_credits(uint32_t bytes)
{
	Mayfly__Frame *f = rig_expect(MAYFLY__FRAME__BODY_CREDIT);
	assert_int_equal(f->credit->bytes, bytes);
	mayfly__frame__free_unpacked(f, NULL);
}

void rig_no_frame(void)
{
	Mayfly__Frame *f = rig_next();
	assert_null(f);
}

void rig_skip_words(void)
{
	rig_sent(MAYFLY__FRAME__BODY_HELLO);
	rig_sent(MAYFLY__FRAME__BODY_EXEC_START);
	rig_sent(MAYFLY__FRAME__BODY_EXEC_WORDS);
	rig_sent(MAYFLY__FRAME__BODY_EXEC_WORDS);
	rig_sent(MAYFLY__FRAME__BODY_EXEC_RUN);
}

void rig_send_body(Mayfly__Frame *f)
{
	assert_int_equal(frame_send(&rig.peer, f), 0);
	rig_flush_peer();
}

void rig_send_started(void)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__ExecStarted m = MAYFLY__EXEC_STARTED__INIT;
	m.pid = 42;
	f.body_case = MAYFLY__FRAME__BODY_EXEC_STARTED;
	f.exec_started = &m;
	rig_send_body(&f);
}

void rig_send_exit(int32_t code)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__Exit m = MAYFLY__EXIT__INIT;
	m.code = code;
	f.body_case = MAYFLY__FRAME__BODY_EXIT;
	f.exit = &m;
	rig_send_body(&f);
}

void rig_send_attached(uint32_t in_credit, bool in_closed, bool tty)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__ExecAttached m = MAYFLY__EXEC_ATTACHED__INIT;
	m.pid = 9;
	m.in_credit = in_credit;
	m.in_closed = in_closed;
	m.tty = tty;
	f.body_case = MAYFLY__FRAME__BODY_EXEC_ATTACHED;
	f.exec_attached = &m;
	rig_send_body(&f);
}

void rig_send_failed(void)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__Failed m = MAYFLY__FAILED__INIT;
	m.code = ESRCH;
	m.text = (char *)"no such session";
	f.body_case = MAYFLY__FRAME__BODY_FAILED;
	f.failed = &m;
	rig_send_body(&f);
}

void rig_send_taken(void)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__ExecTaken m = MAYFLY__EXEC_TAKEN__INIT;
	f.body_case = MAYFLY__FRAME__BODY_EXEC_TAKEN;
	f.exec_taken = &m;
	rig_send_body(&f);
}

void rig_send_data(Mayfly__Stream s, const char *text)
{
	assert_int_equal(frame_send_data(&rig.peer, s, text, strlen(text)), 0);
	rig_flush_peer();
}

void rig_reads(int which, const char *want)
{
	char buf[64] = "";
	assert_int_equal(read(rig.out_fd[which], buf, sizeof(buf) - 1), strlen(want));
	assert_string_equal(buf, want);
}

void rig_attach(void)
{
	struct err e = {0};
	assert_int_equal(exec_client_attach(&rig.c, rig_connection(), 5, NULL, &e), 0);
	rig_say_ok();
	rig_flush_peer();
	rig_sent(MAYFLY__FRAME__BODY_HELLO);
	Mayfly__Frame *f = rig_expect(MAYFLY__FRAME__BODY_EXEC_ATTACH);
	assert_int_equal(f->exec_attach->session, 5);
	mayfly__frame__free_unpacked(f, NULL);
}

void rig_broken(void)
{
	assert_int_equal(rig.lost, 1);
	assert_false(exec_client_connected(&rig.c));
	rig_run();
}
