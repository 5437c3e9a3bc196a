// SPDX-License-Identifier: Apache-2.0
// test_place.c - file pages in guest RAM: what is mapped, what is copied, what is cleared
// links: runtime/boot/place.c runtime/vmm/gmem.c
#include "boot/place.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "lib/boot_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define PAGE 4096u
#define FILE_LEN (5 * PAGE + 100)
#define AT 0x100000ull

static uint8_t data[FILE_LEN];

static struct {
	struct gmem m;
	int fd;
	uint64_t mapped, copied;
} t;

static int setup(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	/* No byte is 0, neighbours differ, and so do pages. */
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(1 + (i + i / PAGE * 7) % 251);
	boot_rig_ram(&t.m, 4 * MIB);
	t.fd = boot_rig_file(data, sizeof(data));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	gmem_clear(&t.m);
	close_fd(&t.fd);
	return 0;
}

static int place(uint64_t at, uint64_t off, uint64_t filesz, uint64_t memsz)
{
	t.mapped = t.copied = 0;
	return boot_place(&t.m, GPA(at), t.fd, off, filesz, memsz, &t.mapped, &t.copied);
}

static const uint8_t *ram(uint64_t at, size_t len)
{
	const uint8_t *p = gmem_ptr(&t.m, GPA(at), len);
	assert_non_null(p);
	return p;
}

/* Where, how much, and how many bytes of it are mapped; in dirty memory, so that all shows. */
static void test_places(void **state)
{
	(void)state;
	const struct {
		uint64_t at, off, filesz, memsz, mapped;
	} rows[] = {
		{AT, 0, 2 * PAGE, 2 * PAGE, 2 * PAGE},
		{AT, PAGE, 2 * PAGE, 4 * PAGE, 2 * PAGE},
		{AT, 0, FILE_LEN, FILE_LEN, 5 * PAGE},
		{AT, 0, FILE_LEN, 9 * PAGE + 1, 5 * PAGE},
		/* A head, a tail, both. */
		{AT + 0x234, 0x234, 2 * PAGE, 2 * PAGE, PAGE},
		{AT + 0x234, 0x234, 2 * PAGE - 0x234, 2 * PAGE + 5, PAGE},
		{AT + 0x234, PAGE + 0x234, 3 * PAGE, 5 * PAGE, 2 * PAGE},
		{AT + 0xfff, 0xfff, PAGE + 2, PAGE + 2, PAGE},
		/* Less than a page. */
		{AT, 0, PAGE - 1, PAGE - 1, 0},
		{AT + 0xf00, 0xf00, 0x200, 0x200, 0},
		{AT + 0xf00, 0xf00, PAGE, PAGE, 0},
		/* Not at the same place of a page. */
		{AT, 1, 3 * PAGE, 3 * PAGE, 0},
		{AT + 1, 0, 3 * PAGE, 5 * PAGE, 0},
		{AT + 0x800, 0x7ff, 3 * PAGE, 3 * PAGE, 0},
		/* Nothing of the file. */
		{AT, 0, 0, 3 * PAGE, 0},
		{AT + 9, FILE_LEN, 0, 2 * PAGE, 0},
		{AT + 9, 0, 0, 3, 0},
		/* The last bytes of the RAM. */
		{4 * MIB - 2 * PAGE, 0, PAGE + 3, 2 * PAGE, PAGE},
		{4 * MIB - 7, 0, 5, 7, 0},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		teardown(NULL);
		setup(NULL);
		memset(gmem_ptr(&t.m, GPA(0), 4 * MIB), 0xee, 4 * MIB);
		assert_int_equal(place(rows[i].at, rows[i].off, rows[i].filesz, rows[i].memsz), 0);
		assert_int_equal(t.mapped, rows[i].mapped);
		assert_int_equal(t.copied, rows[i].filesz - rows[i].mapped);
		uint64_t end = rows[i].at + rows[i].memsz;
		const uint8_t *p = ram(0, 4 * MIB);
		assert_memory_equal(p + rows[i].at, data + rows[i].off, rows[i].filesz);
		assert_true(boot_rig_zero(&t.m, rows[i].at + rows[i].filesz,
					  rows[i].memsz - rows[i].filesz));
		for (uint64_t a = rows[i].at - PAGE; a < rows[i].at; a++)
			assert_int_equal(p[a], 0xee);
		for (uint64_t a = end; a < MIN(end + PAGE, 4 * MIB); a++)
			assert_int_equal(p[a], 0xee);
	}
}

