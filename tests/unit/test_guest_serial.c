// SPDX-License-Identifier: Apache-2.0
// test_guest_serial.c - text both ways with readers that are slow, silent, half gone and gone
// links: runtime/vmm/guest_serial.c runtime/vmm/serial_log.c
#include "vmm/guest_serial.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/io.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define TEXT_MAX (1024u * 1024)
/* More turns than this without anything to do are a loop that spins. */
#define TURNS 100

/* The guest's port: what it has to say, and room for what is typed. */
static struct {
	const char *text;
	size_t len, taken;
	bool endless;
	unsigned takes;
	size_t room;
	char typed[TEXT_MAX];
	size_t n_typed;
} port;

static struct guest_serial s;
static struct evloop loop;
static int source = -1;
static int console = -1;
static int reader = -1;
static char big[TEXT_MAX + 1];
static char got[TEXT_MAX + 1];

static size_t take(struct guest_serial *g, void *buf, size_t max)
{
	uint64_t n;
	port.takes++;
	if (port.endless) {
		memset(buf, '.', max);
		return max;
	}
	if (port.taken == port.len) {
		ssize_t r = read(g->source.fd, &n, sizeof(n));
		(void)r;
	}
	size_t len = MIN(max, port.len - port.taken);
	if (len > 0)
		memcpy(buf, port.text + port.taken, len);
	port.taken += len;
	return len;
}

static size_t give(struct guest_serial *g, const void *buf, size_t len)
{
	(void)g;
	len = MIN(len, port.room);
	len = MIN(len, sizeof(port.typed) - port.n_typed);
	memcpy(port.typed + port.n_typed, buf, len);
	port.n_typed += len;
	port.room -= len;
	return len;
}

static int setup(void **state)
{
	(void)state;
	memset(&s, 0, sizeof(s));
	memset(&port, 0, sizeof(port));
	source = eventfd(0, EFD_CLOEXEC);
	/* Numbered lines: what is lost or comes twice would show. */
	for (size_t i = 0; i + 8 <= TEXT_MAX; i += 8)
		snprintf(big + i, 9, "%07zu\n", i / 8);
	return evloop_init(&loop);
}

static int teardown(void **state)
{
	(void)state;
	evloop_close(&loop);
	close_fd(&source);
	close_fd(&console);
	close_fd(&reader);
	return 0;
}

static void init(bool lossless)
{
	s.port = (struct guest_serial_port){.take = take, .give = give};
	assert_int_equal(guest_serial_init(&s, &loop, source, console, lossless), 0);
}

