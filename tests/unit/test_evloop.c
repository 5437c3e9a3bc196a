// SPDX-License-Identifier: Apache-2.0
// test_evloop.c - events, changes and deletions from inside a batch, sources that are off
// links:
#include "base/evloop.h"

#include "base/cleanup.h"
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/time.h>

#include <cmocka.h>

#define N 40

static struct evloop loop;
static struct evsource src[N];
static unsigned calls[N];
static uint32_t last_events;
static int stop_after = -1;

static void on_event(struct evsource *s, uint32_t events)
{
	calls[s - src]++;
	last_events = events;
	if (stop_after >= 0 && stop_after-- == 0)
		loop.stop = true;
}

/* The first of them to be called takes all others away and closes them. */
static void on_event_kill_others(struct evsource *s, uint32_t events)
{
	(void)events;
	calls[s - src]++;
	for (unsigned i = 0; i < N; i++) {
		if (&src[i] == s || src[i].fd < 0)
			continue;
		evloop_del(&loop, &src[i]);
		close_fd(&src[i].fd);
	}
}

static int setup(void **state)
{
	(void)state;
	memset(calls, 0, sizeof(calls));
	stop_after = -1;
	for (unsigned i = 0; i < N; i++)
		src[i] = (struct evsource){.fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK),
					   .fn = on_event};
	return evloop_init(&loop);
}

static int teardown(void **state)
{
	(void)state;
	for (unsigned i = 0; i < N; i++)
		close_fd(&src[i].fd);
	evloop_close(&loop);
	evloop_close(&loop);
	return 0;
}

static void test_events(void **state)
{
	(void)state;
	assert_int_equal(evloop_once(&loop, 0), 0);
	assert_int_equal(evloop_add(&loop, &src[0], EPOLLIN), 0);
	assert_int_equal(evloop_once(&loop, 0), 1);
	assert_int_equal(calls[0], 1);
	assert_int_equal(last_events, EPOLLIN);
	assert_int_equal(evloop_mod(&loop, &src[0], EPOLLIN | EPOLLOUT), 0);
	assert_int_equal(evloop_once(&loop, 0), 1);
	assert_int_equal(last_events, EPOLLIN | EPOLLOUT);
	evloop_del(&loop, &src[0]);
	assert_int_equal(evloop_once(&loop, 0), 0);
	/* Twice does no harm; adding it again works. */
	evloop_del(&loop, &src[0]);
	assert_int_equal(evloop_add(&loop, &src[0], EPOLLIN), 0);
	assert_int_equal(evloop_once(&loop, 0), 1);
}

static void test_off_is_off(void **state)
{
	(void)state;
	int p[2];
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	close_fd(&src[0].fd);
	src[0].fd = p[0];
	assert_int_equal(evloop_add(&loop, &src[0], EPOLLIN), 0);
	assert_int_equal(evloop_mod(&loop, &src[0], 0), 0);
	close(p[1]);
	/* Not even the hang-up. */
	for (int i = 0; i < 5; i++)
		assert_int_equal(evloop_once(&loop, 0), 0);
	assert_int_equal(evloop_mod(&loop, &src[0], EPOLLIN), 0);
	assert_int_equal(evloop_once(&loop, 0), 1);
	assert_true(last_events & EPOLLHUP);
	evloop_del(&loop, &src[0]);
	/* Added, but not yet wanted. */
	assert_int_equal(evloop_add(&loop, &src[0], 0), 0);
	assert_int_equal(evloop_once(&loop, 0), 0);
	assert_int_equal(evloop_mod(&loop, &src[0], EPOLLIN), 0);
	assert_int_equal(evloop_once(&loop, 0), 1);
}

