// SPDX-License-Identifier: Apache-2.0
// test_vcpu_virtio.c - scripted CPUs as drivers of a virtio device, which lives on its own thread
// links: runtime/engine/vcpu.c runtime/engine/bus.c runtime/virtio/mmio.c runtime/virtio/virtio.c runtime/virtio/queue.c runtime/virtio/chain.c runtime/virtio/rng.c runtime/base/ratelimit.c runtime/vmm/gmem.c tests/lib/fake_engine.c
#include "engine/vcpu.h"

#include "base/checked.h"
#include "lib/fake_engine.h"
#include "virtio/mmio.h"
#include "virtio/rng.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define BASE 0xd0000000ull
#define RAM_GPA 0x100000u
#define RAM_SIZE 0x10000u
#define DESC 0x0000u
#define AVAIL 0x1000u
#define USED 0x2000u
#define BUF 0x3000u
#define BUF_LEN 64u
#define LONG_MS 10000
#define SHORT_MS 30
#define RUNNING 15 /* ACKNOWLEDGE, DRIVER, DRIVER_OK, FEATURES_OK */

static struct {
	struct bus ports, mmio;
	struct vcpus set;
	struct fake_cpu cpu[4];
	unsigned n;
	struct evloop loop;
	struct evsource quit;
	pthread_t thread;
	bool has_thread;
	struct gmem ram;
	uint8_t *mem;
	int irq_fd;
	struct virtio_dev *rng;
	struct virtio_mmio t;
} w;

#define REG(off, v) FAKE_PUT(BASE + (off), v)

/* What a driver does up to DRIVER_OK, and one request. */
#define BRING_UP                                                                                   \
	REG(0x70, 0), REG(0x70, 1), REG(0x70, 3), REG(0x24, 1), REG(0x20, 1), REG(0x70, 11),       \
		REG(0x30, 0), REG(0x38, 8), REG(0x80, RAM_GPA + DESC), REG(0x84, 0),               \
		REG(0x90, RAM_GPA + AVAIL), REG(0x94, 0), REG(0xa0, RAM_GPA + USED), REG(0xa4, 0), \
		REG(0x44, 1), REG(0x70, RUNNING)
#define NOTIFY REG(VIRTIO_MMIO_QUEUE_NOTIFY, 0)

static void on_quit(struct evsource *src, uint32_t events)
{
	(void)src;
	(void)events;
	w.loop.stop = true;
}

static void *device_main(void *arg)
{
	(void)arg;
	return evloop_run(&w.loop) < 0 ? &w : NULL;
}

static void put16(size_t at, uint16_t v)
{
	memcpy(w.mem + at, &v, sizeof(v));
}

static uint16_t get16(size_t at)
{
	return __atomic_load_n((uint16_t *)(void *)(w.mem + at), __ATOMIC_ACQUIRE);
}

/* One buffer for the device to fill, already available. */
static void offer_buffer(void)
{
	const uint64_t addr = RAM_GPA + BUF;
	const uint32_t len = BUF_LEN;
	memcpy(w.mem + DESC, &addr, sizeof(addr));
	memcpy(w.mem + DESC + 8, &len, sizeof(len));
	put16(DESC + 12, 2); /* device-writable */
	put16(AVAIL + 4, 0);
	put16(AVAIL + 2, 1);
}

static int setup(void **state)
{
	(void)state;
	memset(&w, 0, sizeof(w));
	w.mem = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (w.mem == MAP_FAILED)
		return -1;
	struct gmem_region r = {
		.gpa = RAM_GPA, .size = RAM_SIZE, .host = w.mem, .map = w.mem, .map_len = RAM_SIZE};
	w.irq_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	w.quit = (struct evsource){.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .fn = on_quit};
	if (gmem_add(&w.ram, &r) < 0 || evloop_init(&w.loop) < 0 ||
	    evloop_add(&w.loop, &w.quit, EPOLLIN) < 0 || virtio_rng_create(&w.rng, &w.loop) < 0 ||
	    virtio_mmio_init(&w.t, w.rng, &w.ram, w.irq_fd) < 0)
		return -1;
	struct bus_window win = {
		.name = "rng", .arg = &w.t, .read = virtio_mmio_read, .write = virtio_mmio_write};
	if (bus_add(&w.mmio, BASE, VIRTIO_MMIO_WINDOW, &win) < 0)
		return -1;
	return vcpus_init(&w.set, &fake_engine_ops, &w.ports, &w.mmio);
}

static void start_device(void)
{
	w.has_thread = true;
	assert_int_equal(pthread_create(&w.thread, NULL, device_main, NULL), 0);
}

