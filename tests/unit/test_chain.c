// SPDX-License-Identifier: Apache-2.0
// test_chain.c - descriptor chains: good ones, and every way to break the rules
// links: runtime/virtio/chain.c runtime/vmm/gmem.c
#include "virtio/chain.h"

#include <endian.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define NEXT 1
#define WRITE 2
#define INDIRECT 4

#define BASE 0x10000ull
#define TABLE_MAX 1024

struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

static struct {
	struct gmem mem;
	uint8_t ram[256 * 1024];
	struct desc table[TABLE_MAX];
	struct chain c;
	struct iovec iov[CHAIN_MAX_IOV];
} t;

static int setup(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	for (size_t i = 0; i < sizeof(t.ram); i++)
		t.ram[i] = (uint8_t)(i * 7);
	struct gmem_region r = {.gpa = BASE, .size = sizeof(t.ram), .host = t.ram};
	return gmem_add(&t.mem, &r);
}

static void put(struct desc *d, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
	*d = (struct desc){htole64(addr), htole32(len), htole16(flags), htole16(next)};
}

static void set(unsigned i, uint64_t off, uint32_t len, uint16_t flags, uint16_t next)
{
	put(&t.table[i], BASE + off, len, flags, next);
}

/* An indirect table at this offset of the guest's memory; deliberately unaligned ones work. */
static void set_at(uint64_t off, unsigned i, uint64_t addr, uint32_t len, uint16_t flags,
		   uint16_t next)
{
	struct desc d;
	put(&d, addr, len, flags, next);
	memcpy(t.ram + off + i * sizeof(d), &d, sizeof(d));
}

static int walk(uint16_t head, uint16_t size)
{
	return chain_walk(&t.mem, t.table, size, head, &t.c);
}

static void test_simple(void **state)
{
	(void)state;
	set(3, 0, 100, NEXT, 1);
	set(1, 1000, 50, NEXT | WRITE, 7);
	set(7, 2000, 10, WRITE, 0);
	assert_int_equal(walk(3, 8), 0);
	assert_int_equal(t.c.head, 3);
	assert_int_equal(t.c.n_out, 1);
	assert_int_equal(t.c.n_in, 2);
	assert_int_equal(t.c.out_len, 100);
	assert_int_equal(t.c.in_len, 60);
	assert_ptr_equal(t.c.iov[0].iov_base, t.ram);
	assert_ptr_equal(t.c.iov[2].iov_base, t.ram + 2000);
}

static void test_merge(void **state)
{
	(void)state;
	set(0, 0, 100, NEXT, 1);
	set(1, 100, 100, NEXT, 2);
	/* Adjacent, but on the other side: not merged. */
	set(2, 200, 100, NEXT | WRITE, 3);
	set(3, 300, 100, WRITE, 0);
	assert_int_equal(walk(0, 8), 0);
	assert_int_equal(t.c.n_out, 1);
	assert_int_equal(t.c.n_in, 1);
	assert_int_equal(t.c.iov[0].iov_len, 200);
	assert_int_equal(t.c.iov[1].iov_len, 200);
}

static void test_empty_pieces(void **state)
{
	(void)state;
	set(0, 0, 0, NEXT, 1);
	set(1, 0, 8, NEXT, 2);
	set(2, 5000000, 0, NEXT, 3); /* outside, but nothing of it is used */
	set(3, 64, 0, WRITE, 0);
	assert_int_equal(walk(0, 8), 0);
	assert_int_equal(t.c.n_out, 1);
	assert_int_equal(t.c.n_in, 0);
	assert_int_equal(t.c.out_len, 8);
}

static void test_index_out_of_range(void **state)
{
	(void)state;
	assert_int_equal(walk(8, 8), -EPROTO);
	assert_int_equal(walk(0xffff, 8), -EPROTO);
	set(0, 0, 8, NEXT, 8);
	assert_int_equal(walk(0, 8), -EPROTO);
	set(0, 0, 8, NEXT, 0xffff);
	assert_int_equal(walk(0, 8), -EPROTO);
}

