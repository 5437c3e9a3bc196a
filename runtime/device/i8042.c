// SPDX-License-Identifier: Apache-2.0
// i8042.c - keyboard controller without a keyboard: the reset command, and a status to give up on
#include "device/i8042.h"

#include <string.h>

/* Output buffer full; input buffer empty (0x02 clear). */
#define STATUS 0x01
#define COMMAND_RESET 0xfe

void i8042_init(struct i8042 *k, void (*reset)(void *arg), void *arg)
{
	*k = (struct i8042){.reset = reset, .arg = arg, .done = ATOMIC_FLAG_INIT};
}

/* One port a window: what a wider access reads behind it is nobody's. */
static void answer(uint64_t off, void *data, unsigned len, uint8_t v)
{
	memset(data, 0xff, len);
	if (off == 0 && len > 0)
		*(uint8_t *)data = v;
}

void i8042_data_read(void *arg, uint64_t off, void *data, unsigned len)
{
	(void)arg;
	answer(off, data, len, 0);
}

void i8042_data_write(void *arg, uint64_t off, const void *data, unsigned len)
{
	(void)arg;
	(void)off;
	(void)data;
	(void)len;
}

void i8042_command_read(void *arg, uint64_t off, void *data, unsigned len)
{
	(void)arg;
	answer(off, data, len, STATUS);
}

void i8042_command_write(void *arg, uint64_t off, const void *data, unsigned len)
{
	struct i8042 *k = arg;
	if (off != 0 || len == 0 || *(const uint8_t *)data != COMMAND_RESET)
		return;
	if (!atomic_flag_test_and_set(&k->done))
		k->reset(k->arg);
}
