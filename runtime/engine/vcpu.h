// SPDX-License-Identifier: Apache-2.0
// vcpu.h - the virtual CPUs of a machine: one thread each, driven by an engine, served by buses
//
// An engine (kvm_vcpu.c; a scripted one in the tests) runs a CPU until it needs something. What it
// needs is served here, so everything above KVM can be tested without it.
#ifndef MAYFLY_ENGINE_VCPU_H
#define MAYFLY_ENGINE_VCPU_H

#include "base/err.h"
#include "engine/bus.h"

#include <pthread.h>
#include <stddef.h>

#define VCPU_MAX 32
#define VCPU_DETAIL_MAX 160

/* Why a CPU came back. */
enum vcpu_exit_kind {
	VCPU_EXIT_PORT,	 /* in or out */
	VCPU_EXIT_MMIO,	 /* an address that is not RAM */
	VCPU_EXIT_KICK,	 /* interrupted, or a signal */
	VCPU_EXIT_AGAIN, /* nothing to do, run it again: a CPU that was just started by another */
	VCPU_EXIT_HLT,	 /* only from an engine without interrupt controllers */
	VCPU_EXIT_SHUTDOWN, /* triple fault */
	VCPU_EXIT_EVENT,    /* the guest asked its hypervisor for reset or power-off */
	VCPU_EXIT_ERROR,    /* the engine can't go on; detail says why */
	VCPU_EXIT_KINDS,
};

struct vcpu_exit {
	enum vcpu_exit_kind kind;
	bool write;
	unsigned len;	/* bytes an access: 1, 2, 4, 8 */
	unsigned count; /* accesses, one after the other in data; the port stays the same */
	uint64_t addr;
	uint8_t *data; /* engine's memory: read from, or to be filled */
	char detail[VCPU_DETAIL_MAX];
};

struct vcpu_ops {
	/* run: first completes the access of the last run with what is in its data, then enters the
	 * guest, fills *x. On the CPU's thread. */
	void (*run)(void *cpu, struct vcpu_exit *x);
	/* interrupt: runs that begin from now on return VCPU_EXIT_KICK without an entry until it is
	 * cleared; any thread. For the current one the caller sends a signal to the thread. */
	void (*interrupt)(void *cpu, bool on);
	/* where: text on where the CPU stands, for messages. On the CPU's thread, outside run. */
	void (*where)(void *cpu, char *buf, size_t len);
};

enum vcpus_want { VCPUS_RUN, VCPUS_PAUSE, VCPUS_STOP };

/* Why the machine ended. */
enum vcpus_end {
	VCPUS_END_NONE,
	VCPUS_END_RESET,    /* asked for through a device or the hypervisor */
	VCPUS_END_SHUTDOWN, /* triple fault */
	VCPUS_END_ERROR,    /* the engine failed */
};

struct vcpus;

struct vcpu {
	struct vcpus *set;
	void *cpu; /* the engine's */
	unsigned id;
	bool started;
	pthread_t thread;
	atomic_ullong exits[VCPU_EXIT_KINDS];
};

struct vcpus {
	const struct vcpu_ops *ops;
	struct bus *ports, *mmio;
	/* begin: first on each CPU's thread, with its name; below 0: it does not run. May be NULL;
	 * set after vcpus_init(). */
	int (*begin)(const char *thread);
	int end_fd; /* eventfd, readable once the machine has ended by itself */
	unsigned n;
	struct vcpu cpu[VCPU_MAX];
	pthread_mutex_t lock;
	pthread_cond_t changed;
	_Atomic enum vcpus_want want;
	unsigned parked; /* threads that wait in a pause */
	unsigned ended;	 /* threads that have left their loop */
	enum vcpus_end end;
	char detail[VCPU_DETAIL_MAX]; /* how and where, after vcpus_stop() */
};

/* vcpus_init() - an empty set; the buses are the caller's and complete. Returns 0 or -errno. */
int vcpus_init(struct vcpus *s, const struct vcpu_ops *ops, struct bus *ports, struct bus *mmio);

/* vcpus_add() - one more CPU, before vcpus_start(); 0 or -ENOSPC. */
int vcpus_add(struct vcpus *s, void *cpu);

/* vcpus_start() - starts the threads; 0 or -errno, then those that run are to be stopped. */
int vcpus_start(struct vcpus *s);

/*
 * vcpus_end() - the machine is over; the first cause counts. From any thread, also from a device
 * in the middle of an access: then the text gets that CPU's position. The CPUs leave the guest;
 * vcpus_stop() waits for them.
 */
void vcpus_end(struct vcpus *s, enum vcpus_end end, const char *what);

/*
 * vcpus_pause() - returns when no CPU is in the guest or in a device and no access is half done, at
 * most ms milliseconds later: 0, -ETIMEDOUT and the CPUs go on, or -ECANCELED if the machine ends.
 * vcpus_resume() lets them go on. Not from the thread that a device of theirs may wait for.
 */
int vcpus_pause(struct vcpus *s, unsigned ms);
void vcpus_resume(struct vcpus *s);

/*
 * vcpus_stop() - ends the threads, from every state; also of a set that was never started, and
 * again. Returns 0, or -ETIMEDOUT if a thread is stuck in a device for longer than ms.
 */
int vcpus_stop(struct vcpus *s, unsigned ms);

/* vcpus_free() - after a vcpus_stop() that returned 0. */
void vcpus_free(struct vcpus *s);

/* vcpus_exits() - how often CPUs came back, all kinds, up to now. */
unsigned long long vcpus_exits(const struct vcpus *s);

const char *vcpu_exit_name(enum vcpu_exit_kind k);

#endif
