// SPDX-License-Identifier: Apache-2.0
// test_initrd.c - where an initrd lies, for every size of machine, and when it doesn't fit
// links: runtime/boot/initrd.c runtime/boot/place.c runtime/vmm/gmem.c
#include "boot/initrd.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "lib/boot_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define PAGE 4096u
#define LEN (2 * PAGE + 77)

static uint8_t data[3 * PAGE];
static struct gmem m;
static struct boot_initrd rd;
static struct err e;

static int setup(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(1 + i % 251);
	memset(&rd, 0x5a, sizeof(rd));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	gmem_clear(&m);
	return 0;
}

static int load(size_t len, uint64_t kernel_end, uint64_t initrd_end)
{
	struct boot_kernel k = {.end = kernel_end, .initrd_end = initrd_end};
	AUTO_CLOSE int fd = boot_rig_file(data, len);
	return boot_load_initrd(&m, fd, "i", &k, &rd, &e);
}

/* At the top of the RAM below the hole, or where the kernel still takes it. */
static void test_places(void **state)
{
	(void)state;
	const struct {
		uint64_t ram, initrd_end;
		size_t len;
		uint64_t at;
	} rows[] = {
		{64 * MIB, UINT64_MAX, LEN, 64 * MIB - 3 * PAGE},
		{64 * MIB, UINT64_MAX, 2 * PAGE, 64 * MIB - 2 * PAGE},
		{64 * MIB, UINT64_MAX, 1, 64 * MIB - PAGE},
		{128 * MIB, 0x80000000, LEN, 128 * MIB - 3 * PAGE},
		{GIB, UINT64_MAX, LEN, GIB - 3 * PAGE},
		{2 * GIB, 0x80000000, LEN, 2 * GIB - 3 * PAGE},
		{3 * GIB, 0x80000000, LEN, 2 * GIB - 3 * PAGE},
		{3 * GIB + 512 * MIB, UINT64_MAX, LEN, 3 * GIB - 3 * PAGE},
		{5 * GIB, UINT64_MAX, LEN, 3 * GIB - 3 * PAGE},
		{5 * GIB, 0x80000000, LEN, 2 * GIB - 3 * PAGE},
		{64 * GIB, UINT64_MAX, LEN, 3 * GIB - 3 * PAGE},
		{64 * GIB, 0x38000000, LEN, 0x38000000 - 3 * PAGE},
		/* In the middle of a page. */
		{64 * MIB, 32 * MIB + 5, LEN, 32 * MIB - 3 * PAGE},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		boot_rig_ram(&m, rows[i].ram);
		assert_int_equal(load(rows[i].len, 16 * MIB + 1, rows[i].initrd_end), 0);
		assert_int_equal(rd.gpa, rows[i].at);
		assert_int_equal(rd.size, rows[i].len);
		assert_int_equal(rd.mapped, rows[i].len / PAGE * PAGE);
		assert_int_equal(rd.copied, rows[i].len % PAGE);
		assert_memory_equal(gmem_ptr(&m, GPA(rd.gpa), rd.size), data, rd.size);
		gmem_clear(&m);
	}
}

/* Down to the first page behind the kernel, and not one byte more. */
static void test_room(void **state)
{
	(void)state;
	boot_rig_ram(&m, 64 * MIB);
	assert_int_equal(load(LEN, 64 * MIB - 3 * PAGE, UINT64_MAX), 0);
	assert_int_equal(rd.gpa, 64 * MIB - 3 * PAGE);
	memset(&rd, 0x5a, sizeof(rd));
	assert_int_equal(load(LEN, 64 * MIB - 3 * PAGE + 1, UINT64_MAX), -ENOMEM);
	assert_string_equal(e.text,
			    "initrd 'i' has 9 KiB, there is room for 8 KiB above the kernel:"
			    " the machine needs more memory");
	assert_int_equal(load(1, 64 * MIB, UINT64_MAX), -ENOMEM);
	assert_int_equal(load(1, 64 * MIB - PAGE + 1, UINT64_MAX), -ENOMEM);
	assert_int_equal(load(1, 65 * MIB, UINT64_MAX), -ENOMEM);
	assert_int_equal(load(1, 16 * MIB, 16 * MIB), -ENOMEM);
	assert_int_equal(load(1, 16 * MIB, 1), -ENOMEM);
	assert_string_equal(e.text,
			    "initrd 'i' has 1 KiB, there is room for 0 KiB above the kernel:"
			    " the machine needs more memory");
	/* Never below 1 MiB, whatever the kernel is. */
	assert_int_equal(load(1, 0, MIB), -ENOMEM);
	assert_int_equal(load(1, 0, MIB + PAGE), 0);
	assert_int_equal(rd.gpa, MIB);
}

