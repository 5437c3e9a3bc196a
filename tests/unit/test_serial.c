// SPDX-License-Identifier: Apache-2.0
// test_serial.c - the port as drivers find and drive it, full buffers, several threads at once
// links: runtime/device/serial.c
#include "device/serial.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR, FCR = IIR };

static struct serial s;
static int irq = -1;
static unsigned wakes;
static unsigned accesses;

static void count_wake(void *arg)
{
	/* The caller must not hold the lock; another thread may, for a moment. */
	struct timespec end;
	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += 5;
	assert_int_equal(pthread_mutex_timedlock(&((struct serial *)arg)->lock, &end), 0);
	pthread_mutex_unlock(&((struct serial *)arg)->lock);
	wakes++;
}

static int setup(void **state)
{
	(void)state;
	wakes = accesses = 0;
	irq = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return serial_init(&s, irq, count_wake, &s);
}

static int teardown(void **state)
{
	(void)state;
	serial_destroy(&s);
	return close(irq);
}

static uint8_t in(unsigned reg)
{
	uint8_t v = 0xee;
	accesses++;
	serial_read(&s, reg, &v, 1);
	return v;
}

static void out(unsigned reg, uint8_t v)
{
	accesses++;
	serial_write(&s, reg, &v, 1);
}

static uint64_t interrupts(void)
{
	uint64_t n = 0;
	return read(irq, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

static void type(const char *text, size_t taken)
{
	assert_int_equal(serial_input(&s, text, strlen(text)), taken);
}

static void fill_output(size_t room)
{
	while (s.out_len < SERIAL_OUT_MAX - room)
		out(DATA, 'x');
}

/* What Linux's autoconfig looks at, with the optional probes for variants of the chip. */
static void test_found_as_16550a(void **state)
{
	(void)state;
	out(IER, 0);
	assert_int_equal(in(IER)&0x0f, 0);
	out(IER, 0x0f);
	assert_int_equal(in(IER)&0x0f, 0x0f);
	out(IER, 0);
	out(MCR, 0x10 | 0x08 | 0x02);
	assert_int_equal(in(MSR)&0xf0, 0x90);
	out(MCR, 0);
	out(LCR, 0xbf);
	out(FCR, 0);
	out(LCR, 0);
	out(FCR, 1);
	assert_int_equal(in(IIR) >> 6, 3);
	/* No extended features behind DLAB, nor behind 0xbf or bank 2. */
	out(LCR, 0x80);
	assert_int_not_equal(in(IIR), 0);
	out(LCR, 0xbf);
	assert_int_not_equal(in(IIR), 0);
	out(LCR, 0xe0);
	assert_int_equal(in(IIR)&0x10, 0);
	out(LCR, 0);
	out(MCR, 0x10);
	out(LCR, 0xe0);
	assert_int_equal(in(IIR)&0x10, 0);
	out(LCR, 0);
	out(MCR, 0);
	/* Not the 64-byte FIFO of a 16750, nor an unmasked bit 6 of the IER. */
	out(FCR, 0x21);
	assert_int_equal(in(IIR)&0xe0, 0xc0);
	out(LCR, 0x80);
	out(FCR, 0x21);
	assert_int_equal(in(IIR)&0xe0, 0xc0);
	out(LCR, 0);
	out(IER, 0x40);
	assert_int_equal(in(IER), 0);
}

/* The FIFO's size, measured in loopback: 16, and the rest is overrun. */
static void test_loopback_data(void **state)
{
	(void)state;
	unsigned n = 0;
	out(FCR, 7);
	out(MCR, 0x10);
	for (unsigned i = 0; i < 256; i++)
		out(DATA, (uint8_t)i);
	assert_int_equal(in(LSR), 0x63);
	while (in(LSR)&1)
		assert_int_equal(in(DATA), n++);
	assert_int_equal(n, 16);
	assert_int_equal(in(LSR), 0x60);
	assert_int_equal(in(DATA), 0);
	assert_int_equal(s.out_len, 0);
	assert_int_equal(wakes, 0);
	/* While the port talks to itself, nobody else does. */
	out(IER, 1);
	type("x", 0);
	out(MCR, 8);
	assert_int_equal(wakes, 1);
	type("x", 1);
}

static void test_loopback_lines(void **state)
{
	(void)state;
	assert_int_equal(in(MSR), 0xb0);
	static const uint8_t lines[][2] = {{1, 0x20}, {2, 0x10}, {4, 0x40}, {8, 0x80}, {0xf, 0xf0}};
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		out(MCR, 0x10 | lines[i][0]);
		assert_int_equal(in(MSR), lines[i][1]);
	}
	out(MCR, 0xff);
	assert_int_equal(in(MCR), 0x1f);
}

static void test_plain_registers(void **state)
{
	(void)state;
	assert_int_equal(in(LCR), 0);
	out(SCR, 0xa5);
	assert_int_equal(in(SCR), 0xa5);
	/* A divisor of 0 would have Linux divide by it. */
	out(LCR, 0x83);
	assert_int_equal(in(DATA), 1);
	assert_int_equal(in(IER), 0);
	out(DATA, 0x12);
	out(IER, 0x34);
	assert_int_equal(in(DATA), 0x12);
	assert_int_equal(in(IER), 0x34);
	out(LCR, 3);
	assert_int_equal(in(IER), 0);
	assert_int_equal(s.out_len, 0);
	/* Status registers take no writes. */
	out(LSR, 0);
	out(MSR, 0);
	assert_int_equal(in(LSR), 0x60);
	assert_int_equal(in(MSR), 0xb0);
}

static void test_wide_access(void **state)
{
	(void)state;
	uint8_t v[8];
	uint8_t buf[4];
	out(LCR, 0x80);
	serial_write(&s, DATA, "\x0c\x01", 2);
	serial_read(&s, DATA, v, 4);
	assert_memory_equal(v, "\x0c\x01\x01\x80", 4);
	serial_write(&s, LCR, "\x03", 1);
	serial_write(&s, DATA, "A\0\0\0", 4);
	assert_int_equal(serial_take(&s, buf, sizeof(buf)), 1);
	assert_int_equal(buf[0], 'A');
	/* Behind the last register there is nothing. */
	out(SCR, 0x5a);
	serial_read(&s, SCR, v, 8);
	assert_memory_equal(v, "\x5a\xff\xff\xff\xff\xff\xff\xff", 8);
	serial_write(&s, SCR, "\x11\x22\x33\x44", 4);
	assert_int_equal(in(SCR), 0x11);
	assert_int_equal(in(DATA), 0);
	assert_int_equal(serial_take(&s, buf, sizeof(buf)), 0);
}

static void test_output(void **state)
{
	(void)state;
	char buf[16] = "";
	out(DATA, 'h');
	out(DATA, 'i');
	assert_int_equal(wakes, 1);
	assert_int_equal(serial_take(&s, buf, 1), 1);
	out(DATA, '!');
	assert_int_equal(wakes, 1);
	assert_int_equal(serial_take(&s, buf + 1, sizeof(buf) - 1), 2);
	assert_string_equal(buf, "hi!");
	assert_int_equal(serial_take(&s, buf, sizeof(buf)), 0);
	out(DATA, '?');
	assert_int_equal(wakes, 2);
	assert_int_equal(interrupts(), 0);
}

static void test_output_full(void **state)
{
	(void)state;
	static uint8_t buf[SERIAL_OUT_MAX + 1];
	fill_output(SERIAL_FIFO);
	assert_int_equal(in(LSR), 0x60);
	out(DATA, 'x');
	assert_int_equal(in(LSR), 0);
	/* What it found empty before it may still fill. */
	fill_output(0);
	assert_int_equal(serial_dropped(&s), 0);
	for (int i = 0; i < 100; i++)
		out(DATA, 'y');
	assert_int_equal(serial_dropped(&s), 100);
	assert_int_equal(serial_take(&s, buf, SERIAL_FIFO - 1), SERIAL_FIFO - 1);
	assert_int_equal(in(LSR), 0);
	assert_int_equal(serial_take(&s, buf, 1), 1);
	assert_int_equal(in(LSR), 0x60);
	for (unsigned i = 0; i < SERIAL_FIFO; i++)
		out(DATA, (uint8_t)('a' + i));
	assert_int_equal(serial_take(&s, buf, sizeof(buf)), SERIAL_OUT_MAX);
	assert_memory_equal(buf + SERIAL_OUT_MAX - 18, "xxabcdefghijklmnop", 18);
	assert_null(memchr(buf, 'y', SERIAL_OUT_MAX));
	assert_int_equal(wakes, 1);
}

/* Linux tests at startup that enabling the interrupt raises it, also the second time. */
static void test_thre_on_enable(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		out(IER, 2);
		assert_int_equal(interrupts(), 1);
		assert_int_equal(in(LSR), 0x60);
		assert_int_equal(in(IIR), 2);
		assert_int_equal(in(IIR), 1);
		out(IER, 0);
		assert_int_equal(in(IIR), 1);
	}
	out(IER, 2);
	out(IER, 0);
	assert_int_equal(in(IIR), 1);
	out(IER, 2);
	out(IER, 3);
	assert_int_equal(in(IIR), 2);
	out(IER, 3);
	assert_int_equal(in(IIR), 1);
	assert_int_equal(interrupts(), 2);
}

