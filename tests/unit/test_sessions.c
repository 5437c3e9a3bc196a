// SPDX-License-Identifier: Apache-2.0
// test_sessions.c - how many, which numbers, many at once; hosts that break the protocol
// links: init/sessions.c init/session_conn.c init/session.c
#include "base/cleanup.h"
#include "base/io.h"
#include "session_rig.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#define LOST MAYFLY__SESSION_EVENT__KIND__LOST

static char out[8 << 20];
static struct srig_host h;
static struct srig_host h2;

static int setup(void **state)
{
	memset(&h, 0, sizeof(h));
	memset(&h2, 0, sizeof(h2));
	out[0] = '\0';
	return srig_setup(state);
}

static void drop(Mayfly__Frame *f)
{
	mayfly__frame__free_unpacked(f, NULL);
}

/* Reads to Exit, which must be this. */
static void ends(struct srig_host *host, Mayfly__Exit__Kind kind, int code, bool cut)
{
	Mayfly__Frame *f = srig_output(host, out, sizeof(out), true);
	assert_int_equal(f->exit->kind, kind);
	assert_int_equal(f->exit->code, code);
	assert_int_equal(f->exit->cut, cut);
	drop(f);
}

static void start_only(struct srig_host *host, uint64_t session)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__ExecStart x = MAYFLY__EXEC_START__INIT;
	x.session = session;
	x.keep = true;
	f.body_case = MAYFLY__FRAME__BODY_EXEC_START;
	f.exec_start = &x;
	srig_connect(host);
	srig_send(host, &f);
	srig_step(0);
}

static void test_numbers(void **state)
{
	(void)state;
	start_only(&h, 0);
	srig_closed(&h);
	start_only(&h, 5);
	start_only(&h2, 5);
	srig_closed(&h2);
	assert_int_equal(srig.set.n, 1);
	srig_connect(&h2);
	srig_attach(&h2, 5);
	drop(srig_expect(&h2, MAYFLY__FRAME__BODY_FAILED));
	srig_closed(&h2);
	srig_close(&h);
	srig_gone(0);
	assert_int_equal(srig.n_events, 0);
}

static void test_how_many(void **state)
{
	(void)state;
	static struct srig_host many[SESSIONS_CONNS_MAX];
	int p[2];
	for (unsigned i = 0; i < PROTO_SESSIONS_MAX; i++)
		start_only(&many[i], i + 1);
	assert_int_equal(srig.set.n, PROTO_SESSIONS_MAX);
	start_only(&h, 1000);
	Mayfly__Frame *f = srig_expect(&h, MAYFLY__FRAME__BODY_FAILED);
	assert_int_equal(f->failed->code, EUSERS);
	drop(f);
	srig_closed(&h);
	while (srig.set.n_conns > PROTO_SESSIONS_MAX)
		srig_step(1);
	for (unsigned i = PROTO_SESSIONS_MAX; i < SESSIONS_CONNS_MAX; i++)
		srig_connect(&many[i]);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, p), 0);
	assert_int_equal(sessions_accept(&srig.set, p[1]), -EBUSY);
	close(p[0]);
	close(p[1]);
	for (unsigned i = 0; i < SESSIONS_CONNS_MAX; i++)
		srig_close(&many[i]);
	while (srig.set.n_conns > 0)
		srig_step(1);
	srig_gone(0);
}

static void test_says_nothing(void **state)
{
	(void)state;
	srig_connect(&h);
	struct session_conn *c = LIST_FIRST(&srig.set.conns);
	session_conn_tick(c, io_now_ns() + 59000000000ull);
	assert_int_equal(c->state, SESSION_CONN_NEW);
	session_conn_tick(c, io_now_ns() + 60000000000ull);
	srig_closed(&h);
}

/* One host's mistake ends its connection; the command only without keep. */
static void test_violations(void **state)
{
	(void)state;
	Mayfly__Frame start = MAYFLY__FRAME__INIT;
	Mayfly__ExecStart x = MAYFLY__EXEC_START__INIT;
	Mayfly__Frame attach = MAYFLY__FRAME__INIT;
	Mayfly__ExecAttach at = MAYFLY__EXEC_ATTACH__INIT;
	static uint8_t big[PROTO_DATA_MAX];
	x.session = 3;
	start.body_case = MAYFLY__FRAME__BODY_EXEC_START;
	start.exec_start = &x;
	at.session = 3;
	attach.body_case = MAYFLY__FRAME__BODY_EXEC_ATTACH;
	attach.exec_attach = &at;
	srig_keep(&h, 3, "sleep 100");
	drop(srig_expect(&h, MAYFLY__FRAME__BODY_EXEC_STARTED));
	for (int i = 0; i < 8; i++) {
		switch (i) {
		case 0: srig_credit(&h, MAYFLY__STREAM__STDOUT, 1); break;
		case 1: srig_credit(&h, MAYFLY__STREAM__STDIN, 1); break;
		case 2: srig_credit(&h, (Mayfly__Stream)99, 1); break;
		case 3: srig_size(&h, 10, 10); break;
		case 4: srig_send(&h, &start); break;
		case 5: srig_send(&h, &attach); break;
		case 6: srig_signal(&h, 65); break;
		/* The pipe takes 64 KiB, the ring as much. */
		default:
			for (int n = 0; n < 5; n++)
				srig_data(&h, big, sizeof(big));
		}
		srig.n_events = 0;
		srig_event(1, LOST, 3);
		srig_close(&h);
		srig_connect(&h);
		srig_attach(&h, 3);
		drop(srig_expect(&h, MAYFLY__FRAME__BODY_EXEC_ATTACHED));
	}
	srig_signal(&h, SIGTERM);
	ends(&h, MAYFLY__EXIT__KIND__SIGNAL, SIGTERM, false);
	srig_close(&h);
	srig_gone(0);
}

