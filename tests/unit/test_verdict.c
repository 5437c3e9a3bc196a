// SPDX-License-Identifier: Apache-2.0
// test_verdict.c - exit status of every end, first ends, limits, times
// links: runtime/cli/verdict.c
#include "cli/verdict.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "verdict_read.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#define MIB512 (512ull << 20)

static Mayfly__Exit exit_of(Mayfly__Exit__Kind kind, int code, bool oom, const char *text)
{
	Mayfly__Exit x = MAYFLY__EXIT__INIT;
	x.kind = kind;
	x.code = code;
	x.oom = oom;
	x.text = (char *)(uintptr_t)text;
	x.user_usec = 7;
	return x;
}

static void test_status(void **state)
{
	(void)state;
	static const struct {
		Mayfly__Exit__Kind kind;
		int code;
		bool oom;
		enum verdict_reason reason;
		int status;
	} rows[] = {
		{MAYFLY__EXIT__KIND__CODE, 0, false, VERDICT_EXIT, 0},
		{MAYFLY__EXIT__KIND__CODE, 42, false, VERDICT_EXIT, 42},
		{MAYFLY__EXIT__KIND__CODE, 255, true, VERDICT_EXIT, 255},
		{MAYFLY__EXIT__KIND__CODE, 256, false, VERDICT_EXIT, 0},
		{MAYFLY__EXIT__KIND__CODE, -1, false, VERDICT_EXIT, 255},
		{MAYFLY__EXIT__KIND__SIGNAL, SIGTERM, false, VERDICT_SIGNAL, 143},
		{MAYFLY__EXIT__KIND__SIGNAL, SIGKILL, false, VERDICT_SIGNAL, 137},
		{MAYFLY__EXIT__KIND__SIGNAL, SIGKILL, true, VERDICT_OOM, 137},
		{MAYFLY__EXIT__KIND__SIGNAL, SIGTERM, true, VERDICT_SIGNAL, 143},
		{MAYFLY__EXIT__KIND__SIGNAL, 0, false, VERDICT_SIGNAL, 137},
		{MAYFLY__EXIT__KIND__SIGNAL, 1000, false, VERDICT_SIGNAL, 137},
		{MAYFLY__EXIT__KIND__SIGNAL, -5, true, VERDICT_OOM, 137},
		{MAYFLY__EXIT__KIND__NOT_STARTED, ENOENT, false, VERDICT_NOT_STARTED, 127},
		{MAYFLY__EXIT__KIND__NOT_STARTED, EACCES, false, VERDICT_NOT_STARTED, 126},
		{MAYFLY__EXIT__KIND__NOT_STARTED, ENOEXEC, false, VERDICT_NOT_STARTED, 126},
		{MAYFLY__EXIT__KIND__TIMEOUT, 0, false, VERDICT_TIMEOUT, 124},
		{(Mayfly__Exit__Kind)77, 3, false, VERDICT_EXIT, 3},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct verdict v = {0};
		Mayfly__Exit x = exit_of(rows[i].kind, rows[i].code, rows[i].oom, "why");
		verdict_from_exit(&v, &x, MIB512);
		assert_int_equal(v.reason, rows[i].reason);
		assert_int_equal(verdict_status(&v), rows[i].status);
		assert_true(v.has_usage && v.user_usec == 7);
	}
}

/* The agent keeps an exec's --timeout; of how much memory there is, an exec knows nothing. */
static void test_exit_of_exec(void **state)
{
	(void)state;
	Mayfly__Exit x = MAYFLY__EXIT__INIT;
	struct verdict v = {0};
	x.kind = MAYFLY__EXIT__KIND__TIMEOUT;
	verdict_from_exit(&v, &x, 0);
	assert_int_equal(v.reason, VERDICT_TIMEOUT);
	assert_int_equal(verdict_status(&v), EXIT_TIMEOUT);
	v = (struct verdict){0};
	x.kind = MAYFLY__EXIT__KIND__SIGNAL;
	x.code = SIGKILL;
	x.oom = true;
	verdict_from_exit(&v, &x, 0);
	assert_int_equal(verdict_status(&v), 137);
	assert_null(strstr(v.message, "MiB"));
	assert_non_null(strstr(v.message, "memory"));
}

