// SPDX-License-Identifier: Apache-2.0
// test_keep_exec.c - the keeper's table of commands, with an agent that tells the truth and one
// that lies
// links: runtime/cli/keep_exec.c runtime/cli/record_log.c
#include "cli/keep_exec.h"

#include "base/cleanup.h"
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define LIMIT_NS 30000000000ull

static struct {
	struct evloop loop;
	struct keep_execs s;
	struct record record;
	char dir[64];
	struct frame_conn agent; /* of the newest connection */
	bool refuse;
	unsigned connected, running, ended, forgotten;
	uint64_t last_ended;
	struct err e;
} t;

static int on_connect(void *arg, struct err *e)
{
	int sv[2];
	(void)arg;
	if (t.refuse)
		return err_set(e, ECONNREFUSED, "not now");
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sv), 0);
	if (t.agent.fd >= 0)
		close(t.agent.fd);
	frame_conn_free(&t.agent);
	t.agent = (struct frame_conn){.fd = sv[1]};
	t.connected++;
	return sv[0];
}

static void on_running(void *arg, struct keep_exec *x)
{
	(void)arg;
	(void)x;
	t.running++;
}

static void on_ended(void *arg, struct keep_exec *x)
{
	(void)arg;
	t.ended++;
	t.last_ended = x->number;
}

static void on_forgotten(void *arg, struct keep_exec *x)
{
	(void)arg;
	assert_int_equal(x->state, MAYFLY__EXEC_INFO__STATE__STARTING);
	t.forgotten++;
}

static int setup(void **state)
{
	static const struct keep_execs_ops ops = {.connect = on_connect,
						  .running = on_running,
						  .ended = on_ended,
						  .forgotten = on_forgotten};
	(void)state;
	memset(&t, 0, sizeof(t));
	t.agent.fd = -1;
	t.record = RECORD_NONE;
	snprintf(t.dir, sizeof(t.dir), "/tmp/mayfly-test-execs-XXXXXX");
	assert_non_null(mkdtemp(t.dir));
	t.record.dir_fd = open(t.dir, O_RDONLY | O_DIRECTORY);
	snprintf(t.record.name, sizeof(t.record.name), "m");
	assert_int_equal(evloop_init(&t.loop), 0);
	keep_execs_init(&t.s, &t.loop, &ops, NULL, &t.record, 1 << 30);
	return 0;
}

static int teardown(void **state)
{
	char command[128];
	(void)state;
	keep_execs_free(&t.s);
	close_fd(&t.agent.fd);
	frame_conn_free(&t.agent);
	evloop_close(&t.loop);
	close(t.record.dir_fd);
	snprintf(command, sizeof(command), "rm -r %s", t.dir);
	return system(command);
}

static void turn(void)
{
	for (int i = 0; i < 500 && evloop_once(&t.loop, 0) > 0; i++)
		;
}

static struct keep_exec *make(void)
{
	uint8_t a[] = "make", b[] = "test";
	const ProtobufCBinaryData argv[] = {{4, a}, {4, b}};
	struct keep_exec *x = keep_execs_new(&t.s, argv, 2, false, &t.e);
	assert_non_null(x);
	return x;
}

static void event(uint64_t session, Mayfly__SessionEvent__Kind kind, int32_t code)
{
	Mayfly__SessionEvent ev = MAYFLY__SESSION_EVENT__INIT;
	Mayfly__Exit exit = MAYFLY__EXIT__INIT;
	exit.code = code;
	ev.session = session;
	ev.kind = kind;
	ev.pid = 77;
	if (kind == MAYFLY__SESSION_EVENT__KIND__ENDED)
		ev.exit = &exit;
	keep_execs_event(&t.s, &ev);
	turn();
}

#define STARTED MAYFLY__SESSION_EVENT__KIND__STARTED
#define LOST MAYFLY__SESSION_EVENT__KIND__LOST
#define ENDED MAYFLY__SESSION_EVENT__KIND__ENDED