static void test_bad_requests(void **state)
{
	(void)state;
	Mayfly__WindowSize size = MAYFLY__WINDOW_SIZE__INIT;
	Mayfly__Tty tty = MAYFLY__TTY__INIT;
	for (int i = 0; i < 6; i++) {
		Mayfly__Frame f = MAYFLY__FRAME__INIT;
		Mayfly__ExecStart x = MAYFLY__EXEC_START__INIT;
		x.session = 3;
		f.body_case = MAYFLY__FRAME__BODY_EXEC_START;
		f.exec_start = &x;
		size.rows = 65536;
		tty.size = &size;
		if (i == 0)
			x.tty = &tty;
		if (i == 1)
			x.umask = 01001;
		if (i == 2)
			x.timeout_ms = UINT64_MAX;
		srig_connect(&h);
		if (i == 5)
			srig_signal(&h, SIGTERM);
		else
			srig_send(&h, &f);
		if (i == 3)
			srig_eof(&h);
		if (i == 4)
			srig_data(&h, "x", 1);
		srig_closed(&h);
	}
	srig_gone(0);
	assert_int_equal(srig.n_events, 0);
}

#define MANY 16
#define EACH (1u << 20)

/* A step of each at a time; all of them at once. */
static void test_many_at_once(void **state)
{
	(void)state;
	static struct srig_host many[MANY];
	static uint32_t sent[MANY], got[MANY], credit[MANY];
	static uint8_t data[PROTO_DATA_MAX];
	unsigned left = MANY;
	uint64_t deadline = io_now_ns() + RIG_WAIT_NS;
	for (unsigned i = 0; i < MANY; i++) {
		srig_keep(&many[i], i + 1, "cat");
		credit[i] = PROTO_KEEP_WINDOW;
	}
	while (left > 0) {
		assert_true(io_now_ns() < deadline);
		srig_step(1);
		for (unsigned i = 0; i < MANY; i++) {
			Mayfly__Frame *f = NULL;
			struct srig_host *m = &many[i];
			while (sent[i] < EACH && credit[i] >= 1024) {
				for (unsigned j = 0; j < 1024; j++)
					data[j] = (uint8_t)((sent[i] + j) % 251 + i);
				srig_data(m, data, 1024);
				sent[i] += 1024;
				credit[i] -= 1024;
				if (sent[i] == EACH)
					srig_eof(m);
			}
			if (m->conn.fd < 0)
				continue;
			assert_true(frame_fill(&m->conn) >= 0);
			while (m->conn.fd >= 0 && frame_next(&m->conn, &f) == 1) {
				if (f->body_case == MAYFLY__FRAME__BODY_CREDIT)
					credit[i] += f->credit->bytes;
				if (f->body_case == MAYFLY__FRAME__BODY_DATA) {
					for (size_t j = 0; j < f->data->data.len; j++)
						assert_int_equal(f->data->data.data[j],
								 (uint8_t)((got[i] + j) % 251 + i));
					got[i] += (uint32_t)f->data->data.len;
					srig_credit(m, MAYFLY__STREAM__STDOUT,
						    (uint32_t)f->data->data.len);
				}
				if (f->body_case == MAYFLY__FRAME__BODY_EXIT) {
					assert_int_equal(got[i], EACH);
					srig_close(m);
					left--;
				}
				drop(f);
				f = NULL;
			}
		}
	}
	srig_gone(0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, srig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_numbers),    T(test_how_many),	  T(test_says_nothing),
		T(test_violations), T(test_bad_requests), T(test_many_at_once),
	};
	alarm(58);
	signal(SIGPIPE, SIG_IGN);
	/* Commands get groups of their own, which only root may give. */
	if (geteuid() != 0) {
		print_message("1..0 # skip needs root\n");
		return 0;
	}
	return cmocka_run_group_tests_name("sessions", tests, NULL, NULL);
}
