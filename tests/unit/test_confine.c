// SPDX-License-Identifier: Apache-2.0
// test_confine.c - every thread is confined before any works; the supervisor gets each listener
// links: runtime/vmm/confine.c jailer/seccomp.c proto/jail_link.c
#include "vmm/confine.h"

#include "base/checked.h"
#include "proto/jail_link.h"

#include <dirent.h>
#include <errno.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define WAIT_MS 10000

/* What the child tells: it can't send anything once it is confined. */
static struct shared {
	atomic_int main_done; /* confine_main()'s result, and 1000 */
	atomic_int early;     /* threads that were let go before the last one had begun */
	atomic_int ended;     /* threads that were told to end */
	atomic_int working;
	atomic_int act;
	char text[ERR_TEXT_MAX];
} * sh;

struct job {
	const char *label;
	enum seccomp_table table;
	bool forbidden; /* makes a forbidden call when told to */
};

static void *thread(void *arg)
{
	const struct job *j = arg;
	atomic_fetch_add(confine_thread(j->label, j->table) < 0 ? &sh->ended : &sh->working, 1);
	/* The sanitizers end a thread with calls of their own: these go on until they are killed.
	 */
	while (!j->forbidden || !atomic_load(&sh->act))
		syscall(SYS_futex, &sh->act, FUTEX_WAIT, 0, NULL, NULL, 0);
	syscall(SYS_getppid);
	return NULL;
}

static _Noreturn void child(int link, struct job *jobs, unsigned n)
{
	struct err e = {.text = ""};
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	confine_init(link, true);
	confine_expect(n);
	for (unsigned i = 0; i < n; i++) {
		pthread_t t;
		if (i + 1 == n) {
			usleep(100000);
			atomic_store(&sh->early, atomic_load(&sh->working));
		}
		pthread_create(&t, NULL, thread, &jobs[i]);
	}
	int ret = confine_main(SECCOMP_VMM_KVM, &e);
	memcpy(sh->text, e.text, sizeof(sh->text));
	atomic_store(&sh->main_done, ret + 1000);
	for (;;)
		poll(NULL, 0, -1);
}

static pid_t start(struct job *jobs, unsigned n, int *link)
{
	int pair[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	pid_t pid = fork();
	if (pid == 0) {
		signal(SIGPIPE, SIG_IGN);
		close(pair[0]);
		child(pair[1], jobs, n);
	}
	close(pair[1]);
	*link = pair[0];
	return pid;
}

static void wait_for(atomic_int *what, int value)
{
	for (int i = 0; i < WAIT_MS && atomic_load(what) != value; i++)
		usleep(1000);
	assert_int_equal(atomic_load(what), value);
}

static void finish(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* How many threads there are, and how many of them have a filter. */
static void count_levels(pid_t pid, unsigned *all, unsigned *filtered)
{
	char name[64];
	char line[128];
	*all = 0;
	*filtered = 0;
	snprintf(name, sizeof(name), "/proc/%d/task", pid);
	DIR *d = opendir(name);
	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d));) {
		char path[400];
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s/status", name, e->d_name);
		FILE *f = fopen(path, "r");
		assert_non_null(f);
		++*all;
		while (fgets(line, sizeof(line), f))
			*filtered += strcmp(line, "Seccomp:\t2\n") == 0;
		fclose(f);
	}
	closedir(d);
}

static int listener_of(int link, const char *label)
{
	struct jail_link_request req;
	int fd;
	struct pollfd p = {.fd = link, .events = POLLIN};
	assert_int_equal(poll(&p, 1, WAIT_MS), 1);
	assert_int_equal(jail_link_receive(link, &req, &fd), 1);
	assert_int_equal(req.kind, JAIL_LINK_LISTENER);
	assert_string_equal(req.label, label);
	assert_true(fd >= 0);
	return fd;
}

static int setup(void **state)
{
	(void)state;
	sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return sh == MAP_FAILED ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	return munmap(sh, sizeof(*sh));
}

static void test_all_threads_or_none(void **state)
{
	struct job jobs[] = {{"vcpu0", SECCOMP_VCPU_KVM, true},
			     {"fs-device", SECCOMP_FSDEV_KVM, false}};
	union {
		struct seccomp_notif n;
		char room[512];
	} u;
	unsigned all;
	unsigned filtered;
	int link;
	int fd[3];
	(void)state;
	pid_t pid = start(jobs, ARRAY_SIZE(jobs), &link);
	fd[0] = listener_of(link, "vcpu0");
	fd[1] = listener_of(link, "fs-device");
	fd[2] = listener_of(link, "main");
	wait_for(&sh->main_done, 1000);
	wait_for(&sh->working, 2);
	assert_int_equal(atomic_load(&sh->early), 0);
	count_levels(pid, &all, &filtered);
	assert_int_equal(all, 3);
	assert_int_equal(filtered, 3);

	/* The thread's own listener names what it does. */
	atomic_store(&sh->act, 1);
	syscall(SYS_futex, &sh->act, FUTEX_WAKE, 9, NULL, NULL, 0);
	struct pollfd p = {.fd = fd[0], .events = POLLIN};
	assert_int_equal(poll(&p, 1, WAIT_MS), 1);
	memset(&u, 0, sizeof(u));
	assert_int_equal(ioctl(fd[0], SECCOMP_IOCTL_NOTIF_RECV, &u), 0);
	assert_int_equal(u.n.data.nr, SYS_getppid);
	assert_int_not_equal(u.n.pid, pid);
	finish(pid);
	for (unsigned i = 0; i < ARRAY_SIZE(fd); i++)
		close(fd[i]);
	close(link);
}

static void test_one_that_fails_stops_all(void **state)
{
	struct job jobs[] = {{"vcpu0", SECCOMP_VCPU_KVM, false}, {"vcpu1", SECCOMP_TABLES, false}};
	int link;
	(void)state;
	pid_t pid = start(jobs, ARRAY_SIZE(jobs), &link);
	wait_for(&sh->main_done, 1000 - EINVAL);
	wait_for(&sh->ended, 2);
	assert_int_equal(atomic_load(&sh->working), 0);
	assert_non_null(strstr(sh->text, "can't load the tables of allowed system calls: "));
	finish(pid);
	close(link);
}

static void test_no_supervisor_no_machine(void **state)
{
	struct job jobs[] = {{"vcpu0", SECCOMP_VCPU_KVM, false}};
	int link;
	(void)state;
	pid_t pid = start(jobs, ARRAY_SIZE(jobs), &link);
	close(link);
	wait_for(&sh->main_done, 1000 - EPIPE);
	wait_for(&sh->ended, 1);
	assert_int_equal(atomic_load(&sh->working), 0);
	finish(pid);
}

static void test_off_does_nothing(void **state)
{
	struct err e = {.text = ""};
	(void)state;
	int before = prctl(PR_GET_SECCOMP); /* a container has one of its own */
	confine_init(-1, false);
	confine_expect(7);
	assert_int_equal(confine_thread("vcpu0", SECCOMP_VCPU_KVM), 0);
	assert_int_equal(confine_main(SECCOMP_VMM_KVM, &e), 0);
	assert_int_equal(prctl(PR_GET_SECCOMP), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_all_threads_or_none, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_that_fails_stops_all, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_supervisor_no_machine, setup, teardown),
		cmocka_unit_test(test_off_does_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