static void test_own_ends(void **state)
{
	(void)state;
	for (unsigned r = 0; r <= VERDICT_REASONS; r++) {
		struct verdict v = {.reason = (enum verdict_reason)r, .signal = SIGINT, .code = 3};
		int want = EXIT_MAYFLY;
		if (r == VERDICT_EXIT)
			want = 3;
		else if (r == VERDICT_SIGNAL || r == VERDICT_OOM || r == VERDICT_INTERRUPTED ||
			 r == VERDICT_KILLED)
			want = 130;
		else if (r == VERDICT_OUTPUT_LIMIT)
			want = 137;
		else if (r == VERDICT_TIMEOUT || r == VERDICT_IDLE)
			want = EXIT_TIMEOUT;
		else if (r == VERDICT_NOT_STARTED)
			want = EXIT_NOT_EXECUTABLE;
		else if (r == VERDICT_DETACHED || r == VERDICT_STOPPED)
			want = 0;
		assert_int_equal(verdict_status(&v), want);
		assert_true(verdict_name(v.reason)[0] != '\0');
	}
	assert_string_equal(verdict_name(VERDICT_GUEST_PANIC), "guest-panic");
	assert_string_equal(verdict_name(VERDICT_GUEST_RESET), "guest-reset");
	assert_string_equal(verdict_name(VERDICT_TRIPLE_FAULT), "triple-fault");
	assert_string_equal(verdict_name(VERDICT_ENGINE_FAILED), "engine-failed");
	assert_string_equal(verdict_name(VERDICT_ENGINE_KILLED), "engine-killed");
	assert_string_equal(verdict_name(VERDICT_VMM_KILLED), "vmm-killed");
	assert_string_equal(verdict_name(VERDICT_CONFIG), "config");
	assert_string_equal(verdict_name(VERDICT_REASONS), "?");
}

/* mayfly boot: how the guest ended is the status, everything else as ever. */
static void test_boot_status(void **state)
{
	(void)state;
	for (unsigned r = 0; r < VERDICT_REASONS; r++) {
		struct verdict run = {.reason = (enum verdict_reason)r, .signal = SIGINT};
		struct verdict boot = run;
		boot.boot = true;
		int want = verdict_status(&run);
		if (r == VERDICT_GUEST_RESET || r == VERDICT_GUEST_HALT ||
		    r == VERDICT_GUEST_POWEROFF)
			want = 0;
		else if (r == VERDICT_GUEST_PANIC)
			want = 1;
		else if (r == VERDICT_TRIPLE_FAULT)
			want = 2;
		assert_int_equal(verdict_status(&boot), want);
		/* Of a run these are the machine's failure. */
		if (want <= 2 && r != VERDICT_EXIT && r != VERDICT_DETACHED && r != VERDICT_STOPPED)
			assert_int_equal(verdict_status(&run), EXIT_MAYFLY);
		json_t *o = verdict_read(&boot);
		assert_int_equal(json_integer_value(json_object_get(o, "status")), want);
		json_decref(o);
	}
}

