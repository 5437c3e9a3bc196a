// SPDX-License-Identifier: Apache-2.0
// test_vhost_user_msg.c - the first check of each vhost-user message
// links: runtime/virtio/vhost_user_msg.c
#include "virtio/vhost_user_msg.h"

#include "base/checked.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const struct {
	uint32_t request;
	uint32_t size;
	size_t max_fds;
	char index; /* 's': state, 'u': low byte of u64, '-': none */
} good[] = {
	{VU_GET_FEATURES, 0, 0, '-'},
	{VU_SET_FEATURES, 8, 0, '-'},
	{VU_SET_OWNER, 0, 0, '-'},
	{VU_RESET_OWNER, 0, 0, '-'},
	{VU_SET_MEM_TABLE, 40, 8, '-'},
	{VU_SET_VRING_NUM, 8, 0, 's'},
	{VU_SET_VRING_ADDR, 40, 0, 's'},
	{VU_SET_VRING_BASE, 8, 0, 's'},
	{VU_GET_VRING_BASE, 8, 0, 's'},
	{VU_SET_VRING_KICK, 8, 1, 'u'},
	{VU_SET_VRING_CALL, 8, 1, 'u'},
	{VU_SET_VRING_ERR, 8, 1, 'u'},
	{VU_GET_PROTOCOL_FEATURES, 0, 0, '-'},
	{VU_SET_PROTOCOL_FEATURES, 8, 0, '-'},
	{VU_GET_QUEUE_NUM, 0, 0, '-'},
	{VU_SET_VRING_ENABLE, 8, 0, 's'},
	{VU_GET_CONFIG, 20, 0, '-'},
};

static struct vu_msg msg(size_t i)
{
	struct vu_msg m = {.request = good[i].request, .flags = VU_VERSION, .size = good[i].size};
	return m;
}

static void test_good(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct vu_msg m = msg(i);
		assert_int_equal(vhost_user_msg_check(&m, 2, good[i].max_fds), 0);
		m.flags |= VU_FLAG_NEED_REPLY;
		assert_int_equal(vhost_user_msg_check(&m, 2, 0), 0);
	}
}

static void test_unknown(void **state)
{
	(void)state;
	for (uint32_t r = 0; r < 600; r++) {
		bool known = false;
		for (size_t i = 0; i < ARRAY_SIZE(good); i++)
			known |= good[i].request == r;
		struct vu_msg m = {.request = r, .flags = VU_VERSION};
		if (!known)
			assert_int_equal(vhost_user_msg_check(&m, 2, 0), -ENOTSUP);
	}
	/* The table holds bytes: no request may match by its low byte. */
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct vu_msg m = msg(i);
		m.request |= 0x100;
		assert_int_equal(vhost_user_msg_check(&m, 2, 0), -ENOTSUP);
	}
}

static void test_flags(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct vu_msg m = msg(i);
		m.flags = 0;
		assert_int_equal(vhost_user_msg_check(&m, 2, 0), -EPROTO);
		m.flags = 2;
		assert_int_equal(vhost_user_msg_check(&m, 2, 0), -EPROTO);
		m.flags = VU_VERSION | VU_FLAG_REPLY;
		assert_int_equal(vhost_user_msg_check(&m, 2, 0), -EPROTO);
	}
}

static void test_sizes(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct vu_msg m = msg(i);
		if (m.request == VU_SET_MEM_TABLE || m.request == VU_GET_CONFIG)
			continue;
		m.size++;
		assert_int_equal(vhost_user_msg_check(&m, 2, 0), -EPROTO);
		m.size = good[i].size - 1;
		assert_int_equal(vhost_user_msg_check(&m, 2, 0), -EPROTO);
		m.size = UINT32_MAX;
		assert_int_equal(vhost_user_msg_check(&m, 2, 0), -EPROTO);
	}
	struct vu_msg m = {.request = VU_GET_CONFIG, .flags = VU_VERSION, .size = 11};
	assert_int_equal(vhost_user_msg_check(&m, 2, 0), -EPROTO);
	m = (struct vu_msg){.request = VU_SET_MEM_TABLE, .flags = VU_VERSION, .size = 7};
	assert_int_equal(vhost_user_msg_check(&m, 2, 1), -EPROTO);
}

static void test_fds(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct vu_msg m = msg(i);
		assert_int_equal(vhost_user_msg_check(&m, 2, good[i].max_fds + 1), -EPROTO);
	}
}

static void test_index(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct vu_msg m = msg(i);
		for (uint32_t q = 0; q < 300 && good[i].index == 's'; q++) {
			m.state.index = q;
			assert_int_equal(vhost_user_msg_check(&m, 3, 0), q < 3 ? 0 : -EPROTO);
		}
		if (good[i].index == 's') {
			m.state.index = UINT32_MAX;
			assert_int_equal(vhost_user_msg_check(&m, 3, 0), -EPROTO);
		}
		for (uint64_t q = 0; q < 256 && good[i].index == 'u'; q++) {
			m.u64 = q;
			assert_int_equal(vhost_user_msg_check(&m, 3, 0), q < 3 ? 0 : -EPROTO);
			m.u64 = q | VU_VRING_NOFD;
			assert_int_equal(vhost_user_msg_check(&m, 3, 0), q < 3 ? 0 : -EPROTO);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),  cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_flags), cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_fds),   cmocka_unit_test(test_index),
	};
	alarm(30);
	return cmocka_run_group_tests_name("vhost_user_msg", tests, NULL, NULL);
}
