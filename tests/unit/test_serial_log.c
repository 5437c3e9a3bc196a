// SPDX-License-Identifier: Apache-2.0
// test_serial_log.c - the last lines of a guest that may write anything, and its panic
// links: runtime/vmm/serial_log.c
#include "vmm/serial_log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct serial_log s;

static int setup(void **state)
{
	(void)state;
	memset(&s, 0, sizeof(s));
	return 0;
}

static void add(const char *text)
{
	serial_log_add(&s, text, strlen(text));
}

static void test_empty(void **state)
{
	(void)state;
	assert_null(serial_log_get(&s, 0));
	add("");
	assert_null(serial_log_get(&s, 0));
	add("\n");
	assert_string_equal(serial_log_get(&s, 0), "");
	assert_null(serial_log_get(&s, 1));
}

static void test_lines(void **state)
{
	(void)state;
	add("one\r\ntwo\nunfin");
	assert_string_equal(serial_log_get(&s, 0), "one");
	assert_string_equal(serial_log_get(&s, 1), "two");
	assert_string_equal(serial_log_get(&s, 2), "unfin");
	assert_null(serial_log_get(&s, 3));
	add("ished\n");
	assert_string_equal(serial_log_get(&s, 2), "unfinished");
	assert_null(serial_log_get(&s, 3));
}

static void test_only_the_last(void **state)
{
	(void)state;
	char line[32];
	for (int i = 0; i < 1000; i++) {
		snprintf(line, sizeof(line), "line %d\n", i);
		add(line);
		add("x\b"); /* an unfinished one in between */
		assert_non_null(serial_log_get(&s, 0));
		add("\n");
	}
	unsigned n = 0;
	while (serial_log_get(&s, n))
		n++;
	assert_int_equal(n, SERIAL_LOG_LINES - 1);
	assert_string_equal(serial_log_get(&s, n - 1), "x?");
	assert_string_equal(serial_log_get(&s, n - 2), "line 999");
	add("tail");
	assert_string_equal(serial_log_get(&s, n), "tail");
	assert_string_equal(serial_log_get(&s, n - 1), "x?");
	assert_null(serial_log_get(&s, n + 1));
}

static void test_control_bytes(void **state)
{
	(void)state;
	static const char raw[] = "\033[2J\0\x7f\xff\xc3\xa4\tend\n";
	serial_log_add(&s, raw, sizeof(raw) - 1);
	assert_string_equal(serial_log_get(&s, 0), "?[2J??????end");
}

static void test_long_line(void **state)
{
	(void)state;
	for (int i = 0; i < 5000; i++)
		add("0123456789");
	assert_int_equal(strlen(serial_log_get(&s, 0)), SERIAL_LOG_LINE_MAX - 1);
	add("\nnext\n");
	assert_int_equal(strlen(serial_log_get(&s, 0)), SERIAL_LOG_LINE_MAX - 1);
	assert_string_equal(serial_log_get(&s, 1), "next");
}

static void test_panic(void **state)
{
	(void)state;
	add("[    1.5] Kernel panic - not sync");
	assert_false(s.panicked);
	add("ing: Attempted to kill init!\n");
	assert_true(s.panicked);
	assert_string_equal(s.panic, "Kernel panic - not syncing: Attempted to kill init!");
	/* The first one counts. */
	add("Kernel panic - not syncing: another\n");
	assert_non_null(strstr(s.panic, "Attempted"));
}

static void test_panic_at_the_limit(void **state)
{
	(void)state;
	char line[400];
	for (int fill = 200; fill < 360; fill++) {
		memset(&s, 0, sizeof(s));
		snprintf(line, sizeof(line), "%*sKernel panic - not syncing: x\n", fill, "");
		add(line);
		/* What stands before it in the line, however long, doesn't hide it. */
		assert_string_equal(s.panic, "Kernel panic - not syncing: x");
		assert_true(s.panicked);
	}
	memset(&s, 0, sizeof(s));
	add("KKernel panic - not syncing: ");
	for (int i = 0; i < 1000; i++)
		add("0123456789");
	assert_int_equal(strlen(s.panic), SERIAL_LOG_LINE_MAX - 1);
	memset(&s, 0, sizeof(s));
	add("Kernel panic - not\n syncing\n");
	assert_false(s.panicked);
}

