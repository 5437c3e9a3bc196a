// SPDX-License-Identifier: Apache-2.0
// i8042.h - of a PC's keyboard controller, the line that resets the machine
//
// Nothing else is there, and it says so in the way that a driver notices soonest: the output
// buffer is always full, so that Linux, which empties it first, gives up after 17 reads of the
// status ("No controller found"); an empty one makes it wait half a second for an answer. The
// input buffer is always empty, or Linux waits before each reset.
#ifndef MAYFLY_DEVICE_I8042_H
#define MAYFLY_DEVICE_I8042_H

#include <stdatomic.h>
#include <stdint.h>

#define I8042_DATA_PORT 0x60
#define I8042_COMMAND_PORT 0x64

struct i8042 {
	void (*reset)(void *arg);
	void *arg;
	atomic_flag done;
};

/* i8042_init() - reset is called once, on the vCPU's thread that asks for it. */
void i8042_init(struct i8042 *k, void (*reset)(void *arg), void *arg);

/* The bus's handlers, any vCPU's thread: windows of one port each, arg is a struct i8042. */
void i8042_data_read(void *arg, uint64_t off, void *data, unsigned len);
void i8042_data_write(void *arg, uint64_t off, const void *data, unsigned len);
void i8042_command_read(void *arg, uint64_t off, void *data, unsigned len);
void i8042_command_write(void *arg, uint64_t off, const void *data, unsigned len);

#endif
