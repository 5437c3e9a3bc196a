// SPDX-License-Identifier: Apache-2.0
// test_vhost_user_mem.c - memory tables: what is mapped, and every table that must be refused
// links: runtime/virtio/vhost_user_mem.c runtime/vmm/gmem.c
#include "virtio/vhost_user_mem.h"

#include "base/checked.h"
#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define PAGE 4096u
#define RAM (16 * PAGE)

static struct {
	struct gmem mem;
	struct vu_msg m;
	int fds[VU_MEM_MAX_REGIONS];
} t;

static int memfd(size_t size, int seals)
{
	int fd = memfd_create("ram", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	if (seals)
		assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

/* n regions of RAM bytes each, every one a good file of its own. */
static void table(uint32_t n)
{
	memset(&t.m, 0, sizeof(t.m));
	t.m.request = VU_SET_MEM_TABLE;
	t.m.size = 8 + n * (uint32_t)sizeof(struct vu_mem_region);
	t.m.mem.nregions = n;
	for (uint32_t i = 0; i < n && i < VU_MEM_MAX_REGIONS; i++) {
		struct vu_mem_region r = {.gpa = i * 0x100000ull,
					  .size = RAM,
					  .uaddr = 0x7f0000000000ull + i * 0x100000ull};
		memcpy(&t.m.mem.region[i], &r, sizeof(r));
		close_fd(&t.fds[i]);
		t.fds[i] = memfd(RAM, F_SEAL_SHRINK);
	}
}

static int setup(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	for (size_t i = 0; i < VU_MEM_MAX_REGIONS; i++)
		t.fds[i] = -1;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	gmem_clear(&t.mem);
	for (size_t i = 0; i < VU_MEM_MAX_REGIONS; i++)
		close_fd(&t.fds[i]);
	return 0;
}

static int map(size_t nfds)
{
	int ret = vhost_user_mem_map(&t.mem, &t.m, t.fds, nfds);
	if (ret < 0)
		assert_int_equal(t.mem.n, 0);
	return ret;
}

static void use_fd(int fd)
{
	close_fd(&t.fds[0]);
	t.fds[0] = fd;
}

static void test_shared(void **state)
{
	(void)state;
	table(2);
	assert_int_equal(map(2), 0);
	assert_int_equal(t.mem.n, 2);
	assert_int_equal(gmem_write(&t.mem, GPA(0x100000), "ram", 4), 0);
	char back[4] = "";
	assert_int_equal(pread(t.fds[1], back, 4, 0), 4);
	assert_string_equal(back, "ram");
	struct gpa g;
	assert_int_equal(gmem_from_uaddr(&t.mem, 0x7f0000100010ull, 16, &g), 0);
	assert_int_equal(g.v, 0x100010);
	/* The descriptors stay the caller's; the mapping lives without them. */
	close_fd(&t.fds[1]);
	assert_int_equal(gmem_write(&t.mem, GPA(0x100000), "RAM", 4), 0);
}

static void test_eight(void **state)
{
	(void)state;
	table(8);
	assert_int_equal(map(8), 0);
	assert_int_equal(t.mem.n, 8);
}

/* QEMU's way with more than 3 GiB: one file, two regions, the second at an offset. */
static void test_offset(void **state)
{
	(void)state;
	table(2);
	use_fd(memfd(2 * RAM, F_SEAL_SHRINK));
	close_fd(&t.fds[1]);
	t.fds[1] = fcntl(t.fds[0], F_DUPFD_CLOEXEC, 3);
	t.m.mem.region[1].mmap_offset = RAM;
	assert_int_equal(map(2), 0);
	assert_int_equal(gmem_write(&t.mem, GPA(0x100000), "x", 1), 0);
	char c = 0;
	assert_int_equal(pread(t.fds[0], &c, 1, RAM), 1);
	assert_int_equal(c, 'x');
}

static void test_counts(void **state)
{
	(void)state;
	table(0);
	assert_int_equal(map(0), -EPROTO);
	table(1);
	assert_int_equal(map(0), -EPROTO);
	assert_int_equal(map(2), -EPROTO);
	table(2);
	assert_int_equal(map(1), -EPROTO);
	table(VU_MEM_MAX_REGIONS + 1);
	assert_int_equal(map(VU_MEM_MAX_REGIONS), -EPROTO);
	table(1);
	t.m.mem.nregions = UINT32_MAX;
	assert_int_equal(map(1), -EPROTO);
	table(1);
	t.m.size -= 1;
	assert_int_equal(map(1), -EPROTO);
	t.m.size += 33;
	assert_int_equal(map(1), -EPROTO);
	/* A size that matches only after the count has wrapped. */
	table(1);
	t.m.mem.nregions = (1u << 27) + 1;
	assert_int_equal(map(1), -EPROTO);
}

static void test_unsealed(void **state)
{
	(void)state;
	table(1);
	use_fd(memfd(RAM, 0));
	assert_int_equal(map(1), -EPERM);
	use_fd(memfd(RAM, F_SEAL_GROW | F_SEAL_SEAL));
	assert_int_equal(map(1), -EPERM);
}

static void test_not_memory(void **state)
{
	(void)state;
	int p[2];
	table(1);
	use_fd(open("/dev/zero", O_RDWR | O_CLOEXEC));
	assert_int_equal(map(1), -EPERM);
	use_fd(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
	assert_int_equal(map(1), -EPERM);
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	close(p[1]);
	use_fd(p[0]);
	assert_int_equal(map(1), -EPERM);
}

static void test_outside_the_file(void **state)
{
	(void)state;
	static const struct {
		uint64_t size, offset;
	} rows[] = {
		{0, 0},
		{RAM + 1, 0},
		{RAM + PAGE, 0},
		{RAM, PAGE},
		{PAGE, RAM},
		{PAGE, 2 * RAM},
		{PAGE, UINT64_MAX - PAGE + 1},
		{UINT64_MAX, 0},
		{UINT64_MAX - PAGE + 1, PAGE},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		table(1);
		t.m.mem.region[0].size = rows[i].size;
		t.m.mem.region[0].mmap_offset = rows[i].offset;
		assert_int_equal(map(1), -EINVAL);
	}
}

static void test_unaligned_offset(void **state)
{
	(void)state;
	table(1);
	t.m.mem.region[0].size = PAGE;
	t.m.mem.region[0].mmap_offset = 8;
	assert_int_equal(map(1), -EINVAL);
}

/* Ring words are read as words: an odd guest address would make every access unaligned. */
static void test_unaligned_guest_address(void **state)
{
	(void)state;
	table(1);
	t.m.mem.region[0].gpa = 0x1001;
	assert_int_equal(map(1), -EINVAL);
}

static void test_overlap(void **state)
{
	(void)state;
	table(3);
	t.m.mem.region[2].gpa = 0x100000 + RAM - PAGE;
	assert_int_equal(map(3), -EINVAL);
	table(2);
	t.m.mem.region[1].gpa = 0;
	assert_int_equal(map(2), -EINVAL);
	table(1);
	t.m.mem.region[0].gpa = UINT64_MAX - RAM + 2;
	assert_int_equal(map(1), -EINVAL);
	table(1);
	t.m.mem.region[0].uaddr = UINT64_MAX - PAGE + 1;
	assert_int_equal(map(1), -EINVAL);
}

/* The first regions are mapped already when a later one turns out bad. */
static void test_bad_last(void **state)
{
	(void)state;
	table(8);
	close_fd(&t.fds[7]);
	t.fds[7] = memfd(RAM, 0);
	assert_int_equal(map(8), -EPERM);
	for (unsigned i = 0; i < 8; i++)
		assert_null(gmem_ptr(&t.mem, GPA(i * 0x100000ull), 1));
}

static void test_read_only_file(void **state)
{
	(void)state;
	table(1);
	use_fd(memfd(RAM, F_SEAL_SHRINK | F_SEAL_WRITE));
	assert_true(map(1) < 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_shared),
		T(test_eight),
		T(test_offset),
		T(test_counts),
		T(test_unsealed),
		T(test_not_memory),
		T(test_outside_the_file),
		T(test_unaligned_offset),
		T(test_unaligned_guest_address),
		T(test_overlap),
		T(test_bad_last),
		T(test_read_only_file),
	};
	alarm(30);
	return cmocka_run_group_tests_name("vhost_user_mem", tests, NULL, NULL);
}
