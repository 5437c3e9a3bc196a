// SPDX-License-Identifier: Apache-2.0
// test_session.c - the life of commands: kept, lost, attached to, cut, timed out
// links: init/session.c init/session_conn.c init/session_start.c
#include "base/cleanup.h"
#include "base/io.h"
#include "session_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#define STARTED MAYFLY__SESSION_EVENT__KIND__STARTED
#define LOST MAYFLY__SESSION_EVENT__KIND__LOST
#define ENDED MAYFLY__SESSION_EVENT__KIND__ENDED

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

static void test_kept_to_its_end(void **state)
{
	(void)state;
	srig_keep(&h, 7, "echo out; echo err >&2; exit 5");
	ends(&h, MAYFLY__EXIT__KIND__CODE, 5, false);
	assert_string_equal(out, "out\n");
	assert_int_equal(srig.n_events, 2);
	assert_int_equal(srig.event[0].kind, STARTED);
	srig_event(2, ENDED, 7);
	assert_int_equal(srig.event[1].code, 5);
	srig_close(&h);
	srig_gone(0);
	/* All was taken: nobody is told that it is lost. */
	assert_int_equal(srig.n_events, 2);
}

static void test_without_keep(void **state)
{
	(void)state;
	Mayfly__ExecStart x = MAYFLY__EXEC_START__INIT;
	x.session = 1;
	srig_start(&h, &x, "echo $$; sleep 100");
	srig_until(&h, "\n");
	pid_t pid = LIST_FIRST(&srig.set.list)->pid;
	assert_int_equal(kill(pid, 0), 0);
	srig_close(&h);
	srig_gone(0);
	uint64_t deadline = io_now_ns() + RIG_WAIT_NS;
	while (kill(pid, 0) == 0) {
		assert_true(io_now_ns() < deadline);
		srig_step(5);
	}
	assert_int_equal(srig.n_events, 0);
	/* Nor can it be attached to. */
	srig_connect(&h);
	x.session = 2;
	srig_start(&h, &x, "read x");
	drop(srig_expect(&h, MAYFLY__FRAME__BODY_EXEC_STARTED));
	srig_connect(&h2);
	srig_attach(&h2, 2);
	Mayfly__Frame *f = srig_expect(&h2, MAYFLY__FRAME__BODY_FAILED);
	assert_int_equal(f->failed->code, ESRCH);
	drop(f);
	srig_closed(&h2);
	srig_close(&h);
	srig_gone(0);
}

static void test_lost_and_attached(void **state)
{
	(void)state;
	srig_keep(&h, 3, "echo one; read x; echo \"two $x\"; exit 9");
	drop(srig_expect(&h, MAYFLY__FRAME__BODY_EXEC_STARTED));
	drop(srig_expect(&h, MAYFLY__FRAME__BODY_DATA));
	srig_close(&h);
	srig_event(2, LOST, 3);
	srig_connect(&h);
	srig_attach(&h, 3);
	Mayfly__Frame *f = srig_expect(&h, MAYFLY__FRAME__BODY_EXEC_ATTACHED);
	assert_int_equal(f->exec_attached->in_credit, PROTO_KEEP_WINDOW);
	assert_false(f->exec_attached->in_closed);
	assert_false(f->exec_attached->tty);
	assert_int_equal(f->exec_attached->pid, LIST_FIRST(&srig.set.list)->pid);
	drop(f);
	srig_data(&h, "hello\n", 6);
	ends(&h, MAYFLY__EXIT__KIND__CODE, 9, false);
	/* What was sent and not credited comes again. */
	assert_string_equal(out, "one\ntwo hello\n");
	srig_event(3, ENDED, 3);
	srig_close(&h);
	srig_gone(0);
}