static void test_refused(void **state)
{
	(void)state;
	AUTO_CLOSE int file = memfd_create("file", MFD_CLOEXEC);
	struct evsource s = {.fd = file, .fn = on_event};
	assert_int_equal(evloop_add(&loop, &s, EPOLLIN), -EPERM);
	evloop_del(&loop, &s);
	s.fd = -1;
	assert_int_equal(evloop_add(&loop, &s, EPOLLIN), -EBADF);
	evloop_del(&loop, &s);
	assert_int_equal(evloop_add(&loop, &src[0], EPOLLIN), 0);
	struct evsource twice = {.fd = src[0].fd, .fn = on_event};
	assert_int_equal(evloop_add(&loop, &twice, EPOLLIN), -EEXIST);
	/* A source that was never added must not take the other one off. */
	evloop_del(&loop, &twice);
	assert_int_equal(evloop_once(&loop, 0), 1);
}

static void test_delete_in_batch(void **state)
{
	(void)state;
	unsigned sum = 0;
	for (unsigned i = 0; i < N; i++) {
		src[i].fn = on_event_kill_others;
		assert_int_equal(evloop_add(&loop, &src[i], EPOLLIN), 0);
	}
	assert_true(evloop_once(&loop, 0) > 1);
	for (unsigned i = 0; i < N; i++)
		sum += calls[i];
	assert_int_equal(sum, 1);
	assert_int_equal(evloop_once(&loop, 0), 1);
}

static void on_event_turn_off_others(struct evsource *s, uint32_t events)
{
	(void)events;
	calls[s - src]++;
	for (unsigned i = 0; i < N; i++)
		if (&src[i] != s)
			evloop_mod(&loop, &src[i], 0);
}

static void test_turn_off_in_batch(void **state)
{
	(void)state;
	unsigned sum = 0;
	for (unsigned i = 0; i < N; i++) {
		src[i].fn = on_event_turn_off_others;
		assert_int_equal(evloop_add(&loop, &src[i], EPOLLIN), 0);
	}
	evloop_once(&loop, 0);
	for (unsigned i = 0; i < N; i++)
		sum += calls[i];
	assert_int_equal(sum, 1);
}

/* More sources than one batch holds: all get their turn. */
static void test_many(void **state)
{
	(void)state;
	_Static_assert(N > EVLOOP_BATCH, "more than a batch");
	for (unsigned i = 0; i < N; i++)
		assert_int_equal(evloop_add(&loop, &src[i], EPOLLIN), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(evloop_once(&loop, 0), EVLOOP_BATCH);
	for (unsigned i = 0; i < N; i++)
		assert_true(calls[i] >= 2);
}

static void test_run_stops(void **state)
{
	(void)state;
	stop_after = 5;
	assert_int_equal(evloop_add(&loop, &src[0], EPOLLIN), 0);
	assert_int_equal(evloop_run(&loop), 0);
	assert_int_equal(calls[0], 6);
	/* Already stopped: nothing more is served. */
	assert_int_equal(evloop_run(&loop), 0);
	assert_int_equal(calls[0], 6);
}

static void on_alarm(int sig)
{
	(void)sig;
}

static void test_timeout_and_signal(void **state)
{
	(void)state;
	uint64_t start = io_now_ns();
	assert_int_equal(evloop_once(&loop, 20), 0);
	assert_true(io_now_ns() - start >= 19000000);
	struct sigaction sa = {.sa_handler = on_alarm};
	struct itimerval it = {.it_value.tv_usec = 20000};
	struct itimerval off = {0};
	struct sigaction old;
	sigaction(SIGALRM, &sa, &old);
	unsigned left = alarm(0);
	setitimer(ITIMER_REAL, &it, NULL);
	assert_int_equal(evloop_once(&loop, 5000), 0);
	setitimer(ITIMER_REAL, &off, NULL);
	sigaction(SIGALRM, &old, NULL);
	alarm(left);
	assert_true(io_now_ns() - start < 4000000000ull);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_events),		 T(test_off_is_off),	     T(test_refused),
		T(test_delete_in_batch), T(test_turn_off_in_batch),  T(test_many),
		T(test_run_stops),	 T(test_timeout_and_signal),
	};
	alarm(30);
	return cmocka_run_group_tests_name("evloop", tests, NULL, NULL);
}