static void test_cycles(void **state)
{
	(void)state;
	set(0, 0, 0, NEXT, 0);
	assert_int_equal(walk(0, 8), -EPROTO);
	set(0, 0, 8, NEXT, 1);
	set(1, 100, 8, NEXT, 2);
	set(2, 200, 8, NEXT, 1);
	assert_int_equal(walk(0, 8), -EPROTO);
	/* The longest legal one is as long as the table. */
	for (unsigned i = 0; i < 8; i++)
		set(i, i * 100, 8, i < 7 ? NEXT : 0, (uint16_t)(i + 1));
	assert_int_equal(walk(0, 8), 0);
	assert_int_equal(t.c.n_out, 8);
}

static void test_readable_after_writable(void **state)
{
	(void)state;
	set(0, 0, 8, NEXT | WRITE, 1);
	set(1, 100, 8, 0, 0);
	assert_int_equal(walk(0, 8), -EPROTO);
}

static void test_outside(void **state)
{
	(void)state;
	set(0, sizeof(t.ram) - 8, 9, 0, 0);
	assert_int_equal(walk(0, 8), -EFAULT);
	set(0, sizeof(t.ram) - 8, 8, 0, 0);
	assert_int_equal(walk(0, 8), 0);
	put(&t.table[0], BASE - 1, 1, 0, 0);
	assert_int_equal(walk(0, 8), -EFAULT);
	put(&t.table[0], UINT64_MAX - 3, 8, 0, 0);
	assert_int_equal(walk(0, 8), -EFAULT);
	put(&t.table[0], BASE, UINT32_MAX, 0, 0);
	assert_int_equal(walk(0, 8), -EFAULT);
}

static void test_indirect(void **state)
{
	(void)state;
	set_at(4099, 0, BASE, 8, NEXT, 2);
	set_at(4099, 2, BASE + 64, 8, NEXT | WRITE, 1);
	set_at(4099, 1, BASE + 128, 16, WRITE, 0);
	set(5, 4099, 3 * 16, INDIRECT, 0);
	assert_int_equal(walk(5, 8), 0);
	assert_int_equal(t.c.head, 5);
	assert_int_equal(t.c.out_len, 8);
	assert_int_equal(t.c.in_len, 24);
	/* Direct descriptors may come before it. */
	set(0, 512, 4, NEXT, 5);
	assert_int_equal(walk(0, 8), 0);
	assert_int_equal(t.c.out_len, 12);
}

static void test_bad_indirect(void **state)
{
	(void)state;
	set_at(4096, 0, BASE, 8, 0, 0);
	set(0, 4096, 16, INDIRECT | NEXT, 1);
	assert_int_equal(walk(0, 8), -EPROTO);
	set(0, 4096, 0, INDIRECT, 0);
	assert_int_equal(walk(0, 8), -EPROTO);
	set(0, 4096, 24, INDIRECT, 0);
	assert_int_equal(walk(0, 8), -EPROTO);
	set(0, 0, (VIRTQUEUE_MAX_SIZE + 1) * 16, INDIRECT, 0);
	assert_int_equal(walk(0, 8), -EPROTO);
	set(0, sizeof(t.ram) - 8, 16, INDIRECT, 0);
	assert_int_equal(walk(0, 8), -EFAULT);
	/* Nested. */
	set_at(4096, 0, BASE + 4096, 16, INDIRECT, 0);
	set(0, 4096, 16, INDIRECT, 0);
	assert_int_equal(walk(0, 8), -EPROTO);
	/* A cycle and a bad index inside. */
	set_at(4096, 0, BASE, 8, NEXT, 0);
	assert_int_equal(walk(0, 8), -EPROTO);
	set_at(4096, 0, BASE, 8, NEXT, 1);
	assert_int_equal(walk(0, 8), -EPROTO);
}

static void test_too_many_pieces(void **state)
{
	(void)state;
	/* 1024 pieces fill the array; a direct one before them is one too many. */
	for (unsigned i = 0; i < VIRTQUEUE_MAX_SIZE; i++)
		set_at(0, i, BASE + 32768 + i * 2, 1, i + 1 < VIRTQUEUE_MAX_SIZE ? NEXT : 0,
		       (uint16_t)(i + 1));
	set(1, 0, VIRTQUEUE_MAX_SIZE * 16, INDIRECT, 0);
	assert_int_equal(walk(1, 8), 0);
	assert_int_equal(t.c.n_out, CHAIN_MAX_IOV);
	set(0, 65536, 8, NEXT, 1);
	assert_int_equal(walk(0, 8), -EPROTO);
}

