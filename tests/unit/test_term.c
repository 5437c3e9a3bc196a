// SPDX-License-Identifier: Apache-2.0
// test_term.c - the user's terminal: raw in the foreground only, and given back on every way out
// links: runtime/cli/term.c runtime/cli/client_signals.c
#include "cli/term.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "cli/client_signals.h"

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
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define LIMIT_MS 20000

static int master = -1;
static int slave = -1;
static struct termios before;

static int setup(void **state)
{
	(void)state;
	/* Not openpty(): its header has the name of one of the guest's. */
	master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
	slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(slave >= 0);
	assert_int_equal(tcgetattr(slave, &before), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	close_fd(&master);
	close_fd(&slave);
	return 0;
}

static bool is_raw(void)
{
	struct termios now;
	assert_int_equal(tcgetattr(slave, &now), 0);
	return !(now.c_lflag & (ICANON | ECHO | ISIG)) && !(now.c_oflag & OPOST);
}

static void same_as_before(void)
{
	struct termios now;
	assert_int_equal(tcgetattr(slave, &now), 0);
	assert_int_equal(now.c_iflag, before.c_iflag);
	assert_int_equal(now.c_oflag, before.c_oflag);
	assert_int_equal(now.c_cflag, before.c_cflag);
	assert_int_equal(now.c_lflag, before.c_lflag);
	assert_memory_equal(now.c_cc, before.c_cc, sizeof(now.c_cc));
}

static void test_raw_and_back(void **state)
{
	(void)state;
	struct term t = TERM_NONE;
	struct err e = {0};
	assert_int_equal(term_open(&t, slave, &e), 0);
	same_as_before();
	assert_false(term_update(&t));
	term_want(&t);
	assert_true(term_update(&t));
	assert_false(term_update(&t));
	assert_true(is_raw());
	term_pause(&t);
	same_as_before();
	term_resumed(&t);
	assert_true(is_raw());
	/* Somebody else had it meanwhile. */
	assert_int_equal(tcsetattr(slave, TCSANOW, &before), 0);
	term_resumed(&t);
	assert_true(is_raw());
	term_restore(&t);
	same_as_before();
	assert_false(term_update(&t));
	term_restore(&t);
	same_as_before();
}

static void test_no_terminal(void **state)
{
	(void)state;
	struct term t;
	struct err e = {0};
	uint16_t rows;
	uint16_t columns;
	AUTO_CLOSE int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	assert_int_equal(term_open(&t, fd, &e), -ENOTTY);
	assert_non_null(strstr(e.text, "terminal"));
	term_want(&t);
	assert_false(term_update(&t));
	assert_false(term_size(&t, &rows, &columns));
	term_restore(&t);
}

static void test_size(void **state)
{
	(void)state;
	struct term t;
	struct err e;
	uint16_t rows = 0;
	uint16_t columns = 0;
	struct winsize w = {.ws_row = 40, .ws_col = 132};
	assert_int_equal(term_open(&t, slave, &e), 0);
	assert_false(term_size(&t, &rows, &columns));
	assert_int_equal(ioctl(master, TIOCSWINSZ, &w), 0);
	assert_true(term_size(&t, &rows, &columns));
	assert_int_equal(rows, 40);
	assert_int_equal(columns, 132);
}

/* Waits for one byte of a child, which must come. */
static void hear(int fd, char want)
{
	char c = 0;
	struct pollfd p = {.fd = fd, .events = POLLIN};
	assert_int_equal(poll(&p, 1, LIMIT_MS), 1);
	assert_int_equal(read(fd, &c, 1), 1);
	assert_int_equal(c, want);
}

static int end_of(pid_t pid)
{
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

/* In the child: the terminal is its own, and raw. */
static void own_terminal(struct term *t)
{
	struct err e;
	alarm(LIMIT_MS / 1000);
	if (setsid() < 0 || ioctl(slave, TIOCSCTTY, 0) < 0 || term_open(t, slave, &e) < 0)
		_exit(99);
	term_want(t);
	if (!term_update(t))
		_exit(98);
}

static void test_exit_gives_back(void **state)
{
	(void)state;
	pid_t pid = fork();
	if (pid == 0) {
		struct term t;
		own_terminal(&t);
		exit(is_raw() ? 7 : 8);
	}
	assert_int_equal(WEXITSTATUS(end_of(pid)), 7);
	same_as_before();
}

static void test_signals_give_back(void **state)
{
	(void)state;
	/* Not those that the sanitizers have handlers for. */
	static const int numbers[] = {SIGTERM, SIGINT,	SIGHUP,	 SIGQUIT,
				      SIGABRT, SIGALRM, SIGUSR1, SIGXCPU};
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		int p[2];
		assert_int_equal(pipe2(p, O_CLOEXEC), 0);
		pid_t pid = fork();
		if (pid == 0) {
			struct term t;
			own_terminal(&t);
			if (write(p[1], is_raw() ? "r" : "?", 1) == 1)
				for (;;)
					pause();
			_exit(97);
		}
		hear(p[0], 'r');
		kill(pid, numbers[i]);
		int status = end_of(pid);
		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), numbers[i]);
		same_as_before();
		close(p[0]);
		close(p[1]);
	}
}

