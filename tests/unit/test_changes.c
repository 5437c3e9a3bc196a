// SPDX-License-Identifier: Apache-2.0
// test_changes.c - a file system with room, one without such a limit, one that is full
// links: init/changes.c
#include "changes.h"

#include "base/cleanup.h"

#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cmocka.h>

static void test_none(void **state)
{
	(void)state;
	changes_add(-1);
	assert_false(changes_full());
}

/* sysfs has no blocks at all, which is not the same as none left. */
static void test_no_limit(void **state)
{
	(void)state;
	int fd = open("/sys", O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	changes_add(fd);
	assert_false(changes_full());
}

static void test_full(void **state)
{
	(void)state;
	static const char block[4096];
	if (unshare(geteuid() == 0 ? CLONE_NEWNS : CLONE_NEWUSER | CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("tmpfs", "/tmp", "tmpfs", 0, "size=1m") < 0)
		skip();
	int dir = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);
	AUTO_CLOSE int fd = open("/tmp/x", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(dir >= 0 && fd >= 0);
	changes_add(dir);
	assert_false(changes_full());
	ssize_t n;
	unsigned blocks = 0;
	while ((n = write(fd, block, sizeof(block))) == (ssize_t)sizeof(block))
		blocks++;
	assert_int_equal(blocks, 256);
	assert_true(changes_full());
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_false(changes_full());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_no_limit),
		cmocka_unit_test(test_full),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
