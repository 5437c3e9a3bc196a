// SPDX-License-Identifier: Apache-2.0
// test_disk_files.c - what may be a disk, who may have it at a time, the scratch file
#include "cli/disk_files.h"

#include "base/checked.h"

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

static char dir[] = "/tmp/test_disk_files.XXXXXX";
static struct vm_config c;
static struct disk_files d, other;
static struct err e;

static void make(const char *name, off_t size)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	close(fd);
}

static int group_setup(void **state)
{
	(void)state;
	return mkdtemp(dir) && chdir(dir) == 0 ? 0 : -1;
}

static int group_teardown(void **state)
{
	(void)state;
	static const char *const names[] = {"a", "b", "odd", "empty", "fifo", "dir"};
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (unlink(names[i]) < 0)
			rmdir(names[i]);
	return chdir("/") == 0 ? rmdir(dir) : -1;
}

static int setup(void **state)
{
	(void)state;
	c = (struct vm_config){0};
	make("a", 1 << 20);
	make("b", 2 << 20);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	disk_files_close(&d);
	disk_files_close(&other);
	return 0;
}

static void add(const char *path, bool ro)
{
	c.disk[c.n_disk++] = (struct disk_option){.path = path, .read_only = ro};
}

static void refused(const char *path, const char *why)
{
	c.n_disk = 0;
	add(path, false);
	assert_true(disk_files_open(&d, &c, &e) < 0);
	if (!strstr(e.text, why) || !strstr(e.text, path))
		fail_msg("%s: %s", path, e.text);
	disk_files_close(&d);
}

static void test_in_order(void **state)
{
	(void)state;
	add("b", true);
	add("a", false);
	assert_int_equal(disk_files_open(&d, &c, &e), 0);
	assert_int_equal(d.n, 2);
	assert_int_equal(d.file[0].size, 2 << 20);
	assert_true(d.file[0].read_only);
	assert_int_equal(fcntl(d.file[0].fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK), O_RDONLY);
	assert_int_equal(fcntl(d.file[1].fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK), O_RDWR);
	assert_string_equal(d.file[1].serial, "mayfly-disk1");
	assert_false(d.file[1].throwaway);
	assert_string_equal(d.scratch, "");
}

static void test_no_disks(void **state)
{
	(void)state;
	make("odd", 1000);
	make("empty", 0);
	mkdir("dir", 0700);
	mkfifo("fifo", 0600);
	refused("odd", "multiple of 512");
	refused("empty", "multiple of 512");
	refused("dir", "directory");
	refused("fifo", "neither a file");
	refused("/dev/null", "neither a file");
	refused("missing", "No such file");
}

static void test_locks(void **state)
{
	(void)state;
	add("a", false);
	assert_int_equal(disk_files_open(&d, &c, &e), 0);
	assert_int_equal(disk_files_open(&other, &c, &e), -EBUSY);
	disk_files_close(&other);
	c.disk[0].read_only = true;
	assert_int_equal(disk_files_open(&other, &c, &e), -EBUSY);
	disk_files_close(&other);
	disk_files_close(&d);
	assert_int_equal(disk_files_open(&d, &c, &e), 0);
	assert_int_equal(disk_files_open(&other, &c, &e), 0);
}

static void test_scratch(void **state)
{
	(void)state;
	struct stat st;
	char magic[2];
	add("a", false);
	c.scratch = 64 << 20;
	c.scratch_dir = dir;
	int ret = disk_files_open(&d, &c, &e);
	if (ret == -ENOENT && strstr(e.text, "e2fsprogs"))
		skip();
	assert_int_equal(ret, 0);
	assert_int_equal(d.n, 2);
	assert_string_equal(d.scratch, "vdb");
	assert_true(d.file[1].throwaway);
	assert_int_equal(fstat(d.file[1].fd, &st), 0);
	assert_int_equal(st.st_size, 64 << 20);
	assert_int_equal(st.st_nlink, 0);
	/* Sparse, and ext4's magic number is where it belongs. */
	assert_in_range(st.st_blocks, 1, 4096);
	assert_int_equal(pread(d.file[1].fd, magic, 2, 1024 + 56), 2);
	assert_memory_equal(magic, "\x53\xef", 2);
	disk_files_close(&d);
	c.scratch_dir = "/proc";
	assert_true(disk_files_open(&d, &c, &e) < 0);
	assert_non_null(strstr(e.text, "/proc"));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {T(test_in_order), T(test_no_disks), T(test_locks),
					   T(test_scratch)};
	return cmocka_run_group_tests_name("disk_files", tests, group_setup, group_teardown);
}
