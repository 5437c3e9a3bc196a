// SPDX-License-Identifier: Apache-2.0
// test_exec_session.c - mayfly exec and attach from connection to status, with a fake agent and
// keeper
// links: runtime/cli/exec_session.c runtime/cli/machine_end.c
#include "cli/exec_session.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/fdpass.h"
#include "base/io.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cmocka.h>

#define LIMIT_MS 20000

static struct {
	struct exec_config c;
	pid_t pid; /* of the client */
	struct frame_conn agent;
	int keeper;
	int out; /* what the client prints */
	int in;	 /* its standard input; -1: none */
} t;

/* The client, as a process: its streams are 0, 1 and 2. */
static int client(int conn, int keeper)
{
	static struct exec_session s;
	static char *argv[] = {(char *)"command", NULL};
	static uint32_t groups[] = {4};
	struct err e = {0};
	Mayfly__ExecGrant grant = MAYFLY__EXEC_GRANT__INIT;
	grant.session = 12;
	grant.cwd = (char *)"/";
	grant.group = groups;
	grant.n_group = 1;
	t.c.argv = argv;
	t.c.machine = "m";
	int ret = exec_session_open(&s, &t.c, keeper, io_now_ns(), &e);
	if (ret == 0)
		ret = t.c.attach ? exec_session_attach(&s, conn, 12, &e)
				 : exec_session_start(&s, conn, &grant, argv + 1, &e);
	if (ret < 0)
		return 99;
	exec_session_run(&s);
	ret = exec_session_finish(&s);
	fflush(stdout);
	return ret;
}

static void begin(void)
{
	int conn[2];
	int keeper[2];
	int out[2];
	char line[14] = "";
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, conn), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, keeper), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	t.pid = fork();
	if (t.pid == 0) {
		int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
		alarm(LIMIT_MS / 1000);
		dup2(t.in >= 0 ? t.in : null, 0);
		dup2(out[1], 1);
		dup2(out[1], 2);
		close(conn[1]);
		close(keeper[1]);
		close(out[0]);
		close(out[1]);
		_exit(client(conn[0], keeper[0]));
	}
	close(conn[0]);
	close(keeper[0]);
	close(out[1]);
	t.agent.fd = conn[1];
	t.keeper = keeper[1];
	t.out = out[0];
	assert_int_equal(io_read_full(t.agent.fd, line, 13), 0);
	assert_int_equal(io_write_full(t.agent.fd, "OK 1\n", 5), 0);
	assert_int_equal(frame_send_hello(&t.agent, "fake"), 0);
}

static int setup(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	exec_config_defaults(&t.c);
	t.agent.fd = t.keeper = t.out = t.in = -1;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (t.pid > 0) {
		kill(t.pid, SIGKILL);
		waitpid(t.pid, NULL, 0);
	}
	close_fd(&t.agent.fd);
	close_fd(&t.keeper);
	close_fd(&t.out);
	close_fd(&t.in);
	frame_conn_free(&t.agent);
	return 0;
}

/* The next frame; the caller frees it. */
static Mayfly__Frame *next(void)
{
	for (;;) {
		Mayfly__Frame *f = NULL;
		struct pollfd p = {.fd = t.agent.fd, .events = POLLIN};
		int ret = frame_next(&t.agent, &f);
		assert_true(ret >= 0);
		if (ret == 1)
			return f;
		assert_int_equal(poll(&p, 1, LIMIT_MS), 1);
		assert_int_equal(frame_fill(&t.agent), 1);
	}
}

/* Reads frames until one of this kind; the caller frees it. */
static Mayfly__Frame *until(Mayfly__Frame__BodyCase kind)
{
	Mayfly__Frame *f = next();
	while (f->body_case != kind) {
		mayfly__frame__free_unpacked(f, NULL);
		f = next();
	}
	return f;
}

static void heard(Mayfly__Frame__BodyCase kind)
{
	mayfly__frame__free_unpacked(until(kind), NULL);
}

static void say(Mayfly__Frame *f)
{
	assert_int_equal(frame_send(&t.agent, f), 0);
	assert_int_equal(frame_flush(&t.agent), 0);
}

static void say_started(void)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__ExecStarted m = MAYFLY__EXEC_STARTED__INIT;
	f.body_case = MAYFLY__FRAME__BODY_EXEC_STARTED;
	f.exec_started = &m;
	say(&f);
}

static void say_exit(Mayfly__Exit__Kind kind, int32_t code)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__Exit m = MAYFLY__EXIT__INIT;
	m.kind = kind;
	m.code = code;
	f.body_case = MAYFLY__FRAME__BODY_EXIT;
	f.exit = &m;
	say(&f);
}