static int teardown(void **state)
{
	(void)state;
	uint64_t one = 1;
	virtio_mmio_stop(&w.t);
	assert_int_equal(vcpus_stop(&w.set, LONG_MS), 0);
	vcpus_free(&w.set);
	if (w.has_thread) {
		void *failed;
		assert_int_equal(write(w.quit.fd, &one, sizeof(one)), sizeof(one));
		pthread_join(w.thread, &failed);
		assert_null(failed);
	}
	virtio_mmio_close(&w.t);
	virtio_rng_destroy(w.rng);
	evloop_close(&w.loop);
	gmem_clear(&w.ram);
	close(w.irq_fd);
	close(w.quit.fd);
	for (unsigned i = 0; i < w.n; i++) {
		assert_false(w.cpu[i].lost);
		fake_cpu_destroy(&w.cpu[i]);
	}
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

static bool interrupted(void)
{
	struct pollfd p = {.fd = w.irq_fd, .events = POLLIN};
	uint64_t n;
	return poll(&p, 1, LONG_MS) == 1 && read(w.irq_fd, &n, sizeof(n)) == sizeof(n);
}

static void test_a_request(void **state)
{
	(void)state;
	static const struct fake_step script[] = {
		FAKE_GET(BASE, 4),
		FAKE_GET(BASE + 8, 4),
		BRING_UP,
		NOTIFY,
		FAKE_GET(BASE + 0x70, 4),
		FAKE_STAYS,
	};
	static const uint8_t want[] = {'v', 'i', 'r', 't', 4, 0, 0, 0, RUNNING, 0, 0, 0};
	static const uint8_t zero[BUF_LEN];
	struct fake_cpu *c = ADD(script);
	offer_buffer();
	start_device();
	assert_int_equal(vcpus_start(&w.set), 0);
	assert_true(fake_cpu_wait(c));
	while (get16(USED + 2) != 1)
		assert_true(interrupted());
	assert_int_equal(vcpus_stop(&w.set, LONG_MS), 0);
	assert_int_equal(c->n_answers, sizeof(want));
	assert_memory_equal(c->answer, want, sizeof(want));
	assert_memory_not_equal(w.mem + BUF, zero, BUF_LEN);
	assert_int_equal(atomic_load(&w.mmio.window[0].accesses), ARRAY_SIZE(script) - 1);
	assert_int_equal(atomic_load(&w.set.cpu[0].exits[VCPU_EXIT_MMIO]), ARRAY_SIZE(script) - 1);
}

/* Until the CPU has come to DRIVER_OK, the last write of BRING_UP. */
static void wait_for_driver(void)
{
	while (atomic_load(&w.mmio.window[0].accesses) < 16)
		poll(NULL, 0, 1);
}

/* The CPU that brings a device up waits for its thread, which has not begun yet. */
static void test_device_not_ready(void **state)
{
	(void)state;
	static const struct fake_step script[] = {BRING_UP, FAKE_GET(BASE + 0x70, 4)};
	static const struct fake_step stays[] = {FAKE_STAYS};
	struct fake_cpu *c = ADD(script);
	struct fake_cpu *other = ADD(stays);
	assert_int_equal(vcpus_start(&w.set), 0);
	assert_true(fake_cpu_wait(other));
	wait_for_driver();
	assert_int_equal(vcpus_pause(&w.set, SHORT_MS), -ETIMEDOUT);
	start_device();
	assert_true(fake_cpu_wait(c));
	assert_int_equal(vcpus_pause(&w.set, LONG_MS), 0);
	assert_int_equal(c->n_answers, 4);
	assert_int_equal(c->answer[0], RUNNING);
}

/* As above, and the machine ends while it waits: the transport has to let it go first. */
static void test_stop_while_waiting(void **state)
{
	(void)state;
	static const struct fake_step script[] = {BRING_UP, NOTIFY};
	ADD(script);
	assert_int_equal(vcpus_start(&w.set), 0);
	wait_for_driver();
	assert_int_equal(vcpus_stop(&w.set, SHORT_MS), -ETIMEDOUT);
	virtio_mmio_stop(&w.t);
	assert_int_equal(vcpus_stop(&w.set, LONG_MS), 0);
}

/*
 * All CPUs write anything anywhere in the window, often what drives the device on. It outlives
 * that, and after a reset it serves a driver that behaves.
 */
#define GARBAGE 3000
static void garbage(struct fake_step *script, unsigned seed)
{
	static const uint8_t regs[] = {0x70, 0x24, 0x20, 0x30, 0x38, 0x80, 0x84, 0x90,
				       0x94, 0xa0, 0xa4, 0x44, 0x50, 0x64, 0x14, 0xfc};
	static const uint32_t values[] = {0, 1, 3, 11, RUNNING, 8, RAM_GPA, RAM_GPA + 0x1000, ~0u};
	for (unsigned i = 0; i < GARBAGE; i++) {
		seed = seed * 1103515245 + 12345;
		unsigned r = seed >> 16;
		unsigned len = 1u << (r >> 12 & 3);
		bool wild = r % 8 == 0;
		uint64_t off = wild ? r * 7 % (VIRTIO_MMIO_WINDOW - 8) : regs[r % ARRAY_SIZE(regs)];
		script[i] = (struct fake_step){
			.kind = VCPU_EXIT_MMIO,
			.write = true,
			.len = wild ? len : 4,
			.addr = BASE + off,
			.value = wild ? seed : values[r / 16 % ARRAY_SIZE(values)],
		};
	}
}

static void test_garbage(void **state)
{
	(void)state;
	static const struct fake_step good[] = {FAKE_STAYS, BRING_UP, NOTIFY,
						FAKE_GET(BASE + 0x70, 4)};
	static struct fake_step bad[3][GARBAGE];
	struct fake_cpu *c = ADD(good);
	log_init("test", LOG_ERROR);
	for (unsigned i = 0; i < 3; i++) {
		garbage(bad[i], i + 1);
		add(bad[i], GARBAGE);
	}
	start_device();
	assert_int_equal(vcpus_start(&w.set), 0);
	for (unsigned i = 0; i < 4; i++)
		assert_true(fake_cpu_wait(&w.cpu[i]));
	/* Each CPU comes out once: one of them has something to do. */
	assert_int_equal(vcpus_pause(&w.set, LONG_MS), 0);
	memset(w.mem, 0, RAM_SIZE);
	offer_buffer();
	vcpus_resume(&w.set);
	assert_true(fake_cpu_wait(c));
	while (get16(USED + 2) != 1)
		assert_true(interrupted());
	assert_int_equal(vcpus_stop(&w.set, LONG_MS), 0);
	assert_int_equal(c->answer[0], RUNNING);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_a_request),
		T(test_device_not_ready),
		T(test_stop_while_waiting),
		T(test_garbage),
	};
	alarm(50);
	return cmocka_run_group_tests_name("vcpu_virtio", tests, NULL, NULL);
}
