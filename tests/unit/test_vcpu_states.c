// SPDX-License-Identifier: Apache-2.0
// test_vcpu_states.c - pause, resume and stop from every state, with CPUs anywhere
// links: runtime/engine/vcpu.c runtime/engine/bus.c tests/lib/fake_engine.c
#include "engine/vcpu.h"

#include "base/checked.h"
#include "lib/fake_engine.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT_PORT 0x10
#define STUCK_PORT 0x20
#define ENDS_PORT 0x30
#define LONG_MS 10000
#define SHORT_MS 30

static struct {
	struct bus ports, mmio;
	struct vcpus set;
	struct fake_cpu cpu[4];
	unsigned n;
	atomic_uint count; /* accesses of COUNT_PORT */
	sem_t stuck;	   /* posted when a CPU is in the device */
	sem_t release;
} w;

static const struct fake_step works[] = {
	{.kind = VCPU_EXIT_PORT, .write = true, .len = 1, .addr = COUNT_PORT, .repeat = ~0u}};
static const struct fake_step stays[] = {FAKE_STAYS};
static const struct fake_step gets_stuck[] = {FAKE_OUT(STUCK_PORT, 1)};
static const struct fake_step ends_late[] = {FAKE_OUT(ENDS_PORT, 1)};

static uint64_t now_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static bool wait_sem(sem_t *s)
{
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += LONG_MS / 1000;
	int ret;
	do {
		ret = sem_timedwait(s, &until);
	} while (ret < 0 && errno == EINTR);
	return ret == 0;
}

static void on_count(void *arg, uint64_t off, const void *data, unsigned len)
{
	(void)arg;
	(void)off;
	(void)data;
	(void)len;
	atomic_fetch_add(&w.count, 1);
}

/* A device that does not come back for a while. */
static void on_stuck(void *arg, uint64_t off, const void *data, unsigned len)
{
	(void)off;
	(void)data;
	(void)len;
	sem_post(&w.stuck);
	wait_sem(&w.release);
	if (arg)
		vcpus_end(arg, VCPUS_END_RESET, "reset by a slow device");
}

static void claim(uint64_t base, struct bus_window win)
{
	assert_int_equal(bus_add(&w.ports, base, 1, &win), 0);
}

static int setup(void **state)
{
	(void)state;
	memset(&w, 0, sizeof(w));
	sem_init(&w.stuck, 0, 0);
	sem_init(&w.release, 0, 0);
	claim(COUNT_PORT, (struct bus_window){.write = on_count});
	claim(STUCK_PORT, (struct bus_window){.write = on_stuck});
	claim(ENDS_PORT, (struct bus_window){.write = on_stuck, .arg = &w.set});
	return vcpus_init(&w.set, &fake_engine_ops, &w.ports, &w.mmio);
}

static int teardown(void **state)
{
	(void)state;
	assert_int_equal(vcpus_stop(&w.set, LONG_MS), 0);
	vcpus_free(&w.set);
	for (unsigned i = 0; i < w.n; i++) {
		assert_false(w.cpu[i].lost);
		fake_cpu_destroy(&w.cpu[i]);
	}
	sem_destroy(&w.stuck);
	sem_destroy(&w.release);
	return 0;
}

static struct fake_cpu *add(const struct fake_step *script, size_t n)
{
	struct fake_cpu *c = &w.cpu[w.n++];
	fake_cpu_init(c, script, n);
	assert_int_equal(vcpus_add(&w.set, c), 0);
	return c;
}

#define ADD(script) add(script, ARRAY_SIZE(script))

static void start(void)
{
	assert_int_equal(vcpus_start(&w.set), 0);
}

static unsigned parked(void)
{
	pthread_mutex_lock(&w.set.lock);
	unsigned n = w.set.parked;
	pthread_mutex_unlock(&w.set.lock);
	return n;
}

/* So many threads have left their loop. */
static void wait_for_ended(unsigned want)
{
	uint64_t until = now_ms() + LONG_MS;
	unsigned n = 0;
	while (n < want) {
		assert_true(now_ms() < until);
		pthread_mutex_lock(&w.set.lock);
		n = w.set.ended;
		pthread_mutex_unlock(&w.set.lock);
	}
	assert_int_equal(n, want);
}

