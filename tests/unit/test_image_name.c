// SPDX-License-Identifier: Apache-2.0
// test_image_name.c - names of images and the files that stand for them
// links: runtime/image/image_name.c
#include "image/image_name.h"

#include "base/checked.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct image_name n;
static struct err e;

static const char *text(void)
{
	static char out[IMAGE_TEXT_MAX];
	image_name_text(&n, out);
	return out;
}

static void test_good(void **state)
{
	(void)state;
	static const char *const table[][2] = {
		{"alpine", "alpine:latest"},
		{"alpine:3.19", "alpine:3.19"},
		{"docker.io/library/alpine", "alpine:latest"},
		{"docker.io/a/b:T_1.x-y", "a/b:T_1.x-y"},
		{"a.b-c_d/e0:_", "a.b-c_d/e0:_"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		assert_int_equal(image_name_parse(table[i][0], &n, &e), 0);
		assert_string_equal(text(), table[i][1]);
		struct image_name again;
		char file[IMAGE_FILE_MAX];
		image_name_file(&n, file);
		assert_null(strchr(file, '/'));
		assert_int_equal(image_name_from_file(file, &again), 0);
		assert_string_equal(again.name, n.name);
		assert_string_equal(again.tag, n.tag);
	}
}

static void test_bad(void **state)
{
	(void)state;
	static const char *const table[] = {"",	   "A",	   ".",	    "..",	"a..b",	 "/a",
					    "a/",  "a//b", "../a",  "a/..",	"-a",	 "a-",
					    ".a",  "a:",   "a:b:c", "a:.b",	"a:-b",	 "a b",
					    "a%b", "a\nb", "a:b/c", "\xc3\xa4", "a/../b"};
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		assert_int_equal(image_name_parse(table[i], &n, &e), -EINVAL);
}

static void test_lengths(void **state)
{
	(void)state;
	char name[300];
	memset(name, 'a', sizeof(name));
	name[IMAGE_NAME_MAX + 1] = '\0';
	assert_int_equal(image_name_parse(name, &n, &e), -EINVAL);
	name[IMAGE_NAME_MAX] = ':';
	memset(name + IMAGE_NAME_MAX + 1, 't', IMAGE_TAG_MAX + 1);
	name[IMAGE_NAME_MAX + IMAGE_TAG_MAX + 2] = '\0';
	assert_int_equal(image_name_parse(name, &n, &e), -EINVAL);
	name[IMAGE_NAME_MAX + IMAGE_TAG_MAX + 1] = '\0';
	assert_int_equal(image_name_parse(name, &n, &e), 0);
	char file[IMAGE_FILE_MAX];
	image_name_file(&n, file);
	assert_true(strlen(file) == IMAGE_NAME_MAX + IMAGE_TAG_MAX + 6 && strlen(file) <= 255);
	assert_int_equal(image_name_from_file(file, &n), 0);
}

static void test_files(void **state)
{
	(void)state;
	static const char *const bad[] = {".",		"..",	  "a",	 ".json",
					  "a/b:c.json", "a.json", "a:b", "docker.io%a:b.json",
					  "A:b.json"};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(image_name_from_file(bad[i], &n), -EINVAL);
	assert_int_equal(image_name_from_file("a%b:c.json", &n), 0);
	assert_string_equal(text(), "a/b:c");
}

static void test_paths(void **state)
{
	(void)state;
	static const char *const table[][2] = {
		{"/x/docker.io-alpine.tar", "docker.io-alpine:latest"},
		{"alpine.tar.gz", "alpine:latest"},
		{"Debian.TXZ/", NULL},
		{"debian.tar.zst", "debian:latest"},
		{"a/rootfs/", "rootfs:latest"},
		{"/", NULL},
		{"..", NULL},
		{"a b", NULL},
	};
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		int ret = image_name_from_path(table[i][0], &n, &e);
		if (!table[i][1] && ret == 0)
			assert_string_equal(text(), "debian.txz:latest");
		else
			assert_int_equal(ret, table[i][1] ? 0 : -EINVAL);
		if (table[i][1])
			assert_string_equal(text(), table[i][1]);
	}
}

static void test_refs(void **state)
{
	(void)state;
	assert_int_equal(image_name_from_ref("3.19", "x/alpine.tar", &n, &e), 0);
	assert_string_equal(text(), "alpine:3.19");
	assert_int_equal(image_name_from_ref("localhost:5000/a/b:c", "x", &n, &e), 0);
	assert_string_equal(text(), "a/b:c");
	assert_int_equal(image_name_from_ref("alpine:1", "x", &n, &e), 0);
	assert_string_equal(text(), "alpine:1");
	assert_int_equal(image_name_from_ref("../../x:1", "x", &n, &e), -EINVAL);
	assert_int_equal(image_name_from_ref("-x", "x", &n, &e), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),	cmocka_unit_test(test_bad),
		cmocka_unit_test(test_lengths), cmocka_unit_test(test_files),
		cmocka_unit_test(test_paths),	cmocka_unit_test(test_refs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