/* A driver's handler: one interrupt and 19 accesses for 16 bytes, and no more while it stays. */
static void test_output_by_interrupt(void **state)
{
	(void)state;
	uint8_t buf[256];
	out(FCR, 1);
	out(IER, 2);
	assert_int_equal(interrupts(), 1);
	accesses = 0;
	for (int burst = 0; burst < 4; burst++) {
		assert_int_equal(in(IIR), 0xc2);
		assert_int_equal(in(LSR), 0x60);
		in(MSR);
		for (int i = 0; i < 16; i++)
			out(DATA, 'b');
	}
	out(IER, 0);
	assert_int_equal(in(IIR), 0xc1);
	assert_int_equal(accesses, 4 * 19 + 2);
	assert_int_equal(interrupts(), 0);
	assert_int_equal(wakes, 1);
	assert_int_equal(serial_take(&s, buf, sizeof(buf)), 64);
	assert_int_equal(interrupts(), 0);
}

/* One that waits for its interrupt gets it when the bytes are taken; once. */
static void test_thre_when_taken(void **state)
{
	(void)state;
	uint8_t buf[16];
	out(IER, 2);
	in(IIR);
	interrupts();
	out(DATA, 'a');
	out(DATA, 'b');
	assert_int_equal(interrupts(), 0);
	assert_int_equal(serial_take(&s, buf, 1), 1);
	assert_int_equal(interrupts(), 1);
	assert_int_equal(serial_take(&s, buf, 1), 1);
	assert_int_equal(interrupts(), 0);
	assert_int_equal(in(IIR), 2);
	assert_int_equal(in(IIR), 1);
}

