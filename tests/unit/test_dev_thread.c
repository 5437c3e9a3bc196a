// SPDX-License-Identifier: Apache-2.0
// test_dev_thread.c - a device's thread with a vhost-user socket and without, and how it ends
// links: runtime/vmm/dev_thread.c runtime/virtio/vhost_user.c runtime/virtio/vhost_user_msg.c runtime/virtio/vhost_user_mem.c runtime/virtio/virtio.c runtime/virtio/queue.c runtime/virtio/chain.c runtime/vmm/gmem.c runtime/virtio/rng.c runtime/base/ratelimit.c
#include "vmm/dev_thread.h"

#include "base/cleanup.h"
#include "virtio/rng.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define LONG_MS 10000
#define STOP 100

static struct dev_thread t;
static struct virtio_dev *dev;
static struct evsource poke;
static pthread_t ran_on;
static atomic_uint pokes;

static void on_poke(struct evsource *src, uint32_t events)
{
	uint64_t n = 0;
	(void)events;
	assert_int_equal(read(src->fd, &n, sizeof(n)), sizeof(n));
	ran_on = pthread_self();
	atomic_fetch_add(&pokes, 1);
	if (n >= STOP)
		t.loop.stop = true;
}

static int setup(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	atomic_store(&pokes, 0);
	poke = (struct evsource){.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .fn = on_poke};
	if (dev_thread_init(&t) < 0 || virtio_rng_create(&dev, &t.loop) < 0)
		return -1;
	return evloop_add(&t.loop, &poke, EPOLLIN);
}

static void write_event(uint64_t n)
{
	assert_int_equal(write(poke.fd, &n, sizeof(n)), sizeof(n));
}

static int teardown(void **state)
{
	(void)state;
	write_event(STOP);
	dev_thread_join(&t);
	virtio_rng_destroy(dev);
	close_fd(&poke.fd);
	return 0;
}

static bool gone(int ms)
{
	struct pollfd p = {.fd = t.gone_fd, .events = POLLIN};
	return poll(&p, 1, ms) == 1;
}

static void wait_for_pokes(unsigned n)
{
	for (unsigned i = 0; atomic_load(&pokes) < n; i++) {
		assert_true(i < LONG_MS);
		poll(NULL, 0, 1);
	}
}

/* kvm: virtio-mmio carries the device; the thread runs its loop and nothing ends that. */
static void test_without_a_socket(void **state)
{
	(void)state;
	char name[16] = "";
	assert_int_equal(dev_thread_start(&t, dev, -1, "fs-device"), 0);
	for (unsigned i = 1; i <= 3; i++) {
		write_event(1);
		wait_for_pokes(i);
	}
	assert_int_equal(pthread_getname_np(t.thread, name, sizeof(name)), 0);
	assert_string_equal(name, "fs-device");
	assert_false(gone(0));
	assert_null(t.vu.dev);
	write_event(STOP);
	wait_for_pokes(4);
	assert_true(pthread_equal(ran_on, t.thread));
	assert_false(pthread_equal(ran_on, pthread_self()));
}

/* A stop that was asked for is no failure: nobody is told. */
static void test_stop_is_no_failure(void **state)
{
	(void)state;
	assert_int_equal(dev_thread_start(&t, dev, -1, "x"), 0);
	write_event(STOP);
	wait_for_pokes(1);
	for (unsigned i = 0; i < 20; i++)
		assert_false(gone(1));
	assert_int_equal(t.why, 0);
}

/* One device less is a machine that hangs: the main thread must hear of it. */
static void test_loop_fails(void **state)
{
	(void)state;
	virtio_rng_destroy(dev);
	close(t.loop.epfd);
	assert_int_equal(dev_thread_start(&t, NULL, -1, "x"), 0);
	assert_true(gone(LONG_MS));
	pthread_join(t.thread, NULL);
	assert_int_equal(t.why, -EBADF);
	close(t.gone_fd);
	close_fd(&poke.fd);
}

/* tcg: the front end's end is the thread's. */
static void test_socket_closes(void **state)
{
	(void)state;
	int sv[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	assert_int_equal(dev_thread_start(&t, dev, sv[0], "x"), 0);
	write_event(1);
	wait_for_pokes(1);
	assert_false(gone(0));
	close(sv[1]);
	assert_true(gone(LONG_MS));
	pthread_join(t.thread, NULL);
	assert_int_equal(t.why, 0);
	assert_int_equal(t.vu.why, 0);
	evloop_close(&t.loop);
	close(t.gone_fd);
	virtio_rng_destroy(dev);
	close_fd(&poke.fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_without_a_socket, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stop_is_no_failure, setup, teardown),
		cmocka_unit_test_setup(test_loop_fails, setup),
		cmocka_unit_test_setup(test_socket_closes, setup),
	};
	alarm(40);
	return cmocka_run_group_tests_name("dev_thread", tests, NULL, NULL);
}
