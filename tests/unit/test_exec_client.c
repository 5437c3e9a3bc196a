// SPDX-License-Identifier: Apache-2.0
// test_exec_client.c - the host's end of a command, against agents that answer right and wrong
// links: runtime/cli/exec_client.c runtime/cli/exec_words.c
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

static void test_whole(void **state)
{
	(void)state;
	rig_begin(false, false);
	rig_sent(MAYFLY__FRAME__BODY_HELLO);
	Mayfly__Frame *f = rig_expect(MAYFLY__FRAME__BODY_EXEC_START);
	assert_int_equal(f->exec_start->session, 7);
	mayfly__frame__free_unpacked(f, NULL);
	f = rig_expect(MAYFLY__FRAME__BODY_EXEC_WORDS);
	assert_false(f->exec_words->env);
	assert_memory_equal(f->exec_words->data.data, "cat\0-u\0", 7);
	mayfly__frame__free_unpacked(f, NULL);
	f = rig_expect(MAYFLY__FRAME__BODY_EXEC_WORDS);
	assert_true(f->exec_words->env);
	mayfly__frame__free_unpacked(f, NULL);
	rig_sent(MAYFLY__FRAME__BODY_EXEC_RUN);
	rig_send_started();
	assert_int_equal(rig.started, 1);
	assert_int_equal(rig.pid, 42);
	assert_int_equal(write(rig.in_fd, "typed", 5), 5);
	rig_run();
	f = rig_expect(MAYFLY__FRAME__BODY_DATA);
	assert_int_equal(f->data->data.len, 5);
	mayfly__frame__free_unpacked(f, NULL);
	close_fd(&rig.in_fd);
	rig_run();
	rig_sent(MAYFLY__FRAME__BODY_EOF);
	rig_send_data(MAYFLY__STREAM__STDOUT, "out");
	rig_send_data(MAYFLY__STREAM__STDERR, "err");
	rig_reads(0, "out");
	rig_reads(1, "err");
	rig_no_frame();
	rig_send_exit(3);
	assert_int_equal(rig.exited, 1);
	assert_int_equal(rig.code, 3);
	assert_int_equal(rig.lost, 0);
	assert_true(exec_client_flushed(&rig.c));
}

static void test_signal_and_size(void **state)
{
	(void)state;
	rig_begin(true, true);
	rig_skip_words();
	exec_client_signal(&rig.c, SIGTERM);
	exec_client_resize(&rig.c, 30, 100);
	rig_run();
	Mayfly__Frame *f = rig_expect(MAYFLY__FRAME__BODY_SIGNAL);
	assert_int_equal(f->signal->number, SIGTERM);
	mayfly__frame__free_unpacked(f, NULL);
	f = rig_expect(MAYFLY__FRAME__BODY_WINDOW_SIZE);
	assert_int_equal(f->window_size->rows, 30);
	assert_int_equal(f->window_size->columns, 100);
	mayfly__frame__free_unpacked(f, NULL);
	/* A terminal has one output. */
	rig_send_started();
	rig_send_data(MAYFLY__STREAM__STDERR, "x");
	assert_int_equal(rig.lost_error, -EPROTO);
	rig_broken();
}

static void test_no_size_without_terminal(void **state)
{
	(void)state;
	rig_begin(true, false);
	rig_skip_words();
	exec_client_resize(&rig.c, 30, 100);
	rig_run();
	rig_no_frame();
}

static void test_input_kinds(void **state)
{
	(void)state;
	rig.c.input = EXEC_INPUT_EMPTY;
	rig_begin(true, false);
	rig_skip_words();
	rig_sent(MAYFLY__FRAME__BODY_EOF);
	rig_run();
	rig_no_frame();
}

static void test_no_input(void **state)
{
	(void)state;
	rig.c.input = EXEC_INPUT_NONE;
	rig_begin(true, false);
	rig_skip_words();
	close_fd(&rig.in_fd);
	rig_run();
	rig_no_frame();
}

