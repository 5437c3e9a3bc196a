// SPDX-License-Identifier: Apache-2.0
// test_session_words.c - argument strings in pieces, cut anywhere, bounded
// links: init/session_words.c
#include "session_words.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct words w;
static uint8_t big[PROTO_DATA_MAX];

static int teardown(void **state)
{
	(void)state;
	words_free(&w);
	return 0;
}

static int add(const char *text, size_t len)
{
	return words_add(&w, (const uint8_t *)text, len);
}

static void test_none(void **state)
{
	(void)state;
	char **v = words_vector(&w);
	assert_non_null(v);
	assert_null(v[0]);
	free(v);
	assert_int_equal(add("", 0), 0);
	assert_int_equal(w.count, 0);
}

static void test_cut_anywhere(void **state)
{
	(void)state;
	static const char text[] = "ls\0-l\0\0last one";
	for (size_t piece = 1; piece <= sizeof(text); piece++) {
		for (size_t off = 0; off < sizeof(text); off += piece) {
			size_t n = sizeof(text) - off < piece ? sizeof(text) - off : piece;
			assert_int_equal(add(text + off, n), 0);
			if (text[off + n - 1] != '\0')
				assert_null(words_vector(&w));
		}
		char **v = words_vector(&w);
		assert_int_equal(w.count, 4);
		assert_string_equal(v[0], "ls");
		assert_string_equal(v[1], "-l");
		assert_string_equal(v[2], "");
		assert_string_equal(v[3], "last one");
		assert_null(v[4]);
		free(v);
		words_free(&w);
	}
}

static void test_unfinished(void **state)
{
	(void)state;
	assert_int_equal(add("a\0b", 3), 0);
	assert_null(words_vector(&w));
	assert_int_equal(add("", 0), 0);
	assert_null(words_vector(&w));
	assert_int_equal(add("\0", 1), 0);
	char **v = words_vector(&w);
	assert_non_null(v);
	free(v);
}

static void test_too_many_bytes(void **state)
{
	(void)state;
	memset(big, 'x', sizeof(big));
	for (size_t n = 0; n < PROTO_WORDS_MAX; n += sizeof(big))
		assert_int_equal(words_add(&w, big, sizeof(big)), 0);
	assert_int_equal(words_add(&w, big, 1), -E2BIG);
	assert_true(w.len <= PROTO_WORDS_MAX);
	assert_true(w.cap <= PROTO_WORDS_MAX);
	assert_int_equal(words_add(&w, big, SIZE_MAX), -E2BIG);
}

static void test_too_many_words(void **state)
{
	(void)state;
	memset(big, 0, sizeof(big));
	int ret = 0;
	size_t n = 0;
	while (ret == 0 && n < PROTO_WORDS_MAX) {
		ret = words_add(&w, big, 1000);
		n += 1000;
	}
	assert_int_equal(ret, -E2BIG);
	assert_in_range(n, PROTO_WORDS_COUNT_MAX, PROTO_WORDS_COUNT_MAX + 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_none, teardown),
		cmocka_unit_test_teardown(test_cut_anywhere, teardown),
		cmocka_unit_test_teardown(test_unfinished, teardown),
		cmocka_unit_test_teardown(test_too_many_bytes, teardown),
		cmocka_unit_test_teardown(test_too_many_words, teardown),
	};
	alarm(30);
	return cmocka_run_group_tests_name("session_words", tests, NULL, NULL);
}
