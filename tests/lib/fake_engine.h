// SPDX-License-Identifier: Apache-2.0
// fake_engine.h - an engine whose CPUs follow a script instead of running a guest, for tests
//
// A CPU does one step of its script each time it is run, as KVM_RUN would: an access comes back
// and is complete with the next run, an interrupted CPU comes back at once, one that stays inside
// is taken out by a signal only. After its last step a CPU stays inside.
#ifndef MAYFLY_TESTS_FAKE_ENGINE_H
#define MAYFLY_TESTS_FAKE_ENGINE_H

#include "engine/vcpu.h"

#include <semaphore.h>

#define FAKE_DATA_MAX 64
#define FAKE_ANSWERS 256

enum fake_what {
	FAKE_EXIT,	  /* come back with x */
	FAKE_STAY,	  /* in the guest until a signal comes */
	FAKE_AT_THE_GATE, /* on the way in: until fake_cpu_open(), deaf to signals; then FAKE_STAY
			   */
};

struct fake_step {
	enum fake_what what;
	enum vcpu_exit_kind kind;
	bool write;
	unsigned len, count; /* count 0: 1 */
	uint64_t addr;
	const void *data; /* of a write, len * count bytes; NULL: value */
	uint64_t value;	  /* little-endian */
	const char *detail;
	unsigned repeat; /* this step so many times; 0: once */
};

#define FAKE_OUT(port, v)                                                                          \
	{                                                                                          \
		.kind = VCPU_EXIT_PORT, .write = true, .len = 1, .addr = (port), .value = (v)      \
	}
#define FAKE_IN(port, bytes)                                                                       \
	{                                                                                          \
		.kind = VCPU_EXIT_PORT, .len = (bytes), .addr = (port)                             \
	}
#define FAKE_PUT(gpa, v)                                                                           \
	{                                                                                          \
		.kind = VCPU_EXIT_MMIO, .write = true, .len = 4, .addr = (gpa), .value = (v)       \
	}
#define FAKE_GET(gpa, bytes)                                                                       \
	{                                                                                          \
		.kind = VCPU_EXIT_MMIO, .len = (bytes), .addr = (gpa)                              \
	}
#define FAKE_SIMPLE(k)                                                                             \
	{                                                                                          \
		.kind = (k)                                                                        \
	}
#define FAKE_SAYS(k, text)                                                                         \
	{                                                                                          \
		.kind = (k), .detail = (text)                                                      \
	}
#define FAKE_STAYS                                                                                 \
	{                                                                                          \
		.what = FAKE_STAY                                                                  \
	}
#define FAKE_GATE                                                                                  \
	{                                                                                          \
		.what = FAKE_AT_THE_GATE                                                           \
	}

struct fake_cpu {
	const struct fake_step *step;
	size_t n, at;
	unsigned again;	   /* repetitions of the step so far */
	const char *place; /* what where() says */
	atomic_bool interrupted;
	bool lost; /* it stayed and nobody took it out: look after a stop */
	atomic_uint entries, kicks;
	/* An access came back and the CPU has not been run since. */
	atomic_bool half_done;
	sem_t inside; /* posted when the CPU is in the guest, or at the gate */
	sem_t gate;
	struct vcpu_exit last;
	uint8_t data[FAKE_DATA_MAX];
	/* What reads got, in order. Read it when the CPU doesn't run. */
	size_t n_answers;
	uint8_t answer[FAKE_ANSWERS];
};

/* Its CPUs are struct fake_cpu. */
extern const struct vcpu_ops fake_engine_ops;

/* fake_cpu_init() - script stays the caller's; aborts on failure. */
void fake_cpu_init(struct fake_cpu *c, const struct fake_step *script, size_t n);
void fake_cpu_destroy(struct fake_cpu *c);

/* fake_cpu_wait() - until the CPU is inside (again), or at the gate; false after some seconds. */
bool fake_cpu_wait(struct fake_cpu *c);

/* fake_cpu_open() - lets a CPU pass the gate. */
void fake_cpu_open(struct fake_cpu *c);

#endif
