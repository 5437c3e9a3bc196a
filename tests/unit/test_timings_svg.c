// SPDX-License-Identifier: Apache-2.0
// test_timings_svg.c - where the picture may go, and what is in it for any points and words
#include "cli/timings_svg.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/io.h"

#include <errno.h>
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

static int enter(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/svg-test-XXXXXX");
	return mkdtemp(dir) && chdir(dir) == 0 ? 0 : -1;
}

static int leave(void **state)
{
	(void)state;
	unlink("old");
	unlink("link");
	unlink("fifo");
	unlink("picture.svg");
	return chdir("/") == 0 && rmdir(dir) == 0 ? 0 : -1;
}

static void test_where(void **state)
{
	(void)state;
	struct err e = {0};
	struct stat st;
	int fd = -1;
	AUTO_CLOSE int old = open("old", O_RDWR | O_CREAT | O_CLOEXEC, 0640);
	assert_int_equal(write(old, "text", 4), 4);
	assert_int_equal(symlink("old", "link"), 0);
	assert_int_equal(mkfifo("fifo", 0600), 0);
	assert_int_equal(timings_svg_open("link", &fd, &e), -ELOOP);
	assert_non_null(strstr(e.text, "'link'"));
	assert_int_equal(fstat(old, &st), 0);
	assert_int_equal(st.st_size, 4);
	assert_true(timings_svg_open("fifo", &fd, &e) < 0);
	assert_int_equal(timings_svg_open("/dev/null", &fd, &e), -EINVAL);
	assert_int_equal(timings_svg_open(".", &fd, &e), -EISDIR);
	assert_int_equal(timings_svg_open("no/such", &fd, &e), -ENOENT);
	assert_int_equal(fd, -1);
	assert_int_equal(timings_svg_open("old", &fd, &e), 0);
	assert_int_equal(fstat(old, &st), 0);
	assert_int_equal(st.st_size, 0);
	close(fd);
}

/* The picture of a run, the caller's to free. */
static char *picture(const struct verdict *v, char *const *argv)
{
	char *text = NULL;
	size_t len = 0;
	AUTO_CLOSE int fd = open("picture.svg", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_int_equal(timings_svg_write(v, argv, fd), 0);
	assert_int_equal(io_read_all(fd, 1 << 20, &text, &len), 0);
	return text;
}

static unsigned count(const char *text, const char *what)
{
	unsigned n = 0;
	for (; (text = strstr(text, what)); text++)
		n++;
	return n;
}

static void test_parts(void **state)
{
	(void)state;
	char words[][8] = {"a<b>&c", "\xff\n\x1b", "\"'"};
	char *argv[] = {words[0], words[1], words[2], NULL};
	struct verdict v = {.reason = VERDICT_EXIT, .engine = "tcg"};
	v.t = (struct verdict_times){.start = 1000000,
				     .parsed = 2000000,
				     .started = 3000000,
				     .kernel = 11000000,
				     .init = 61000000,
				     .ready = 71000000,
				     .exec = 72000000,
				     .exit = 92000000,
				     .stop = 93000000,
				     .end = 101000000};
	AUTO_FREE char *text = picture(&v, argv);
	assert_non_null(strstr(text, "mayfly run -- a&lt;b&gt;&amp;c ??? \"'</text>"));
	assert_non_null(strstr(text, "100.0 ms from start to end, engine tcg, ended: exit<"));
	assert_non_null(strstr(text, ">50.0 ms  guest kernel<"));
	assert_non_null(strstr(text, ">20.0 ms  the command runs<"));
	/* The kernel's bar: from 10 % of the width on, half of it wide. */
	assert_non_null(strstr(text, "<rect x=\"156.00\" y=\"150\" width=\"280.00\""));
	assert_int_equal(count(text, "<rect"), VERDICT_PHASES + 1);
	/* Steps of 10 ms. */
	assert_int_equal(count(text, "<path"), 11);
	assert_string_equal(text + strlen(text) - 7, "</svg>\n");
}

/* Points missing, all at once and in impossible order; words without end. */
static void test_odd(void **state)
{
	(void)state;
	static const uint64_t sets[][3] = {
		{0, 0, 0}, {5, 5, 5}, {9, 5, 7}, {5, UINT64_MAX, 6}, {1, 2, UINT64_MAX},
	};
	static char word[100000];
	char *argv[] = {word, word, NULL};
	memset(word, '<', sizeof(word) - 1);
	for (size_t i = 0; i < ARRAY_SIZE(sets); i++) {
		struct verdict v = {.reason = VERDICT_CONFIG};
		v.t.start = sets[i][0];
		v.t.kernel = sets[i][1];
		v.t.stop = v.t.end = sets[i][2];
		AUTO_FREE char *text = picture(&v, i % 2 ? argv : NULL);
		assert_true(strlen(text) < 16384);
		assert_int_equal(count(text, "<rect"), VERDICT_PHASES + 1);
		assert_null(strstr(text, "nan"));
		assert_null(strstr(text, "inf"));
		assert_null(strstr(text, "\"-"));
	}
}

static void test_disk_full(void **state)
{
	(void)state;
	struct verdict v = {0};
	AUTO_CLOSE int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	assert_int_equal(timings_svg_write(&v, NULL, full), -ENOSPC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_where, enter, leave),
		cmocka_unit_test_setup_teardown(test_parts, enter, leave),
		cmocka_unit_test_setup_teardown(test_odd, enter, leave),
		cmocka_unit_test(test_disk_full),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
