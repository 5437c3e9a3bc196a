// SPDX-License-Identifier: Apache-2.0
// test_out_target.c - what HOST of --out may be, and what GUEST becomes
// links: runtime/copy/out_target.c
#include "copy/out_target.h"

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
#include <sys/stat.h>

#include <cmocka.h>

static struct {
	char dir[40];
	struct out_target target;
	struct err e;
} t;

static int setup(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	t.target = OUT_TARGET_NONE;
	snprintf(t.dir, sizeof(t.dir), "/tmp/mayfly-target-XXXXXX");
	if (!mkdtemp(t.dir) || chdir(t.dir) < 0)
		return -1;
	return system("mkdir dir && echo >file && ln -s dir link && ln -s nowhere dangling && "
		      "mkfifo fifo && ln -s file flink && mkdir -m 555 locked");
}

static int teardown(void **state)
{
	char cmd[100];
	(void)state;
	out_target_close(&t.target);
	assert_int_equal(chdir("/"), 0);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", t.dir);
	return system(cmd);
}

static int open_one(const char *guest, const char *host)
{
	out_target_close(&t.target);
	int ret = out_target_open(&t.target, host, 1, &t.e);
	return ret < 0 ? ret : out_target_source(&t.target, guest, "/work", &t.e);
}

static void test_host(void **state)
{
	static const struct {
		const char *host;
		int want;
		bool is_dir;
		const char *name;
	} rows[] = {
		{"new", 0, false, "new"},
		{"./new", 0, false, "new"},
		{"dir/new", 0, false, "new"},
		{"link/new", 0, false, "new"}, /* the user's own way */
		{"dir/../new", 0, false, "new"},
		{"new/", 0, false, "new"},
		{"dir", 0, true, "dir"},
		{"dir/", 0, true, "dir"},
		{"dir//", 0, true, "dir"},
		{".", 0, true, ""},
		{"dir/.", 0, true, ""},
		{"dir/..", 0, true, ""},
		{"file", 0, false, "file"},
		{"file/", -ENOTDIR, false, NULL},
		{"link", -ELOOP, false, NULL},
		{"link/", -ELOOP, false, NULL},
		{"flink", -ELOOP, false, NULL},
		{"dangling", -ELOOP, false, NULL},
		{"fifo", -EINVAL, false, NULL},
		{"/dev/null", -EINVAL, false, NULL},
		{"missing/new", -ENOENT, false, NULL},
		{"file/new", -ENOTDIR, false, NULL},
		{"/proc/new", -EACCES, false, NULL},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int ret = open_one("/x", rows[i].host);
		/* Root may write to /proc as far as its modes go; making a file fails later. */
		if (rows[i].want == -EACCES && geteuid() == 0)
			continue;
		if (ret != rows[i].want)
			fail_msg("'%s' gives %d: %s", rows[i].host, ret, t.e.text);
		if (ret < 0)
			continue;
		assert_int_equal(t.target.dir_fd >= 0, rows[i].is_dir);
		assert_string_equal(t.target.name, rows[i].name);
		assert_int_equal(t.target.parent_fd >= 0, rows[i].name[0] != '\0');
	}
}

static void test_not_writable(void **state)
{
	(void)state;
	if (geteuid() == 0)
		skip();
	assert_int_equal(open_one("/x", "locked/new"), -EACCES);
	assert_non_null(strstr(t.e.text, "'locked'"));
	assert_int_equal(open_one("/x", "locked"), -EACCES);
}

static void test_guest(void **state)
{
	static const struct {
		const char *guest, *path, *base;
	} rows[] = {
		{"/a/b", "/a/b", "b"},
		{"b", "/work/b", "b"},
		{"/a/b/", "/a/b/", "b"},
		{".", "/work/.", ""},
		{"a/..", "/work/a/..", ""},
		{"/", "/", ""},
		{"..data", "/work/..data", "..data"},
		{"//x//", "//x//", "x"},
	};
	char big[PATH_MAX + 2];
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(open_one(rows[i].guest, "new"), 0);
		assert_string_equal(t.target.guest, rows[i].path);
		assert_string_equal(t.target.base, rows[i].base);
	}
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	assert_int_equal(open_one(big, "new"), -ENAMETOOLONG);
	assert_int_equal(open_one("/x", big), -ENAMETOOLONG);
	big[300] = '\0';
	assert_int_equal(open_one(big, "new"), -ENAMETOOLONG);
	assert_int_equal(open_one("/x", big), -ENAMETOOLONG);
}

static void test_open_dir_stays_inside(void **state)
{
	static const char *const names[] = {"..", "link", "/", "/etc", "../x", "file", "dangling"};
	(void)state;
	AUTO_CLOSE int dir = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_true(out_open_dir(dir, names[i], O_PATH) < 0);
	AUTO_CLOSE int fd = out_open_dir(dir, "dir", O_RDONLY);
	assert_true(fd >= 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_host),
		T(test_not_writable),
		T(test_guest),
		T(test_open_dir_stays_inside),
	};
	return cmocka_run_group_tests_name("out_target", tests, NULL, NULL);
}
