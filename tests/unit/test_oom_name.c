// SPDX-License-Identifier: Apache-2.0
// test_oom_name.c - only the kernel's word names a process
// links: init/oom_name.c
#include "oom_name.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

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
	oom_name_init();
	strcpy(name, "before");
	oom_name_find(1, name);
	assert_string_equal(name, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_oom_name),
	};
	alarm(30);
	return cmocka_run_group_tests_name("oom_name", tests, NULL, NULL);
}
