// SPDX-License-Identifier: Apache-2.0
// test_image_meta.c - the JSON of the store: what is written is read, nonsense is refused
// links: runtime/image/image_meta.c
#include "image/image_meta.h"

#include "base/checked.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct err e;

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define CONFIG                                                                                     \
	"\"entrypoint\":[\"a\"],\"cmd\":[],\"env\":[\"A=b\",\"x\",\"=y\"],\"workdir\":\"/w\","     \
	"\"user\":\"u\",\"user_known\":true,\"uid\":1,\"gid\":2,\"gids\":[3,4]"
#define META                                                                                       \
	"\"version\":1,\"digest\":\"sha256:" HEX "\",\"size\":4096,\"files\":1,\"created\":\"\","  \
	"\"source\":\"s\",\"kind\":\"tar\",\"platform\":\"\""

static int parse(const char *text, struct image_meta *m)
{
	return image_meta_parse(text, strlen(text), m, &e);
}

static void test_round(void **state)
{
	(void)state;
	struct image_meta m;
	struct image_meta twin;
	assert_int_equal(parse("{" META ",\"config\":{" CONFIG "}}", &m), 0);
	assert_string_equal(m.digest, HEX);
	assert_string_equal(m.config.entrypoint[0], "a");
	assert_null(m.config.cmd[0]);
	assert_string_equal(m.config.env[0], "A=b");
	assert_null(m.config.env[1]);
	assert_int_equal(m.config.ngids, 2);
	assert_int_equal(m.config.gids[1], 4);
	json_t *o = image_meta_json(&m);
	char *text = json_dumps(o, 0);
	json_decref(o);
	assert_int_equal(parse(text, &twin), 0);
	free(text);
	assert_string_equal(twin.config.workdir, "/w");
	assert_true(twin.config.user_known);
	image_meta_free(&m);
	image_meta_free(&twin);
}

static void test_refused(void **state)
{
	(void)state;
	static const char *const table[] = {
		"",
		"{}",
		"[]",
		"{" META "}",
		"{" META ",\"config\":{}}",
		"{" META ",\"config\":{" CONFIG ",\"uid\":7}}",
		"{\"digest\":\"md5:1\"}",
	};
	static const char *const configs[] = {
		"\"entrypoint\":7,\"workdir\":\"/\",\"user\":\"\",\"uid\":0,\"gid\":0,\"gids\":[]",
		"\"entrypoint\":[7],\"workdir\":\"/"
		"\",\"user\":\"\",\"uid\":0,\"gid\":0,\"gids\":[]",
		"\"cmd\":[\"a\\u0000b\"],\"workdir\":\"/"
		"\",\"user\":\"\",\"uid\":0,\"gid\":0,\"gids\":[]",
		"\"workdir\":\"rel\",\"user\":\"\",\"uid\":0,\"gid\":0,\"gids\":[]",
		"\"workdir\":\"/\",\"user\":\"\",\"uid\":-1,\"gid\":0,\"gids\":[]",
		"\"workdir\":\"/\",\"user\":\"\",\"uid\":4294967295,\"gid\":0,\"gids\":[]",
		"\"workdir\":\"/\",\"user\":\"\",\"uid\":0,\"gid\":0,\"gids\":[\"x\"]",
		"\"workdir\":\"/\",\"user\":\"\",\"uid\":0,\"gid\":0,\"gids\":{}",
	};
	struct image_meta m;
	char text[1024];
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		assert_true(parse(table[i], &m) < 0);
	for (size_t i = 0; i < ARRAY_SIZE(configs); i++) {
		snprintf(text, sizeof(text), "{" META ",\"config\":{%s}}", configs[i]);
		assert_true(parse(text, &m) < 0);
	}
}

static void test_limits(void **state)
{
	(void)state;
	char **out;
	json_t *a = json_array();
	for (unsigned i = 0; i < IMAGE_WORDS_MAX; i++)
		json_array_append_new(a, json_string("x"));
	assert_int_equal(image_words(a, "cmd", false, &out, &e), 0);
	image_words_free(out);
	json_array_append_new(a, json_string("x"));
	assert_int_equal(image_words(a, "cmd", false, &out, &e), -EINVAL);
	json_array_clear(a);
	char *big = calloc(1, IMAGE_WORD_MAX + 2);
	memset(big, 'x', IMAGE_WORD_MAX);
	for (unsigned i = 0; i < 7; i++)
		json_array_append_new(a, json_string(big));
	assert_int_equal(image_words(a, "cmd", false, &out, &e), 0);
	image_words_free(out);
	json_array_append_new(a, json_string(big));
	json_array_append_new(a, json_string(big));
	assert_int_equal(image_words(a, "cmd", false, &out, &e), -EINVAL);
	json_array_clear(a);
	big[IMAGE_WORD_MAX] = 'x';
	json_array_append_new(a, json_string(big));
	assert_int_equal(image_words(a, "cmd", false, &out, &e), -EINVAL);
	free(big);
	json_decref(a);
	assert_int_equal(image_words(NULL, "cmd", false, &out, &e), 0);
	assert_null(out[0]);
	image_words_free(out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_limits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