static void say_attached(void)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__ExecAttached m = MAYFLY__EXEC_ATTACHED__INIT;
	m.in_closed = true;
	f.body_case = MAYFLY__FRAME__BODY_EXEC_ATTACHED;
	f.exec_attached = &m;
	say(&f);
}

static void say_failed(int32_t code, const char *text)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__Failed m = MAYFLY__FAILED__INIT;
	m.code = code;
	m.text = (char *)(uintptr_t)text;
	f.body_case = MAYFLY__FRAME__BODY_FAILED;
	f.failed = &m;
	say(&f);
}

static void say_taken(void)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__ExecTaken m = MAYFLY__EXEC_TAKEN__INIT;
	f.body_case = MAYFLY__FRAME__BODY_EXEC_TAKEN;
	f.exec_taken = &m;
	say(&f);
}

/* The status, and all that was printed. */
static void ends(int want, const char *text)
{
	char buf[4096];
	size_t len = 0;
	ssize_t n;
	int status;
	while ((n = read(t.out, buf + len, sizeof(buf) - 1 - len)) > 0)
		len += (size_t)n;
	buf[len] = '\0';
	assert_int_equal(waitpid(t.pid, &status, 0), t.pid);
	t.pid = 0;
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), want);
	if (!strstr(buf, text))
		fail_msg("'%s' is not in '%s'", text, buf);
}

static void machine_ends(void)
{
	uint8_t buf[512];
	Mayfly__ControlReply r = MAYFLY__CONTROL_REPLY__INIT;
	r.body_case = MAYFLY__CONTROL_REPLY__BODY_VERDICT;
	r.verdict = (char *)"{\"reason\":\"guest-panic\",\"message\":\"the kernel panicked\"}";
	size_t len = mayfly__control_reply__pack(&r, buf);
	assert_int_equal(send(t.keeper, buf, len, 0), len);
}

static void test_exit(void **state)
{
	(void)state;
	begin();
	Mayfly__Frame *f = until(MAYFLY__FRAME__BODY_EXEC_START);
	assert_true(f->exec_start->keep && f->exec_start->session == 12);
	assert_int_equal(f->exec_start->n_group, 1);
	mayfly__frame__free_unpacked(f, NULL);
	heard(MAYFLY__FRAME__BODY_EOF);
	say_started();
	assert_int_equal(frame_send_data(&t.agent, MAYFLY__STREAM__STDOUT, "text", 4), 0);
	say_exit(MAYFLY__EXIT__KIND__CODE, 5);
	ends(5, "text");
}

static void test_ends_of_the_agent(void **state)
{
	(void)state;
	static const struct {
		Mayfly__Exit__Kind kind;
		int32_t code;
		int status;
	} rows[] = {{MAYFLY__EXIT__KIND__SIGNAL, 9, 137},
		    {MAYFLY__EXIT__KIND__TIMEOUT, 0, 124},
		    {MAYFLY__EXIT__KIND__NOT_STARTED, ENOENT, 127},
		    {MAYFLY__EXIT__KIND__NOT_STARTED, EACCES, 126}};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		begin();
		heard(MAYFLY__FRAME__BODY_EXEC_RUN);
		say_exit(rows[i].kind, rows[i].code);
		ends(rows[i].status, "");
		teardown(NULL);
		setup(NULL);
	}
}

static void test_detach(void **state)
{
	(void)state;
	t.c.detach = true;
	begin();
	heard(MAYFLY__FRAME__BODY_EOF);
	assert_int_equal(frame_send_data(&t.agent, MAYFLY__STREAM__STDOUT, "early", 5), 0);
	say_started();
	ends(0, "12\n");
}

static void test_machine_ends(void **state)
{
	(void)state;
	begin();
	say_started();
	heard(MAYFLY__FRAME__BODY_EXEC_RUN);
	machine_ends();
	close_fd(&t.agent.fd);
	ends(125, "m: the machine has ended: the kernel panicked");
}

static void test_keeper_ends(void **state)
{
	(void)state;
	begin();
	say_started();
	heard(MAYFLY__FRAME__BODY_EXEC_RUN);
	close_fd(&t.keeper);
	close_fd(&t.agent.fd);
	ends(125, "m: the machine is gone");
}

/* The keeper's word may come before the command's last. */
static void test_exit_behind_the_end(void **state)
{
	(void)state;
	begin();
	say_started();
	heard(MAYFLY__FRAME__BODY_EXEC_RUN);
	machine_ends();
	say_exit(MAYFLY__EXIT__KIND__CODE, 3);
	ends(3, "");
}

static void test_agent_closes(void **state)
{
	(void)state;
	begin();
	say_started();
	heard(MAYFLY__FRAME__BODY_EXEC_RUN);
	close_fd(&t.agent.fd);
	ends(125, "closed the command's connection");
}

