// SPDX-License-Identifier: Apache-2.0
// test_accounts.c - the user's line behind a copy of the lower file, or left for later
// links: init/accounts.c
#include "accounts.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[64];
static Mayfly__Setup setup = MAYFLY__SETUP__INIT;

static int make_dirs(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/accounts.XXXXXX");
	if (!mkdtemp(dir) || chdir(dir) < 0)
		return -1;
	setup.passwd_line = (char *)(uintptr_t) "u:x:7:7::/home/u:/bin/sh";
	setup.group_line = (char *)(uintptr_t) "";
	return mkdir("lower", 0755) | mkdir("lower/etc", 0755) | mkdir("upper", 0755) |
	       mkdir("upper/etc", 0755);
}

static int remove_dirs(void **state)
{
	static const char *const all[] = {"lower/etc/passwd", "lower/etc/real",	 "lower/etc/group",
					  "upper/etc/passwd", "upper/etc/group", "lower/etc",
					  "upper/etc",	      "lower",		 "upper"};
	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		remove(all[i]);
	return chdir("/") | rmdir(dir);
}

static void put(const char *path, const char *text, mode_t mode)
{
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, mode), 0);
}

static void has(const char *path, const char *text, mode_t mode)
{
	char buf[256] = "";
	struct stat st;
	FILE *f = fopen(path, "r");
	assert_non_null(f);
	buf[fread(buf, 1, sizeof(buf) - 1, f)] = '\0';
	fclose(f);
	assert_string_equal(buf, text);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, mode);
}

static void test_copy_and_line(void **state)
{
	struct err e = {0};
	(void)state;
	put("lower/etc/passwd", "root:x:0:0::/root:/bin/sh\n", 0640);
	put("lower/etc/group", "root:x:0:\n", 0644);
	assert_int_equal(accounts_prepare("lower", "upper", &setup, &e), 0);
	has("upper/etc/passwd", "root:x:0:0::/root:/bin/sh\nu:x:7:7::/home/u:/bin/sh\n", 0640);
	/* Nothing to add: the lower file stays as it is. */
	assert_int_equal(access("upper/etc/group", F_OK), -1);
	/* Written already: nothing is appended to the files of this test's own root. */
	assert_int_equal(accounts_finish(&setup, &e), 0);
}

static void test_no_lower(void **state)
{
	struct err e = {0};
	(void)state;
	assert_int_equal(accounts_prepare("lower", "upper", &setup, &e), 0);
	has("upper/etc/passwd", "u:x:7:7::/home/u:/bin/sh\n", 0644);
}

/* Where a link leads is to be seen from inside the new root, not from here. */
static void test_link_is_left(void **state)
{
	struct err e = {0};
	(void)state;
	put("lower/etc/real", "secret\n", 0600);
	assert_int_equal(symlink("real", "lower/etc/passwd"), 0);
	assert_int_equal(accounts_prepare("lower", "upper", &setup, &e), 0);
	assert_int_equal(access("upper/etc/passwd", F_OK), -1);
}

static void test_fifo_is_left(void **state)
{
	struct err e = {0};
	(void)state;
	assert_int_equal(mkfifo("lower/etc/passwd", 0600), 0);
	assert_int_equal(accounts_prepare("lower", "upper", &setup, &e), 0);
	assert_int_equal(access("upper/etc/passwd", F_OK), -1);
}

static void test_large_is_left(void **state)
{
	struct err e = {0};
	(void)state;
	put("lower/etc/passwd", "", 0644);
	assert_int_equal(truncate("lower/etc/passwd", 1 << 20), 0);
	assert_int_equal(accounts_prepare("lower", "upper", &setup, &e), 0);
	assert_int_equal(access("upper/etc/passwd", F_OK), -1);
}

/* What can't be written is an error, and leaves no half of a file. */
static void test_no_upper(void **state)
{
	struct err e = {0};
	(void)state;
	put("lower/etc/passwd", "root\n", 0644);
	assert_int_equal(rmdir("upper/etc"), 0);
	assert_true(accounts_prepare("lower", "upper", &setup, &e) < 0);
	assert_non_null(strstr(e.text, "/etc/passwd"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_copy_and_line, make_dirs, remove_dirs),
		cmocka_unit_test_setup_teardown(test_no_lower, make_dirs, remove_dirs),
		cmocka_unit_test_setup_teardown(test_link_is_left, make_dirs, remove_dirs),
		cmocka_unit_test_setup_teardown(test_fifo_is_left, make_dirs, remove_dirs),
		cmocka_unit_test_setup_teardown(test_large_is_left, make_dirs, remove_dirs),
		cmocka_unit_test_setup_teardown(test_no_upper, make_dirs, remove_dirs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
