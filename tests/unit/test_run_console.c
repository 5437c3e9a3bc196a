// SPDX-License-Identifier: Apache-2.0
// test_run_console.c - the guest's console between a machine and standard input and output
// links: runtime/cli/run_console.c runtime/cli/hostio.c
#include "base/checked.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "cli/run.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#define TEXT (1024u * 1024)
#define TURNS 2000

static struct run r;
static struct vm_config cfg;
static struct err e;
static int machine = -1; /* the machine's end of its console */
static int typist = -1;	 /* who types */
static int watcher = -1; /* who reads standard output, or standard error */
static enum verdict_reason ended;
static char big[TEXT + 1];
static char got[TEXT + 1];

/* What the rest of mayfly would do. */
void run_end(struct run *run, enum verdict_reason reason, const char *fmt, ...)
{
	(void)fmt;
	ended = reason;
	run->phase = RUN_DYING;
}

void run_step(struct run *run)
{
	run_console_pump(run);
}

static void on_stdio(struct evsource *src, uint32_t events)
{
	(void)events;
	run_step(src->arg);
}

static void wire(int *near, int *far)
{
	int sv[2];
	int size = 8192;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(setsockopt(sv[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
	*near = sv[0];
	*far = sv[1];
	assert_int_equal(io_set_nonblock(sv[1], 1), 0);
}

static int setup(void **state)
{
	(void)state;
	int fd;
	memset(&r, 0, sizeof(r));
	memset(&cfg, 0, sizeof(cfg));
	for (size_t i = 0; i + 8 <= TEXT; i += 8)
		snprintf(big + i, 9, "%07zu\n", i / 8);
	ended = VERDICT_NONE;
	r.cfg = &cfg;
	cfg.boot = true;
	r.machine = MACHINE_NONE;
	if (evloop_init(&r.loop) < 0)
		return -1;
	wire(&r.machine.console, &machine);
	wire(&fd, &typist);
	assert_int_equal(hostio_open(&r.in, &r.loop, fd, on_stdio, &r), 0);
	wire(&fd, &watcher);
	assert_int_equal(hostio_open(&r.out[0], &r.loop, fd, on_stdio, &r), 0);
	assert_int_equal(hostio_open(&r.out[1], &r.loop, fd, on_stdio, &r), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	close_fd(&r.machine.console);
	close_fd(&r.in.src.fd);
	close_fd(&r.out[0].src.fd);
	hostio_close(&r.in);
	hostio_close(&r.out[0]);
	hostio_close(&r.out[1]);
	evloop_close(&r.loop);
	close_fd(&machine);
	close_fd(&typist);
	close_fd(&watcher);
	return 0;
}

static void watch(bool boot)
{
	cfg.boot = boot;
	assert_int_equal(run_console_watch(&r, &e), 0);
	run_console_pump(&r);
}

static void turn(void)
{
	for (unsigned i = 0; i < TURNS; i++)
		if (evloop_once(&r.loop, 0) <= 0)
			return;
	fail_msg("the loop spins");
}

static size_t put(int fd, const char *data, size_t len)
{
	ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
	return n > 0 ? (size_t)n : 0;
}

static size_t get(int fd, size_t at)
{
	ssize_t n;
	while ((n = read(fd, got + at, TEXT - at)) > 0)
		at += (size_t)n;
	got[at] = '\0';
	return at;
}

static void test_both_ways(void **state)
{
	(void)state;
	watch(true);
	put(machine, "login: ", 7);
	turn();
	assert_int_equal(get(watcher, 0), 7);
	assert_string_equal(got, "login: ");
	put(typist, "root\n", 5);
	turn();
	assert_int_equal(get(machine, 0), 5);
	assert_string_equal(got, "root\n");
}

/* Of what the guest says nothing is lost, and no more is taken than there is a place for. */
static void test_slow_watcher(void **state)
{
	(void)state;
	size_t sent = 0;
	size_t at = 0;
	watch(true);
	for (unsigned i = 0; i < 1000; i++) {
		sent += put(machine, big + sent, TEXT - sent);
		turn();
	}
	assert_true(sent < PROTO_WINDOW + 64 * 1024);
	for (unsigned i = 0; at < TEXT; i++) {
		assert_true(i < 10000);
		at = get(watcher, at);
		turn();
		sent += put(machine, big + sent, TEXT - sent);
		turn();
	}
	assert_memory_equal(got, big, TEXT);
	assert_int_equal(ended, VERDICT_NONE);
}

static void test_slow_guest(void **state)
{
	(void)state;
	size_t sent = 0;
	size_t at = 0;
	watch(true);
	for (unsigned i = 0; i < 1000; i++) {
		sent += put(typist, big + sent, TEXT - sent);
		turn();
	}
	assert_true(sent < 128 * 1024);
	/* Its own words come through meanwhile. */
	put(machine, "wait\n", 5);
	turn();
	assert_int_equal(get(watcher, 0), 5);
	for (unsigned i = 0; at < TEXT; i++) {
		assert_true(i < 10000);
		at = get(machine, at);
		turn();
		sent += put(typist, big + sent, TEXT - sent);
		turn();
	}
	assert_memory_equal(got, big, TEXT);
}

/* "echo text | mayfly boot": the machine goes on without anybody at the keyboard. */
static void test_end_of_input(void **state)
{
	(void)state;
	watch(true);
	put(typist, "last\n", 5);
	close_fd(&typist);
	turn();
	assert_int_equal(get(machine, 0), 5);
	assert_true(r.in.done);
	put(machine, "still here\n", 11);
	turn();
	assert_int_equal(get(watcher, 0), 11);
	assert_int_equal(ended, VERDICT_NONE);
}

static void test_end_of_machine(void **state)
{
	(void)state;
	watch(true);
	put(machine, "bye\n", 4);
	close_fd(&machine);
	turn();
	assert_int_equal(get(watcher, 0), 4);
	assert_int_equal(r.console.fd, -1);
	run_console_pump(&r);
	turn();
	assert_int_equal(ended, VERDICT_NONE);
}

/* All of it is there when the machine ends with a watcher who has not kept up. */
static void test_end_with_a_slow_watcher(void **state)
{
	(void)state;
	watch(true);
	size_t sent = 0;
	for (unsigned i = 0; i < 20; i++) {
		sent += put(machine, big + sent, 4096);
		turn();
	}
	close_fd(&machine);
	turn();
	size_t at = 0;
	for (unsigned i = 0; i < 1000 && at < sent; i++) {
		at = get(watcher, at);
		turn();
	}
	assert_int_equal(at, sent);
	assert_memory_equal(got, big, sent);
}

/* As above, and more was typed than the guest ever took. */
static void test_end_with_typed_text(void **state)
{
	(void)state;
	watch(true);
	for (unsigned i = 0; i < 20; i++) {
		put(typist, big, 4096);
		turn();
	}
	size_t sent = 0;
	for (unsigned i = 0; i < 200; i++) {
		sent += put(machine, big + sent, 4096);
		turn();
	}
	close_fd(&machine);
	turn();
	size_t at = 0;
	for (unsigned i = 0; i < 1000 && at < sent; i++) {
		at = get(watcher, at);
		turn();
	}
	assert_int_equal(at, sent);
	assert_memory_equal(got, big, sent);
	assert_int_equal(r.console.fd, -1);
}

static void test_watcher_leaves(void **state)
{
	(void)state;
	watch(true);
	close_fd(&watcher);
	put(machine, "nobody hears\n", 13);
	turn();
	assert_int_equal(ended, VERDICT_OUTPUT);
	/* Nothing spins until the machine's end. */
	put(machine, big, 4096);
	turn();
	close_fd(&machine);
	turn();
	assert_int_equal(r.console.fd, -1);
}

/* Beside a command: shown as far as there is room, and nobody waits. */
static void test_beside_a_command(void **state)
{
	(void)state;
	size_t sent = 0;
	watch(false);
	put(machine, "[ 0.1] hello\n", 13);
	turn();
	assert_int_equal(get(watcher, 0), 13);
	for (unsigned i = 0; i < 2000 && sent < TEXT; i++) {
		sent += put(machine, big + sent, TEXT - sent);
		turn();
	}
	assert_int_equal(sent, TEXT);
	assert_in_range(get(watcher, 0), 1, TEXT / 2);
	/* What is typed is the command's. */
	put(typist, "x", 1);
	turn();
	assert_int_equal(get(machine, 0), 0);
	close_fd(&machine);
	turn();
	assert_int_equal(r.console.fd, -1);
}

static void test_no_console(void **state)
{
	(void)state;
	close_fd(&r.machine.console);
	r.machine.console = -1;
	watch(false);
	assert_int_equal(r.console.fd, -1);
	turn();
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_both_ways),	     T(test_slow_watcher),
		T(test_slow_guest),	     T(test_end_of_input),
		T(test_end_of_machine),	     T(test_end_with_a_slow_watcher),
		T(test_end_with_typed_text), T(test_watcher_leaves),
		T(test_beside_a_command),    T(test_no_console),
	};
	alarm(50);
	return cmocka_run_group_tests_name("run_console", tests, NULL, NULL);
}