static void test_agent_refuses(void **state)
{
	(void)state;
	begin();
	heard(MAYFLY__FRAME__BODY_EXEC_START);
	say_failed(EUSERS, "too many commands run");
	ends(125, "the agent in m refused the command: too many commands run\n");
}

static void test_agent_breaks_rules(void **state)
{
	(void)state;
	begin();
	say_started();
	say_started();
	ends(125, "broke the protocol");
}

/* It keeps no deadline and says nothing: the client does, 5 s later. */
static void test_mute_agent(void **state)
{
	(void)state;
	uint64_t start = io_now_ns();
	t.c.timeout_ns = 100000000;
	begin();
	say_started();
	ends(124, "does not answer");
	assert_true(io_now_ns() - start >= 5000000000ull);
}

static void test_signals(void **state)
{
	(void)state;
	static const int numbers[] = {SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGINT};
	begin();
	say_started();
	heard(MAYFLY__FRAME__BODY_EXEC_RUN);
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		kill(t.pid, numbers[i]);
		Mayfly__Frame *f = until(MAYFLY__FRAME__BODY_SIGNAL);
		assert_int_equal(f->signal->number, numbers[i]);
		mayfly__frame__free_unpacked(f, NULL);
	}
	kill(t.pid, SIGINT);
	ends(130, "left exec 12 of m running");
}

static void test_attach(void **state)
{
	(void)state;
	t.c.attach = true;
	begin();
	heard(MAYFLY__FRAME__BODY_EXEC_ATTACH);
	say_attached();
	say_exit(MAYFLY__EXIT__KIND__CODE, 8);
	ends(8, "");
}

static void test_attach_leaves(void **state)
{
	(void)state;
	t.c.attach = true;
	begin();
	heard(MAYFLY__FRAME__BODY_EXEC_ATTACH);
	say_attached();
	kill(t.pid, SIGINT);
	heard(MAYFLY__FRAME__BODY_SIGNAL);
	kill(t.pid, SIGTERM);
	ends(143, "left exec 12 of m running");
}

static void test_attach_taken(void **state)
{
	(void)state;
	t.c.attach = true;
	begin();
	heard(MAYFLY__FRAME__BODY_EXEC_ATTACH);
	say_attached();
	say_taken();
	ends(125, "somebody else attached");
}

/* It is not the client's controlling terminal: no signal tells of the new size. */
static void test_size_goes_before_keys(void **state)
{
	(void)state;
	struct winsize size = {.ws_row = 24, .ws_col = 80};
	AUTO_CLOSE int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
	assert_int_equal(ioctl(master, TIOCSWINSZ, &size), 0);
	t.in = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(t.in >= 0);
	t.c.tty = t.c.interactive = true;
	begin();
	Mayfly__Frame *f = until(MAYFLY__FRAME__BODY_EXEC_START);
	assert_int_equal(f->exec_start->tty->size->rows, 24);
	mayfly__frame__free_unpacked(f, NULL);
	/* Typed and taken: the terminal is raw, its size told. */
	assert_int_equal(write(master, "k", 1), 1);
	heard(MAYFLY__FRAME__BODY_DATA);
	size = (struct winsize){.ws_row = 40, .ws_col = 100};
	assert_int_equal(ioctl(master, TIOCSWINSZ, &size), 0);
	assert_int_equal(write(master, "k", 1), 1);
	f = next();
	assert_int_equal(f->body_case, MAYFLY__FRAME__BODY_WINDOW_SIZE);
	assert_int_equal(f->window_size->rows, 40);
	assert_int_equal(f->window_size->columns, 100);
	mayfly__frame__free_unpacked(f, NULL);
	heard(MAYFLY__FRAME__BODY_DATA);
	/* Once: the next key has the same size. */
	assert_int_equal(write(master, "k", 1), 1);
	f = next();
	assert_int_equal(f->body_case, MAYFLY__FRAME__BODY_DATA);
	mayfly__frame__free_unpacked(f, NULL);
	say_started();
	say_exit(MAYFLY__EXIT__KIND__CODE, 0);
	ends(0, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_exit),
		TEST(test_ends_of_the_agent),
		TEST(test_detach),
		TEST(test_machine_ends),
		TEST(test_keeper_ends),
		TEST(test_exit_behind_the_end),
		TEST(test_agent_closes),
		TEST(test_agent_refuses),
		TEST(test_agent_breaks_rules),
		TEST(test_mute_agent),
		TEST(test_signals),
		TEST(test_size_goes_before_keys),
		TEST(test_attach),
		TEST(test_attach_leaves),
		TEST(test_attach_taken),
	};
	signal(SIGPIPE, SIG_IGN);
	log_init("test", LOG_WARN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