static void test_ends(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		enum serial_end end;
	} rows[] = {
		{"[    1.234567] reboot: System halted\r\n", SERIAL_END_HALT},
		{"reboot: System halted\n", SERIAL_END_HALT},
		{"[    1.2][    T1] reboot: Power down\n", SERIAL_END_POWER_OFF},
		{"[ 1.2] reboot: Power off not available: System halted instead\n",
		 SERIAL_END_POWER_OFF},
		{"debian login: [   12.000001] reboot: System halted\n", SERIAL_END_HALT},
		{"first\n\nreboot: Power down\n", SERIAL_END_POWER_OFF},
		/* The first one counts. */
		{"reboot: Power down\nreboot: System halted\n", SERIAL_END_POWER_OFF},
		/* Not whole lines of the kernel's. */
		{"[    1.234567] reboot: System halted", SERIAL_END_NONE},
		{"[ 1.2] reboot: System halted \n", SERIAL_END_NONE},
		{"it says reboot: System halted\n", SERIAL_END_NONE},
		{"]reboot: System halted\n", SERIAL_END_NONE},
		{"xreboot: Power down\n", SERIAL_END_NONE},
		{"reboot: System\n halted\n", SERIAL_END_NONE},
		{"[ 1.2] reboot: Restarting system\n", SERIAL_END_NONE},
		{"System halted\n", SERIAL_END_NONE},
		{"", SERIAL_END_NONE},
		/* A panic is an end when there is no reset behind it. */
		{"Kernel panic - not syncing: x\n", SERIAL_END_NONE},
		{"Kernel panic - not syncing: x\n---[ end Kernel panic - not syncing: x ]---\n",
		 SERIAL_END_PANIC},
		{"Kernel panic - not syncing: x\n[ 1.0] Rebooting in 10 seconds..\n",
		 SERIAL_END_PANIC},
		{"Rebooting in 10 seconds..\n", SERIAL_END_NONE},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		memset(&s, 0, sizeof(s));
		add(rows[i].text);
		if (s.end != rows[i].end)
			fail_msg("'%s' is %d", rows[i].text, (int)s.end);
		/* Byte by byte is the same. */
		memset(&s, 0, sizeof(s));
		for (const char *c = rows[i].text; *c; c++)
			serial_log_add(&s, c, 1);
		assert_int_equal(s.end, rows[i].end);
	}
}

/* Whatever stands before it, however long: only the end of the line counts. */
static void test_end_behind_anything(void **state)
{
	(void)state;
	char line[1200];
	for (int fill = 0; fill < 1000; fill += 7) {
		memset(&s, 0, sizeof(s));
		snprintf(line, sizeof(line), "%*s[ 1.0] reboot: Power down\n", fill, "");
		add(line);
		assert_int_equal(s.end, SERIAL_END_POWER_OFF);
		memset(&s, 0, sizeof(s));
		snprintf(line, sizeof(line), "%*sreboot: Power down\n", fill + 1, "");
		add(line);
		assert_int_equal(s.end, SERIAL_END_NONE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_empty, setup),
		cmocka_unit_test_setup(test_lines, setup),
		cmocka_unit_test_setup(test_only_the_last, setup),
		cmocka_unit_test_setup(test_control_bytes, setup),
		cmocka_unit_test_setup(test_long_line, setup),
		cmocka_unit_test_setup(test_panic, setup),
		cmocka_unit_test_setup(test_ends, setup),
		cmocka_unit_test_setup(test_end_behind_anything, setup),
		cmocka_unit_test_setup(test_panic_at_the_limit, setup),
	};
	alarm(30);
	return cmocka_run_group_tests_name("serial_log", tests, NULL, NULL);
}
