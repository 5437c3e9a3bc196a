// SPDX-License-Identifier: Apache-2.0
// test_vcpu.c - what scripted CPUs ask for, served by the real buses and devices; how machines end
// links: runtime/engine/vcpu.c runtime/engine/bus.c runtime/device/serial.c runtime/device/i8042.c runtime/device/rtc.c tests/lib/fake_engine.c
#include "engine/vcpu.h"

#include "base/checked.h"
#include "device/i8042.h"
#include "device/rtc.h"
#include "device/serial.h"
#include "lib/fake_engine.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define COM1 SERIAL_COM1_PORT
#define STATUS_PORT (SERIAL_COM1_PORT + 5)
#define TICKS_PORT 0x500
#define TICKS_MMIO 0xd0000000ull
#define STOP_MS 10000

static struct {
	struct bus ports, mmio;
	struct vcpus set;
	struct fake_cpu cpu[VCPU_MAX];
	unsigned n;
	struct serial uart;
	struct i8042 i8042;
	struct rtc rtc;
	atomic_uint ticks;
} w;

static void on_reset(void *arg)
{
	(void)arg;
	vcpus_end(&w.set, VCPUS_END_RESET, "reset by the keyboard controller");
}

/* Each access gets the next number. */
static void ticks_read(void *arg, uint64_t off, void *data, unsigned len)
{
	unsigned v = atomic_fetch_add(&w.ticks, 1) + 1;
	(void)arg;
	(void)off;
	memcpy(data, &v, MIN(len, sizeof(v)));
}

static void claim(struct bus *b, uint64_t base, uint64_t len, struct bus_window win)
{
	assert_int_equal(bus_add(b, base, len, &win), 0);
}

static int setup(void **state)
{
	(void)state;
	memset(&w, 0, sizeof(w));
	i8042_init(&w.i8042, on_reset, NULL);
	if (serial_init(&w.uart, -1, NULL, NULL) < 0 || rtc_init(&w.rtc) < 0)
		return -1;
	claim(&w.ports, COM1, SERIAL_NUM_REGS,
	      (struct bus_window){.name = "serial",
				  .arg = &w.uart,
				  .read = serial_read,
				  .write = serial_write});
	claim(&w.ports, I8042_COMMAND_PORT, 1,
	      (struct bus_window){.name = "i8042",
				  .arg = &w.i8042,
				  .read = i8042_command_read,
				  .write = i8042_command_write});
	claim(&w.ports, RTC_PORT, RTC_NUM_PORTS,
	      (struct bus_window){
		      .name = "rtc", .arg = &w.rtc, .read = rtc_read, .write = rtc_write});
	claim(&w.ports, TICKS_PORT, 4, (struct bus_window){.name = "ticks", .read = ticks_read});
	claim(&w.mmio, TICKS_MMIO, 0x1000,
	      (struct bus_window){.name = "ticks", .read = ticks_read});
	return vcpus_init(&w.set, &fake_engine_ops, &w.ports, &w.mmio);
}

static int teardown(void **state)
{
	(void)state;
	assert_int_equal(vcpus_stop(&w.set, STOP_MS), 0);
	vcpus_free(&w.set);
	for (unsigned i = 0; i < w.n; i++) {
		assert_false(w.cpu[i].lost);
		fake_cpu_destroy(&w.cpu[i]);
	}
	serial_destroy(&w.uart);
	rtc_destroy(&w.rtc);
	return 0;
}

static struct fake_cpu *add(const struct fake_step *script, size_t n)
{
	struct fake_cpu *c = &w.cpu[w.n++];
	fake_cpu_init(c, script, n);
	assert_int_equal(vcpus_add(&w.set, c), 0);
	return c;
}

#define ADD(script) add(script, ARRAY_SIZE(script))

/* Starts the only CPU, waits until it stays in the guest, and stops it. */
static void run_alone(struct fake_cpu *c)
{
	assert_int_equal(vcpus_start(&w.set), 0);
	assert_true(fake_cpu_wait(c));
	assert_int_equal(vcpus_stop(&w.set, STOP_MS), 0);
	assert_int_equal(w.set.end, VCPUS_END_NONE);
}