/* A file far larger than the machine, of which nothing is read. */
static void test_huge(void **state)
{
	(void)state;
	struct boot_kernel k = {.end = 16 * MIB, .initrd_end = UINT64_MAX};
	AUTO_CLOSE int fd = memfd_create("huge", MFD_CLOEXEC);
	boot_rig_ram(&m, 64 * MIB);
	assert_int_equal(ftruncate(fd, INT64_MAX / PAGE * PAGE), 0);
	assert_int_equal(boot_load_initrd(&m, fd, "i", &k, &rd, &e), -ENOMEM);
	assert_int_equal(boot_rig_touched(&m, 0, 64 * MIB), 0);
	assert_int_equal(ftruncate(fd, 48 * MIB + 1), 0);
	assert_int_equal(boot_load_initrd(&m, fd, "i", &k, &rd, &e), -ENOMEM);
	assert_string_equal(e.text, "initrd 'i' has 49153 KiB, there is room for 49152 KiB above"
				    " the kernel: the machine needs more memory");
	assert_int_equal(ftruncate(fd, 48 * MIB), 0);
	assert_int_equal(boot_load_initrd(&m, fd, "i", &k, &rd, &e), 0);
	assert_int_equal(rd.gpa, 16 * MIB);
}

static void test_refused(void **state)
{
	(void)state;
	struct boot_kernel k = {.end = 16 * MIB, .initrd_end = UINT64_MAX};
	struct boot_initrd same;
	memset(&same, 0x5a, sizeof(same));
	boot_rig_ram(&m, 64 * MIB);
	assert_int_equal(load(0, k.end, UINT64_MAX), -ENOEXEC);
	assert_string_equal(e.text, "initrd 'i' is an empty file");
	AUTO_CLOSE int dir = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(boot_load_initrd(&m, dir, "i", &k, &rd, &e), -EINVAL);
	assert_string_equal(e.text, "initrd 'i' is not a regular file but a directory");
	/* Write only: neither to be mapped nor read. */
	char path[] = "/tmp/test_initrd.XXXXXX";
	AUTO_CLOSE int rw = mkstemp(path);
	assert_int_equal(write(rw, data, LEN), LEN);
	AUTO_CLOSE int wo = open(path, O_WRONLY | O_CLOEXEC);
	unlink(path);
	assert_int_equal(boot_load_initrd(&m, wo, "i", &k, &rd, &e), -EBADF);
	assert_string_equal(e.text, "initrd 'i': loading it: Bad file descriptor");
	assert_memory_equal(&rd, &same, sizeof(same));
	/* Failed mappings leave RAM, not a hole. */
	assert_true(boot_rig_zero(&m, 64 * MIB - 4 * PAGE, 4 * PAGE));
}

static void test_real(void **state)
{
	(void)state;
	struct boot_kernel k = {.end = 32 * MIB, .initrd_end = 0x80000000};
	uint64_t size;
	AUTO_CLOSE int fd = boot_rig_open("build/guest/init.cpio", &size);
	if (fd < 0)
		skip();
	boot_rig_ram(&m, 64 * MIB);
	assert_int_equal(boot_load_initrd(&m, fd, "i", &k, &rd, &e), 0);
	assert_int_equal(rd.size, size);
	assert_memory_equal(gmem_ptr(&m, GPA(rd.gpa), 6), "070701", 6);
	assert_int_equal(rd.copied, size % PAGE);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_places), T(test_room), T(test_huge), T(test_refused), T(test_real),
	};
	alarm(60);
	return cmocka_run_group_tests_name("initrd", tests, NULL, NULL);
}