static void test_attached_after_the_end(void **state)
{
	(void)state;
	srig_keep(&h, 3, "echo all of it; exit 4");
	drop(srig_output(&h, out, sizeof(out), false));
	srig_event(2, ENDED, 3);
	/* Not one byte was credited. */
	srig_close(&h);
	srig_event(3, LOST, 3);
	srig_connect(&h);
	srig_attach(&h, 3);
	Mayfly__Frame *f = srig_expect(&h, MAYFLY__FRAME__BODY_EXEC_ATTACHED);
	assert_true(f->exec_attached->in_closed);
	drop(f);
	out[0] = '\0';
	ends(&h, MAYFLY__EXIT__KIND__CODE, 4, false);
	assert_string_equal(out, "all of it\n");
	srig_close(&h);
	srig_gone(0);
	/* Ended once, whoever takes it. */
	assert_int_equal(srig.n_events, 3);
}

static void test_nobody_comes(void **state)
{
	(void)state;
	srig_keep(&h, 3, "read x; echo more; exit 4");
	drop(srig_expect(&h, MAYFLY__FRAME__BODY_EXEC_STARTED));
	srig_eof(&h);
	srig_close(&h);
	srig_event(2, LOST, 3);
	struct session *s = LIST_FIRST(&srig.set.list);
	uint64_t deadline = io_now_ns() + RIG_WAIT_NS;
	while (s->state != SESSION_EXITED) {
		assert_true(io_now_ns() < deadline);
		srig_step(5);
	}
	assert_int_equal(srig.n_events, 2);
	session_tick(s, io_now_ns() + 9000000000ull);
	assert_int_equal(s->state, SESSION_EXITED);
	session_tick(s, io_now_ns() + 10000000000ull);
	srig_event(3, ENDED, 3);
	assert_int_equal(srig.event[2].code, 4);
	srig_gone(0);
}

static void test_taken(void **state)
{
	(void)state;
	srig_keep(&h, 3, "echo one; read x; echo two");
	srig_until(&h, "one");
	srig_connect(&h2);
	srig_attach(&h2, 3);
	drop(srig_expect(&h2, MAYFLY__FRAME__BODY_EXEC_ATTACHED));
	drop(srig_expect(&h, MAYFLY__FRAME__BODY_EXEC_TAKEN));
	/* Not even orders that were under way. */
	srig_signal(&h, SIGKILL);
	srig_closed(&h);
	assert_int_equal(srig.n_events, 1);
	srig_eof(&h2);
	ends(&h2, MAYFLY__EXIT__KIND__CODE, 0, false);
	assert_string_equal(out, "two\n");
	srig_close(&h2);
	srig_gone(0);
}

/* The keeper comes for what nobody has: it must not take it from who was quicker. */
static void test_only_lost(void **state)
{
	(void)state;
	srig_keep(&h, 3, "echo one; read x; echo two");
	srig_until(&h, "one");
	srig_connect(&h2);
	srig_attach_lost(&h2, 3);
	drop(srig_expect(&h2, MAYFLY__FRAME__BODY_EXEC_TAKEN));
	srig_closed(&h2);
	/* The first one has closed, whether the agent has noticed or not. */
	srig_close(&h);
	srig_connect(&h2);
	srig_attach_lost(&h2, 3);
	drop(srig_expect(&h2, MAYFLY__FRAME__BODY_EXEC_ATTACHED));
	srig_eof(&h2);
	ends(&h2, MAYFLY__EXIT__KIND__CODE, 0, false);
	srig_close(&h2);
	srig_gone(0);
}