static void test_console(void **state)
{
	(void)state;
	char long_line[600];
	char *lines[VERDICT_CONSOLE_LINES + 5];
	Mayfly__VmmReport rep = MAYFLY__VMM_REPORT__INIT;
	memset(long_line, 'x', sizeof(long_line) - 1);
	long_line[sizeof(long_line) - 1] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		lines[i] = i == 1 ? long_line : (char *)(uintptr_t) "a \033[31m\xff\"line";
	rep.console_tail = lines;
	rep.n_console_tail = ARRAY_SIZE(lines);
	rep.panic_line = (char *)(uintptr_t) "Kernel panic - not syncing: \x80";
	for (unsigned r = VERDICT_EXIT; r < VERDICT_REASONS; r++) {
		struct verdict v = {.reason = (enum verdict_reason)r, .signal = SIGINT};
		verdict_take_console(&v, &rep);
		verdict_take_console(&v, &rep);
		json_t *o = verdict_read(&v);
		const json_t *list = json_object_get(o, "console");
		bool has = r == VERDICT_GUEST_PANIC || r == VERDICT_GUEST_RESET ||
			   r == VERDICT_GUEST_HALT || r == VERDICT_GUEST_POWEROFF ||
			   r == VERDICT_TRIPLE_FAULT || r == VERDICT_GUEST_FAILED ||
			   r == VERDICT_ENGINE_FAILED || r == VERDICT_BOOT_TIMEOUT ||
			   r == VERDICT_OOM;
		assert_int_equal(list != NULL, has);
		assert_int_equal(json_object_get(o, "panic") != NULL, has);
		if (has) {
			assert_int_equal(json_array_size(list), VERDICT_CONSOLE_LINES);
			assert_string_equal(json_string_value(json_array_get(list, 0)),
					    "a ?[31m?\"line");
			assert_int_equal(json_string_length(json_array_get(list, 1)),
					 VERDICT_CONSOLE_LINE_MAX - 1);
		}
		json_decref(o);
	}
}

static void test_oom_process(void **state)
{
	(void)state;
	struct verdict v = {0};
	Mayfly__Exit x = exit_of(MAYFLY__EXIT__KIND__SIGNAL, SIGKILL, true, "");
	x.oom_process = (char *)(uintptr_t) "evil\n\xc3 name that is longer than any of Linux's";
	verdict_from_exit(&v, &x, MIB512);
	assert_int_equal(v.reason, VERDICT_OOM);
	assert_non_null(strstr(v.message, "'evil?? name"));
	json_t *o = verdict_read(&v);
	assert_non_null(json_object_get(o, "oom_process"));
	json_decref(o);
	v = (struct verdict){0};
	x = exit_of(MAYFLY__EXIT__KIND__CODE, 3, true, "");
	x.oom_process = (char *)(uintptr_t) "cc1plus";
	verdict_from_exit(&v, &x, MIB512);
	assert_int_equal(verdict_status(&v), 3);
	assert_non_null(strstr(v.message, "killed process 'cc1plus'"));
	/* Without an OOM the name means nothing. */
	v = (struct verdict){0};
	x.oom = false;
	verdict_from_exit(&v, &x, MIB512);
	assert_string_equal(v.oom_process, "");
}

static void test_first_wins(void **state)
{
	(void)state;
	struct verdict v = {0};
	assert_true(verdict_set(&v, VERDICT_TIMEOUT, "after %d s", 2));
	assert_false(verdict_set(&v, VERDICT_GUEST_RESET, "later"));
	Mayfly__Exit x = exit_of(MAYFLY__EXIT__KIND__CODE, 9, false, "");
	verdict_from_exit(&v, &x, MIB512);
	assert_int_equal(v.reason, VERDICT_TIMEOUT);
	assert_string_equal(v.message, "after 2 s");
	assert_int_equal(verdict_status(&v), EXIT_TIMEOUT);
	assert_false(v.has_usage);
}

static void test_oom_messages(void **state)
{
	(void)state;
	struct verdict v = {0};
	Mayfly__Exit x = exit_of(MAYFLY__EXIT__KIND__SIGNAL, SIGKILL, true, "");
	verdict_from_exit(&v, &x, MIB512);
	assert_non_null(strstr(v.message, "512 MiB"));
	assert_non_null(strstr(v.message, "--memory"));
	/* A child was killed, the command itself made the best of it. */
	v = (struct verdict){0};
	x = exit_of(MAYFLY__EXIT__KIND__CODE, 0, true, "");
	verdict_from_exit(&v, &x, MIB512);
	assert_int_equal(verdict_status(&v), 0);
	assert_non_null(strstr(v.message, "512 MiB"));
}