static void test_thre_waits_for_room(void **state)
{
	(void)state;
	static uint8_t buf[SERIAL_OUT_MAX];
	fill_output(0);
	out(IER, 2);
	assert_int_equal(serial_take(&s, buf, SERIAL_FIFO - 1), SERIAL_FIFO - 1);
	assert_int_equal(interrupts(), 0);
	assert_int_equal(in(IIR), 1);
	assert_int_equal(serial_take(&s, buf, 1), 1);
	assert_int_equal(interrupts(), 1);
	assert_int_equal(in(IIR), 2);
	out(DATA, 'x');
	assert_int_equal(in(IIR), 1);
	assert_int_equal(serial_take(&s, buf, 100), 100);
	assert_int_equal(interrupts(), 1);
	/* One that has come and is not looked at while the buffer fills up again. */
	fill_output(0);
	assert_int_equal(in(IIR), 1);
}

static void test_input(void **state)
{
	(void)state;
	type("early", 0);
	out(FCR, 1);
	assert_int_equal(wakes, 0);
	assert_int_equal(in(LSR), 0x60);
	/* As Linux does to see whether the register works: nothing must come of that. */
	out(IER, 5);
	assert_int_equal(wakes, 0);
	type("early", 0);
	out(MCR, 8);
	assert_int_equal(wakes, 1);
	type("0123456789abcdefgh", 16);
	assert_int_equal(interrupts(), 1);
	assert_int_equal(in(IIR), 0xc4);
	assert_int_equal(in(LSR), 0x61);
	assert_int_equal(in(DATA), '0');
	assert_int_equal(in(DATA), '1');
	type("ghi", 2);
	assert_int_equal(interrupts(), 0);
	for (int i = 2; i < 18; i++) {
		assert_int_equal(wakes, 1);
		assert_int_equal(in(LSR), 0x61);
		assert_int_equal(in(DATA), "0123456789abcdefgh"[i]);
	}
	/* Empty, and somebody waited for that. */
	assert_int_equal(wakes, 2);
	assert_int_equal(in(LSR), 0x60);
	assert_int_equal(in(IIR), 0xc1);
	type("z", 1);
	assert_int_equal(interrupts(), 1);
	assert_int_equal(in(DATA), 'z');
	assert_int_equal(wakes, 2);
}

