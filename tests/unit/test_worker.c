// SPDX-License-Identifier: Apache-2.0
// test_worker.c - what the confined process can't do, how its end is told, interruption
// links: runtime/image/worker.c jailer/landlock.c
#include "image/worker.h"

#include "base/cleanup.h"
#include "jailer/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static struct err e;

static int nothing(struct worker *w, void *arg, struct err *err)
{
	(void)w;
	(void)arg;
	(void)err;
	return 0;
}

static int fails(struct worker *w, void *arg, struct err *err)
{
	(void)w;
	(void)arg;
	return err_set(err, ENOTDIR, "a reason");
}

static int dies(struct worker *w, void *arg, struct err *err)
{
	(void)w;
	(void)arg;
	(void)err;
	kill(getpid(), SIGKILL);
	return 0;
}

static int waits(struct worker *w, void *arg, struct err *err)
{
	(void)arg;
	(void)err;
	for (;;) {
		w->told_at = 0;
		worker_tell(w, WORKER_WRITE, 1, 2);
		pause();
	}
	return 0;
}

/* 0 if nothing works that should not. */
static int tries(struct worker *w, void *arg, struct err *err)
{
	const int *fds = arg;
	char byte;
	(void)w;
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return err_set(err, EPERM, "no_new_privs");
	if (fcntl(fds[1], F_GETFD) >= 0)
		return err_set(err, EPERM, "a descriptor that was not to be kept");
	if (read(fds[0], &byte, 1) != 1)
		return err_set(err, EPERM, "the descriptor that was to be kept");
	if (landlock_version() > 0) {
		if (open("/etc/passwd", O_RDONLY | O_CLOEXEC) >= 0)
			return err_set(err, EPERM, "a file by name");
		if (open("/tmp/mayfly-worker", O_WRONLY | O_CREAT | O_CLOEXEC, 0600) >= 0)
			return err_set(err, EPERM, "a new file");
		if (mkdir("/tmp/mayfly-worker", 0700) == 0)
			return err_set(err, EPERM, "a directory");
		if (faccessat(AT_FDCWD, "/dev/kmsg", W_OK, 0) == 0 &&
		    open("/dev/kmsg", O_WRONLY | O_CLOEXEC) >= 0)
			return err_set(err, EPERM, "a device");
	}
	if (setgid(54321) == 0)
		return err_set(err, EPERM, "another id");
	if (geteuid() == 0)
		return err_set(err, EPERM, "still root");
	if (socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, 1) >= 0)
		return err_set(err, EPERM, "a raw socket");
	return 0;
}

static int run(int (*fn)(struct worker *, void *, struct err *), void *arg, const int *keep)
{
	const struct worker_job job = {.run = fn,
				       .arg = arg,
				       .dir = -1,
				       .file_max = 1 << 20,
				       .keep = keep,
				       .nkeep = keep ? 1 : 0};
	return worker_run(&job, &e);
}

static void test_ends(void **state)
{
	(void)state;
	assert_int_equal(run(nothing, NULL, NULL), 0);
	assert_int_equal(run(fails, NULL, NULL), -ENOTDIR);
	assert_string_equal(e.text, "a reason");
	assert_int_equal(run(dies, NULL, NULL), -ECHILD);
	assert_non_null(strstr(e.text, "signal 9"));
}

static void test_confined(void **state)
{
	(void)state;
	AUTO_CLOSE int kept = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
	AUTO_CLOSE int other = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
	int fds[] = {kept, other};
	int ret = run(tries, fds, &kept);
	if (ret < 0)
		fail_msg("%s", e.text);
}

static volatile sig_atomic_t stop;

static void heard(void *arg, enum worker_phase phase, uint64_t done, uint64_t total)
{
	assert_int_equal(phase, WORKER_WRITE);
	assert_int_equal(done, 1);
	assert_int_equal(total, 2);
	*(int *)arg += 1;
	stop = 1;
}

static void test_stop(void **state)
{
	(void)state;
	int n = 0;
	const struct worker_job job = {.run = waits,
				       .dir = -1,
				       .file_max = 1,
				       .progress = heard,
				       .progress_arg = &n,
				       .stop = &stop};
	assert_int_equal(worker_run(&job, &e), -EINTR);
	assert_int_equal(n, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_confined),
		cmocka_unit_test(test_stop),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
