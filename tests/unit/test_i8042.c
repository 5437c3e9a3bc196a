// SPDX-License-Identifier: Apache-2.0
// test_i8042.c - how drivers give up on the keyboard, and the reset
// links: runtime/device/i8042.c
#include "device/i8042.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct i8042 k;
static atomic_uint resets;

static void count(void *arg)
{
	atomic_fetch_add((atomic_uint *)arg, 1);
}

static int setup(void **state)
{
	(void)state;
	atomic_store(&resets, 0);
	i8042_init(&k, count, &resets);
	return 0;
}

static uint8_t status(void)
{
	uint8_t v;
	i8042_command_read(&k, 0, &v, 1);
	return v;
}

/* Linux empties the output buffer, 16 bytes at most, and takes the port for missing if it can't. */
static void test_no_controller(void **state)
{
	(void)state;
	uint8_t v = 0xee;
	unsigned reads = 0;
	while ((status() & 0x01) && reads < 17) {
		i8042_data_read(&k, 0, &v, 1);
		assert_int_equal(v, 0);
		reads++;
	}
	assert_int_equal(reads, 17);
}

/* Before the reset Linux waits while the input buffer is full. */
static void test_reset(void **state)
{
	(void)state;
	assert_int_equal(status() & 0x02, 0);
	i8042_command_write(&k, 0, "\xfe", 1);
	assert_int_equal(resets, 1);
	for (int i = 0; i < 10; i++)
		i8042_command_write(&k, 0, "\xfe", 1);
	assert_int_equal(resets, 1);
}

static void test_nothing_else(void **state)
{
	(void)state;
	for (unsigned v = 0; v < 256; v++) {
		uint8_t byte = (uint8_t)v;
		if (v != 0xfe)
			i8042_command_write(&k, 0, &byte, 1);
		i8042_data_write(&k, 0, &byte, 1);
		assert_int_equal(status(), 0x01);
	}
	i8042_command_write(&k, 1, "\xfe", 1);
	i8042_command_write(&k, 0, "\0\xfe\xfe\xfe", 4);
	i8042_command_write(&k, 0, "", 0);
	assert_int_equal(resets, 0);
}

static void test_wide_access(void **state)
{
	(void)state;
	uint8_t v[8];
	i8042_command_read(&k, 0, v, 8);
	assert_memory_equal(v, "\x01\xff\xff\xff\xff\xff\xff\xff", 8);
	i8042_data_read(&k, 0, v, 4);
	assert_memory_equal(v, "\x00\xff\xff\xff", 4);
	i8042_data_read(&k, 1, v, 2);
	assert_memory_equal(v, "\xff\xff", 2);
	i8042_command_read(&k, 0, v, 0);
	i8042_command_write(&k, 0, "\xfe\0\0\0", 4);
	assert_int_equal(resets, 1);
}

static void *all_at_once(void *arg)
{
	(void)arg;
	for (int i = 0; i < 1000; i++)
		i8042_command_write(&k, 0, "\xfe", 1);
	return NULL;
}

static void test_threads(void **state)
{
	(void)state;
	pthread_t t[4];
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, all_at_once, NULL), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	assert_int_equal(resets, 1);
}

#define T(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_no_controller), T(test_reset),	T(test_nothing_else),
		T(test_wide_access),   T(test_threads),
	};
	alarm(30);
	return cmocka_run_group_tests_name("i8042", tests, NULL, NULL);
}