static void agent_say(void)
{
	assert_int_equal(frame_flush(&t.agent), 0);
	turn();
}

static void agent_hello(void)
{
	char line[64] = "";
	/* "CONNECT 1024\n" */
	for (size_t i = 0; i < sizeof(line) - 1 && read(t.agent.fd, line + i, 1) == 1; i++)
		if (line[i] == '\n')
			break;
	assert_int_equal(strncmp(line, "CONNECT ", 8), 0);
	assert_int_equal(write(t.agent.fd, "OK 1\n", 5), 5);
	assert_int_equal(frame_send_hello(&t.agent, "agent"), 0);
	agent_say();
}

/* The next frame from the keeper, which must be of this type. */
static Mayfly__Frame *heard(Mayfly__Frame__BodyCase what)
{
	Mayfly__Frame *f = NULL;
	frame_fill(&t.agent);
	for (;;) {
		assert_int_equal(frame_next(&t.agent, &f), 1);
		if (f->body_case != MAYFLY__FRAME__BODY_HELLO)
			break;
		mayfly__frame__free_unpacked(f, NULL);
	}
	assert_int_equal(f->body_case, what);
	return f;
}

static void send_exit(int32_t code)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__Exit x = MAYFLY__EXIT__INIT;
	x.code = code;
	f.body_case = MAYFLY__FRAME__BODY_EXIT;
	f.exit = &x;
	assert_int_equal(frame_send(&t.agent, &f), 0);
	agent_say();
}

static char *file(const char *name)
{
	char *text = NULL;
	size_t len;
	AUTO_CLOSE int fd = openat(t.record.dir_fd, name, O_RDONLY);
	if (fd < 0 || io_read_all(fd, 64 << 20, &text, &len) < 0)
		return NULL;
	return text;
}

static void test_attached_elsewhere(void **state)
{
	(void)state;
	struct keep_exec *x = make();
	assert_int_equal(x->number, 1);
	assert_int_equal(x->state, MAYFLY__EXEC_INFO__STATE__STARTING);
	event(1, STARTED, 0);
	assert_int_equal(x->state, MAYFLY__EXEC_INFO__STATE__RUNNING);
	assert_int_equal(x->pid, 77);
	event(1, ENDED, 3);
	assert_int_equal(x->state, MAYFLY__EXEC_INFO__STATE__ENDED);
	assert_int_equal(t.ended, 1);
	assert_int_equal(t.connected, 0);
	static struct keep_exec_info info;
	keep_exec_info(x, KEEP_EXEC_ARGV_MAX, &info);
	assert_string_equal(info.m.reason, "exit");
	assert_int_equal(info.m.status, 3);
	assert_int_equal(info.m.n_argv, 2);
	AUTO_FREE char *json = file("exec-1.json");
	assert_non_null(strstr(json, "\"test\""));
	/* Once is enough. */
	event(1, ENDED, 4);
	event(1, STARTED, 0);
	event(1, LOST, 0);
	assert_int_equal(t.ended, 1);
	assert_int_equal(t.connected, 0);
}

static void test_lost(void **state)
{
	(void)state;
	struct keep_exec *x = make();
	event(1, STARTED, 0);
	event(1, LOST, 0);
	assert_int_equal(t.connected, 1);
	assert_int_equal(x->state, MAYFLY__EXEC_INFO__STATE__DETACHED);
	/* A second one while we are connected changes nothing. */
	event(1, LOST, 0);
	assert_int_equal(t.connected, 1);
	agent_hello();
	Mayfly__Frame *f = heard(MAYFLY__FRAME__BODY_EXEC_ATTACH);
	assert_int_equal(f->exec_attach->session, 1);
	/* Whoever was quicker than the keeper keeps it. */
	assert_true(f->exec_attach->only_lost);
	mayfly__frame__free_unpacked(f, NULL);
	assert_int_equal(frame_send_data(&t.agent, MAYFLY__STREAM__STDOUT, "one\n", 4), 0);
	assert_int_equal(frame_send_data(&t.agent, MAYFLY__STREAM__STDERR, "two\n", 4), 0);
	agent_say();
	for (int i = 0; i < 2; i++) {
		f = heard(MAYFLY__FRAME__BODY_CREDIT);
		assert_int_equal(f->credit->bytes, 4);
		mayfly__frame__free_unpacked(f, NULL);
	}
	/* Its end is known before its last output has come. */
	event(1, ENDED, 9);
	assert_int_equal(t.ended, 0);
	assert_int_equal(frame_send_data(&t.agent, MAYFLY__STREAM__STDOUT, "three\n", 6), 0);
	send_exit(9);
	assert_int_equal(t.ended, 1);
	assert_int_equal(verdict_status(&x->end), 9);
	AUTO_FREE char *log = file("exec-1.log");
	assert_string_equal(log, "one\ntwo\nthree\n");
}