/* What is not for us is neither shown nor given back. */
static void test_hold(void **state)
{
	(void)state;
	char c;
	rig.c.hold = true;
	rig_begin(true, false);
	rig_skip_words();
	rig_send_data(MAYFLY__STREAM__STDOUT, "early");
	rig_send_started();
	assert_int_equal(read(rig.out_fd[0], &c, 1), -1);
	rig_no_frame();
}

static void test_input_credit(void **state)
{
	(void)state;
	static uint8_t buf[PROTO_KEEP_WINDOW + 5000];
	size_t got = 0;
	rig_begin(true, false);
	rig_skip_words();
	int big = (int)sizeof(buf) * 2;
	setsockopt(rig.in_fd, SOL_SOCKET, SO_SNDBUF, &big, sizeof(big));
	size_t put = 0;
	for (int i = 0; i < 100; i++) {
		ssize_t n = send(rig.in_fd, buf + put, sizeof(buf) - put, MSG_DONTWAIT);
		put += n > 0 ? (size_t)n : 0;
		rig_run();
		for (Mayfly__Frame *f = rig_next(); f; f = rig_next()) {
			assert_int_equal(f->body_case, MAYFLY__FRAME__BODY_DATA);
			got += f->data->data.len;
			mayfly__frame__free_unpacked(f, NULL);
		}
	}
	assert_int_equal(got, PROTO_KEEP_WINDOW);
	assert_int_equal(frame_send_credit(&rig.peer, MAYFLY__STREAM__STDIN, 5000), 0);
	rig_flush_peer();
	Mayfly__Frame *f = rig_expect(MAYFLY__FRAME__BODY_DATA);
	assert_int_equal(f->data->data.len, 5000);
	mayfly__frame__free_unpacked(f, NULL);
	/* More than was used. */
	assert_int_equal(frame_send_credit(&rig.peer, MAYFLY__STREAM__STDIN, PROTO_KEEP_WINDOW + 1),
			 0);
	rig_flush_peer();
	rig_broken();
}

static void test_credit_of_nothing(void **state)
{
	(void)state;
	rig_begin(false, false);
	assert_int_equal(frame_send_credit(&rig.peer, MAYFLY__STREAM__STDIN, 1), 0);
	rig_flush_peer();
	assert_int_equal(rig.lost_error, -EPROTO);
	rig_broken();
}

static void test_credit_of_output(void **state)
{
	(void)state;
	rig_begin(false, false);
	assert_int_equal(frame_send_credit(&rig.peer, MAYFLY__STREAM__STDOUT, 1), 0);
	rig_flush_peer();
	rig_broken();
}

/* Nobody reads: a window is taken, not a byte more. */
static void test_output_window(void **state)
{
	(void)state;
	static uint8_t buf[16384];
	rig_begin(true, false);
	rig_skip_words();
	rig_send_started();
	/* So much is taken by the pipe and given back. */
	size_t given = 0;
	for (int i = 0; i < 4; i++) {
		assert_int_equal(
			frame_send_data(&rig.peer, MAYFLY__STREAM__STDOUT, buf, sizeof(buf)), 0);
		rig_flush_peer();
	}
	for (Mayfly__Frame *f = rig_next(); f; f = rig_next()) {
		assert_int_equal(f->body_case, MAYFLY__FRAME__BODY_CREDIT);
		given += f->credit->bytes;
		mayfly__frame__free_unpacked(f, NULL);
	}
	assert_int_equal(given, 65536);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(
			frame_send_data(&rig.peer, MAYFLY__STREAM__STDOUT, buf, sizeof(buf)), 0);
		rig_flush_peer();
	}
	assert_true(exec_client_connected(&rig.c));
	assert_int_equal(rig.out[0].len, PROTO_KEEP_WINDOW);
	rig_no_frame();
	rig_send_data(MAYFLY__STREAM__STDOUT, "x");
	assert_int_equal(rig.lost_error, -EPROTO);
	assert_false(exec_client_flushed(&rig.c));
	rig_broken();
}