static void test_refused(void **state)
{
	(void)state;
	const struct {
		uint64_t at, off, filesz, memsz;
		int want;
	} rows[] = {
		{AT, 0, PAGE, PAGE - 1, -EINVAL},
		{AT, 0, FILE_LEN + 1, FILE_LEN + 1, -ENODATA},
		{AT, FILE_LEN, 1, 1, -ENODATA},
		{AT, FILE_LEN + 1, 0, 1, -ENODATA},
		{AT, UINT64_MAX, 2, 2, -ENODATA},
		{AT, UINT64_MAX - PAGE + 1, PAGE, PAGE, -ENODATA},
		{4 * MIB, 0, 1, 1, -EFAULT},
		{4 * MIB - PAGE, 0, PAGE, PAGE + 1, -EFAULT},
		{AT, 0, PAGE, UINT64_MAX, -EFAULT},
		{UINT64_MAX, 0, 2, 2, -EFAULT},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(place(rows[i].at, rows[i].off, rows[i].filesz, rows[i].memsz),
				 rows[i].want);
	assert_int_equal(boot_rig_touched(&t.m, 0, 4 * MIB), 0);
	assert_int_equal(place(UINT64_MAX, UINT64_MAX, 0, 0), 0);
}

/* A clean page is the file's; what the guest writes stays its own. */
static void test_shared(void **state)
{
	(void)state;
	uint8_t b = 0;
	assert_int_equal(place(AT, 0, FILE_LEN, FILE_LEN), 0);
	assert_int_equal(pwrite(t.fd, "\xf1", 1, 2 * PAGE), 1);
	assert_int_equal(pwrite(t.fd, "\xf2", 1, 5 * PAGE), 1);
	assert_int_equal(*ram(AT + 2 * PAGE, 1), 0xf1);
	assert_int_equal(*ram(AT + 5 * PAGE, 1), data[5 * PAGE]);
	assert_int_equal(gmem_write(&t.m, GPA(AT + PAGE), "\xf3", 1), 0);
	assert_int_equal(pread(t.fd, &b, 1, PAGE), 1);
	assert_int_equal(b, data[PAGE]);
}

/* Zeros over pages that are mapped from a file, and a file over another one's. */
static void test_replaces(void **state)
{
	(void)state;
	assert_int_equal(place(AT, 0, FILE_LEN, FILE_LEN), 0);
	assert_int_equal(place(AT + 100, PAGE, 0, 3 * PAGE), 0);
	assert_memory_equal(ram(AT, 100), data, 100);
	assert_true(boot_rig_zero(&t.m, AT + 100, 3 * PAGE));
	assert_memory_equal(ram(AT + 100 + 3 * PAGE, 100), data + 100 + 3 * PAGE, 100);
	assert_int_equal(place(AT, 3 * PAGE, PAGE, PAGE), 0);
	assert_memory_equal(ram(AT, PAGE), data + 3 * PAGE, PAGE);
}

/* Large zeros cost no memory. */
static void test_fresh_zeros(void **state)
{
	(void)state;
	assert_int_equal(place(AT, 0, PAGE, 2 * MIB), 0);
	assert_int_equal(boot_rig_touched(&t.m, AT + PAGE, AT + 2 * MIB), 0);
}

/* Memory that somebody else mapped, and looks at through a mapping of his own. */
static void test_borrowed(void **state)
{
	(void)state;
	AUTO_CLOSE int theirs = memfd_create("theirs", MFD_CLOEXEC);
	assert_int_equal(ftruncate(theirs, 8 * PAGE), 0);
	uint8_t *p = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, theirs, 0);
	uint8_t *view = mmap(NULL, 8 * PAGE, PROT_READ, MAP_SHARED, theirs, 0);
	assert_true(p != MAP_FAILED && view != MAP_FAILED);
	struct gmem_region r = {.gpa = 16 * MIB, .size = 8 * PAGE, .host = p};
	assert_int_equal(gmem_add(&t.m, &r), 0);
	memset(p, 0xee, 8 * PAGE);
	assert_int_equal(place(16 * MIB, 0, 3 * PAGE, 6 * PAGE), 0);
	assert_int_equal(t.mapped, 0);
	assert_int_equal(t.copied, 3 * PAGE);
	assert_memory_equal(view, data, 3 * PAGE);
	for (size_t i = 3 * PAGE; i < 6 * PAGE; i++)
		assert_int_equal(view[i], 0);
	assert_int_equal(view[6 * PAGE], 0xee);
	munmap(p, 8 * PAGE);
	munmap(view, 8 * PAGE);
}