static void test_taken_and_back(void **state)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__ExecTaken taken = MAYFLY__EXEC_TAKEN__INIT;
	(void)state;
	struct keep_exec *x = make();
	event(1, STARTED, 0);
	event(1, LOST, 0);
	agent_hello();
	f.body_case = MAYFLY__FRAME__BODY_EXEC_TAKEN;
	f.exec_taken = &taken;
	assert_int_equal(frame_send(&t.agent, &f), 0);
	agent_say();
	assert_int_equal(x->state, MAYFLY__EXEC_INFO__STATE__RUNNING);
	assert_int_equal(x->src.fd, -1);
	event(1, LOST, 0);
	assert_int_equal(t.connected, 2);
	assert_int_equal(x->state, MAYFLY__EXEC_INFO__STATE__DETACHED);
}

/* It was taken and lost again before we have heard of the first: nobody would read its output. */
static void test_taken_and_lost(void **state)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__ExecTaken taken = MAYFLY__EXEC_TAKEN__INIT;
	(void)state;
	struct keep_exec *x = make();
	event(1, STARTED, 0);
	event(1, LOST, 0);
	agent_hello();
	event(1, LOST, 0);
	assert_int_equal(t.connected, 1);
	f.body_case = MAYFLY__FRAME__BODY_EXEC_TAKEN;
	f.exec_taken = &taken;
	assert_int_equal(frame_send(&t.agent, &f), 0);
	agent_say();
	assert_int_equal(x->src.fd, -1);
	assert_true(keep_execs_wait(&t.s) <= io_now_ns() + 1000000000ull);
	keep_execs_tick(&t.s, io_now_ns() + 1000000000ull);
	assert_int_equal(t.connected, 2);
	assert_int_equal(x->state, MAYFLY__EXEC_INFO__STATE__DETACHED);
}

static void test_lies(void **state)
{
	(void)state;
	struct keep_exec *x = make();
	/* Numbers that were not given out, and a flood of them. */
	for (int i = 0; i < 2000; i++) {
		event(2 + (uint64_t)i, (Mayfly__SessionEvent__Kind)(i % 3), 0);
		event(0, LOST, 0);
		event(UINT64_MAX, STARTED, 0);
	}
	assert_int_equal(t.ended + t.connected, 0);
	event(1, (Mayfly__SessionEvent__Kind)9, 0);
	/* An end without an exit. */
	Mayfly__SessionEvent ev = MAYFLY__SESSION_EVENT__INIT;
	ev.session = 1;
	ev.kind = ENDED;
	keep_execs_event(&t.s, &ev);
	assert_int_equal(t.ended, 0);
	/* A connection that is closed again and again is asked for once a second at most. */
	event(1, LOST, 0);
	for (int i = 0; i < 50; i++) {
		close_fd(&t.agent.fd);
		turn();
		keep_execs_tick(&t.s, io_now_ns());
	}
	assert_int_equal(t.connected, 1);
	assert_true(keep_execs_wait(&t.s) <= io_now_ns() + 1000000000ull);
	keep_execs_tick(&t.s, io_now_ns() + 2000000000ull);
	assert_int_equal(t.connected, 2);
	/* Frames that are not its turn. */
	agent_hello();
	assert_int_equal(frame_send_data(&t.agent, MAYFLY__STREAM__STDIN, "x", 1), 0);
	agent_say();
	assert_int_equal(x->src.fd, -1);
	assert_int_equal(t.ended, 0);
	event(1, ENDED, 0);
	assert_int_equal(t.ended, 1);
}