/* A child in the background of its terminal: nothing is changed, nothing stops it. */
static void test_background(void **state)
{
	(void)state;
	pid_t pid = fork();
	if (pid == 0) {
		struct term t;
		struct err e;
		alarm(LIMIT_MS / 1000);
		if (setsid() < 0 || ioctl(slave, TIOCSCTTY, 0) < 0)
			_exit(99);
		pid_t inner = fork();
		if (inner == 0) {
			alarm(LIMIT_MS / 1000);
			AUTO_CLOSE int fd = client_signals_open();
			struct termios stops;
			/* Ours to change although in the background: SIGTTOU is ignored. */
			tcgetattr(slave, &stops);
			stops.c_lflag |= TOSTOP;
			setpgid(0, 0);
			tcsetattr(slave, TCSANOW, &stops);
			if (term_foreground(slave) || term_open(&t, slave, &e) < 0)
				_exit(1);
			term_want(&t);
			if (term_update(&t) || is_raw())
				_exit(2);
			if (write(slave, "output\n", 7) != 7)
				_exit(3);
			term_restore(&t);
			/* Now to the foreground, where it works. */
			term_want(&t);
			if (tcsetpgrp(slave, getpgrp()) < 0 || !term_foreground(slave))
				_exit(4);
			_exit(term_update(&t) && is_raw() ? 5 : 6);
		}
		_exit(WEXITSTATUS(end_of(inner)));
	}
	assert_int_equal(WEXITSTATUS(end_of(pid)), 5);
}

static void wait_stopped(pid_t pid)
{
	for (int i = 0;; i++) {
		char path[64];
		char text[512] = "";
		snprintf(path, sizeof(path), "/proc/%d/stat", pid);
		AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
		assert_true(read(fd, text, sizeof(text) - 1) > 0);
		if (strstr(text, ") T"))
			return;
		assert_true(i < LIMIT_MS / 10);
		poll(NULL, 0, 10);
	}
}

/* Ctrl-Z: the settings are given back while it is stopped, and raw again when it goes on. */
static void test_stop_and_go_on(void **state)
{
	(void)state;
	int p[2];
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	pid_t pid = fork();
	if (pid == 0) {
		struct term t;
		own_terminal(&t);
		/* As a shell would: else the kernel sees nobody who could continue it. */
		pid_t inner = fork();
		if (inner == 0) {
			alarm(LIMIT_MS / 1000);
			setpgid(0, 0);
			AUTO_CLOSE int fd = client_signals_open();
			tcsetpgrp(slave, getpgrp());
			char c = is_raw() ? 'r' : '?';
			write(p[1], &c, 1);
			struct signalfd_siginfo si;
			struct pollfd q = {.fd = fd, .events = POLLIN};
			if (poll(&q, 1, LIMIT_MS) != 1 || read(fd, &si, sizeof(si)) < 0 ||
			    si.ssi_signo != SIGTSTP)
				_exit(1);
			term_pause(&t);
			client_signals_stop();
			term_resumed(&t);
			c = is_raw() ? 'R' : '?';
			write(p[1], &c, 1);
			term_restore(&t);
			_exit(0);
		}
		write(p[1], &inner, sizeof(inner));
		_exit(WEXITSTATUS(end_of(inner)));
	}
	pid_t inner;
	char c;
	/* Either may come first. */
	char buf[1 + sizeof(inner)];
	assert_int_equal(io_read_full(p[0], buf, sizeof(buf)), 0);
	if (buf[0] == 'r') {
		memcpy(&inner, buf + 1, sizeof(inner));
	} else {
		memcpy(&inner, buf, sizeof(inner));
		assert_int_equal(buf[sizeof(inner)], 'r');
	}
	kill(inner, SIGTSTP);
	wait_stopped(inner);
	same_as_before();
	kill(inner, SIGCONT);
	hear(p[0], 'R');
	assert_int_equal(WEXITSTATUS(end_of(pid)), 0);
	same_as_before();
	assert_int_equal(fcntl(p[0], F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(read(p[0], &c, 1), -1);
	close(p[0]);
	close(p[1]);
}

/* nohup stays what it is. */
static void test_ignored_stays_ignored(void **state)
{
	(void)state;
	pid_t pid = fork();
	if (pid == 0) {
		signal(SIGHUP, SIG_IGN);
		signal(SIGTSTP, SIG_IGN);
		AUTO_CLOSE int fd = client_signals_open();
		struct signalfd_siginfo si;
		raise(SIGHUP);
		raise(SIGTSTP);
		bool quiet = read(fd, &si, sizeof(si)) < 0 && errno == EAGAIN;
		raise(SIGTERM);
		_exit(quiet && read(fd, &si, sizeof(si)) > 0 && si.ssi_signo == SIGTERM ? 0 : 1);
	}
	assert_int_equal(end_of(pid), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_raw_and_back),    TEST(test_no_terminal),	      TEST(test_size),
		TEST(test_exit_gives_back), TEST(test_signals_give_back),     TEST(test_background),
		TEST(test_stop_and_go_on),  TEST(test_ignored_stays_ignored),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
