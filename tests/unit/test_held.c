// SPDX-License-Identifier: Apache-2.0
// test_held.c - bytes that were not credited come again, in order, bounded
// links: init/held.c
#include "held.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void test_held(void **state)
{
	(void)state;
	struct held h = {0};
	const uint8_t *data;
	int p[2];
	static uint8_t in[PROTO_KEEP_WINDOW];
	size_t wrote = 0;
	size_t credited = 0;
	assert_int_equal(pipe(p), 0);
	assert_int_equal(held_next(&h, &data), 0);
	assert_int_equal(held_credit(&h, 1), -EPROTO);
	for (int round = 0; round < 300; round++) {
		size_t n = (size_t)(round * 37 % 3000) + 1;
		for (size_t i = 0; i < n; i++)
			in[i] = (uint8_t)((wrote + i) % 251);
		assert_int_equal(write(p[1], in, n), n);
		wrote += n;
		while (n > 0) {
			int64_t got = held_read(&h, p[0], (uint32_t)n);
			assert_true(got > 0);
			n -= (size_t)got;
		}
		/* Everything again, from the oldest byte that was not credited. */
		held_rewind(&h);
		size_t at = credited;
		uint32_t len;
		while ((len = held_next(&h, &data)) > 0) {
			assert_true(len <= PROTO_DATA_MAX);
			for (uint32_t i = 0; i < len; i++)
				assert_int_equal(data[i], (uint8_t)((at + i) % 251));
			held_sent(&h, len);
			at += len;
		}
		assert_int_equal(at, wrote);
		assert_int_equal(held_credit(&h, (uint32_t)(wrote - credited) + 1), -EPROTO);
		uint32_t some = (uint32_t)(wrote - credited) - (uint32_t)(round % 100);
		if (some <= wrote - credited) {
			assert_int_equal(held_credit(&h, some), 0);
			credited += some;
		}
		assert_int_equal(held_room(&h), PROTO_KEEP_WINDOW - (wrote - credited));
	}
	held_free(&h);
	assert_int_equal(held_room(&h), PROTO_KEEP_WINDOW);
	close(p[0]);
	close(p[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_held),
	};
	alarm(30);
	return cmocka_run_group_tests_name("held", tests, NULL, NULL);
}