static bool ended(int ms)
{
	struct pollfd p = {.fd = w.set.end_fd, .events = POLLIN};
	return poll(&p, 1, ms) == 1;
}

static void run_to_end(void)
{
	assert_false(ended(0));
	assert_int_equal(vcpus_start(&w.set), 0);
	assert_true(ended(STOP_MS));
	assert_int_equal(vcpus_stop(&w.set, STOP_MS), 0);
}

static unsigned long long exits(unsigned cpu, enum vcpu_exit_kind k)
{
	return atomic_load(&w.set.cpu[cpu].exits[k]);
}

static void test_strings_to_a_port(void **state)
{
	(void)state;
	static const struct fake_step script[] = {
		FAKE_OUT(COM1, '>'),
		{.kind = VCPU_EXIT_PORT,
		 .write = true,
		 .len = 1,
		 .count = 12,
		 .addr = COM1,
		 .data = "hello, world"},
	};
	char text[32] = "";
	run_alone(ADD(script));
	assert_int_equal(serial_take(&w.uart, text, sizeof(text)), 13);
	assert_string_equal(text, ">hello, world");
	/* Two exits, thirteen accesses. */
	assert_int_equal(exits(0, VCPU_EXIT_PORT), 2);
	assert_int_equal(atomic_load(&w.ports.window[0].accesses), 13);
}

/* Each element of a string has its own access, and its own place in the engine's memory. */
static void test_strings_from_a_port(void **state)
{
	(void)state;
	static const struct fake_step script[] = {
		{.kind = VCPU_EXIT_PORT, .len = 1, .count = 3, .addr = TICKS_PORT},
		{.kind = VCPU_EXIT_PORT, .len = 2, .count = 2, .addr = TICKS_PORT},
		{.kind = VCPU_EXIT_PORT, .len = 4, .count = 2, .addr = TICKS_PORT},
		{.kind = VCPU_EXIT_PORT, .len = 4, .count = 2, .addr = TICKS_PORT + 1},
		FAKE_IN(TICKS_PORT, 1),
	};
	static const uint8_t want[] = {1, 2, 3, 4,    0,    5,	  0,	6,    0,    0,	  0,	7,
				       0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 8};
	struct fake_cpu *c = ADD(script);
	run_alone(c);
	assert_int_equal(c->n_answers, sizeof(want));
	assert_memory_equal(c->answer, want, sizeof(want));
}