/* Limits that end nothing are named beside whatever did. */
static void test_limits_met(void **state)
{
	(void)state;
	struct verdict v = {0};
	Mayfly__Exit x = exit_of(MAYFLY__EXIT__KIND__CODE, 2, false, "");
	x.pids = true;
	verdict_from_exit(&v, &x, MIB512);
	assert_int_equal(verdict_status(&v), 2);
	assert_ptr_equal(strstr(v.message, "note: "), v.message);
	assert_non_null(strstr(v.message, "--pids"));
	assert_null(strstr(v.message, "--disk-limit"));
	json_t *o = verdict_read(&v);
	const json_t *met = json_object_get(o, "limits_met");
	assert_int_equal(json_array_size(met), 1);
	assert_string_equal(json_string_value(json_array_get(met, 0)), "pids");
	json_decref(o);
	v = (struct verdict){0};
	x = exit_of(MAYFLY__EXIT__KIND__SIGNAL, SIGKILL, true, "");
	x.pids = x.full = true;
	verdict_from_exit(&v, &x, MIB512);
	assert_int_equal(v.reason, VERDICT_OOM);
	assert_non_null(strstr(v.message, "(see --memory); a process"));
	assert_non_null(strstr(v.message, "--scratch"));
	o = verdict_read(&v);
	assert_int_equal(json_array_size(json_object_get(o, "limits_met")), 2);
	json_decref(o);
	v = (struct verdict){0};
	x = exit_of(MAYFLY__EXIT__KIND__SIGNAL, SIGTERM, false, "");
	verdict_from_exit(&v, &x, MIB512);
	assert_string_equal(v.message, "");
	o = verdict_read(&v);
	assert_null(json_object_get(o, "limits_met"));
	json_decref(o);
}

static void test_json(void **state)
{
	(void)state;
	struct verdict v = {.t = {.start = 1000000000,
				  .parsed = 1001000000,
				  .started = 1010000000,
				  .kernel = 1030000000,
				  .init = 1200000000,
				  .ready = 1300000000,
				  .exec = 1310000000,
				  .exit = 1500000000}};
	Mayfly__Exit x = exit_of(MAYFLY__EXIT__KIND__CODE, 42, false, "");
	verdict_from_exit(&v, &x, MIB512);
	v.t.end = 1510000000;
	json_t *o = verdict_read(&v);
	assert_string_equal(json_string_value(json_object_get(o, "reason")), "exit");
	assert_int_equal(json_integer_value(json_object_get(o, "code")), 42);
	assert_null(json_object_get(o, "signal"));
	const json_t *t = json_object_get(o, "timings");
	assert_true(json_is_object(t));
	assert_int_equal(
		json_integer_value(json_object_get(json_object_get(o, "usage"), "user_usec")), 7);
	const char *key;
	json_t *val;
	double sum = 0;
	json_object_foreach((json_t *)(uintptr_t)t, key, val) {
		assert_true(json_is_number(val));
		assert_true(json_number_value(val) >= 0);
		sum += json_number_value(val);
	}
	assert_true(sum > 500);
	json_decref(o);
}

/* ---- exits ---- */

#define ROWS (VERDICT_EXITS_MAX + 10)

static struct {
	Mayfly__VmmReport r;
	Mayfly__ExitCount row[ROWS];
	Mayfly__ExitCount *ptr[ROWS];
	char name[ROWS][100];
} rep;

static void report(unsigned n)
{
	mayfly__vmm_report__init(&rep.r);
	for (unsigned i = 0; i < n; i++) {
		mayfly__exit_count__init(&rep.row[i]);
		snprintf(rep.name[i], sizeof(rep.name[i]), "port %u", i);
		rep.row[i].name = rep.name[i];
		rep.row[i].count = 1000 + i;
		rep.row[i].until_ready = i;
		rep.ptr[i] = &rep.row[i];
	}
	rep.r.exit = rep.ptr;
	rep.r.n_exit = n;
	rep.r.entered_ns = 77;
	rep.r.left_ns = 99;
}