static int no_file_mappings(void)
{
	struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[4])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0xffffffff, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENODEV),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {.len = ARRAY_SIZE(f), .filter = f};
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) < 0 ? -errno : 0;
}

/* As on a file system without mmap(). */
static void test_unmappable(void **state)
{
	(void)state;
	int status = 0;
	memset(gmem_ptr(&t.m, GPA(AT), MIB), 0xee, MIB);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (no_file_mappings() < 0)
			_exit(10);
		if (place(AT, 0, 3 * PAGE + 1, 4 * PAGE) != 0 || t.mapped != 0)
			_exit(11);
		const uint8_t *p = gmem_ptr(&t.m, GPA(AT), 4 * PAGE);
		if (memcmp(p, data, 3 * PAGE + 1) != 0)
			_exit(12);
		_exit(boot_rig_zero(&t.m, AT + 3 * PAGE + 1, PAGE - 1) ? 0 : 13);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* The file got shorter after its size was taken. */
static void test_read(void **state)
{
	(void)state;
	uint8_t b[16];
	assert_int_equal(boot_read(t.fd, FILE_LEN - 16, b, 16), 0);
	assert_memory_equal(b, data + FILE_LEN - 16, 16);
	assert_int_equal(boot_read(t.fd, FILE_LEN - 15, b, 16), -ENODATA);
	assert_int_equal(boot_read(t.fd, UINT64_MAX, b, 1), -ENODATA);
	assert_int_equal(boot_read(t.fd, INT64_MAX, b, 1), -ENODATA);
	assert_int_equal(boot_read(-1, 0, b, 1), -EBADF);
	assert_int_equal(boot_read(-1, 0, b, 0), 0);
}

static void test_file_size(void **state)
{
	(void)state;
	uint64_t size = 0;
	int p[2];
	struct err e;
	assert_int_equal(boot_file_size(t.fd, "kernel", "k", &size, &e), 0);
	assert_int_equal(size, FILE_LEN);
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	assert_int_equal(boot_file_size(p[0], "kernel", "k", &size, &e), -EINVAL);
	assert_string_equal(e.text, "kernel 'k' is not a regular file but a pipe");
	close(p[0]);
	close(p[1]);
	int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(boot_file_size(fd, "initrd", "d", &size, &e), -EINVAL);
	assert_string_equal(e.text, "initrd 'd' is not a regular file but a directory");
	close(fd);
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_int_equal(boot_file_size(fd, "initrd", "n", &size, &e), -EINVAL);
	assert_string_equal(e.text, "initrd 'n' is not a regular file but a device");
	close(fd);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(boot_file_size(fd, "initrd", "s", &size, &e), -EINVAL);
	assert_string_equal(e.text, "initrd 's' is not a regular file but a socket");
	close(fd);
	assert_int_equal(boot_file_size(-1, "initrd", "s", &size, &e), -EBADF);
	assert_int_equal(size, FILE_LEN);
}

static void test_sizes(void **state)
{
	(void)state;
	struct err e;
	struct gmem m;
	const struct {
		uint64_t ram, low;
	} rows[] = {
		{64 * MIB, 64 * MIB}, {3 * GIB, 3 * GIB},  {3 * GIB + 512 * MIB, 3 * GIB},
		{5 * GIB, 3 * GIB},   {64 * GIB, 3 * GIB},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		boot_rig_ram(&m, rows[i].ram);
		assert_int_equal(boot_low_ram(&m), rows[i].low);
		assert_int_equal(boot_ram_size(&m), rows[i].ram);
		assert_int_equal(boot_check_fit(&m, "k", rows[i].low, &e), 0);
		assert_int_equal(boot_check_fit(&m, "k", rows[i].low + 1, &e), -ENOMEM);
		gmem_clear(&m);
	}
	assert_string_equal(e.text, "kernel 'k' needs at least 3073 MiB of memory,"
				    " the machine has 65536 MiB");
	assert_int_equal(boot_low_ram(&m), 0);
	assert_int_equal(boot_ram_size(&m), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_places, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_shared, setup, teardown),
		cmocka_unit_test_setup_teardown(test_replaces, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fresh_zeros, setup, teardown),
		cmocka_unit_test_setup_teardown(test_borrowed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unmappable, setup, teardown),
		cmocka_unit_test_setup_teardown(test_read, setup, teardown),
		cmocka_unit_test_setup_teardown(test_file_size, setup, teardown),
		cmocka_unit_test(test_sizes),
	};
	alarm(60);
	return cmocka_run_group_tests_name("place", tests, NULL, NULL);
}