static void test_mmio(void **state)
{
	(void)state;
	static const struct fake_step script[] = {
		FAKE_GET(TICKS_MMIO, 1),	 FAKE_GET(TICKS_MMIO + 0xff8, 8),
		FAKE_GET(TICKS_MMIO + 0xffc, 8), /* over the window's end */
		FAKE_GET(TICKS_MMIO, 3),	 FAKE_GET(0xfee00000, 4),
		FAKE_PUT(TICKS_MMIO, 1),	 FAKE_PUT(0x1234, 1),
		FAKE_GET(TICKS_PORT, 1), /* ports and memory are two spaces */
		FAKE_IN(TICKS_MMIO & 0xffff, 1),
	};
	static const uint8_t want[] = {1,    2,	   0,	 0,    0,    0,	   0,	 0,    0,
				       0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
				       0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	struct fake_cpu *c = ADD(script);
	run_alone(c);
	assert_int_equal(c->n_answers, sizeof(want));
	assert_memory_equal(c->answer, want, sizeof(want));
	assert_int_equal(exits(0, VCPU_EXIT_MMIO), 8);
	assert_int_equal(exits(0, VCPU_EXIT_PORT), 1);
	assert_int_equal(atomic_load(&w.mmio.window[0].accesses), 3);
	assert_int_equal(atomic_load(&w.mmio.unclaimed), 5);
	assert_int_equal(atomic_load(&w.ports.unclaimed), 1);
}

static void test_devices(void **state)
{
	(void)state;
	static const struct fake_step script[] = {
		FAKE_IN(STATUS_PORT, 1),
		FAKE_IN(I8042_COMMAND_PORT, 1),
		FAKE_OUT(I8042_COMMAND_PORT, 0xaa), /* not the reset command */
		FAKE_OUT(RTC_PORT, 0x0a),
		FAKE_IN(RTC_PORT + 1, 1),
		FAKE_OUT(COM1 + 7, 0x42),
		FAKE_IN(COM1 + 7, 1),
	};
	static const uint8_t want[] = {0x60, 0x01, 0x26, 0x42};
	struct fake_cpu *c = ADD(script);
	run_alone(c);
	assert_int_equal(c->n_answers, sizeof(want));
	assert_memory_equal(c->answer, want, sizeof(want));
}

static void test_counts(void **state)
{
	(void)state;
	static const struct fake_step first[] = {
		{.kind = VCPU_EXIT_AGAIN, .repeat = 3},
		{.kind = VCPU_EXIT_HLT, .repeat = 2},
		FAKE_SIMPLE(VCPU_EXIT_KICK),
		FAKE_OUT(COM1, 'x'),
		FAKE_GET(TICKS_MMIO, 4),
	};
	static const struct fake_step second[] = {{.kind = VCPU_EXIT_PORT,
						   .write = true,
						   .len = 1,
						   .addr = COM1,
						   .value = 'y',
						   .repeat = 100}};
	struct fake_cpu *c = ADD(first);
	struct fake_cpu *d = ADD(second);
	assert_int_equal(vcpus_exits(&w.set), 0);
	assert_int_equal(vcpus_start(&w.set), 0);
	assert_true(fake_cpu_wait(c));
	assert_true(fake_cpu_wait(d));
	/* While they are inside, what was before has been counted. */
	assert_int_equal(vcpus_exits(&w.set), 8 + 100);
	assert_int_equal(exits(0, VCPU_EXIT_AGAIN), 3);
	assert_int_equal(exits(0, VCPU_EXIT_HLT), 2);
	assert_int_equal(exits(0, VCPU_EXIT_KICK), 1);
	assert_int_equal(exits(0, VCPU_EXIT_PORT), 1);
	assert_int_equal(exits(0, VCPU_EXIT_MMIO), 1);
	assert_int_equal(exits(1, VCPU_EXIT_PORT), 100);
	assert_int_equal(atomic_load(&w.ports.window[0].accesses), 101);
}

/* A signal that nobody of ours sent: the CPU comes back and goes in again. */
static void test_stray_signal(void **state)
{
	(void)state;
	static const struct fake_step script[] = {FAKE_STAYS, FAKE_OUT(COM1, 'x')};
	struct fake_cpu *c = ADD(script);
	assert_int_equal(vcpus_start(&w.set), 0);
	assert_true(fake_cpu_wait(c));
	pthread_kill(w.set.cpu[0].thread, SIGRTMIN);
	assert_true(fake_cpu_wait(c));
	assert_int_equal(exits(0, VCPU_EXIT_KICK), 1);
	assert_int_equal(w.uart.out_len, 1);
	assert_int_equal(atomic_load(&c->entries), 3);
}

static void test_reset_ends_all(void **state)
{
	(void)state;
	static const struct fake_step waits[] = {FAKE_STAYS};
	static const struct fake_step busy[] = {
		{.kind = VCPU_EXIT_MMIO, .write = true, .len = 4, .repeat = ~0u}};
	static const struct fake_step resets[] = {FAKE_STAYS, FAKE_OUT(I8042_COMMAND_PORT, 0xfe),
						  FAKE_OUT(COM1, 'x')};
	struct fake_cpu *inside = ADD(waits);
	struct fake_cpu *c = ADD(resets);
	ADD(busy);
	c->place = "RIP 0x1234";
	assert_int_equal(vcpus_start(&w.set), 0);
	assert_true(fake_cpu_wait(inside));
	assert_true(fake_cpu_wait(c));
	assert_false(ended(0));
	pthread_kill(w.set.cpu[1].thread, SIGRTMIN);
	assert_true(ended(STOP_MS));
	/* They leave by themselves: nobody has asked them to stop. */
	for (unsigned i = 0; i < STOP_MS; i++) {
		pthread_mutex_lock(&w.set.lock);
		unsigned n = w.set.ended;
		pthread_mutex_unlock(&w.set.lock);
		if (n == 3)
			break;
		poll(NULL, 0, 1);
	}
	assert_int_equal(w.set.ended, 3);
	assert_int_equal(w.set.end, VCPUS_END_RESET);
	assert_string_equal(w.set.detail, "reset by the keyboard controller, CPU 1 at RIP 0x1234");
	/* Nothing of the guest was run after the reset. */
	assert_int_equal(w.uart.out_len, 0);
}

static void test_causes(void **state)
{
	(void)state;
	static const struct {
		struct fake_step step;
		enum vcpus_end end;
		const char *text;
	} rows[] = {
		{FAKE_SIMPLE(VCPU_EXIT_SHUTDOWN), VCPUS_END_SHUTDOWN,
		 "triple fault, CPU 0 at RIP 0x10"},
		{FAKE_SAYS(VCPU_EXIT_EVENT, "system event 2"), VCPUS_END_RESET,
		 "system event 2, CPU 0 at RIP 0x10"},
		{FAKE_SAYS(VCPU_EXIT_ERROR, "no such thing"), VCPUS_END_ERROR,
		 "no such thing, CPU 0 at RIP 0x10"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (i > 0)
			setup(NULL);
		add(&rows[i].step, 1)->place = "RIP 0x10";
		run_to_end();
		assert_int_equal(w.set.end, rows[i].end);
		assert_string_equal(w.set.detail, rows[i].text);
		assert_int_equal(exits(0, rows[i].step.kind), 1);
		if (i + 1 < ARRAY_SIZE(rows))
			teardown(NULL);
	}
}

/* The guest has no say in how long the text gets, but the engine's is long. */
static void test_long_text(void **state)
{
	(void)state;
	static const char words[] =
		"0123456789012345678901234567890123456789012345678901234567890123456789"
		"0123456789012345678901234567890123456789012345678901234567890123456789"
		"0123456789012345678901234567890123456789";
	static const struct fake_step script[] = {FAKE_SAYS(VCPU_EXIT_ERROR, words)};
	ADD(script)->place = words;
	run_to_end();
	assert_int_equal(strlen(w.set.detail), VCPU_DETAIL_MAX - 1);
	assert_memory_equal(w.set.detail, words, VCPU_DETAIL_MAX - 1);
}

static void test_first_cause_counts(void **state)
{
	(void)state;
	static const struct fake_step faults[] = {FAKE_GATE, FAKE_SIMPLE(VCPU_EXIT_SHUTDOWN)};
	static const struct fake_step resets[] = {FAKE_STAYS, FAKE_OUT(I8042_COMMAND_PORT, 0xfe)};
	struct fake_cpu *late = ADD(faults);
	struct fake_cpu *early = ADD(resets);
	assert_int_equal(vcpus_start(&w.set), 0);
	assert_true(fake_cpu_wait(late));
	assert_true(fake_cpu_wait(early));
	pthread_kill(w.set.cpu[1].thread, SIGRTMIN);
	assert_true(ended(STOP_MS));
	fake_cpu_open(late);
	vcpus_end(&w.set, VCPUS_END_ERROR, "from outside, too late");
	assert_int_equal(vcpus_stop(&w.set, STOP_MS), 0);
	vcpus_end(&w.set, VCPUS_END_ERROR, "after everything");
	assert_int_equal(w.set.end, VCPUS_END_RESET);
	assert_string_equal(w.set.detail, "reset by the keyboard controller, CPU 1 at step one");
}

/* All of them at once: one cause, told once. */
static void test_many_causes_at_once(void **state)
{
	(void)state;
	static const struct fake_step script[] = {
		{.kind = VCPU_EXIT_PORT, .len = 1, .addr = TICKS_PORT, .repeat = 10},
		FAKE_SIMPLE(VCPU_EXIT_SHUTDOWN)};
	uint64_t count = 0;
	char want[64];
	unsigned faults = 0;
	for (unsigned i = 0; i < 8; i++)
		ADD(script);
	run_to_end();
	assert_int_equal(read(w.set.end_fd, &count, sizeof(count)), sizeof(count));
	assert_int_equal(count, 1);
	unsigned who = (unsigned)(strstr(w.set.detail, "CPU ") + 4)[0] - '0';
	snprintf(want, sizeof(want), "triple fault, CPU %u at step one", who);
	assert_string_equal(w.set.detail, want);
	assert_int_equal(exits(who, VCPU_EXIT_SHUTDOWN), 1);
	for (unsigned i = 0; i < 8; i++)
		faults += (unsigned)exits(i, VCPU_EXIT_SHUTDOWN);
	assert_in_range(faults, 1, 8);
}

static void test_end_from_outside(void **state)
{
	(void)state;
	struct fake_cpu *c = add(NULL, 0);
	assert_int_equal(vcpus_start(&w.set), 0);
	assert_true(fake_cpu_wait(c));
	vcpus_end(&w.set, VCPUS_END_ERROR, "a device is broken");
	assert_true(ended(0));
	assert_int_equal(vcpus_stop(&w.set, STOP_MS), 0);
	/* No CPU's position: none of them asked for it. */
	assert_string_equal(w.set.detail, "a device is broken");
}

/* The end of one machine is not that of another in the same process. */
static void other_reset(void *arg, uint64_t off, const void *data, unsigned len)
{
	(void)off;
	(void)data;
	(void)len;
	vcpus_end(arg, VCPUS_END_RESET, "by the other machine");
}

static void test_two_machines(void **state)
{
	(void)state;
	static const struct fake_step script[] = {FAKE_OUT(0x600, 1), FAKE_OUT(COM1, 'x')};
	struct vcpus other;
	assert_int_equal(vcpus_init(&other, &fake_engine_ops, &w.ports, &w.mmio), 0);
	claim(&w.ports, 0x600, 1, (struct bus_window){.arg = &other, .write = other_reset});
	run_alone(ADD(script));
	assert_int_equal(w.uart.out_len, 1);
	assert_int_equal(other.end, VCPUS_END_RESET);
	assert_string_equal(other.detail, "by the other machine");
	assert_int_equal(vcpus_stop(&other, STOP_MS), 0);
	vcpus_free(&other);
}

static void test_too_many(void **state)
{
	(void)state;
	for (unsigned i = 0; i < VCPU_MAX; i++)
		add(NULL, 0);
	assert_int_equal(vcpus_add(&w.set, &w.cpu[0]), -ENOSPC);
	assert_int_equal(vcpus_start(&w.set), 0);
	for (unsigned i = 0; i < VCPU_MAX; i++) {
		char name[16] = "";
		char want[16];
		assert_true(fake_cpu_wait(&w.cpu[i]));
		snprintf(want, sizeof(want), "vcpu%u", i);
		assert_int_equal(pthread_getname_np(w.set.cpu[i].thread, name, sizeof(name)), 0);
		assert_string_equal(name, want);
	}
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(vcpu_exit_name(VCPU_EXIT_PORT), "port");
	assert_string_equal(vcpu_exit_name(VCPU_EXIT_SHUTDOWN), "shutdown");
	assert_string_equal(vcpu_exit_name(VCPU_EXIT_ERROR), "error");
	assert_string_equal(vcpu_exit_name(VCPU_EXIT_KINDS), "?");
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_strings_to_a_port),
		T(test_strings_from_a_port),
		T(test_mmio),
		T(test_devices),
		T(test_counts),
		T(test_stray_signal),
		T(test_reset_ends_all),
		T(test_causes),
		T(test_long_text),
		T(test_first_cause_counts),
		T(test_many_causes_at_once),
		T(test_end_from_outside),
		T(test_two_machines),
		T(test_too_many),
		T(test_names),
	};
	alarm(50);
	return cmocka_run_group_tests_name("vcpu", tests, NULL, NULL);
}