static void test_exits(void **state)
{
	(void)state;
	struct verdict v = {0};
	report(3);
	verdict_take_exits(&v, &rep.r);
	assert_true(v.n_exits == 3 && v.entered == 77 && v.left == 99);
	assert_string_equal(v.exits[2].name, "port 2");
	assert_true(v.exits[2].count == 1002 && v.exits[2].until_ready == 2);
	json_t *o = verdict_read(&v);
	const json_t *x = json_object_get(o, "exits");
	assert_int_equal(json_object_size(x), 3);
	const json_t *one = json_object_get(x, "port 1");
	assert_int_equal(json_integer_value(json_object_get(one, "total")), 1001);
	assert_int_equal(json_integer_value(json_object_get(one, "until_ready")), 1);
	json_decref(o);
	/* A later report replaces an earlier one; tcg has none. */
	report(0);
	verdict_take_exits(&v, &rep.r);
	assert_int_equal(v.n_exits, 0);
	o = verdict_read(&v);
	assert_null(json_object_get(o, "exits"));
	json_decref(o);
}

/* The vmm is a process that a guest may have taken over: neither its lengths nor its bytes count.
 */
static void test_hostile_exits(void **state)
{
	(void)state;
	struct verdict v = {0};
	report(ROWS);
	rep.r.left_ns = UINT64_MAX;
	memset(rep.name[0], 'x', sizeof(rep.name[0]) - 1);
	rep.row[0].count = rep.row[0].until_ready = UINT64_MAX;
	snprintf(rep.name[1], sizeof(rep.name[1]), "\xff\xfe");
	snprintf(rep.name[2], sizeof(rep.name[2]), "port 3");
	rep.name[4][0] = '\0';
	verdict_take_exits(&v, &rep.r);
	assert_true(v.entered == 0 && v.left == 0);
	assert_int_equal(v.n_exits, VERDICT_EXITS_MAX);
	assert_int_equal(strlen(v.exits[0].name), sizeof(v.exits[0].name) - 1);
	json_t *o = verdict_read(&v);
	assert_in_range(json_object_size(json_object_get(o, "exits")), VERDICT_EXITS_MAX - 4,
			VERDICT_EXITS_MAX);
	json_decref(o);
}

/* When the guest was entered and left, if that lies within the run. */
static void test_entry_times(void **state)
{
	(void)state;
	static const struct {
		uint64_t entered, left;
		bool good;
	} rows[] = {
		{2000000, 5000000, true}, {2000000, 2000000, true}, {0, 0, false},
		{0, 5000000, false},	  {999999, 5000000, false}, {5000000, 2000000, false},
		{2000000, ~0ull, false},  {~0ull, ~0ull, false},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		for (int boot = 0; boot < 2; boot++) {
			struct verdict v = {.boot = boot, .engine = "kvm", .t.start = 1000000};
			report(0);
			rep.r.entered_ns = rows[i].entered;
			rep.r.left_ns = rows[i].left;
			verdict_take_exits(&v, &rep.r);
			verdict_set(&v, VERDICT_GUEST_RESET, "text");
			v.t.end = v.t.stop + 1;
			json_t *o = verdict_read(&v);
			const json_t *t = json_object_get(o, "timings");
			double first = json_number_value(json_object_get(t, "first_entry"));
			double last = json_number_value(json_object_get(t, "last_exit"));
			assert_int_equal(first > 0, rows[i].good);
			assert_true(!rows[i].good || (first >= 0.999 && first <= 1.001));
			assert_true(!rows[i].good || last >= first);
			/* A guest without an agent is all kernel. */
			assert_int_equal(v.t.kernel != 0, boot && rows[i].good);
			assert_string_equal(json_string_value(json_object_get(o, "engine")), "kvm");
			json_decref(o);
		}
	}
}