static void init_with_reader(bool lossless)
{
	int sv[2];
	int size = 8192;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	console = sv[0];
	reader = sv[1];
	assert_int_equal(io_set_nonblock(reader, 1), 0);
	assert_int_equal(setsockopt(console, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
	init(lossless);
}

static void wake(void)
{
	uint64_t one = 1;
	assert_int_equal(write(source, &one, sizeof(one)), sizeof(one));
}

static void says(const char *text, size_t len)
{
	port.text = text;
	port.len = len;
	port.taken = 0;
	wake();
}

/* Until there is nothing to do; the number of turns. */
static unsigned turn(void)
{
	unsigned n = 0;
	while (evloop_once(&loop, 0) > 0)
		if (++n > TURNS)
			fail_msg("the loop spins");
	return n;
}

/* Reads what there is. */
static size_t read_some(size_t at)
{
	ssize_t n;
	while ((n = read(reader, got + at, sizeof(got) - 1 - at)) > 0)
		at += (size_t)n;
	got[at] = '\0';
	return at;
}

static void assert_last_line(const struct serial_log *log, const char *want)
{
	const char *line = NULL;
	const char *next;
	for (unsigned i = 0; (next = serial_log_get(log, i)); i++)
		line = next;
	assert_non_null(line);
	assert_string_equal(line, want);
}

/* ---- output ---- */

static void test_output(void **state)
{
	(void)state;
	init_with_reader(true);
	says("one\ntwo\r\nthr", 12);
	turn();
	assert_int_equal(read_some(0), 12);
	assert_string_equal(got, "one\ntwo\r\nthr");
	says("ee\n", 3);
	turn();
	assert_int_equal(read_some(0), 3);
	assert_string_equal(serial_log_get(&s.log, 0), "one");
	assert_string_equal(serial_log_get(&s.log, 1), "two");
	assert_string_equal(serial_log_get(&s.log, 2), "three");
	assert_null(serial_log_get(&s.log, 3));
	assert_null(guest_serial_panic(&s));
}

static void test_without_console(void **state)
{
	(void)state;
	init(true);
	says(big, TEXT_MAX);
	turn();
	assert_int_equal(port.taken, TEXT_MAX);
	assert_last_line(&s.log, "0131071");
	guest_serial_say(&s, "hello\n", 6);
	assert_last_line(&s.other, "hello");
}

/* The guest waits for its reader, and everything arrives. */
static void test_lossless(void **state)
{
	(void)state;
	size_t at = 0;
	init_with_reader(true);
	says(big, TEXT_MAX);
	turn();
	size_t before = port.taken;
	assert_true(before < 64 * 1024);
	/* Woken again and again, it takes nothing that it has no place for. */
	for (unsigned i = 0; i < 10; i++) {
		wake();
		turn();
	}
	assert_int_equal(port.taken, before);
	for (unsigned i = 0; at < TEXT_MAX; i++) {
		assert_true(i < 10000);
		size_t now = read_some(at);
		/* Never more under way than the socket and one chunk hold. */
		assert_true(port.taken - at < 64 * 1024);
		at = now;
		turn();
	}
	assert_int_equal(at, TEXT_MAX);
	assert_memory_equal(got, big, TEXT_MAX);
	assert_last_line(&s.log, "0131071");
	/* Nothing is left over for the next words. */
	says("more\n", 5);
	turn();
	assert_int_equal(read_some(0), 5);
}

/* Of text that nobody needs, what a slow reader has no room for is dropped; the guest never waits.
 */
static void test_lossy(void **state)
{
	(void)state;
	init_with_reader(false);
	says(big, TEXT_MAX);
	turn();
	assert_int_equal(port.taken, TEXT_MAX);
	assert_last_line(&s.log, "0131071");
	size_t n = read_some(0);
	assert_in_range(n, 1, TEXT_MAX / 2);
	assert_memory_equal(got, big, n);
	says("again\n", 6);
	turn();
	assert_int_equal(read_some(0), 6);
	assert_string_equal(got, "again\n");
}

/* A guest that writes without end leaves the loop to others between two looks. */
static void test_endless_output(void **state)
{
	(void)state;
	init(false);
	port.endless = true;
	for (unsigned i = 1; i <= 3; i++) {
		wake();
		assert_int_equal(evloop_once(&loop, 0), 1);
		assert_in_range(port.takes, i, i * 64);
	}
}

/* ---- input ---- */

static void test_typed(void **state)
{
	(void)state;
	init_with_reader(true);
	port.room = 100;
	assert_int_equal(write(reader, "ls\n", 3), 3);
	turn();
	assert_int_equal(port.n_typed, 3);
	assert_memory_equal(port.typed, "ls\n", 3);
}

/* The port takes a FIFO full at a time, and says when it has room again. */
static void test_typed_fast(void **state)
{
	(void)state;
	size_t sent = 0;
	const size_t len = 30000;
	init_with_reader(true);
	for (unsigned i = 0; port.n_typed < len; i++) {
		assert_true(i < 100000);
		ssize_t n = write(reader, big + sent, MIN(len - sent, 5000u));
		if (n > 0)
			sent += (size_t)n;
		turn();
		/* It reads ahead no more than a chunk. */
		assert_true(s.in_len - s.in_pos <= GUEST_SERIAL_CHUNK);
		port.room = 16;
		wake();
		turn();
	}
	assert_int_equal(port.n_typed, len);
	assert_memory_equal(port.typed, big, len);
}

static void test_both_ways(void **state)
{
	(void)state;
	init_with_reader(true);
	says(big, TEXT_MAX);
	turn();
	/* Its own output waits for the reader; what he types is not forgotten meanwhile. */
	assert_int_equal(write(reader, "stop\n", 5), 5);
	turn();
	for (size_t at = 0; at < TEXT_MAX;) {
		at = read_some(at);
		turn();
	}
	port.room = 100;
	wake();
	turn();
	assert_int_equal(port.n_typed, 5);
	assert_memory_equal(got, big, TEXT_MAX);
}

/* ---- readers that go ---- */

static void test_reader_leaves(void **state)
{
	(void)state;
	for (int lossless = 0; lossless < 2; lossless++) {
		if (lossless) {
			teardown(NULL);
			setup(NULL);
		}
		init_with_reader(lossless);
		says(big, TEXT_MAX);
		turn();
		close_fd(&reader);
		guest_serial_say(&s, "also heard by nobody\n", 21);
		turn();
		/* Nobody waits for him. */
		assert_int_equal(port.taken, TEXT_MAX);
		assert_last_line(&s.log, "0131071");
		says("and more\n", 9);
		turn();
		assert_last_line(&s.log, "and more");
		guest_serial_say(&s, "here, too\n", 10);
		assert_last_line(&s.other, "here, too");
	}
}

/* A hang-up is reported for ever, typed text or not. */
static void test_reader_leaves_text(void **state)
{
	(void)state;
	init_with_reader(true);
	assert_int_equal(write(reader, big, 6000), 6000);
	says(big, TEXT_MAX);
	turn();
	close_fd(&reader);
	turn();
	wake();
	turn();
	assert_int_equal(port.n_typed, 0);
	assert_int_equal(port.taken, TEXT_MAX);
	/* The guest gets all of it when it looks. */
	for (unsigned i = 0; i < 10; i++) {
		port.room = 1000;
		wake();
		turn();
	}
	assert_int_equal(port.n_typed, 6000);
	assert_memory_equal(port.typed, big, 6000);
}

/* "echo text | mayfly boot": the end of what is typed is not the end of what is read. */
static void test_end_of_typing(void **state)
{
	(void)state;
	init_with_reader(true);
	port.room = 100;
	assert_int_equal(write(reader, "end\n", 4), 4);
	assert_int_equal(shutdown(reader, SHUT_WR), 0);
	turn();
	assert_int_equal(port.n_typed, 4);
	says("bye\n", 4);
	turn();
	assert_int_equal(read_some(0), 4);
	assert_string_equal(got, "bye\n");
	close_fd(&reader);
	says("nobody hears\n", 13);
	turn();
	assert_last_line(&s.log, "nobody hears");
}

/* As under tcg: the source is QEMU's socket, whose end is readable for ever. */
static size_t take_end(struct guest_serial *g, void *buf, size_t max)
{
	ssize_t n = read(g->source.fd, buf, max);
	g->source_end = n == 0;
	return n > 0 ? (size_t)n : 0;
}

static void test_source_ends(void **state)
{
	(void)state;
	int sv[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	close_fd(&source);
	source = sv[0];
	init_with_reader(true);
	s.port.take = take_end;
	assert_int_equal(write(sv[1], "last\n", 5), 5);
	close(sv[1]);
	turn();
	assert_true(s.source_end);
	assert_int_equal(read_some(0), 5);
	assert_last_line(&s.log, "last");
}

/* ---- the other console, panics, the end ---- */

static void test_say(void **state)
{
	(void)state;
	init_with_reader(true);
	guest_serial_say(&s, "from hvc0\n", 10);
	assert_int_equal(read_some(0), 10);
	assert_string_equal(got, "from hvc0\n");
	assert_last_line(&s.other, "from hvc0");
	assert_null(serial_log_get(&s.log, 0));
	/* It never waits. */
	for (unsigned i = 0; i < 1000; i++)
		guest_serial_say(&s, big, 4096);
	assert_last_line(&s.other, "0000511");
}

/* Lossless it takes what it has room for, and says when there is more. */
static unsigned rooms;

static void room(struct guest_serial *g)
{
	assert_ptr_equal(g, &s);
	rooms++;
}

static void test_say_lossless(void **state)
{
	(void)state;
	size_t said = 0;
	size_t at = 0;
	rooms = 0;
	init_with_reader(true);
	s.port.room = room;
	while (said < TEXT_MAX) {
		size_t n = guest_serial_say(&s, big + said, MIN(TEXT_MAX - said, 3000u));
		assert_true(n <= MIN(TEXT_MAX - said, 3000u));
		said += n;
		if (said == TEXT_MAX || n == 3000)
			continue;
		/* Full: no more until it is called back. */
		turn();
		unsigned before = rooms;
		assert_int_equal(guest_serial_say(&s, "x", 1), 0);
		at = read_some(at);
		turn();
		assert_int_equal(rooms, before + 1);
	}
	at = read_some(at);
	assert_int_equal(at, TEXT_MAX);
	assert_memory_equal(got, big, TEXT_MAX);
	/* What was taken later is in the log once. */
	assert_last_line(&s.other, "0131071");
	assert_string_equal(serial_log_get(&s.other, 0), "0131053");
}

/* A reader that goes away while text was refused: the guest gets rid of it all the same. */
static void test_say_to_nobody(void **state)
{
	(void)state;
	rooms = 0;
	init_with_reader(true);
	s.port.room = room;
	for (unsigned i = 0; i < 1000 && !s.refused; i++)
		guest_serial_say(&s, big, 3000);
	assert_true(s.refused);
	close_fd(&reader);
	turn();
	assert_int_equal(rooms, 1);
	assert_int_equal(guest_serial_say(&s, big, 3000), 3000);
}

static void test_panic(void **state)
{
	(void)state;
	static const char text[] = "[ 1.0] Kernel panic - not syncing: no init\n";
	for (int other = 0; other < 2; other++) {
		if (other) {
			teardown(NULL);
			setup(NULL);
		}
		init(false);
		if (other) {
			guest_serial_say(&s, text, sizeof(text) - 1);
		} else {
			says(text, sizeof(text) - 1);
			turn();
		}
		assert_string_equal(guest_serial_panic(&s), "Kernel panic - not syncing: no init");
	}
	/* Bytes of two consoles are not one line. */
	teardown(NULL);
	setup(NULL);
	init(false);
	says("Kernel panic - ", 15);
	turn();
	guest_serial_say(&s, "not syncing: x\n", 15);
	assert_null(guest_serial_panic(&s));
}

static void *read_slowly(void *arg)
{
	for (size_t at = 0; at < port.len; at = read_some(at)) {
		struct timespec ts = {.tv_nsec = 1000000};
		nanosleep(&ts, NULL);
	}
	return arg;
}

/* The last words wait for their reader, too. */
static void test_drain_waits(void **state)
{
	(void)state;
	pthread_t t;
	init_with_reader(true);
	port.text = big;
	port.len = 50000;
	assert_int_equal(pthread_create(&t, NULL, read_slowly, NULL), 0);
	guest_serial_drain(&s);
	pthread_join(t, NULL);
	assert_int_equal(port.taken, port.len);
	assert_memory_equal(got, big, port.len);
	assert_last_line(&s.log, "0006249");
}

/* But not for one that is gone. */
static void test_drain_to_nobody(void **state)
{
	(void)state;
	init_with_reader(true);
	says(big, TEXT_MAX);
	turn();
	assert_true(port.taken < TEXT_MAX);
	close_fd(&reader);
	guest_serial_drain(&s);
	assert_int_equal(port.taken, TEXT_MAX);
	assert_last_line(&s.log, "0131071");
}

static void test_drain(void **state)
{
	(void)state;
	init_with_reader(true);
	port.text = "the last words\n";
	port.len = 15;
	guest_serial_drain(&s);
	assert_int_equal(read_some(0), 15);
	assert_last_line(&s.log, "the last words");
	/* As much as the serial port can hold. */
	port.text = big;
	port.len = 16384;
	port.taken = 0;
	guest_serial_drain(&s);
	assert_int_equal(port.taken, 16384);
	assert_last_line(&s.log, "0002047");
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_output),
		T(test_without_console),
		T(test_lossless),
		T(test_lossy),
		T(test_endless_output),
		T(test_typed),
		T(test_typed_fast),
		T(test_both_ways),
		T(test_reader_leaves),
		T(test_reader_leaves_text),
		T(test_end_of_typing),
		T(test_source_ends),
		T(test_say),
		T(test_say_lossless),
		T(test_say_to_nobody),
		T(test_panic),
		T(test_drain),
		T(test_drain_waits),
		T(test_drain_to_nobody),
	};
	alarm(50);
	return cmocka_run_group_tests_name("guest_serial", tests, NULL, NULL);
}