static void test_over_4_gib(void **state)
{
	(void)state;
	static uint8_t fake[1];
	struct gmem m = {0};
	/* Never touched: only its size counts. */
	struct gmem_region r = {.gpa = 0, .size = 1ull << 33, .host = fake};
	assert_int_equal(gmem_add(&m, &r), 0);
	put(&t.table[0], 0, UINT32_MAX, NEXT, 1);
	put(&t.table[1], 8, 1, WRITE, 0);
	assert_int_equal(chain_walk(&m, t.table, 8, 0, &t.c), -EPROTO);
	put(&t.table[0], 0, UINT32_MAX - 1, NEXT, 1);
	assert_int_equal(chain_walk(&m, t.table, 8, 0, &t.c), 0);
}

static void four_pieces(void)
{
	set(0, 0, 10, NEXT, 1);
	set(1, 100, 20, NEXT, 2);
	set(2, 1000, 5, NEXT | WRITE, 3);
	set(3, 2000, 7, WRITE, 0);
	assert_int_equal(walk(0, 8), 0);
}

static void test_read(void **state)
{
	(void)state;
	uint8_t buf[64];
	four_pieces();
	assert_int_equal(chain_read(&t.c, 0, buf, 30), 0);
	assert_memory_equal(buf, t.ram, 10);
	assert_memory_equal(buf + 10, t.ram + 100, 20);
	assert_int_equal(chain_read(&t.c, 9, buf, 2), 0);
	assert_int_equal(buf[0], t.ram[9]);
	assert_int_equal(buf[1], t.ram[100]);
	assert_int_equal(chain_read(&t.c, 10, buf, 20), 0);
	assert_memory_equal(buf, t.ram + 100, 20);
	assert_int_equal(chain_read(&t.c, 30, buf, 0), 0);
	assert_int_equal(chain_read(&t.c, 0, buf, 31), -EFAULT);
	assert_int_equal(chain_read(&t.c, 31, buf, 0), -EFAULT);
	assert_int_equal(chain_read(&t.c, SIZE_MAX, buf, 2), -EFAULT);
}

static void test_write(void **state)
{
	(void)state;
	four_pieces();
	assert_int_equal(chain_write(&t.c, 3, "abcd", 4), 0);
	assert_memory_equal(t.ram + 1003, "ab", 2);
	assert_memory_equal(t.ram + 2000, "cd", 2);
	assert_int_equal(chain_write(&t.c, 9, "abcd", 4), -EFAULT);
	assert_int_equal(chain_write(&t.c, 12, "", 0), 0);
}

static void test_slices(void **state)
{
	(void)state;
	four_pieces();
	assert_int_equal(chain_out_slice(&t.c, 5, 10, t.iov), 2);
	assert_ptr_equal(t.iov[0].iov_base, t.ram + 5);
	assert_int_equal(t.iov[0].iov_len, 5);
	assert_ptr_equal(t.iov[1].iov_base, t.ram + 100);
	assert_int_equal(t.iov[1].iov_len, 5);
	assert_int_equal(chain_in_slice(&t.c, 5, 7, t.iov), 1);
	assert_ptr_equal(t.iov[0].iov_base, t.ram + 2000);
	assert_int_equal(chain_in_slice(&t.c, 12, 0, t.iov), 0);
	assert_int_equal(chain_in_slice(&t.c, 5, 8, t.iov), -EFAULT);
	assert_int_equal(chain_out_slice(&t.c, 30, 1, t.iov), -EFAULT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_simple, setup),
		cmocka_unit_test_setup(test_merge, setup),
		cmocka_unit_test_setup(test_empty_pieces, setup),
		cmocka_unit_test_setup(test_index_out_of_range, setup),
		cmocka_unit_test_setup(test_cycles, setup),
		cmocka_unit_test_setup(test_readable_after_writable, setup),
		cmocka_unit_test_setup(test_outside, setup),
		cmocka_unit_test_setup(test_indirect, setup),
		cmocka_unit_test_setup(test_bad_indirect, setup),
		cmocka_unit_test_setup(test_too_many_pieces, setup),
		cmocka_unit_test_setup(test_over_4_gib, setup),
		cmocka_unit_test_setup(test_read, setup),
		cmocka_unit_test_setup(test_write, setup),
		cmocka_unit_test_setup(test_slices, setup),
	};
	alarm(30);
	return cmocka_run_group_tests_name("chain", tests, NULL, NULL);
}
