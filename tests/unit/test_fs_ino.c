// SPDX-License-Identifier: Apache-2.0
// test_fs_ino.c - inode numbers across devices
#include "fs/fs_ino.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void test_first_device_is_plain(void **state)
{
	(void)state;
	struct fs_inos m = {0};
	assert_int_equal(fs_ino_dev(&m, 0x801), 0);
	assert_int_equal(fs_ino_map(&m, 0, 12345), 12345);
	fs_ino_destroy(&m);
}

static void test_devices_never_collide(void **state)
{
	(void)state;
	struct fs_inos m = {0};
	int a = fs_ino_dev(&m, 1);
	int b = fs_ino_dev(&m, 2);
	assert_int_equal(fs_ino_dev(&m, 1), a);
	assert_int_not_equal(a, b);
	for (uint64_t i = 0; i < 1000; i++)
		assert_int_not_equal(fs_ino_map(&m, (uint16_t)a, i),
				     fs_ino_map(&m, (uint16_t)b, i));
	assert_int_not_equal(fs_ino_map(&m, (uint16_t)b, 5), fs_ino_synth(5));
	fs_ino_destroy(&m);
}

static void test_large_numbers(void **state)
{
	(void)state;
	static uint64_t first[3000];
	struct fs_inos m = {0};
	uint16_t a = (uint16_t)fs_ino_dev(&m, 1);
	uint16_t b = (uint16_t)fs_ino_dev(&m, 2);
	for (uint64_t i = 0; i < 3000; i++)
		first[i] = fs_ino_map(&m, i & 1 ? a : b, (0xffffull << 48) + i / 2);
	for (uint64_t i = 0; i < 3000; i++) {
		assert_int_equal(fs_ino_map(&m, i & 1 ? a : b, (0xffffull << 48) + i / 2),
				 first[i]);
		assert_true(first[i] >> 63);
		for (uint64_t k = 0; k < i && i < 200; k++)
			assert_int_not_equal(first[i], first[k]);
	}
	assert_int_equal(m.nlarge, 3000);
	fs_ino_destroy(&m);
}

static void test_too_many_devices(void **state)
{
	(void)state;
	static struct fs_inos m;
	for (uint64_t i = 0; i < FS_INO_DEVS_MAX; i++)
		assert_int_equal(fs_ino_dev(&m, i + 100), i);
	assert_int_equal(fs_ino_dev(&m, 1), -ENOSPC);
	assert_int_equal(fs_ino_dev(&m, 107), 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_device_is_plain),
		cmocka_unit_test(test_devices_never_collide),
		cmocka_unit_test(test_large_numbers),
		cmocka_unit_test(test_too_many_devices),
	};
	return cmocka_run_group_tests_name("fs_ino", tests, NULL, NULL);
}
