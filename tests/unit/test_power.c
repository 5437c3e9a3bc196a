// SPDX-License-Identifier: Apache-2.0
// test_power.c - what ends the machine from inside; what the kernel's log and /proc say
// links: init/power.c init/oom_name.c init/guest_stats.c init/entropy.c init/held.c
#include "entropy.h"
#include "guest_stats.h"
#include "held.h"
#include "oom_name.h"
#include "power.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void test_signals(void **state)
{
	(void)state;
	Mayfly__Goodbye__Why why;
	sigset_t set;
	assert_true(power_signal_why(SIGUSR2, &why) && why == MAYFLY__GOODBYE__WHY__POWEROFF);
	assert_true(power_signal_why(SIGUSR1, &why) && why == MAYFLY__GOODBYE__WHY__HALT);
	assert_true(power_signal_why(SIGTERM, &why) && why == MAYFLY__GOODBYE__WHY__REBOOT);
	assert_true(power_signal_why(SIGRTMIN + 3, &why) && why == MAYFLY__GOODBYE__WHY__HALT);
	assert_true(power_signal_why(SIGRTMIN + 4, &why) && why == MAYFLY__GOODBYE__WHY__POWEROFF);
	assert_true(power_signal_why(SIGRTMIN + 5, &why) && why == MAYFLY__GOODBYE__WHY__REBOOT);
	assert_false(power_signal_why(SIGCHLD, &why));
	assert_false(power_signal_why(SIGHUP, &why));
	sigemptyset(&set);
	power_signals(&set);
	for (int n = 1; n <= SIGRTMAX; n++)
		assert_int_equal(sigismember(&set, n) == 1, power_signal_why(n, &why));
}

static void test_initctl(void **state)
{
	(void)state;
	Mayfly__Goodbye__Why why;
	int32_t request[POWER_REQUEST_SIZE / 4] = {0x03091969, 1, '0', 0};
	assert_true(power_request_why(request, sizeof(request), &why));
	assert_int_equal(why, MAYFLY__GOODBYE__WHY__POWEROFF);
	request[2] = '6';
	assert_true(power_request_why(request, sizeof(request), &why));
	assert_int_equal(why, MAYFLY__GOODBYE__WHY__REBOOT);
	request[2] = '3';
	assert_false(power_request_why(request, sizeof(request), &why));
	request[2] = '0';
	assert_false(power_request_why(request, sizeof(request) - 1, &why));
	assert_false(power_request_why(request, 0, &why));
	request[1] = 2;
	assert_false(power_request_why(request, sizeof(request), &why));
	request[1] = 1;
	request[0]++;
	assert_false(power_request_why(request, sizeof(request), &why));
}

static void test_oom_name(void **state)
{
	(void)state;
#define OOM(prefix, id, name)                                                                      \
	prefix ",812,9000000,-;oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),global_oom,"    \
	       "task_memcg=/mayfly/" id ",task=" name ",pid=77,uid=0\n"
	char name[OOM_NAME_MAX] = "before";
	assert_true(oom_name_record(OOM("6", "12", "python3"), 12, name));
	assert_string_equal(name, "python3");
	assert_true(oom_name_record(OOM("6", "12/inner", "a,b"), 12, name));
	assert_string_equal(name, "a,b");
	/* A name that looks like the rest of the line, and bytes for a terminal. */
	assert_true(oom_name_record(OOM("6", "12", "x,pid=9"), 12, name));
	assert_string_equal(name, "x,pid=9");
	assert_true(oom_name_record(OOM("6", "12", "\033[2J\377"), 12, name));
	assert_string_equal(name, "?[2J?");
	assert_true(oom_name_record(
		OOM("6", "12", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), 12, name));
	assert_int_equal(strlen(name), OOM_NAME_MAX - 1);
	strcpy(name, "before");
	/* Of another session; by a program that writes to the log. */
	assert_false(oom_name_record(OOM("6", "123", "python3"), 12, name));
	assert_false(oom_name_record(OOM("14", "12", "python3"), 12, name));
	assert_false(oom_name_record("", 12, name));
	assert_false(oom_name_record("6", 12, name));
	assert_false(oom_name_record("6,1,1,-;oom-kill:task_memcg=/mayfly/12", 12, name));
	assert_false(oom_name_record("6,1,1,-;oom-kill:task_memcg=/mayfly/12,task=", 12, name));
	assert_string_equal(name, "before");
	oom_name_find(1, name);
	assert_string_equal(name, "");
}