/* Some CPU does something from now on. */
static void assert_progress(void)
{
	unsigned before = atomic_load(&w.count);
	uint64_t until = now_ms() + LONG_MS;
	while (atomic_load(&w.count) == before) {
		assert_true(now_ms() < until);
		sched_yield();
	}
}

/* Every CPU waits, between two instructions. */
static void assert_paused(void)
{
	unsigned before = atomic_load(&w.count);
	assert_int_equal(parked(), w.n);
	for (unsigned i = 0; i < w.n; i++)
		assert_false(atomic_load(&w.cpu[i].half_done));
	for (unsigned i = 0; i < 10; i++)
		sched_yield();
	assert_int_equal(atomic_load(&w.count), before);
}

/* ---- pause ---- */

static void test_pause_before_start(void **state)
{
	(void)state;
	struct fake_cpu *c = ADD(works);
	assert_int_equal(vcpus_pause(&w.set, LONG_MS), 0);
	start();
	uint64_t until = now_ms() + LONG_MS;
	while (parked() < 1)
		assert_true(now_ms() < until);
	assert_int_equal(atomic_load(&c->entries), 0);
	assert_int_equal(vcpus_pause(&w.set, LONG_MS), 0);
	vcpus_resume(&w.set);
	assert_progress();
}

static void test_pause_inside(void **state)
{
	(void)state;
	static const struct fake_step script[] = {FAKE_STAYS, FAKE_OUT(COUNT_PORT, 1)};
	for (unsigned i = 0; i < 4; i++)
		ADD(script);
	start();
	for (unsigned i = 0; i < 4; i++)
		assert_true(fake_cpu_wait(&w.cpu[i]));
	assert_int_equal(vcpus_pause(&w.set, LONG_MS), 0);
	assert_paused();
	assert_int_equal(atomic_load(&w.count), 0);
	vcpus_resume(&w.set);
	for (unsigned i = 0; i < 4; i++)
		assert_true(fake_cpu_wait(&w.cpu[i]));
	assert_int_equal(atomic_load(&w.count), 4);
}

static void test_pause_in_quick_succession(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3; i++)
		ADD(works);
	ADD(stays);
	start();
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(vcpus_pause(&w.set, LONG_MS), 0);
		if (i % 10 == 0)
			assert_paused();
		vcpus_resume(&w.set);
		/* Some threads have seen this resume, some never will. */
		if (i % 3 == 0)
			assert_progress();
	}
	assert_int_equal(vcpus_pause(&w.set, LONG_MS), 0);
	assert_int_equal(vcpus_pause(&w.set, 0), 0);
	assert_paused();
	vcpus_resume(&w.set);
	vcpus_resume(&w.set);
	assert_progress();
}

struct pauser {
	pthread_t thread;
	unsigned ms;
	int ret;
	uint64_t took_ms;
};

static void *pauser_main(void *arg)
{
	struct pauser *p = arg;
	uint64_t from = now_ms();
	p->ret = vcpus_pause(&w.set, p->ms);
	p->took_ms = now_ms() - from;
	return NULL;
}

/* Returns when another thread waits in vcpus_pause(), all signals sent. */
static void pause_elsewhere(struct pauser *p, unsigned ms)
{
	uint64_t until = now_ms() + LONG_MS;
	p->ms = ms;
	assert_int_equal(pthread_create(&p->thread, NULL, pauser_main, p), 0);
	while (atomic_load(&w.set.want) != VCPUS_PAUSE)
		assert_true(now_ms() < until);
	/* It holds the lock from before this word until it waits. */
	pthread_mutex_lock(&w.set.lock);
	pthread_mutex_unlock(&w.set.lock);
}

/* The signal comes too early, on the way into the guest: only the flag is left. */
static void test_signal_before_entry(void **state)
{
	(void)state;
	static const struct fake_step script[] = {FAKE_GATE};
	struct pauser p;
	struct fake_cpu *c = ADD(script);
	start();
	assert_true(fake_cpu_wait(c));
	pause_elsewhere(&p, LONG_MS);
	fake_cpu_open(c);
	pthread_join(p.thread, NULL);
	assert_int_equal(p.ret, 0);
	assert_true(p.took_ms < LONG_MS / 2);
	assert_int_equal(atomic_load(&c->entries), 0);
	assert_paused();
	vcpus_resume(&w.set);
	assert_true(fake_cpu_wait(c));
}