static void test_input_without_fifo(void **state)
{
	(void)state;
	out(MCR, 8);
	out(IER, 1);
	type("ab", 1);
	assert_int_equal(in(IIR), 4);
	assert_int_equal(in(DATA), 'a');
	assert_int_equal(wakes, 1);
	type("b", 1);
	/* Switching the FIFOs on keeps it: Debian's 6.1 does so with somebody typing. */
	out(FCR, 1);
	assert_int_equal(in(LSR), 0x61);
	assert_int_equal(in(DATA), 'b');
	type("cd", 2);
	out(FCR, 3);
	assert_int_equal(in(LSR), 0x60);
	type("ef", 2);
	out(FCR, 5);
	assert_int_equal(in(DATA), 'e');
	out(FCR, 0);
	assert_int_equal(in(LSR), 0x60);
}

static void test_interrupt_priorities(void **state)
{
	(void)state;
	out(FCR, 1);
	out(MCR, 0x10);
	for (int i = 0; i < 17; i++)
		out(DATA, 'x');
	out(MCR, 0);
	out(IER, 7);
	assert_int_equal(interrupts(), 1);
	assert_int_equal(in(IIR), 0xc6);
	assert_int_equal(in(LSR), 0x63);
	assert_int_equal(in(IIR), 0xc4);
	assert_int_equal(in(IIR), 0xc4);
	for (int i = 0; i < 16; i++)
		in(DATA);
	assert_int_equal(in(IIR), 0xc2);
	assert_int_equal(in(IIR), 0xc1);
}

static void *writes_all(void *arg)
{
	size_t *n = arg;
	for (; *n < SERIAL_OUT_MAX + 100; (*n)++) {
		uint8_t v = (uint8_t)*n;
		serial_write(&s, DATA, &v, 1);
	}
	return NULL;
}

static void test_patient(void **state)
{
	(void)state;
	static uint8_t buf[SERIAL_OUT_MAX];
	pthread_t t;
	size_t written = 0;
	size_t got = 0;
	s.patient = true;
	assert_int_equal(pthread_create(&t, NULL, writes_all, &written), 0);
	/* However late the owner comes, every byte does, in order. */
	while (got < SERIAL_OUT_MAX + 100) {
		size_t n = serial_take(&s, buf, 1000);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(buf[i], (uint8_t)(got + i));
		got += n;
	}
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_int_equal(serial_dropped(&s), 0);
	/* With nobody to take it, serial_stop() ends the wait. */
	written = 0;
	assert_int_equal(pthread_create(&t, NULL, writes_all, &written), 0);
	serial_stop(&s);
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_int_equal(serial_take(&s, buf, sizeof(buf)), SERIAL_OUT_MAX);
	assert_int_equal(serial_dropped(&s), 100);
}