/* Every reader takes some, credits less, and is gone. */
static void test_byte_exact_over_many_readers(void **state)
{
	(void)state;
	size_t credited = 0;
	bool over = false;
	srig_keep(&h, 3, "seq 1 60000");
	for (int reader = 1; !over; reader++) {
		size_t at = credited;
		assert_true(reader < 200);
		for (int n = 0; n < 5 && !over; n++) {
			Mayfly__Frame *f = srig_next(&h);
			assert_non_null(f);
			over = f->body_case == MAYFLY__FRAME__BODY_EXIT;
			if (f->body_case == MAYFLY__FRAME__BODY_DATA) {
				size_t len = f->data->data.len;
				uint32_t some = (uint32_t)(reader % 3 ? len : len / 2);
				assert_true(at + len < sizeof(out));
				memcpy(out + at, f->data->data.data, len);
				at += len;
				out[at] = '\0';
				srig_credit(&h, MAYFLY__STREAM__STDOUT, some);
				credited += some;
				if (some < len)
					n = 5;
			}
			drop(f);
		}
		if (over)
			break;
		srig_close(&h);
		srig_connect(&h);
		srig_attach(&h, 3);
		Mayfly__Frame *f = srig_next(&h);
		assert_non_null(f);
		/* The reader before may have taken all of it, with Exit on its way. */
		over = f->body_case == MAYFLY__FRAME__BODY_FAILED;
		if (!over)
			assert_int_equal(f->body_case, MAYFLY__FRAME__BODY_EXEC_ATTACHED);
		drop(f);
	}
	srig_close(&h);
	srig_step(0);
	char *p = out;
	for (unsigned long i = 1; i <= 60000; i++)
		assert_int_equal(strtoul(p, &p, 10), i);
	assert_string_equal(p, "\n");
}

static void test_window(void **state)
{
	(void)state;
	size_t got = 0;
	srig_keep(&h, 3, "head -c 1000000 /dev/zero");
	drop(srig_expect(&h, MAYFLY__FRAME__BODY_EXEC_STARTED));
	while (got < PROTO_KEEP_WINDOW) {
		Mayfly__Frame *f = srig_expect(&h, MAYFLY__FRAME__BODY_DATA);
		got += f->data->data.len;
		drop(f);
	}
	for (int i = 0; i < 20; i++)
		srig_step(5);
	assert_int_equal(frame_fill(&h.conn), 0);
	assert_int_equal(got, PROTO_KEEP_WINDOW);
	srig_credit(&h, MAYFLY__STREAM__STDOUT, 1000);
	Mayfly__Frame *f = srig_expect(&h, MAYFLY__FRAME__BODY_DATA);
	assert_true(f->data->data.len <= 1000);
	drop(f);
	srig_close(&h);
}

static void test_unknown_session(void **state)
{
	(void)state;
	srig_connect(&h);
	srig_attach(&h, 12345);
	Mayfly__Frame *f = srig_expect(&h, MAYFLY__FRAME__BODY_FAILED);
	assert_int_equal(f->failed->code, ESRCH);
	drop(f);
	srig_closed(&h);
}

static void send_exec_signal(struct srig_host *host, uint64_t session, uint32_t number)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__ExecSignal m = MAYFLY__EXEC_SIGNAL__INIT;
	m.session = session;
	m.number = number;
	f.body_case = MAYFLY__FRAME__BODY_EXEC_SIGNAL;
	f.exec_signal = &m;
	srig_connect(host);
	srig_send(host, &f);
}

/* Whoever has the session. */
static void test_signal_of_another(void **state)
{
	(void)state;
	srig_keep(&h, 3, "trap 'exit 9' USR1; echo up; while :; do sleep 0.05; done");
	srig_until(&h, "up");
	send_exec_signal(&h2, 3, SIGUSR1);
	drop(srig_expect(&h2, MAYFLY__FRAME__BODY_EXEC_SIGNALLED));
	srig_closed(&h2);
	srig_close(&h2);
	ends(&h, MAYFLY__EXIT__KIND__CODE, 9, false);
	srig_close(&h);
	srig_gone(0);
	for (uint64_t session = 3; session < 5; session++) {
		send_exec_signal(&h2, session, SIGTERM);
		Mayfly__Frame *f = srig_expect(&h2, MAYFLY__FRAME__BODY_FAILED);
		assert_int_equal(f->failed->code, ESRCH);
		drop(f);
		srig_closed(&h2);
		srig_close(&h2);
	}
	srig_keep(&h, 3, "sleep 100");
	drop(srig_expect(&h, MAYFLY__FRAME__BODY_EXEC_STARTED));
	for (uint32_t wrong = 0; wrong < 200; wrong += 65) {
		send_exec_signal(&h2, 3, wrong);
		srig_closed(&h2);
		srig_close(&h2);
	}
	srig_close(&h);
}