/* What a CPU asked for before the pause is complete: its registers hold the answer. */
static void test_pause_completes_accesses(void **state)
{
	(void)state;
	static const struct fake_step script[] = {FAKE_OUT(STUCK_PORT, 1), FAKE_OUT(COUNT_PORT, 1)};
	struct pauser p;
	struct fake_cpu *c = ADD(script);
	start();
	assert_true(wait_sem(&w.stuck));
	/* It will find itself paused when it comes out of the device. */
	pause_elsewhere(&p, LONG_MS);
	sem_post(&w.release);
	pthread_join(p.thread, NULL);
	assert_int_equal(p.ret, 0);
	assert_paused();
	assert_int_equal(atomic_load(&w.count), 0);
	vcpus_resume(&w.set);
	assert_true(fake_cpu_wait(c));
	assert_int_equal(atomic_load(&w.count), 1);
}

static void test_pause_with_a_stuck_device(void **state)
{
	(void)state;
	ADD(gets_stuck);
	struct fake_cpu *other = ADD(stays);
	start();
	assert_true(wait_sem(&w.stuck));
	assert_true(fake_cpu_wait(other));
	uint64_t from = now_ms();
	assert_int_equal(vcpus_pause(&w.set, SHORT_MS), -ETIMEDOUT);
	assert_in_range(now_ms() - from, SHORT_MS - 1, LONG_MS / 2);
	/* The other one goes on, and so does this one when its device does. */
	assert_true(fake_cpu_wait(other));
	sem_post(&w.release);
	assert_true(fake_cpu_wait(&w.cpu[0]));
	assert_int_equal(vcpus_pause(&w.set, LONG_MS), 0);
	assert_paused();
}

static void test_end_during_a_pause(void **state)
{
	(void)state;
	struct pauser p;
	ADD(ends_late);
	ADD(stays);
	start();
	assert_true(wait_sem(&w.stuck));
	assert_true(fake_cpu_wait(&w.cpu[1]));
	pause_elsewhere(&p, 2 * LONG_MS);
	sem_post(&w.release);
	pthread_join(p.thread, NULL);
	/* At once, not when the time is over. */
	assert_int_equal(p.ret, -ECANCELED);
	assert_true(p.took_ms < LONG_MS);
	assert_int_equal(w.set.end, VCPUS_END_RESET);
	assert_string_equal(w.set.detail, "reset by a slow device, CPU 0 at step one");
	/* The CPU that was parked leaves, too: nobody has asked for a stop yet. */
	wait_for_ended(2);
}

static void test_pause_after_the_end(void **state)
{
	(void)state;
	ADD(works);
	start();
	vcpus_end(&w.set, VCPUS_END_RESET, "over");
	assert_int_equal(vcpus_pause(&w.set, LONG_MS), -ECANCELED);
	vcpus_resume(&w.set);
	assert_int_equal(vcpus_stop(&w.set, LONG_MS), 0);
	assert_int_equal(vcpus_pause(&w.set, LONG_MS), -ECANCELED);
	vcpus_resume(&w.set);
	assert_int_equal(atomic_load(&w.set.want), VCPUS_STOP);
}

static void test_resume_of_nothing(void **state)
{
	(void)state;
	vcpus_resume(&w.set);
	struct fake_cpu *c = ADD(stays);
	start();
	assert_true(fake_cpu_wait(c));
	vcpus_resume(&w.set);
	assert_int_equal(atomic_load(&c->entries), 1);
	assert_int_equal(atomic_load(&w.set.want), VCPUS_RUN);
}

/* ---- stop; teardown stops, too, so each of these stops twice ---- */

static void stop(void)
{
	assert_int_equal(vcpus_stop(&w.set, LONG_MS), 0);
	for (unsigned i = 0; i < w.n; i++)
		assert_false(w.set.cpu[i].started);
	assert_int_equal(w.set.end, VCPUS_END_NONE);
}

static void test_stop_never_started(void **state)
{
	(void)state;
	stop();
	ADD(works);
	stop();
	/* Then they don't begin at all. */
	start();
	stop();
	assert_int_equal(atomic_load(&w.cpu[0].entries), 0);
}

static void test_stop_running(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++)
		ADD(works);
	start();
	assert_progress();
	stop();
	unsigned before = atomic_load(&w.count);
	sched_yield();
	assert_int_equal(atomic_load(&w.count), before);
	stop();
	stop();
}