static void test_no_listeners(void **state)
{
	(void)state;
	struct serial alone;
	uint8_t buf[4];
	uint8_t v = 8;
	assert_int_equal(serial_init(&alone, -1, NULL, NULL), 0);
	serial_write(&alone, MCR, &v, 1);
	v = 3;
	serial_write(&alone, IER, &v, 1);
	serial_write(&alone, DATA, &v, 1);
	assert_int_equal(serial_input(&alone, "ab", 2), 1);
	serial_read(&alone, DATA, &v, 1);
	assert_int_equal(v, 'a');
	assert_int_equal(serial_take(&alone, buf, sizeof(buf)), 1);
	serial_destroy(&alone);
}

/* A full counter must not block a vCPU. */
static void test_nobody_reads_interrupts(void **state)
{
	(void)state;
	uint64_t full = UINT64_MAX - 1;
	assert_int_equal(write(irq, &full, sizeof(full)), sizeof(full));
	out(IER, 2);
	assert_int_equal(in(IIR), 2);
	assert_true(interrupts() == full);
}

#define BYTES 200000u

struct hub {
	int wake_fd;
	bool polite;
};

static void wake_owner(void *arg)
{
	uint64_t one = 1;
	assert_int_equal(write(((struct hub *)arg)->wake_fd, &one, sizeof(one)), sizeof(one));
}

/* A vCPU that waits for room, or does not, and touches everything else in between. */
static void *vcpu(void *arg)
{
	const struct hub *h = arg;
	uint8_t v;
	for (unsigned i = 0; i < BYTES;) {
		serial_read(&s, LSR, &v, 1);
		if (h->polite && !(v & 0x20)) {
			usleep(10);
			continue;
		}
		v = 'p';
		for (int k = 0; k < 8; k++, i++)
			serial_write(&s, DATA, &v, 1);
		serial_read(&s, IIR, &v, 1);
		serial_read(&s, DATA, &v, 1);
		v = (uint8_t)(i >> 3 & 3);
		serial_write(&s, IER, &v, 1);
	}
	return NULL;
}

static size_t run_threads(bool polite)
{
	struct hub h = {.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .polite = polite};
	struct pollfd p = {.fd = h.wake_fd, .events = POLLIN};
	static uint8_t buf[3000];
	pthread_t t[2];
	size_t sum = 0;
	size_t n;
	s.wake = wake_owner;
	s.wake_arg = &h;
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&t[i], NULL, vcpu, &h), 0);
	/* Asleep until it is woken: a lost wake ends the test by its deadline. */
	while (sum + serial_dropped(&s) < (size_t)2 * BYTES) {
		uint64_t count;
		assert_true(poll(&p, 1, 10000) == 1);
		assert_int_equal(read(h.wake_fd, &count, sizeof(count)), sizeof(count));
		while ((n = serial_take(&s, buf, sizeof(buf))) > 0) {
			assert_null(memchr(buf, 'x', n));
			sum += n;
		}
		serial_input(&s, "input", 5);
	}
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	close(h.wake_fd);
	return sum;
}

static void test_threads_polite(void **state)
{
	(void)state;
	assert_int_equal(run_threads(true), 2 * BYTES);
	assert_int_equal(serial_dropped(&s), 0);
}

static void test_threads_flood(void **state)
{
	(void)state;
	size_t sum = run_threads(false);
	assert_int_equal(sum + serial_dropped(&s), 2 * BYTES);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_found_as_16550a),
		T(test_loopback_data),
		T(test_loopback_lines),
		T(test_plain_registers),
		T(test_wide_access),
		T(test_output),
		T(test_output_full),
		T(test_thre_on_enable),
		T(test_output_by_interrupt),
		T(test_thre_when_taken),
		T(test_thre_waits_for_room),
		T(test_input),
		T(test_input_without_fifo),
		T(test_interrupt_priorities),
		T(test_patient),
		T(test_nobody_reads_interrupts),
		T(test_no_listeners),
		T(test_nobody_reads_interrupts),
		T(test_threads_polite),
		T(test_threads_flood),
	};
	alarm(50);
	return cmocka_run_group_tests_name("serial", tests, NULL, NULL);
}
