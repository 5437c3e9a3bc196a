// SPDX-License-Identifier: Apache-2.0
// test_pty.c - commands with a terminal: size, signals, end of input, nothing lost at the end
// links: init/pty.c init/session.c
#include "pty.h"

#include "session_rig.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static char out[1 << 20];
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

static void start(const char *script, bool keep)
{
	Mayfly__ExecStart x = MAYFLY__EXEC_START__INIT;
	Mayfly__Tty tty = MAYFLY__TTY__INIT;
	Mayfly__WindowSize size = MAYFLY__WINDOW_SIZE__INIT;
	size.rows = 11;
	size.columns = 222;
	tty.size = &size;
	x.session = 3;
	x.keep = keep;
	x.tty = &tty;
	x.uid = x.gid = 12345;
	srig_start(&h, &x, script);
}

static void ends(struct srig_host *host, Mayfly__Exit__Kind kind, int code)
{
	Mayfly__Frame *f = srig_output(host, out, sizeof(out), true);
	assert_int_equal(f->exit->kind, kind);
	assert_int_equal(f->exit->code, code);
	drop(f);
	srig_close(host);
	srig_gone(0);
}

static void test_it_is_one(void **state)
{
	(void)state;
	for (int keep = 0; keep < 2; keep++) {
		out[0] = '\0';
		start("test -t 0 && test -t 1 && test -t 2 && stty size && stat -c '%u %a' $(tty); "
		      "echo err >&2; : </dev/tty && echo control; exit 3",
		      keep);
		ends(&h, MAYFLY__EXIT__KIND__CODE, 3);
		assert_string_equal(out, "11 222\r\n12345 620\r\nerr\r\ncontrol\r\n");
	}
}

static void test_size(void **state)
{
	(void)state;
	start("trap 'stty size; exit 4' WINCH; echo ready; while :; do sleep 0.02; done", true);
	srig_until(&h, "ready");
	srig_size(&h, 33, 44);
	ends(&h, MAYFLY__EXIT__KIND__CODE, 4);
	assert_non_null(strstr(out, "33 44\r\n"));
}

static void test_size_out_of_range(void **state)
{
	(void)state;
	start("sleep 100", true);
	drop(srig_expect(&h, MAYFLY__FRAME__BODY_EXEC_STARTED));
	srig_size(&h, 65536, 1);
	srig_closed(&h);
}

/* To what has the terminal, not to the shell that waits for it. */
static void test_signal_goes_to_the_foreground(void **state)
{
	(void)state;
	start("set -m; sh -c 'trap \"echo inner; exit 5\" TERM; echo ready; while :; do sleep "
	      "0.02; "
	      "done'; echo shell $?",
	      true);
	srig_until(&h, "ready");
	srig_signal(&h, SIGTERM);
	ends(&h, MAYFLY__EXIT__KIND__CODE, 0);
	assert_non_null(strstr(out, "inner\r\n"));
	assert_non_null(strstr(out, "shell 5\r\n"));
}

static void test_typed_interrupt(void **state)
{
	(void)state;
	start("trap 'echo got it; exit 6' INT; echo ready; while :; do sleep 0.02; done", true);
	srig_until(&h, "ready");
	srig_data(&h, "\003", 1);
	ends(&h, MAYFLY__EXIT__KIND__CODE, 6);
	assert_non_null(strstr(out, "got it"));
}

static void test_end_of_input(void **state)
{
	(void)state;
	static const char *const typed[] = {"", "line\n", "no newline"};
	for (unsigned i = 0; i < 3; i++) {
		out[0] = '\0';
		start("stty -echo; echo ready; cat; echo over", true);
		srig_until(&h, "ready");
		if (typed[i][0])
			srig_data(&h, typed[i], strlen(typed[i]));
		srig_eof(&h);
		ends(&h, MAYFLY__EXIT__KIND__CODE, 0);
		assert_non_null(strstr(out, "over"));
		if (i > 0)
			assert_non_null(strstr(out, i == 1 ? "line\r\n" : "no newline"));
	}
}

/* All that was said before the end, more than any buffer on the way. */
static void test_nothing_is_lost_at_the_end(void **state)
{
	(void)state;
	for (int keep = 0; keep < 2; keep++) {
		out[0] = '\0';
		start("stty -opost; seq 1 40000", keep);
		ends(&h, MAYFLY__EXIT__KIND__CODE, 0);
		char *p = out;
		for (unsigned long i = 1; i <= 40000; i++)
			assert_int_equal(strtoul(p, &p, 10), i);
	}
}

static void test_attached(void **state)
{
	(void)state;
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__ExecAttach at = MAYFLY__EXEC_ATTACH__INIT;
	Mayfly__WindowSize size = MAYFLY__WINDOW_SIZE__INIT;
	start("echo ready; read x; stty size; exit 7", true);
	srig_until(&h, "ready");
	srig_close(&h);
	size.rows = 5;
	size.columns = 6;
	at.session = 3;
	at.size = &size;
	f.body_case = MAYFLY__FRAME__BODY_EXEC_ATTACH;
	f.exec_attach = &at;
	srig_connect(&h2);
	srig_send(&h2, &f);
	Mayfly__Frame *answer = srig_expect(&h2, MAYFLY__FRAME__BODY_EXEC_ATTACHED);
	assert_true(answer->exec_attached->tty);
	drop(answer);
	srig_data(&h2, "\n", 1);
	ends(&h2, MAYFLY__EXIT__KIND__CODE, 7);
	assert_non_null(strstr(out, "5 6"));
}

/* Whoever shuts the output has hung up. */
static void test_hung_up(void **state)
{
	(void)state;
	start("echo ready; sleep 100", true);
	srig_until(&h, "ready");
	assert_int_equal(frame_send_closed(&h.conn, MAYFLY__STREAM__STDOUT), 0);
	assert_int_equal(frame_flush(&h.conn), 0);
	ends(&h, MAYFLY__EXIT__KIND__SIGNAL, SIGHUP);
}

/* It closes the terminal and opens it again: no end in between. */
static void test_reopened(void **state)
{
	(void)state;
	start("exec 3</dev/null 0<&- 1>&- 2>&-; sleep 0.2; exec 1>/dev/tty; echo again", true);
	ends(&h, MAYFLY__EXIT__KIND__CODE, 0);
	assert_string_equal(out, "again\r\n");
}

/* What is left in the background keeps the terminal open, but not for ever. */
static void test_background(void **state)
{
	(void)state;
	start("trap '' HUP; sleep 100 & echo $!; exit 8", true);
	Mayfly__Frame *f = srig_output(&h, out, sizeof(out), true);
	assert_int_equal(f->exit->code, 8);
	assert_true(f->exit->cut);
	drop(f);
	pid_t pid = atoi(out);
	assert_true(pid > 1 && kill(pid, SIGKILL) == 0);
	srig_close(&h);
	srig_gone(0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, srig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_it_is_one),
		T(test_size),
		T(test_size_out_of_range),
		T(test_signal_goes_to_the_foreground),
		T(test_typed_interrupt),
		T(test_end_of_input),
		T(test_nothing_is_lost_at_the_end),
		T(test_attached),
		T(test_hung_up),
		T(test_reopened),
		T(test_background),
	};
	alarm(58);
	signal(SIGPIPE, SIG_IGN);
	/* Commands get groups of their own, which only root may give. */
	if (geteuid() != 0) {
		print_message("1..0 # skip needs root\n");
		return 0;
	}
	return cmocka_run_group_tests_name("pty", tests, NULL, NULL);
}