/* Each credit wakes the guest: they come a quarter of the window at a time. */
static void test_credit_waits(void **state)
{
	(void)state;
	static uint8_t buf[PROTO_WINDOW / 8];
	static uint8_t got[sizeof(buf)];
	rig_begin(false, false);
	rig_skip_words();
	rig_send_started();
	for (int i = 1; i <= 8; i++) {
		assert_int_equal(
			frame_send_data(&rig.peer, MAYFLY__STREAM__STDOUT, buf, sizeof(buf)), 0);
		rig_flush_peer();
		assert_int_equal(read(rig.out_fd[0], got, sizeof(got)), sizeof(got));
		if (i % 2)
			rig_no_frame();
		else
			rig_credits(PROTO_WINDOW / 4);
	}
}

static void test_closed_output(void **state)
{
	(void)state;
	rig_begin(false, false);
	rig_skip_words();
	rig_send_started();
	close_fd(&rig.out_fd[0]);
	rig_send_data(MAYFLY__STREAM__STDOUT, "lost");
	assert_int_equal(rig.errors[0], 1);
	assert_int_equal(rig.error, EPIPE);
	rig_sent(MAYFLY__FRAME__BODY_STREAM_CLOSED);
	/* Told once. */
	rig_send_data(MAYFLY__STREAM__STDOUT, "lost");
	assert_int_equal(rig.errors[0], 1);
	rig_no_frame();
	rig_send_exit(0);
	assert_int_equal(rig.exited, 1);
}

/* Both in one read, as they come from a busy host. */
static void test_closed_output_and_exit(void **state)
{
	(void)state;
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__Exit m = MAYFLY__EXIT__INIT;
	f.body_case = MAYFLY__FRAME__BODY_EXIT;
	f.exit = &m;
	rig_begin(false, false);
	rig_send_started();
	close_fd(&rig.out_fd[0]);
	assert_int_equal(frame_send_data(&rig.peer, MAYFLY__STREAM__STDOUT, "lost", 4), 0);
	rig_send_body(&f);
	assert_int_equal(rig.errors[0], 1);
	assert_int_equal(rig.exited, 1);
	assert_true(rig.error_first);
}

static void test_closed_input(void **state)
{
	(void)state;
	rig_begin(false, false);
	rig_skip_words();
	assert_int_equal(frame_send_closed(&rig.peer, MAYFLY__STREAM__STDIN), 0);
	rig_flush_peer();
	assert_true(rig.in.done);
	assert_int_equal(frame_send_closed(&rig.peer, MAYFLY__STREAM__STDOUT), 0);
	rig_flush_peer();
	rig_broken();
}

static void test_exit_twice(void **state)
{
	(void)state;
	rig_begin(false, false);
	rig_send_started();
	rig_send_exit(1);
	rig_send_exit(2);
	assert_int_equal(rig.exited, 1);
	assert_int_equal(rig.code, 1);
	/* The first one counts; nobody listens any longer. */
	assert_int_equal(rig.lost, 0);
	assert_false(exec_client_connected(&rig.c));
}

static void test_data_behind_exit(void **state)
{
	(void)state;
	char c;
	rig_begin(false, false);
	rig_send_exit(1);
	rig_send_data(MAYFLY__STREAM__STDOUT, "late");
	assert_int_equal(read(rig.out_fd[0], &c, 1), -1);
	assert_int_equal(rig.exited, 1);
	assert_int_equal(rig.lost, 0);
}

static void test_started_twice(void **state)
{
	(void)state;
	rig_begin(false, false);
	rig_send_started();
	rig_send_started();
	assert_int_equal(rig.started, 1);
	rig_broken();
}

static void test_frames_of_others(void **state)
{
	(void)state;
	rig_begin(false, false);
	rig_send_taken();
	assert_int_equal(rig.lost_error, -EPROTO);
	rig_broken();
	rig_teardown(NULL);
	rig_setup(NULL);
	rig_begin(false, false);
	rig_send_attached(0, false, false);
	rig_broken();
}

static void test_shutdown_is_no_frame_here(void **state)
{
	(void)state;
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__Shutdown m = MAYFLY__SHUTDOWN__INIT;
	rig_begin(false, false);
	f.body_case = MAYFLY__FRAME__BODY_SHUTDOWN;
	f.shutdown = &m;
	rig_send_body(&f);
	rig_broken();
}

