// SPDX-License-Identifier: Apache-2.0
// test_mmio_run.c - devices at work behind their registers: life, failure, reset, threads
// links: runtime/virtio/mmio.c runtime/virtio/virtio.c runtime/virtio/queue.c runtime/virtio/chain.c runtime/vmm/gmem.c tests/lib/mmio_rig.c
#include "lib/mmio_rig.h"

#include "base/checked.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

static struct mmio_rig rig;

static int setup(void **state)
{
	mmio_rig_init(&rig);
	*state = &rig;
	return 0;
}

static int teardown(void **state)
{
	mmio_rig_destroy(*state);
	return 0;
}

static unsigned open_fds(void)
{
	unsigned n = 0;
	DIR *d = opendir("/proc/self/fd");
	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void one_life(struct mmio_rig *r)
{
	mmio_put(r, R_STATUS, 0);
	mmio_rig_interrupts(r);
	mmio_rig_start(r, MMIO_DEVICE_FEATURE);
	assert_int_equal(mmio_get(r, R_STATUS), S_RUNNING);
	assert_true(r->echo.dev.driver_features == (VIRTIO_F_VERSION_1 | MMIO_DEVICE_FEATURE));
	/* Each queue is looked at once when it starts; nothing waits, but the device notifies. */
	assert_int_equal(mmio_rig_interrupts(r), MMIO_QUEUES);
	mmio_put(r, R_IRQ_ACK, 1);
	for (unsigned i = 0; i < 20; i++) {
		mmio_rig_add(r, i % 2, "hello", true);
		assert_int_equal(mmio_rig_used(r, i % 2), i / 2);
		mmio_rig_run(r);
		assert_int_equal(mmio_rig_used(r, i % 2), i / 2 + 1);
		assert_memory_equal(r->mem + MMIO_BUF(i % 2) + 64, "hello", 5);
		assert_int_equal(mmio_get(r, R_IRQ_STATUS), 1);
		assert_int_equal(mmio_rig_interrupts(r), 1);
		mmio_put(r, R_IRQ_ACK, 2);
		assert_int_equal(mmio_get(r, R_IRQ_STATUS), 1);
		mmio_put(r, R_IRQ_ACK, 1);
		assert_int_equal(mmio_get(r, R_IRQ_STATUS), 0);
	}
}

static void test_life(void **state)
{
	struct mmio_rig *r = *state;
	for (unsigned i = 1; i <= 3; i++) {
		one_life(r);
		mmio_rig_add(r, 0, "x", true);
		mmio_rig_run(r);
		mmio_put(r, R_STATUS, 0);
		assert_int_equal(r->echo.resets, i);
		assert_int_equal(mmio_get(r, R_STATUS), 0);
		assert_int_equal(mmio_get(r, R_IRQ_STATUS), 0);
		assert_int_equal(mmio_get(r, R_QUEUE_READY), 0);
		assert_true(r->echo.dev.driver_features == 0);
		for (unsigned q = 0; q < MMIO_QUEUES; q++) {
			assert_false(r->echo.dev.vq[q].started);
			assert_int_equal(r->echo.dev.vq[q].call_fd, -1);
			assert_null(r->echo.dev.vq[q].irq_status);
		}
	}
}

static void test_broken_ring(void **state)
{
	struct mmio_rig *r = *state;
	mmio_rig_start(r, 0);
	mmio_rig_interrupts(r);
	mmio_put(r, R_IRQ_ACK, 3);
	uint16_t *avail = (uint16_t *)(void *)(r->mem + MMIO_AVAIL(0));
	avail[1] = 1000;
	mmio_put(r, R_NOTIFY, 0);
	mmio_rig_run(r);
	assert_true(r->echo.dev.needs_reset);
	assert_int_equal(mmio_get(r, R_STATUS), S_RUNNING | S_NEEDS_RESET);
	assert_int_equal(mmio_get(r, R_IRQ_STATUS) & 2, 2);
	assert_true(mmio_rig_interrupts(r) >= 1);
	unsigned kicks = r->echo.kicks[0] + r->echo.kicks[1];
	mmio_put(r, R_NOTIFY, 0);
	mmio_rig_add(r, 1, "x", true);
	mmio_rig_run(r);
	assert_int_equal(r->echo.kicks[0] + r->echo.kicks[1], kicks);
	/* It is said once. */
	mmio_put(r, R_IRQ_ACK, 3);
	virtio_dev_fail(&r->echo.dev, "a test");
	assert_int_equal(mmio_get(r, R_IRQ_STATUS), 0);
	one_life(r);
	assert_false(r->echo.dev.needs_reset);
}

/* The ring is broken already when it starts: the failure comes from the first look. */
static void test_broken_from_the_start(void **state)
{
	struct mmio_rig *r = *state;
	mmio_rig_negotiate(r, 0);
	mmio_rig_queue(r, 0);
	((uint16_t *)(void *)(r->mem + MMIO_AVAIL(0)))[1] = 9;
	mmio_put(r, R_STATUS, S_RUNNING);
	assert_int_equal(mmio_get(r, R_STATUS), S_RUNNING | S_NEEDS_RESET);
	assert_int_equal(mmio_get(r, R_IRQ_STATUS) & 2, 2);
}

/* A device that failed before its driver came needs a reset first, and gets one. */
static void test_failure_before_the_start(void **state)
{
	struct mmio_rig *r = *state;
	virtio_dev_fail(&r->echo.dev, "a test");
	assert_int_equal(mmio_get(r, R_STATUS), 0);
	assert_int_equal(mmio_rig_interrupts(r), 0);
	mmio_put(r, R_STATUS, S_ACK | S_DRIVER);
	mmio_rig_features(r, VIRTIO_F_VERSION_1);
	mmio_put(r, R_STATUS, S_OPEN);
	mmio_rig_queue(r, 0);
	mmio_put(r, R_STATUS, S_RUNNING);
	assert_int_equal(mmio_get(r, R_STATUS), S_RUNNING | S_NEEDS_RESET);
	assert_false(r->echo.dev.vq[0].started);
	mmio_put(r, R_STATUS, 0);
	virtio_dev_fail(&r->echo.dev, "a test");
	one_life(r);
}

/* A device whose other half died says so and goes on answering. */
static void test_ask_reset(void **state)
{
	struct mmio_rig *r = *state;
	virtio_dev_ask_reset(&r->echo.dev);
	assert_int_equal(mmio_rig_interrupts(r), 0);
	mmio_rig_start(r, 0);
	mmio_rig_interrupts(r);
	mmio_put(r, R_IRQ_ACK, 3);
	virtio_dev_ask_reset(&r->echo.dev);
	virtio_dev_ask_reset(&r->echo.dev);
	assert_int_equal(mmio_get(r, R_STATUS), S_RUNNING | S_NEEDS_RESET);
	assert_int_equal(mmio_get(r, R_IRQ_STATUS), 2);
	assert_int_equal(mmio_rig_interrupts(r), 1);
	mmio_rig_add(r, 0, "x", true);
	mmio_rig_run(r);
	assert_int_equal(mmio_rig_used(r, 0), 1);
}

static void check_config(struct mmio_rig *r)
{
	char want[16] = {0}, got[16];
	memcpy(want, r->echo.config, MIN(strlen(r->echo.config), sizeof(want)));
	for (unsigned i = 0; i < 4; i++)
		virtio_mmio_read(&r->t, R_CONFIG + i * 4, got + i * 4, 4);
	assert_memory_equal(got, want, sizeof(want));
}

static void test_config_changed(void **state)
{
	struct mmio_rig *r = *state;
	uint32_t gen = mmio_get(r, R_GENERATION);
	r->echo.config = "something else";
	/* The old until the device says so, as a whole. */
	assert_int_equal(mmio_get(r, R_CONFIG), 0x666e6f63);
	virtio_dev_config_changed(&r->echo.dev);
	assert_int_equal(mmio_get(r, R_GENERATION), gen + 1);
	check_config(r);
	/* No driver, no interrupt. */
	assert_int_equal(mmio_get(r, R_IRQ_STATUS), 0);
	assert_int_equal(mmio_rig_interrupts(r), 0);
	mmio_rig_start(r, 0);
	mmio_rig_interrupts(r);
	mmio_put(r, R_IRQ_ACK, 1);
	r->echo.config = "short";
	virtio_dev_config_changed(&r->echo.dev);
	assert_int_equal(mmio_get(r, R_IRQ_STATUS), 2);
	assert_int_equal(mmio_rig_interrupts(r), 1);
	assert_int_equal(mmio_get(r, R_GENERATION), gen + 2);
	check_config(r);
	assert_int_equal(mmio_get(r, R_STATUS), S_RUNNING);
}

static void test_ioeventfd(void **state)
{
	struct mmio_rig *r = *state;
	uint64_t one = 1;
	mmio_rig_start(r, 0);
	for (unsigned q = 0; q < MMIO_QUEUES; q++) {
		mmio_rig_add(r, q, "x", false);
		mmio_rig_run(r);
		assert_int_equal(mmio_rig_used(r, q), 0);
		assert_int_equal(write(virtio_mmio_kick_fd(&r->t, q), &one, 8), 8);
		mmio_rig_run(r);
		assert_int_equal(mmio_rig_used(r, q), 1);
	}
}

/* A notification that a driver sends between filling the ring and DRIVER_OK. */
static void test_chains_from_before_the_start(void **state)
{
	struct mmio_rig *r = *state;
	mmio_rig_negotiate(r, 0);
	mmio_rig_queue(r, 0);
	mmio_rig_add(r, 0, "early", true);
	mmio_rig_run(r);
	assert_int_equal(r->echo.kicks[0], 0);
	mmio_put(r, R_STATUS, S_RUNNING);
	assert_int_equal(mmio_rig_used(r, 0), 1);
	assert_int_equal(mmio_get(r, R_IRQ_STATUS), 1);
}

static void test_stale_kicks(void **state)
{
	struct mmio_rig *r = *state;
	mmio_rig_start(r, 0);
	unsigned kicks = r->echo.kicks[0];
	mmio_rig_add(r, 0, "x", true);
	mmio_put(r, R_STATUS, 0);
	assert_true(mmio_rig_run(r) < 10);
	assert_int_equal(r->echo.kicks[0], kicks);
	assert_int_equal(r->echo.served, 0);
	/* A count that reaches the next life is a kick for nothing. */
	mmio_put(r, R_NOTIFY, 0);
	mmio_rig_start(r, 0);
	mmio_rig_run(r);
	assert_int_equal(r->echo.served, 0);
	assert_int_equal(mmio_rig_used(r, 0), 0);
}

/* No word of the guest makes the loop spin. */
static void test_comes_to_rest(void **state)
{
	struct mmio_rig *r = *state;
	for (unsigned i = 0; i < 1000; i++)
		mmio_put(r, R_NOTIFY, i % 3);
	assert_true(mmio_rig_run(r) < 10);
	mmio_rig_start(r, 0);
	assert_true(mmio_rig_run(r) < 10);
}

static void test_close(void **state)
{
	struct mmio_rig *r = *state;
	unsigned before = open_fds();
	struct virtio_dev dev;
	struct virtio_mmio t;
	virtio_dev_init(&dev, r->echo.dev.ops, &r->loop);
	struct mmio_echo other = {.dev = dev, .config = "", .entered_fd = -1, .gate_fd = -1};
	assert_int_equal(virtio_mmio_init(&t, &other.dev, &r->ram, r->irq_fd), 0);
	assert_int_equal(open_fds(), before + 1 + MMIO_QUEUES);
	assert_ptr_equal(other.dev.mem.region[0].host, r->mem);
	assert_null(other.dev.mem.region[0].map);
	virtio_mmio_close(&t);
	assert_int_equal(open_fds(), before);
	assert_int_equal(other.resets, 1);
	assert_int_equal(other.dev.mem.n, 0);
	assert_null(other.dev.transport);
	/* A device without a transport talks to nobody. */
	virtio_dev_fail(&other.dev, "a test");
	virtio_dev_config_changed(&other.dev);
	/* The machine's memory and the interrupt are still there. */
	assert_int_equal(r->mem[0], 0);
	one_life(r);
}

static void test_init_fails_cleanly(void **state)
{
	struct mmio_rig *r = *state;
	unsigned before = open_fds();
	struct virtio_mmio t;
	struct evloop dead = {.epfd = -1};
	struct mmio_echo other = {.config = ""};
	virtio_dev_init(&other.dev, r->echo.dev.ops, &dead);
	assert_int_equal(virtio_mmio_init(&t, &other.dev, &r->ram, r->irq_fd), -EBADF);
	assert_int_equal(open_fds(), before);
	assert_null(other.dev.transport);
	struct virtio_dev_ops many = *r->echo.dev.ops;
	many.num_queues = VIRTIO_DEV_MAX_QUEUES + 1;
	other.dev.ops = &many;
	assert_int_equal(virtio_mmio_init(&t, &other.dev, &r->ram, r->irq_fd), -EINVAL);
}

/* --- several threads --- */

struct vcpu {
	struct mmio_rig *r;
	pthread_t thread;
	uint64_t reg;
	uint32_t value;
	atomic_bool done;
};

static void *vcpu_main(void *arg)
{
	struct vcpu *v = arg;
	mmio_put(v->r, v->reg, v->value);
	atomic_store(&v->done, true);
	return NULL;
}

/* A thread that does one write. */
static void vcpu_write(struct vcpu *v, struct mmio_rig *r, uint64_t reg, uint32_t value)
{
	*v = (struct vcpu){.r = r, .reg = reg, .value = value};
	assert_int_equal(pthread_create(&v->thread, NULL, vcpu_main, v), 0);
}

static void assert_waits(struct vcpu *v)
{
	poll(NULL, 0, 30);
	assert_false(atomic_load(&v->done));
}

static void vcpu_join(struct vcpu *v)
{
	assert_int_equal(pthread_join(v->thread, NULL), 0);
	assert_true(atomic_load(&v->done));
}

/* Has the device running, in a thread, in the middle of a request. */
static void start_busy(struct mmio_rig *r)
{
	uint64_t n;
	mmio_rig_start(r, 0);
	r->echo.entered_fd = eventfd(0, EFD_CLOEXEC);
	r->echo.gate_fd = eventfd(0, EFD_CLOEXEC);
	mmio_rig_add(r, 0, "x", true);
	mmio_rig_thread(r);
	assert_int_equal(read(r->echo.entered_fd, &n, sizeof(n)), sizeof(n));
}

static void open_gate(struct mmio_rig *r)
{
	uint64_t one = 1;
	assert_int_equal(write(r->echo.gate_fd, &one, sizeof(one)), sizeof(one));
}

static void test_reset_waits_for_a_busy_device(void **state)
{
	struct mmio_rig *r = *state;
	struct vcpu a, b;
	start_busy(r);
	vcpu_write(&a, r, R_STATUS, 0);
	assert_waits(&a);
	/* What changes state waits as well; the rest goes on. */
	vcpu_write(&b, r, R_STATUS, S_ACK);
	assert_waits(&b);
	assert_int_equal(mmio_get(r, R_STATUS), S_RUNNING);
	mmio_put(r, R_IRQ_ACK, 3);
	mmio_put(r, R_NOTIFY, 0);
	assert_int_equal(mmio_get(r, R_CONFIG), 0x666e6f63);
	open_gate(r);
	vcpu_join(&a);
	assert_int_equal(r->echo.resets, 1);
	assert_false(r->echo.dev.vq[0].started);
	vcpu_join(&b);
	assert_int_equal(mmio_get(r, R_STATUS), S_ACK);
	mmio_rig_join(r);
}

static void test_stop_releases_a_busy_reset(void **state)
{
	struct mmio_rig *r = *state;
	struct vcpu a, b;
	start_busy(r);
	vcpu_write(&a, r, R_STATUS, 0);
	assert_waits(&a);
	vcpu_write(&b, r, R_QUEUE_SEL, 1);
	assert_waits(&b);
	virtio_mmio_stop(&r->t);
	vcpu_join(&a);
	vcpu_join(&b);
	open_gate(r);
	mmio_rig_join(r);
	assert_int_equal(r->echo.resets, 0);
	assert_true(r->echo.dev.vq[0].started);
}

/* The loop does not run: never, or not any more. */
static void test_stop_releases_a_start(void **state)
{
	struct mmio_rig *r = *state;
	struct vcpu a;
	mmio_rig_negotiate(r, 0);
	mmio_rig_queue(r, 0);
	virtio_mmio_own_thread(&r->t, false);
	vcpu_write(&a, r, R_STATUS, S_RUNNING);
	assert_waits(&a);
	virtio_mmio_stop(&r->t);
	virtio_mmio_stop(&r->t);
	vcpu_join(&a);
	/* Dropped: it does not happen later, and nothing else does. */
	mmio_rig_run(r);
	assert_int_equal(mmio_get(r, R_STATUS), S_OPEN);
	assert_false(r->echo.dev.vq[0].started);
	mmio_put(r, R_STATUS, S_RUNNING);
	mmio_put(r, R_STATUS, 0);
	mmio_put(r, R_QUEUE_READY, 0);
	assert_int_equal(mmio_get(r, R_STATUS), S_OPEN);
	assert_int_equal(mmio_get(r, R_QUEUE_READY), 1);
	mmio_rig_run(r);
	assert_false(r->echo.dev.vq[0].started);
}

static void test_the_loop_comes_late(void **state)
{
	struct mmio_rig *r = *state;
	struct vcpu a;
	virtio_mmio_own_thread(&r->t, false);
	/* Up to here nothing needs the device, a reset neither. */
	mmio_rig_negotiate(r, 0);
	mmio_put(r, R_STATUS, 0);
	mmio_rig_negotiate(r, 0);
	mmio_rig_queue(r, 0);
	vcpu_write(&a, r, R_STATUS, S_RUNNING);
	assert_waits(&a);
	mmio_rig_thread(r);
	vcpu_join(&a);
	assert_int_equal(mmio_get(r, R_STATUS), S_RUNNING);
	mmio_put(r, R_STATUS, 0);
	assert_int_equal(mmio_get(r, R_STATUS), 0);
	assert_int_equal(r->echo.resets, 1);
	mmio_rig_join(r);
}

struct noise {
	struct mmio_rig *r;
	pthread_t thread;
	unsigned seed;
	bool wild; /* writes what changes state, too */
	atomic_bool stop;
};

static void wild_write(struct noise *n)
{
	static const uint32_t status[] = {0,	  S_ACK,     S_ACK | S_DRIVER, S_OPEN,
					  S_OPEN, S_RUNNING, S_RUNNING,	       S_FAILED};
	n->seed = n->seed * 1664525u + 1013904223u;
	unsigned x = n->seed >> 16;
	if (x & 3)
		mmio_put(n->r, R_STATUS, status[(x >> 2) % ARRAY_SIZE(status)]);
	else if (x & 4)
		mmio_rig_queue_regs(n->r, (x >> 3) % 2);
	else
		mmio_rig_features(n->r, VIRTIO_F_VERSION_1 | (x & 8 ? 1u << 29 : 0));
}

static void *noise_main(void *arg)
{
	struct noise *n = arg;
	while (!atomic_load(&n->stop)) {
		for (uint64_t reg = 0; reg < R_CONFIG + 16; reg += 4)
			mmio_get(n->r, reg);
		assert_true(mmio_status_legal(mmio_get(n->r, R_STATUS)));
		mmio_put(n->r, R_NOTIFY, n->seed++ % 3);
		if (n->wild)
			wild_write(n);
		else
			sched_yield();
	}
	return NULL;
}

static void noise_start(struct noise *n, struct mmio_rig *r, unsigned seed, bool wild)
{
	*n = (struct noise){.r = r, .seed = seed, .wild = wild};
	assert_int_equal(pthread_create(&n->thread, NULL, noise_main, n), 0);
}

static void noise_stop(struct noise *n)
{
	atomic_store(&n->stop, true);
	assert_int_equal(pthread_join(n->thread, NULL), 0);
}

/* One vCPU lives many lives while others read and notify. */
static void test_lives_in_threads(void **state)
{
	struct mmio_rig *r = *state;
	struct noise n;
	mmio_rig_thread(r);
	noise_start(&n, r, 1, false);
	for (unsigned life = 0; life < 300; life++) {
		mmio_rig_start(r, life % 2 ? VIRTIO_F_EVENT_IDX : 0);
		assert_int_equal(mmio_get(r, R_STATUS), S_RUNNING);
		for (unsigned i = 0; i < 4; i++) {
			mmio_rig_add(r, i % 2, "hello", true);
			while (mmio_rig_used(r, i % 2) != i / 2 + 1)
				sched_yield(); /* the alarm ends it */
			assert_memory_equal(r->mem + MMIO_BUF(i % 2) + 64, "hello", 5);
		}
		/* The next chain may be under way when the reset comes. */
		mmio_rig_add(r, 0, "hello", true);
	}
	mmio_put(r, R_STATUS, 0);
	assert_int_equal(r->echo.resets, 300);
	noise_stop(&n);
	mmio_rig_join(r);
	one_life(r);
}

/* Two vCPUs fight for the registers. */
static void test_fight(void **state)
{
	struct mmio_rig *r = *state;
	struct noise n[2];
	mmio_rig_start(r, 0);
	mmio_rig_add(r, 0, "hello", false);
	mmio_rig_add(r, 1, "hello", false);
	mmio_put(r, R_STATUS, 0);
	mmio_rig_thread(r);
	noise_start(&n[0], r, 1, true);
	noise_start(&n[1], r, 2, true);
	poll(NULL, 0, 700);
	noise_stop(&n[0]);
	noise_stop(&n[1]);
	mmio_rig_join(r);
	assert_true(r->echo.resets > 10);
	assert_true(r->echo.served > 10);
	one_life(r);
}

/* The machine stops in the middle of it. */
static void test_stop_in_a_fight(void **state)
{
	struct mmio_rig *r = *state;
	struct noise n[2];
	for (unsigned i = 0; i < 30; i++) {
		mmio_rig_thread(r);
		noise_start(&n[0], r, i, true);
		noise_start(&n[1], r, i + 100, true);
		poll(NULL, 0, (int)(i % 5));
		/* As the machine does it: devices first. */
		if (i & 1)
			mmio_rig_join(r);
		virtio_mmio_stop(&r->t);
		noise_stop(&n[0]);
		noise_stop(&n[1]);
		if (!(i & 1))
			mmio_rig_join(r);
		mmio_rig_destroy(r);
		mmio_rig_init(r);
	}
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_life),
		T(test_broken_ring),
		T(test_broken_from_the_start),
		T(test_failure_before_the_start),
		T(test_ask_reset),
		T(test_config_changed),
		T(test_ioeventfd),
		T(test_chains_from_before_the_start),
		T(test_stale_kicks),
		T(test_comes_to_rest),
		T(test_close),
		T(test_init_fails_cleanly),
		T(test_reset_waits_for_a_busy_device),
		T(test_stop_releases_a_busy_reset),
		T(test_stop_releases_a_start),
		T(test_the_loop_comes_late),
		T(test_lives_in_threads),
		T(test_fight),
		T(test_stop_in_a_fight),
	};
	alarm(60);
	log_init("test", LOG_ERROR);
	return cmocka_run_group_tests_name("mmio_run", tests, NULL, NULL);
}
