// SPDX-License-Identifier: Apache-2.0
// test_progress.c - the bar's text: widths, sums that are wrong, units
// links: runtime/image/progress.c
#include "image/progress.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_bytes(void **state)
{
	(void)state;
	char text[32];
	progress_bytes(text, sizeof(text), 1023);
	assert_string_equal(text, "1023 B");
	progress_bytes(text, sizeof(text), 1536);
	assert_string_equal(text, "1.5 KiB");
	progress_bytes(text, sizeof(text), UINT64_MAX);
	assert_non_null(strstr(text, " TiB"));
}

static void test_line(void **state)
{
	(void)state;
	char text[256];
	progress_line(text, sizeof(text), "reading", 1 << 20, 2 << 20, 61000000000u, 80);
	assert_string_equal(text, "reading  [##########..........]  50%  1.0 MiB of 2.0 MiB  1:01");
	progress_line(text, sizeof(text), "reading", 5, 1, 0, 80);
	assert_non_null(strstr(text, "100%"));
	progress_line(text, sizeof(text), "reading", 0, 0, 0, 20);
	assert_null(strchr(text, '['));
	for (unsigned width = 0; width < 400; width++) {
		progress_line(text, sizeof(text), "reading", width, 399, 0, width);
		assert_true(strlen(text) < 128);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_line),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