static void test_stop_at_once(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++)
		ADD(stays);
	start();
	stop();
}

static void test_stop_inside(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++)
		ADD(stays);
	start();
	for (unsigned i = 0; i < 4; i++)
		assert_true(fake_cpu_wait(&w.cpu[i]));
	stop();
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(atomic_load(&w.cpu[i].entries), 1);
}

static void test_stop_paused(void **state)
{
	(void)state;
	ADD(works);
	ADD(stays);
	start();
	assert_int_equal(vcpus_pause(&w.set, LONG_MS), 0);
	assert_paused();
	stop();
}

static void test_end_while_paused(void **state)
{
	(void)state;
	ADD(works);
	start();
	assert_int_equal(vcpus_pause(&w.set, LONG_MS), 0);
	vcpus_end(&w.set, VCPUS_END_RESET, "from outside");
	/* Without being stopped. */
	wait_for_ended(1);
	assert_int_equal(vcpus_stop(&w.set, LONG_MS), 0);
	assert_string_equal(w.set.detail, "from outside");
}

static void test_stop_after_the_end(void **state)
{
	(void)state;
	static const struct fake_step faults[] = {FAKE_SIMPLE(VCPU_EXIT_SHUTDOWN)};
	struct pollfd p = {.events = POLLIN};
	ADD(faults);
	ADD(stays);
	start();
	p.fd = w.set.end_fd;
	assert_int_equal(poll(&p, 1, LONG_MS), 1);
	assert_int_equal(vcpus_stop(&w.set, LONG_MS), 0);
	assert_int_equal(vcpus_stop(&w.set, LONG_MS), 0);
	assert_int_equal(w.set.end, VCPUS_END_SHUTDOWN);
	vcpus_end(&w.set, VCPUS_END_ERROR, "too late");
	assert_int_equal(w.set.end, VCPUS_END_SHUTDOWN);
}

static void test_stop_with_a_stuck_device(void **state)
{
	(void)state;
	ADD(gets_stuck);
	ADD(stays);
	start();
	assert_true(wait_sem(&w.stuck));
	uint64_t from = now_ms();
	assert_int_equal(vcpus_stop(&w.set, SHORT_MS), -ETIMEDOUT);
	assert_in_range(now_ms() - from, SHORT_MS - 1, LONG_MS / 2);
	assert_int_equal(vcpus_stop(&w.set, 0), -ETIMEDOUT);
	sem_post(&w.release);
	stop();
	/* It did not enter the guest again. */
	assert_int_equal(atomic_load(&w.cpu[0].entries), 1);
}

/* Whatever order they come in, for the thread sanitizer to look at. */
static void test_storm(void **state)
{
	(void)state;
	unsigned seed = 1;
	for (unsigned i = 0; i < 3; i++)
		ADD(works);
	ADD(stays);
	start();
	for (unsigned i = 0; i < 200; i++) {
		seed = seed * 1103515245 + 12345;
		switch (seed >> 16 & 7) {
		case 0:
		case 1:
		case 2: assert_int_equal(vcpus_pause(&w.set, LONG_MS), 0); break;
		case 3:
		case 4: vcpus_resume(&w.set); break;
		case 5: pthread_kill(w.set.cpu[seed >> 24 & 3].thread, SIGRTMIN); break;
		case 6: sched_yield(); break;
		default: assert_true(vcpus_exits(&w.set) < ~0ull);
		}
	}
	vcpus_resume(&w.set);
	assert_progress();
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_pause_before_start),
		T(test_pause_inside),
		T(test_pause_completes_accesses),
		T(test_pause_in_quick_succession),
		T(test_signal_before_entry),
		T(test_pause_with_a_stuck_device),
		T(test_end_during_a_pause),
		T(test_pause_after_the_end),
		T(test_resume_of_nothing),
		T(test_stop_never_started),
		T(test_stop_running),
		T(test_stop_at_once),
		T(test_stop_inside),
		T(test_stop_paused),
		T(test_end_while_paused),
		T(test_stop_after_the_end),
		T(test_stop_with_a_stuck_device),
		T(test_storm),
	};
	alarm(55);
	return cmocka_run_group_tests_name("vcpu_states", tests, NULL, NULL);
}