/* What goes to standard error while fn runs. */
static void printed(void (*fn)(const struct verdict *), const struct verdict *v, char *buf,
		    size_t len)
{
	AUTO_CLOSE int fd = memfd_create("stderr", MFD_CLOEXEC);
	int saved = dup(2);
	fflush(stderr);
	dup2(fd, 2);
	fn(v);
	fflush(stderr);
	dup2(saved, 2);
	close(saved);
	ssize_t n = pread(fd, buf, len - 1, 0);
	assert_true(n >= 0);
	buf[n] = '\0';
}

static void test_exits_table(void **state)
{
	(void)state;
	struct verdict v = {0};
	char text[4096];
	printed(verdict_print_exits, &v, text, sizeof(text));
	assert_non_null(strstr(text, "no exits were counted"));
	report(3);
	verdict_take_exits(&v, &rep.r);
	printed(verdict_print_exits, &v, text, sizeof(text));
	assert_non_null(
		strstr(text, "mayfly: port 2                              2         1002\n"));
	assert_non_null(
		strstr(text, "mayfly: total                               3         3003\n"));
}

/* A message that quotes the guest holds nothing that a terminal obeys, in JSON neither. */
static void test_plain_message(void **state)
{
	struct verdict v = {0};
	(void)state;
	assert_true(verdict_set(&v, VERDICT_GUEST_FAILED, "the guest: %s",
				"\x1b[31mred\n\x7f \xc2\x9b"
				"31m \xc3\xa4\xc2\xa0 \xc2"));
	assert_string_equal(v.message, "the guest: ?[31mred?? ??31m \xc3\xa4\xc2\xa0 \xc2");
}

/* The waterfall with points missing, all at once, and in impossible order. */
static void test_timings(void **state)
{
	(void)state;
	static const uint64_t sets[][9] = {
		{0, 0, 0, 0, 0, 0, 0, 0, 0},
		{5, 6, 7, 8, 9, 10, 11, 12, 13},
		{5, 6, 0, 0, 0, 0, 0, 0, 99},
		{5, 6, 7, 0, 0, 0, 0, 0, 99},
		{100, 90, 80, 70, 60, 50, 40, 30, 20},
		{5, 6, 7, UINT64_MAX, 1, UINT64_MAX, 2, 3, 1000},
		{1000000, 2000000, 0, 9000000, 3000000, 0, 4000000, 0, 5000000},
	};
	int saved = dup(2);
	AUTO_CLOSE int null = dup(2);
	dup2(null, 2);
	for (size_t i = 0; i < ARRAY_SIZE(sets); i++) {
		struct verdict v = {.reason = VERDICT_TIMEOUT};
		const uint64_t *s = sets[i];
		v.t = (struct verdict_times){.start = s[0],
					     .parsed = s[1],
					     .started = s[2],
					     .kernel = s[3],
					     .init = s[4],
					     .ready = s[5],
					     .exec = s[6],
					     .exit = s[7],
					     .end = s[8]};
		verdict_timings(&v);
		json_decref(verdict_read(&v));
	}
	dup2(saved, 2);
	close(saved);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_status),	      cmocka_unit_test(test_exit_of_exec),
		cmocka_unit_test(test_own_ends),      cmocka_unit_test(test_boot_status),
		cmocka_unit_test(test_console),	      cmocka_unit_test(test_oom_process),
		cmocka_unit_test(test_first_wins),    cmocka_unit_test(test_oom_messages),
		cmocka_unit_test(test_limits_met),    cmocka_unit_test(test_json),
		cmocka_unit_test(test_exits),	      cmocka_unit_test(test_hostile_exits),
		cmocka_unit_test(test_exits_table),   cmocka_unit_test(test_entry_times),
		cmocka_unit_test(test_plain_message), cmocka_unit_test(test_timings),
	};
	alarm(30);
	return cmocka_run_group_tests_name("verdict", tests, NULL, NULL);
}
