// SPDX-License-Identifier: Apache-2.0
// test_paths.c - finding programs in PATH, kernels and init images, mayfly's own programs
// links: runtime/cli/paths.c
#include "cli/paths.h"

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

static char dir[32];
static char saved_path[4096];
static int old_dir;
static struct err e;

static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/mayfly-paths-XXXXXX");
	snprintf(saved_path, sizeof(saved_path), "%s", getenv("PATH") ? getenv("PATH") : "");
	old_dir = open(".", O_PATH | O_CLOEXEC);
	if (!mkdtemp(dir) || chdir(dir) < 0)
		return -1;
	return mkdir("a", 0755) < 0 || mkdir("b", 0755) < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	char cmd[64];
	(void)state;
	setenv("PATH", saved_path, 1);
	int ret = fchdir(old_dir);
	close(old_dir);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	return ret < 0 ? ret : system(cmd);
}

static void put(const char *name, const char *text, mode_t mode)
{
	AUTO_CLOSE int fd = open(name, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
}

static bool same_file(int fd, const char *name)
{
	struct stat x;
	struct stat y;
	return fstat(fd, &x) == 0 && stat(name, &y) == 0 && x.st_ino == y.st_ino &&
	       x.st_dev == y.st_dev;
}

static void test_which(void **state)
{
	(void)state;
	char path[256];
	snprintf(path, sizeof(path), "%s/none::%s/a:%s/b", dir, dir, dir);
	setenv("PATH", path, 1);
	assert_int_equal(paths_which("prog"), -ENOENT);
	put("b/prog", "#!", 0755);
	AUTO_CLOSE int in_b = paths_which("prog");
	assert_true(in_b >= 0 && same_file(in_b, "b/prog"));
	assert_true(fcntl(in_b, F_GETFL) & O_PATH);
	assert_true(fcntl(in_b, F_GETFD) & FD_CLOEXEC);
	/* A directory, and what can't be executed, are passed over. */
	assert_int_equal(mkdir("a/prog", 0755), 0);
	AUTO_CLOSE int again = paths_which("prog");
	assert_true(same_file(again, "b/prog"));
	assert_int_equal(rmdir("a/prog"), 0);
	put("a/prog", "#!", 0644);
	AUTO_CLOSE int still = paths_which("prog");
	assert_true(same_file(still, "b/prog"));
	assert_int_equal(chmod("a/prog", 0755), 0);
	AUTO_CLOSE int first = paths_which("prog");
	assert_true(same_file(first, "a/prog"));
}

static void test_which_relative(void **state)
{
	(void)state;
	put("prog", "#!", 0755);
	put("a/prog", "#!", 0755);
	/* Would depend on where the user stands. */
	setenv("PATH", ".:a::", 1);
	assert_int_equal(paths_which("prog"), -ENOENT);
	unsetenv("PATH");
	AUTO_CLOSE int sh = paths_which("sh");
	assert_true(sh >= 0);
}

static void test_which_long(void **state)
{
	(void)state;
	static char big[20000];
	memset(big, 'x', sizeof(big) - 1);
	big[0] = '/';
	setenv("PATH", big, 1);
	assert_int_equal(paths_which("prog"), -ENOENT);
}

static void test_guest_given(void **state)
{
	(void)state;
	put("kernel", "content", 0644);
	AUTO_CLOSE int fd = paths_guest("kernel", "vmlinux", "kernel", &e);
	assert_true(fd >= 0 && same_file(fd, "kernel"));
	assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(paths_guest("missing", "vmlinux", "kernel", &e), -ENOENT);
	assert_non_null(strstr(e.text, "kernel 'missing'"));
	put("empty", "", 0644);
	assert_int_equal(paths_guest("empty", "vmlinux", "kernel", &e), -EINVAL);
	assert_int_equal(paths_guest("a", "vmlinux", "kernel", &e), -EINVAL);
	/* Must not wait for somebody to write. */
	assert_int_equal(mkfifo("fifo", 0644), 0);
	assert_int_equal(paths_guest("fifo", "vmlinux", "kernel", &e), -EINVAL);
	assert_int_equal(paths_guest("/dev/zero", "vmlinux", "init image", &e), -EINVAL);
	assert_non_null(strstr(e.text, "init image"));
}

static void test_check_kernel(void **state)
{
	(void)state;
	static char image[1024];
	static const struct {
		size_t at;
		const char *mark;
		int want;
	} rows[] = {{0, "\177ELF", 0},
		    {0x202, "HdrS", 0},
		    {0x201, "HdrS", -ENOEXEC},
		    {0, "#!/b", -ENOEXEC}};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		AUTO_CLOSE int fd = open("k", O_CREAT | O_RDWR | O_TRUNC | O_CLOEXEC, 0600);
		memset(image, 'x', sizeof(image));
		memcpy(image + rows[i].at, rows[i].mark, 4);
		assert_int_equal(write(fd, image, sizeof(image)), sizeof(image));
		assert_int_equal(paths_check_kernel(fd, "k", &e), rows[i].want);
		/* Too short to tell is no reason to read beyond it. */
		assert_int_equal(ftruncate(fd, 3), 0);
		assert_int_equal(paths_check_kernel(fd, NULL, &e), -ENOEXEC);
	}
	assert_int_equal(paths_check_kernel(-1, "k", &e), -EBADF);
	assert_non_null(strstr(e.text, "'k'"));
}

static void test_own_missing(void **state)
{
	(void)state;
	assert_int_equal(paths_program("mayfly-no-such-program", &e), -ENOENT);
	assert_non_null(strstr(e.text, "mayfly-no-such-program"));
	assert_non_null(strstr(e.text, "make"));
	assert_int_equal(paths_guest(NULL, "no-such-file", "kernel", &e), -ENOENT);
	assert_non_null(strstr(e.text, "guest/no-such-file"));
}

static void test_own_beside(void **state)
{
	(void)state;
	/* This test itself stands beside the others. */
	AUTO_CLOSE int fd = paths_program("test_paths", &e);
	assert_true(fd >= 0 && same_file(fd, "/proc/self/exe"));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_which),	      T(test_which_relative), T(test_which_long),
		T(test_guest_given),  T(test_own_missing),    T(test_own_beside),
		T(test_check_kernel),
	};
	alarm(30);
	return cmocka_run_group_tests_name("paths", tests, NULL, NULL);
}