static void test_meminfo(void **state)
{
	(void)state;
	static const char text[] = "MemTotal:         507624 kB\nMemFree:  1 kB\nMemAvailable: 12 kB\n";
	assert_int_equal(guest_stats_meminfo(text, "MemTotal"), 507624ull * 1024);
	assert_int_equal(guest_stats_meminfo(text, "MemAvailable"), 12 * 1024);
	assert_int_equal(guest_stats_meminfo(text, "Mem"), 0);
	assert_int_equal(guest_stats_meminfo("", "MemTotal"), 0);
	assert_int_equal(guest_stats_meminfo("\n", "MemTotal"), 0);
}

static void test_stats(void **state)
{
	(void)state;
	Mayfly__GuestStats m = MAYFLY__GUEST_STATS__INIT;
	guest_stats(&m, -1);
	assert_true(m.memory_total > m.memory_available && m.memory_available > 0);
	assert_true(m.uptime_ns > 0);
	assert_int_equal(m.changes_used, 0);
}

static void test_seeded(void **state)
{
	(void)state;
	struct err e = {0};
	assert_int_equal(entropy_ready(&e), 0);
}

static void test_held(void **state)
{
	(void)state;
	struct held h = {0};
	const uint8_t *data;
	int p[2];
	static uint8_t in[PROTO_KEEP_WINDOW];
	size_t wrote = 0;
	size_t credited = 0;
	assert_int_equal(pipe(p), 0);
	assert_int_equal(held_next(&h, &data), 0);
	assert_int_equal(held_credit(&h, 1), -EPROTO);
	for (int round = 0; round < 300; round++) {
		size_t n = (size_t)(round * 37 % 3000) + 1;
		for (size_t i = 0; i < n; i++)
			in[i] = (uint8_t)((wrote + i) % 251);
		assert_int_equal(write(p[1], in, n), n);
		wrote += n;
		while (n > 0) {
			int64_t got = held_read(&h, p[0], (uint32_t)n);
			assert_true(got > 0);
			n -= (size_t)got;
		}
		/* Everything again, from the oldest byte that was not credited. */
		held_rewind(&h);
		size_t at = credited;
		uint32_t len;
		while ((len = held_next(&h, &data)) > 0) {
			assert_true(len <= PROTO_DATA_MAX);
			for (uint32_t i = 0; i < len; i++)
				assert_int_equal(data[i], (uint8_t)((at + i) % 251));
			held_sent(&h, len);
			at += len;
		}
		assert_int_equal(at, wrote);
		assert_int_equal(held_credit(&h, (uint32_t)(wrote - credited) + 1), -EPROTO);
		uint32_t some = (uint32_t)(wrote - credited) - (uint32_t)(round % 100);
		if (some <= wrote - credited) {
			assert_int_equal(held_credit(&h, some), 0);
			credited += some;
		}
		assert_int_equal(held_room(&h), PROTO_KEEP_WINDOW - (wrote - credited));
	}
	held_free(&h);
	assert_int_equal(held_room(&h), PROTO_KEEP_WINDOW);
	close(p[0]);
	close(p[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_signals),	 cmocka_unit_test(test_initctl),
		cmocka_unit_test(test_oom_name), cmocka_unit_test(test_meminfo),
		cmocka_unit_test(test_stats),	 cmocka_unit_test(test_seeded),
		cmocka_unit_test(test_held),
	};
	alarm(30);
	return cmocka_run_group_tests_name("power", tests, NULL, NULL);
}