static void test_timeout(void **state)
{
	(void)state;
	Mayfly__ExecStart x = MAYFLY__EXEC_START__INIT;
	x.session = 3;
	x.timeout_ms = 300;
	for (int keep = 0; keep < 2; keep++) {
		x.keep = keep;
		uint64_t from = io_now_ns();
		srig_start(&h, &x, "sleep 100 & sleep 100");
		ends(&h, MAYFLY__EXIT__KIND__TIMEOUT, SIGKILL, false);
		assert_true(io_now_ns() - from >= 300000000ull);
		srig_close(&h);
		srig_gone(0);
	}
	assert_int_equal(srig.event[srig.n_events - 1].exit_kind, MAYFLY__EXIT__KIND__TIMEOUT);
}

static void test_background_holds_the_pipe(void **state)
{
	(void)state;
	uint64_t from = io_now_ns();
	srig_keep(&h, 3, "sleep 100 & echo $!; exit 6");
	ends(&h, MAYFLY__EXIT__KIND__CODE, 6, true);
	assert_true(io_now_ns() - from >= 300000000ull);
	/* It goes on. */
	pid_t pid = atoi(out);
	assert_true(pid > 1);
	assert_int_equal(kill(pid, 0), 0);
	kill(pid, SIGKILL);
	srig_close(&h);
	srig_gone(0);
}

static void test_background_talks_on(void **state)
{
	(void)state;
	uint64_t from = io_now_ns();
	srig_keep(&h, 3, "(while :; do echo x || exit; sleep 0.05; done) & exit 6");
	ends(&h, MAYFLY__EXIT__KIND__CODE, 6, true);
	assert_true(io_now_ns() - from >= 2000000000ull);
	assert_true(strlen(out) > 10);
	srig_close(&h);
	srig_gone(0);
}

static void test_background_says_its_last(void **state)
{
	(void)state;
	srig_keep(&h, 3, "(sleep 0.1; echo late) & echo early");
	ends(&h, MAYFLY__EXIT__KIND__CODE, 0, false);
	assert_string_equal(out, "early\nlate\n");
	srig_close(&h);
	srig_gone(0);
}

/*
 * More than the window is in ring and pipe when it is cut: all of that is delivered. Who holds it
 * open is what makes the cut, not a host that is slow to read.
 */
static void cut_loses_nothing(const char *script, bool cut)
{
	srig_keep(&h, 3, script);
	drop(srig_expect(&h, MAYFLY__FRAME__BODY_EXEC_STARTED));
	struct session *s = LIST_FIRST(&srig.set.list);
	uint64_t deadline = io_now_ns() + RIG_WAIT_NS;
	while (s->state != SESSION_DRAINING || io_now_ns() < s->ended_ns + 2200000000ull) {
		assert_true(io_now_ns() < deadline);
		srig_step(5);
	}
	assert_true(s->out[0].cutting && s->out[0].src.fd >= 0);
	pid_t group = s->started_pid;
	ends(&h, MAYFLY__EXIT__KIND__CODE, 6, cut);
	char *p = out;
	for (unsigned long i = 1; i <= 20000; i++)
		assert_int_equal(strtoul(p, &p, 10), i);
	kill(-group, SIGKILL);
	srig_close(&h);
	srig_gone(0);
}

static void test_cut_loses_nothing(void **state)
{
	(void)state;
	cut_loses_nothing("sleep 100 & seq 1 20000; exit 6", true);
}

