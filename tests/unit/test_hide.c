// SPDX-License-Identifier: Apache-2.0
// test_hide.c - which paths and files --hide means
// links: runtime/cli/hide.c
#include "cli/hide.h"

#include "base/checked.h"
#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct {
	char dir[40];
	struct vm_config c;
	struct hides h;
	struct err e;
} t;

static int setup(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	snprintf(t.dir, sizeof(t.dir), "/tmp/mayfly-hide-XXXXXX");
	if (!mkdtemp(t.dir) || chdir(t.dir) < 0)
		return -1;
	return system("mkdir -p d/sub && echo >f && ln f hard && ln -s d link && echo >d/sub/x");
}

static int teardown(void **state)
{
	char cmd[100];
	(void)state;
	hides_close(&t.h);
	assert_int_equal(chdir("/"), 0);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", t.dir);
	return system(cmd);
}

static int open_one(const char *path)
{
	hides_close(&t.h);
	t.c.hide[0] = path;
	t.c.n_hide = 1;
	return hides_open(&t.h, &t.c, &t.e);
}

static bool file(const char *path)
{
	AUTO_CLOSE int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	assert_true(fd >= 0);
	return hides_file(&t.h, fd);
}

static bool path(const char *p)
{
	char full[100];
	snprintf(full, sizeof(full), "%s/%s", t.dir, p);
	return hides_path(&t.h, full);
}

static void test_file(void **state)
{
	(void)state;
	assert_int_equal(open_one("f"), 0);
	assert_true(file("f") && file("hard"));
	assert_false(file("d") || file("link"));
	assert_true(path("f"));
	assert_false(path("ff") || path("hard") || path("."));
}

static void test_directory(void **state)
{
	static const char *const spelled[] = {"d", "./d", "d/", "d//", "d/../d", "link/../d"};
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(spelled); i++) {
		assert_int_equal(open_one(spelled[i]), 0);
		assert_true(file("d") && path("d") && path("d/sub/x"));
		assert_false(path("dd") || file("d/sub") || file("link"));
	}
	assert_int_equal(open_one("link/sub"), 0);
	assert_true(file("d/sub") && path("d/sub"));
	assert_false(path("d"));
}

static void test_link_and_target(void **state)
{
	(void)state;
	assert_int_equal(open_one("link"), 0);
	assert_int_equal(t.h.n, 2);
	assert_true(file("link") && file("d") && path("link") && path("d/sub"));
}

static void test_not_there_yet(void **state)
{
	(void)state;
	assert_int_equal(open_one("new"), 0);
	assert_int_equal(t.h.row[0].fd, -1);
	assert_true(path("new"));
	assert_false(file("f"));
}

static void test_refused(void **state)
{
	static const struct {
		const char *path;
		int want;
	} rows[] = {{"/", -EINVAL},    {".", -EINVAL},	       {"d/.", -EINVAL},
		    {"d/..", -EINVAL}, {"missing/x", -ENOENT}, {"f/x", -ENOTDIR}};
	char big[PATH_MAX + 1];
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(open_one(rows[i].path), rows[i].want);
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	assert_int_equal(open_one(big), -ENAMETOOLONG);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_file),	       T(test_directory), T(test_link_and_target),
		T(test_not_there_yet), T(test_refused),
	};
	return cmocka_run_group_tests_name("hide", tests, NULL, NULL);
}