static void test_garbage(void **state)
{
	(void)state;
	rig_begin(false, false);
	assert_int_equal(io_write_full(rig.peer.fd, "\xff\xff\xff\xff garbage", 12), 0);
	rig_run();
	assert_int_equal(rig.lost_error, -EMSGSIZE);
	rig_broken();
}

static void test_other_version(void **state)
{
	(void)state;
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__Hello m = MAYFLY__HELLO__INIT;
	struct err e;
	Mayfly__ExecStart x = MAYFLY__EXEC_START__INIT;
	assert_int_equal(exec_client_start(&rig.c, rig_connection(), &x, &e), 0);
	assert_int_equal(io_write_full(rig.peer.fd, "OK 1\n", 5), 0);
	m.version = PROTO_VERSION + 1;
	f.body_case = MAYFLY__FRAME__BODY_HELLO;
	f.hello = &m;
	rig_send_body(&f);
	assert_int_equal(rig.lost_error, -EPROTONOSUPPORT);
	rig_broken();
}

static void test_no_ok(void **state)
{
	(void)state;
	static const char *const answers[] = {"NO 1\n", "OKAY\n",
					      "OK 11111111111111111111111111111111111111111"};
	struct err e;
	for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
		Mayfly__ExecStart x = MAYFLY__EXEC_START__INIT;
		assert_int_equal(exec_client_start(&rig.c, rig_connection(), &x, &e), 0);
		assert_int_equal(io_write_full(rig.peer.fd, answers[i], strlen(answers[i])), 0);
		rig_run();
		assert_int_equal(rig.lost_error, -EPROTO);
		rig_broken();
		rig_teardown(NULL);
		rig_setup(NULL);
	}
	Mayfly__ExecStart x = MAYFLY__EXEC_START__INIT;
	assert_int_equal(exec_client_start(&rig.c, rig_connection(), &x, &e), 0);
	close_fd(&rig.peer.fd);
	rig_run();
	assert_true(rig.lost_error == -ECONNREFUSED || rig.lost_error == -ECONNRESET);
	rig_broken();
}

/* It never answers: nothing is read of stdin beyond the window, nothing spins. */
static void test_mute(void **state)
{
	(void)state;
	static uint8_t buf[4096];
	struct err e;
	Mayfly__ExecStart x = MAYFLY__EXEC_START__INIT;
	assert_int_equal(exec_client_start(&rig.c, rig_connection(), &x, &e), 0);
	size_t put = 0;
	for (int i = 0; i < 1000; i++) {
		ssize_t n = send(rig.in_fd, buf, sizeof(buf), MSG_DONTWAIT);
		put += n > 0 ? (size_t)n : 0;
		rig_run();
	}
	assert_in_range(put, PROTO_WINDOW, PROTO_WINDOW + (1 << 20));
	assert_true(rig.c.conn.out_cap <= FRAME_OUT_MAX);
	assert_int_equal(rig.started + rig.exited + rig.lost, 0);
	for (int i = 0; i < 100000; i++)
		exec_client_signal(&rig.c, SIGUSR1);
	assert_true(rig.c.conn.out_cap <= FRAME_OUT_MAX);
}

/* The agent says its last word and closes while we still write to it. */
static void test_exit_behind_broken_pipe(void **state)
{
	(void)state;
	static uint8_t buf[65536];
	rig_begin(false, false);
	rig_skip_words();
	rig_send_started();
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__Exit m = MAYFLY__EXIT__INIT;
	m.code = 12;
	f.body_case = MAYFLY__FRAME__BODY_EXIT;
	f.exit = &m;
	assert_int_equal(frame_send(&rig.peer, &f), 0);
	assert_int_equal(frame_flush(&rig.peer), 0);
	close_fd(&rig.peer.fd);
	assert_true(send(rig.in_fd, buf, sizeof(buf), MSG_DONTWAIT) > 0);
	exec_client_pump(&rig.c);
	rig_run();
	assert_int_equal(rig.exited, 1);
	assert_int_equal(rig.code, 12);
}