static void test_never_started(void **state)
{
	(void)state;
	for (unsigned i = 0; i < PROTO_SESSIONS_MAX; i++)
		make();
	assert_null(keep_execs_new(&t.s, NULL, 0, false, &t.e));
	assert_non_null(strstr(t.e.text, "commands already"));
	for (unsigned i = 0; i < PROTO_SESSIONS_MAX; i++)
		keep_execs_tick(&t.s, io_now_ns() + 100000000000ull);
	assert_int_equal(t.s.live, 0);
	/* Whoever waits for one of them is told. */
	assert_int_equal(t.forgotten, PROTO_SESSIONS_MAX);
	assert_true(TAILQ_EMPTY(&t.s.list));
	assert_int_equal(make()->number, PROTO_SESSIONS_MAX + 1);
}

static void test_forgotten(void **state)
{
	struct stat st;
	(void)state;
	for (unsigned i = 0; i < KEEP_EXEC_ENDED_MAX + 10; i++) {
		struct keep_exec *x = make();
		event(x->number, ENDED, 0);
	}
	assert_int_equal(t.s.ended, KEEP_EXEC_ENDED_MAX);
	assert_null(keep_execs_find(&t.s, 10));
	assert_non_null(keep_execs_find(&t.s, 11));
	assert_int_equal(fstatat(t.record.dir_fd, "exec-10.json", &st, 0), -1);
	assert_int_equal(fstatat(t.record.dir_fd, "exec-11.json", &st, 0), 0);
}

static void test_own(void **state)
{
	Mayfly__ExecStart start = MAYFLY__EXEC_START__INIT;
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__ExecStarted started = MAYFLY__EXEC_STARTED__INIT;
	char *argv[] = {(char *)"sh", NULL};
	char *env[] = {(char *)"A=b", NULL};
	(void)state;
	start.cwd = (char *)"/";
	assert_int_equal(keep_execs_start(&t.s, &start, argv, env, LIMIT_NS, &t.e), 0);
	agent_hello();
	Mayfly__Frame *got = heard(MAYFLY__FRAME__BODY_EXEC_START);
	assert_true(got->exec_start->keep);
	mayfly__frame__free_unpacked(got, NULL);
	static const Mayfly__Frame__BodyCase rest[] = {
		MAYFLY__FRAME__BODY_EXEC_WORDS, MAYFLY__FRAME__BODY_EXEC_WORDS,
		MAYFLY__FRAME__BODY_EXEC_RUN, MAYFLY__FRAME__BODY_EOF};
	for (size_t i = 0; i < 4; i++)
		mayfly__frame__free_unpacked(heard(rest[i]), NULL);
	f.body_case = MAYFLY__FRAME__BODY_EXEC_STARTED;
	f.exec_started = &started;
	assert_int_equal(frame_send(&t.agent, &f), 0);
	agent_say();
	assert_int_equal(t.running, 1);
	send_exit(5);
	assert_int_equal(t.ended, 1);
	assert_int_equal(verdict_status(&keep_execs_find(&t.s, 1)->end), 5);
}

static void start_own(void)
{
	Mayfly__ExecStart start = MAYFLY__EXEC_START__INIT;
	char *argv[] = {(char *)"sh", NULL};
	char *env[] = {NULL};
	start.cwd = (char *)"/";
	assert_int_equal(keep_execs_start(&t.s, &start, argv, env, LIMIT_NS, &t.e), 0);
	agent_hello();
}

static void fresh(void)
{
	teardown(NULL);
	setup(NULL);
}

