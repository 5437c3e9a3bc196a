// SPDX-License-Identifier: Apache-2.0
// test_verdict_json.c - the verdict as a JSON object: every reason, guest text, no room for it
// links: runtime/cli/verdict.c
#include "cli/verdict.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "verdict_read.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>

static void test_json_of_every_reason(void **state)
{
	(void)state;
	for (unsigned r = 0; r < VERDICT_REASONS; r++) {
		struct verdict v = {.signal = SIGTERM};
		verdict_set(&v, (enum verdict_reason)r, "text");
		json_t *o = verdict_read(&v);
		assert_string_equal(json_string_value(json_object_get(o, "reason")),
				    verdict_name((enum verdict_reason)r));
		json_decref(o);
	}
}

static void test_json_guest_text(void **state)
{
	(void)state;
	static const char *const texts[] = {
		"plain",
		"quote \" and \\ and \b\f\n\r\t\001",
		"\xc3\xa4\xe2\x82\xac",
		"\xff\xfe",
		"cut \xe2\x82",
		"\xed\xa0\x80 surrogate",
		"\xc0\x80 overlong",
		"{\"a\":1}",
	};
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct verdict v = {0};
		verdict_set(&v, VERDICT_GUEST_PANIC, "%s", texts[i]);
		json_t *o = verdict_read(&v);
		const char *got = json_string_value(json_object_get(o, "message"));
		assert_non_null(got);
		/* Controls are made plain: test_plain_message. */
		if (i == 1)
			assert_string_equal(got, "quote \" and \\ and ??????");
		else if (i < 3)
			assert_string_equal(got, texts[i]);
		json_decref(o);
	}
}

static void test_json_long_text(void **state)
{
	(void)state;
	struct verdict v = {0};
	static char big[4096];
	for (size_t i = 0; i + 3 < sizeof(big); i += 3)
		memcpy(big + i, "\xe2\x82\xac", 3);
	/* The room ends in the middle of a character: what came before must still be said. */
	verdict_set(&v, VERDICT_GUEST_PANIC, "%s", big);
	assert_true(strlen(v.message) < sizeof(v.message));
	json_t *o = verdict_read(&v);
	const char *got = json_string_value(json_object_get(o, "message"));
	assert_non_null(got);
	assert_memory_equal(got, big, 30);
	json_decref(o);
}

static void test_write_fails(void **state)
{
	(void)state;
	struct verdict v = {0};
	AUTO_CLOSE int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	assert_int_equal(verdict_write(&v, full), -ENOSPC);
	assert_int_equal(verdict_write(&v, -1), -EBADF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json_of_every_reason),
		cmocka_unit_test(test_json_guest_text),
		cmocka_unit_test(test_json_long_text),
		cmocka_unit_test(test_write_fails),
	};
	alarm(30);
	return cmocka_run_group_tests_name("verdict_json", tests, NULL, NULL);
}
