// SPDX-License-Identifier: Apache-2.0
// test_notify.c - forbidden calls are named; what is no listener is refused
// links: jailer/notify.c jailer/seccomp.c runtime/base/evloop.c runtime/base/fdpass.c
#include "notify.h"

#include "base/cleanup.h"
#include "seccomp_rig.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define WAIT_MS 5000

static struct evloop loop;
static struct notify set;
static struct notify_call last;
static char last_process[NOTIFY_NAME_MAX], last_thread[NOTIFY_NAME_MAX];
static unsigned calls;

static void on_call(void *arg, const struct notify_call *c)
{
	assert_ptr_equal(arg, &loop);
	last = *c;
	memcpy(last_process, c->process, sizeof(last_process));
	memcpy(last_thread, c->thread, sizeof(last_thread));
	calls++;
}

static int setup(void **state)
{
	(void)state;
	calls = 0;
	if (evloop_init(&loop) < 0)
		return -1;
	notify_init(&set, &loop, on_call, &loop);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	notify_close(&set);
	evloop_close(&loop);
	return 0;
}

static void ask_time(void)
{
	syscall(SYS_settimeofday, 1L, 2L);
}

static void nothing(void)
{
}

static void no_such_call(void)
{
	syscall(1000);
}

static void test_names_the_call(void **state)
{
	int listener;
	(void)state;
	pid_t pid = seccomp_rig_start(SECCOMP_FS, ask_time, &listener);
	assert_int_equal(notify_add(&set, listener, "fs", "main"), 0);
	assert_int_equal(notify_count(&set), 1);
	assert_int_equal(evloop_once(&loop, WAIT_MS), 1);
	assert_int_equal(calls, 1);
	assert_string_equal(last.name, "settimeofday");
	assert_string_equal(last_process, "fs");
	assert_string_equal(last_thread, "main");
	assert_int_equal(last.tid, pid);
	assert_int_equal(last.nr, SYS_settimeofday);
	assert_int_equal(last.args[0], 1);
	assert_int_equal(last.args[1], 2);
	/* It waits for an answer that does not come, and is not reported again. */
	assert_int_equal(evloop_once(&loop, 100), 0);
	assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	/* Hang-up: the listener is dropped. */
	assert_int_equal(evloop_once(&loop, WAIT_MS), 1);
	assert_int_equal(notify_count(&set), 0);
	assert_int_equal(calls, 1);
}

static void test_a_thread_that_ends_is_forgotten(void **state)
{
	int listener;
	(void)state;
	pid_t pid = seccomp_rig_start(SECCOMP_FS, nothing, &listener);
	assert_int_equal(notify_add(&set, listener, "fs", "main"), 0);
	assert_int_equal(seccomp_rig_end(pid), 0);
	assert_int_equal(evloop_once(&loop, WAIT_MS), 1);
	assert_int_equal(notify_count(&set), 0);
	assert_int_equal(calls, 0);
}

static void test_a_number_without_a_name(void **state)
{
	int listener;
	(void)state;
	pid_t pid = seccomp_rig_start(SECCOMP_FS, no_such_call, &listener);
	assert_int_equal(notify_add(&set, listener, "fs", "a-name-that-is-far-too-long"), 0);
	assert_int_equal(evloop_once(&loop, WAIT_MS), 1);
	assert_string_equal(last.name, "call 1000");
	assert_string_equal(last_thread, "a-name-that-is-");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void test_refuses_what_is_no_listener(void **state)
{
	int pair[2];
	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(notify_add(&set, pair[0], "vmm", "main"), -EINVAL);
	assert_int_equal(notify_add(&set, eventfd(0, EFD_CLOEXEC), "vmm", "main"), -EINVAL);
	assert_int_equal(notify_add(&set, -1, "vmm", "main"), -EINVAL);
	assert_int_equal(notify_count(&set), 0);
	/* They were taken over all the same: closed. */
	assert_int_equal(write(pair[1], "x", 1), -1);
	close(pair[1]);
}

static void test_at_most_so_many(void **state)
{
	int listener;
	(void)state;
	pid_t pid = seccomp_rig_start(SECCOMP_FS, nothing, &listener);
	for (unsigned i = 0; i < NOTIFY_MAX; i++)
		assert_int_equal(notify_add(&set, dup(listener), "vmm", "main"), 0);
	assert_int_equal(notify_add(&set, dup(listener), "vmm", "main"), -ENOSPC);
	assert_int_equal(notify_count(&set), NOTIFY_MAX);
	notify_close(&set);
	assert_int_equal(notify_count(&set), 0);
	close(listener);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_names_the_call, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_thread_that_ends_is_forgotten, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_a_number_without_a_name, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refuses_what_is_no_listener, setup, teardown),
		cmocka_unit_test_setup_teardown(test_at_most_so_many, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