static void say_attached(void)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__ExecAttached m = MAYFLY__EXEC_ATTACHED__INIT;
	f.body_case = MAYFLY__FRAME__BODY_EXEC_ATTACHED;
	f.exec_attached = &m;
	assert_int_equal(frame_send(&t.agent, &f), 0);
	agent_say();
}

/* Whoever waits for the keeper's own command hears that it runs, or that it never did. */
static void test_own_is_heard_of(void **state)
{
	(void)state;
	start_own();
	event(1, STARTED, 0);
	assert_int_equal(t.running, 1);
	event(1, STARTED, 0);
	assert_int_equal(t.running, 1);
	fresh();
	start_own();
	event(1, LOST, 0);
	assert_int_equal(t.running, 1);
	fresh();
	/* The connection ends, and it can be attached to. */
	start_own();
	close_fd(&t.agent.fd);
	turn();
	keep_execs_tick(&t.s, io_now_ns() + 2000000000ull);
	agent_hello();
	say_attached();
	assert_int_equal(t.running, 1);
	fresh();
	start_own();
	keep_execs_tick(&t.s, io_now_ns() + LIMIT_NS + 1000000000ull);
	assert_int_equal(t.running, 0);
	assert_int_equal(t.ended, 1);
	struct keep_exec *x = keep_execs_find(&t.s, 1);
	assert_int_equal(x->end.reason, VERDICT_GUEST_FAILED);
	assert_non_null(strstr(x->end.message, "did not start the command"));
}

static void test_own_refused(void **state)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__Failed m = MAYFLY__FAILED__INIT;
	(void)state;
	start_own();
	m.text = (char *)"no room";
	f.body_case = MAYFLY__FRAME__BODY_FAILED;
	f.failed = &m;
	assert_int_equal(frame_send(&t.agent, &f), 0);
	agent_say();
	assert_int_equal(t.ended, 1);
	assert_non_null(
		strstr(keep_execs_find(&t.s, 1)->end.message, "refused the command: no room"));
}

/* It has ended; that it has just begun does not make it live for ever. */
static void test_started_behind_its_end(void **state)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__ExecStarted started = MAYFLY__EXEC_STARTED__INIT;
	(void)state;
	make();
	event(1, STARTED, 0);
	event(1, LOST, 0);
	agent_hello();
	event(1, ENDED, 4);
	f.body_case = MAYFLY__FRAME__BODY_EXEC_STARTED;
	f.exec_started = &started;
	assert_int_equal(frame_send(&t.agent, &f), 0);
	agent_say();
	assert_int_equal(t.ended, 0);
	keep_execs_tick(&t.s, io_now_ns() + 6000000000ull);
	assert_int_equal(t.ended, 1);
	assert_int_equal(verdict_status(&keep_execs_find(&t.s, 1)->end), 4);
}

static void test_machine_ends(void **state)
{
	(void)state;
	make();
	struct keep_exec *x = make();
	event(x->number, STARTED, 0);
	event(x->number, LOST, 0);
	keep_execs_end(&t.s);
	assert_int_equal(t.ended, 2);
	assert_string_equal(verdict_name(x->end.reason), "machine-ended");
	assert_int_equal(keep_execs_wait(&t.s), UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_attached_elsewhere, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lost, setup, teardown),
		cmocka_unit_test_setup_teardown(test_taken_and_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_taken_and_lost, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lies, setup, teardown),
		cmocka_unit_test_setup_teardown(test_never_started, setup, teardown),
		cmocka_unit_test_setup_teardown(test_forgotten, setup, teardown),
		cmocka_unit_test_setup_teardown(test_own, setup, teardown),
		cmocka_unit_test_setup_teardown(test_own_is_heard_of, setup, teardown),
		cmocka_unit_test_setup_teardown(test_own_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_started_behind_its_end, setup, teardown),
		cmocka_unit_test_setup_teardown(test_machine_ends, setup, teardown),
	};
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
