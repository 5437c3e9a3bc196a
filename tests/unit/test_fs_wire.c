// SPDX-License-Identifier: Apache-2.0
// test_fs_wire.c - sizes and strings of FUSE requests
#include "base/checked.h"
#include "fs/fs_wire.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static int check(uint32_t opcode, const void *body, size_t len)
{
	struct fuse_in_header in = {.opcode = opcode, .len = (uint32_t)(sizeof(in) + len)};
	return fs_wire_check(&in, body, len);
}

static void test_exact(void **state)
{
	(void)state;
	uint8_t body[128] = {0};
	assert_int_equal(check(FUSE_GETATTR, body, sizeof(struct fuse_getattr_in)), 0);
	assert_int_equal(check(FUSE_GETATTR, body, sizeof(struct fuse_getattr_in) - 1), -EINVAL);
	assert_int_equal(check(FUSE_GETATTR, body, sizeof(struct fuse_getattr_in) + 1), -EINVAL);
	assert_int_equal(check(FUSE_READLINK, body, 0), 0);
	assert_int_equal(check(FUSE_READLINK, body, 1), -EINVAL);
	assert_int_equal(check(FUSE_INIT, body, 15), -EINVAL);
	assert_int_equal(check(FUSE_INIT, body, 16), 0);
	assert_int_equal(check(FUSE_INIT, body, 104), 0);
}

static void test_names(void **state)
{
	(void)state;
	assert_int_equal(check(FUSE_LOOKUP, "name", 5), 0);
	assert_int_equal(check(FUSE_LOOKUP, "name", 4), -EINVAL);
	assert_int_equal(check(FUSE_LOOKUP, "", 1), 0);
	assert_int_equal(check(FUSE_LOOKUP, "", 0), -EINVAL);
	assert_int_equal(check(FUSE_LOOKUP, "na\0me", 6), -EINVAL);
	assert_int_equal(check(FUSE_GETXATTR, "12345678name", 13), 0);
	assert_int_equal(check(FUSE_GETXATTR, "12345678name", 12), -EINVAL);
	assert_int_equal(check(FUSE_GETXATTR, "12345678", 8), -EINVAL);
	assert_int_equal(check(FUSE_GETXATTR, "123", 4), -EINVAL);
}

static void test_forgets(void **state)
{
	(void)state;
	struct {
		struct fuse_batch_forget_in head;
		struct fuse_forget_one one[2];
	} b = {.head = {.count = 2}};
	assert_int_equal(check(FUSE_BATCH_FORGET, &b, sizeof(b)), 0);
	assert_int_equal(check(FUSE_BATCH_FORGET, &b, sizeof(b) - 1), -EINVAL);
	assert_int_equal(check(FUSE_BATCH_FORGET, &b, 4), -EINVAL);
	b.head.count = 3;
	assert_int_equal(check(FUSE_BATCH_FORGET, &b, sizeof(b)), -EINVAL);
	/* 2^28 entries of 16 bytes are 2^32: must not wrap. */
	b.head.count = 1u << 28;
	assert_int_equal(check(FUSE_BATCH_FORGET, &b, sizeof(b.head)), -EINVAL);
	b.head.count = 0;
	assert_int_equal(check(FUSE_BATCH_FORGET, &b, sizeof(b.head)), 0);
}

static void test_unknown(void **state)
{
	(void)state;
	static const uint32_t unknown[] = {0, 7, 19, 31, 33, 37, 39, 40, 48, 52, 4096, UINT32_MAX};
	for (unsigned i = 0; i < ARRAY_SIZE(unknown); i++) {
		assert_null(fs_wire_op(unknown[i]));
		assert_int_equal(check(unknown[i], "", 0), -ENOSYS);
	}
	assert_true(fs_wire_op(FUSE_FORGET)->no_reply);
	assert_string_equal(fs_wire_op(FUSE_LOOKUP)->name, "LOOKUP");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exact),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_forgets),
		cmocka_unit_test(test_unknown),
	};
	return cmocka_run_group_tests_name("fs_wire", tests, NULL, NULL);
}