static void test_end_without_exit(void **state)
{
	(void)state;
	rig_begin(false, false);
	rig_send_started();
	close_fd(&rig.peer.fd);
	rig_run();
	assert_true(rig.lost_error == -ENODATA || rig.lost_error == -ECONNRESET);
	rig_broken();
}

static void test_attach(void **state)
{
	(void)state;
	static const uint8_t typed[] = {'l', 's', 16, 'x', 16, 17, 'z'};
	struct err e;
	assert_int_equal(detach_keys_parse(&rig.keys, DETACH_KEYS_DEFAULT, &e), 0);
	rig.c.keys = &rig.keys;
	assert_int_equal(write(rig.in_fd, typed, sizeof(typed)), sizeof(typed));
	rig_attach();
	/* Nothing is read before the agent says how much there may be. */
	rig_no_frame();
	rig_send_attached(100, false, true);
	assert_int_equal(rig.attached, 1);
	assert_true(rig.c.tty);
	Mayfly__Frame *f = rig_expect(MAYFLY__FRAME__BODY_DATA);
	assert_int_equal(f->data->data.len, 4);
	assert_memory_equal(f->data->data.data, typed, 4);
	mayfly__frame__free_unpacked(f, NULL);
	assert_int_equal(rig.detached, 1);
	rig_no_frame();
	rig_send_data(MAYFLY__STREAM__STDOUT, "hi");
	rig_reads(0, "hi");
	rig_send_taken();
	assert_int_equal(rig.taken, 1);
	assert_int_equal(rig.lost, 0);
	assert_false(exec_client_connected(&rig.c));
}

static void test_attach_refused(void **state)
{
	(void)state;
	rig_attach();
	rig_send_failed();
	assert_int_equal(rig.refused, 1);
	assert_int_equal(rig.code, ESRCH);
	assert_int_equal(rig.lost, 0);
}

/* There are too many sessions: no rule is broken. */
static void test_start_refused(void **state)
{
	(void)state;
	rig_begin(true, false);
	rig_send_failed();
	assert_int_equal(rig.refused, 1);
	assert_int_equal(rig.lost, 0);
	assert_false(exec_client_connected(&rig.c));
	rig_teardown(NULL);
	rig_setup(NULL);
	/* Of one that runs it is none of the agent's words. */
	rig_begin(true, false);
	rig_skip_words();
	rig_send_started();
	rig_send_failed();
	rig_broken();
}

static void test_attach_wrong(void **state)
{
	(void)state;
	rig_attach();
	rig_send_attached(PROTO_KEEP_WINDOW + 1, false, false);
	rig_broken();
	rig_teardown(NULL);
	rig_setup(NULL);
	rig_attach();
	rig_send_data(MAYFLY__STREAM__STDOUT, "before");
	rig_broken();
	rig_teardown(NULL);
	rig_setup(NULL);
	rig_attach();
	rig_send_exit(0);
	assert_int_equal(rig.exited, 0);
	rig_broken();
	rig_teardown(NULL);
	rig_setup(NULL);
	rig_attach();
	rig_send_attached(10, true, false);
	assert_true(rig.in.done);
	rig_send_attached(10, true, false);
	rig_broken();
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
	assert_int_equal(exec_client_words(&rig.c, one, none, &e), -E2BIG);
	word[1023] = '\0';
	for (size_t i = 0; i <= PROTO_WORDS_MAX / 1024; i++)
		list[i] = word;
	assert_int_equal(exec_client_words(&rig.c, list, none, &e), -E2BIG);
	list[PROTO_WORDS_MAX / 1024] = NULL;
	assert_int_equal(exec_client_words(&rig.c, list, none, &e), 0);
	assert_int_equal(exec_client_words(&rig.c, none, list, &e), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

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
		TEST(test_credit_waits),
		TEST(test_closed_output),
		TEST(test_closed_output_and_exit),
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
		TEST(test_start_refused),
		TEST(test_attach_wrong),
		TEST(test_words_too_large),
	};
	/* What is dropped is told, and here that is much. */
	log_init("test", LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
