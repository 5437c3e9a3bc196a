// SPDX-License-Identifier: Apache-2.0
// confine.c - each thread of mayfly-vmm loads its table of system calls before the guest runs
#include "vmm/confine.h"

#include "base/checked.h"
#include "base/log.h"
#include "engine/vcpu.h"
#include "proto/jail_link.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define THREADS_MAX (VCPU_MAX + 4)
#define MAIN_LABEL "main"

/* One process, one confinement. */
static struct {
	bool on;
	int link;
	unsigned expected;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned n; /* threads that are confined and wait */
	struct {
		char label[JAIL_LINK_LABEL_MAX];
		int listener;
	} thread[THREADS_MAX];
	bool released;
	int failed; /* -errno */
} c = {.lock = PTHREAD_MUTEX_INITIALIZER};

void confine_init(int link, bool on)
{
	pthread_condattr_t attr;
	c.on = on;
	c.link = link;
	c.expected = 0;
	c.n = 0;
	c.released = false;
	c.failed = 0;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c.changed, &attr);
	pthread_condattr_destroy(&attr);
	/* A second arena would need calls that no table has: it counts CPUs and protects pages. */
	if (on)
		mallopt(M_ARENA_MAX, 1);
}

void confine_expect(unsigned threads)
{
	c.expected += threads;
}

int confine_thread(const char *label, enum seccomp_table t)
{
	int fd = -1;
	if (!c.on)
		return 0;
	int ret = seccomp_load(t, &fd);
	pthread_mutex_lock(&c.lock);
	if (ret == 0 && c.n == THREADS_MAX) {
		close(fd);
		ret = -ENOSPC;
	}
	if (ret == 0) {
		snprintf(c.thread[c.n].label, sizeof(c.thread[c.n].label), "%s", label);
		c.thread[c.n++].listener = fd;
	} else {
		c.failed = ret;
	}
	pthread_cond_broadcast(&c.changed);
	while (ret == 0 && !c.released && c.failed == 0)
		pthread_cond_wait(&c.changed, &c.lock);
	ret = c.failed;
	pthread_mutex_unlock(&c.lock);
	return ret;
}

static int wait_for_threads(void)
{
	struct timespec until;
	int ret = 0;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += CONFINE_WAIT_S;
	pthread_mutex_lock(&c.lock);
	while (ret == 0 && c.failed == 0 && c.n < c.expected)
		ret = -pthread_cond_timedwait(&c.changed, &c.lock, &until);
	ret = c.failed < 0 ? c.failed : c.n < c.expected ? ret : 0;
	pthread_mutex_unlock(&c.lock);
	return ret;
}

/* Whoever has a listener could let calls go on: none stays here. */
static int hand_over(int listener, const char *label)
{
	int ret = jail_link_listener(c.link, listener, label);
	close(listener);
	return ret;
}

static void release(int ret)
{
	pthread_mutex_lock(&c.lock);
	c.released = true;
	if (c.failed == 0)
		c.failed = ret;
	pthread_cond_broadcast(&c.changed);
	pthread_mutex_unlock(&c.lock);
}

int confine_main(enum seccomp_table t, struct err *e)
{
	int fd;
	if (!c.on)
		return 0;
	int ret = wait_for_threads();
	/* All threads wait: nobody else looks at the list. */
	for (unsigned i = 0; i < c.n && ret == 0; i++)
		ret = hand_over(c.thread[i].listener, c.thread[i].label);
	if (ret == 0)
		ret = seccomp_load(t, &fd);
	if (ret == 0)
		ret = hand_over(fd, MAIN_LABEL);
	release(ret);
	if (ret == 0)
		return 0;
	return err_errno(e, -ret, "can't load the tables of allowed system calls%s",
			 ret == -EBUSY ? " (a container around this already watches them)" : "");
}
