// SPDX-License-Identifier: Apache-2.0
// test_detach_keys.c - the keys that leave a command: how they are written, and typed
// links: runtime/cli/detach_keys.c
#include "cli/detach_keys.h"

#include "base/checked.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void parse(struct detach_keys *k, const char *text)
{
	struct err e = {0};
	assert_int_equal(detach_keys_parse(k, text, &e), 0);
}

/* Types text in pieces of n bytes; what passed is in out. */
static size_t type(struct detach_keys *k, const char *text, size_t n, uint8_t *out)
{
	size_t len = 0;
	size_t total = strlen(text);
	for (size_t i = 0; i < total && !k->hit; i += n)
		len += detach_keys_filter(k, (const uint8_t *)text + i, MIN(n, total - i),
					  out + len);
	return len;
}

static void passes(const char *keys, const char *text, const char *want, bool hit)
{
	for (size_t n = 1; n <= 8; n++) {
		struct detach_keys k;
		uint8_t out[128];
		parse(&k, keys);
		size_t len = type(&k, text, n, out);
		assert_int_equal(k.hit, hit);
		len += detach_keys_rest(&k, out + len);
		assert_int_equal(len, strlen(want));
		assert_memory_equal(out, want, len);
	}
}

static void test_parse(void **state)
{
	(void)state;
	static const char *const bad[] = {"",	     "ctrl-",
					  "ctrl-pp", "alt-p",
					  "ctrl-1",  "a,",
					  ",a",	     "ctrl-p ctrl-q",
					  "a b",     "\xff",
					  "none,a",  "a,,b",
					  " ",	     "a,b,c,d,e,f,g,h,i"};
	struct detach_keys k;
	struct err e;
	parse(&k, DETACH_KEYS_DEFAULT);
	assert_int_equal(k.n, 2);
	assert_int_equal(k.key[0], 16);
	assert_int_equal(k.key[1], 17);
	parse(&k, "ctrl-P,x,ctrl-@,ctrl-[,ctrl-\\,ctrl-],ctrl-^,ctrl-_");
	static const uint8_t want[] = {16, 'x', 0, 27, 28, 29, 30, 31};
	assert_int_equal(k.n, 8);
	assert_memory_equal(k.key, want, 8);
	parse(&k, "none");
	assert_int_equal(k.n, 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(detach_keys_parse(&k, bad[i], &e), -EINVAL);
}

static void test_filter(void **state)
{
	(void)state;
	passes("ctrl-p,ctrl-q", "hello", "hello", false);
	passes("ctrl-p,ctrl-q", "hel\x10\x11lo", "hel", true);
	passes("ctrl-p,ctrl-q", "a\x10 b\x10\x10\x11", "a\x10 b\x10", true);
	passes("ctrl-p,ctrl-q", "a\x11\x10", "a\x11\x10", false);
	passes("a,a,b", "aaaab", "aa", true);
	passes("a,b,a,c", "abababac", "abab", true);
	passes("a,b,a,c", "abad", "abad", false);
	passes("x", "x", "", true);
	passes("none", "\x10\x11", "\x10\x11", false);
}

/* Nothing is lost, and nothing made up, whatever is typed. */
static void test_all_of_two_letters(void **state)
{
	(void)state;
	static const char *const keys[] = {"a,b", "a,a", "a,b,a", "b,b,a,b"};
	static const char *const plain[] = {"ab", "aa", "aba", "bbab"};
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		for (unsigned v = 0; v < 1 << 10; v++) {
			char text[11] = "";
			for (unsigned b = 0; b < 10; b++)
				text[b] = v >> b & 1 ? 'b' : 'a';
			const char *at = strstr(text, plain[i]);
			char want[11];
			strcpy(want, text);
			if (at)
				want[at - text] = '\0';
			passes(keys[i], text, want, at != NULL);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_filter),
		cmocka_unit_test(test_all_of_two_letters),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