static void test_late_reader_is_no_cut(void **state)
{
	(void)state;
	cut_loses_nothing("seq 1 20000; exit 6", false);
}

/* Not even on its way to the program: our descriptors are others' pipes and terminals. */
static void test_descriptors_stay_ours(void **state)
{
	(void)state;
	char cwd[64];
	AUTO_CLOSE int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	snprintf(cwd, sizeof(cwd), "/proc/self/fd/%d", fd);
	Mayfly__ExecStart x = MAYFLY__EXEC_START__INIT;
	x.session = 1;
	x.cwd = cwd;
	srig_start(&h, &x, "true");
	ends(&h, MAYFLY__EXIT__KIND__NOT_STARTED, ECANCELED, false);
	srig_close(&h);
	srig_gone(0);
}

static void test_limits(void **state)
{
	(void)state;
	Mayfly__ExecStart x = MAYFLY__EXEC_START__INIT;
	Mayfly__Rlimit r = MAYFLY__RLIMIT__INIT;
	Mayfly__Rlimit *list[] = {&r};
	uint32_t group[] = {7, 8};
	x.session = 3;
	x.keep = true;
	x.umask = 0027 + 1;
	x.uid = 12345;
	x.gid = 54321;
	x.group = group;
	x.n_group = 2;
	x.cwd = (char *)(uintptr_t) "/proc";
	r.resource = RLIMIT_NOFILE;
	r.soft = r.hard = 33;
	x.rlimit = list;
	x.n_rlimit = 1;
	srig_start(&h, &x, "umask; ulimit -n; id -u; id -G; pwd");
	ends(&h, MAYFLY__EXIT__KIND__CODE, 0, false);
	assert_string_equal(out, "0027\n33\n12345\n54321 7 8\n/proc\n");
	srig_close(&h);
	srig_gone(0);
	r.resource = 4711;
	srig_start(&h, &x, "true");
	Mayfly__Frame *f = srig_output(&h, out, sizeof(out), true);
	assert_int_equal(f->exit->kind, MAYFLY__EXIT__KIND__NOT_STARTED);
	assert_non_null(strstr(f->exit->text, "resource limits"));
	drop(f);
	srig_close(&h);
	srig_gone(0);
}

/* The host says that it wants no more of an output. */
static void test_closed_output(void **state)
{
	(void)state;
	srig_keep(&h, 3, "trap '' PIPE; while echo x 2>/dev/null; do :; done; exit 3");
	drop(srig_expect(&h, MAYFLY__FRAME__BODY_EXEC_STARTED));
	drop(srig_expect(&h, MAYFLY__FRAME__BODY_DATA));
	assert_int_equal(frame_send_closed(&h.conn, MAYFLY__STREAM__STDOUT), 0);
	assert_int_equal(frame_flush(&h.conn), 0);
	ends(&h, MAYFLY__EXIT__KIND__CODE, 3, false);
	srig_close(&h);
	srig_gone(0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, srig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_kept_to_its_end),
		T(test_without_keep),
		T(test_signal_of_another),
		T(test_lost_and_attached),
		T(test_attached_after_the_end),
		T(test_nobody_comes),
		T(test_taken),
		T(test_only_lost),
		T(test_byte_exact_over_many_readers),
		T(test_window),
		T(test_unknown_session),
		T(test_timeout),
		T(test_background_holds_the_pipe),
		T(test_background_talks_on),
		T(test_background_says_its_last),
		T(test_cut_loses_nothing),
		T(test_late_reader_is_no_cut),
		T(test_descriptors_stay_ours),
		T(test_limits),
		T(test_closed_output),
	};
	alarm(58);
	signal(SIGPIPE, SIG_IGN);
	/* Commands get groups of their own, which only root may give. */
	if (geteuid() != 0) {
		print_message("1..0 # skip needs root\n");
		return 0;
	}
	return cmocka_run_group_tests_name("session", tests, NULL, NULL);
}
