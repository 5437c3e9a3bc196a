// SPDX-License-Identifier: Apache-2.0
// vcpu.c - the loop of a virtual CPU's thread; pause and stop without races
//
// Theory of operation: what the threads shall do is one atomic word, "want". To make them look at
// it, they are interrupted: the engine is told to come back at once (a flag the kernel reads on
// entry), then a signal takes the thread out of the guest. If the signal comes before the entry,
// the flag is still there; if the thread is in a device, it looks at "want" before the next entry.
// Who resumes clears the flag under the lock, when no thread is in the guest.
#include "engine/vcpu.h"

#include "base/checked.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define VCPU_SIGNAL SIGRTMIN

/* The CPU whose thread this is: a device that ends the machine is asked from there. */
static __thread struct vcpu *current;

static void on_kick(int sig)
{
	(void)sig;
}

/* Without SA_RESTART: the signal's only purpose is to end the system call that is under way. */
static int install_kick(void)
{
	struct sigaction sa = {.sa_handler = on_kick};
	sigemptyset(&sa.sa_mask);
	return sigaction(VCPU_SIGNAL, &sa, NULL) < 0 ? -errno : 0;
}

const char *vcpu_exit_name(enum vcpu_exit_kind k)
{
	static const char *const names[] = {"port", "mmio",	"kick",	 "again",
					    "hlt",  "shutdown", "event", "error"};
	_Static_assert(ARRAY_SIZE(names) == VCPU_EXIT_KINDS, "a name for each kind");
	return k < VCPU_EXIT_KINDS ? names[k] : "?";
}

int vcpus_init(struct vcpus *s, const struct vcpu_ops *ops, struct bus *ports, struct bus *mmio)
{
	pthread_condattr_t attr;
	*s = (struct vcpus){.ops = ops, .ports = ports, .mmio = mmio};
	s->end_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->end_fd < 0)
		return -errno;
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->changed, &attr);
	pthread_condattr_destroy(&attr);
	return install_kick();
}

int vcpus_add(struct vcpus *s, void *cpu)
{
	if (s->n == VCPU_MAX)
		return -ENOSPC;
	struct vcpu *c = &s->cpu[s->n];
	c->set = s;
	c->cpu = cpu;
	c->id = s->n++;
	return 0;
}

/* With the lock held. */
static void interrupt_all(struct vcpus *s)
{
	for (unsigned i = 0; i < s->n; i++) {
		struct vcpu *c = &s->cpu[i];
		s->ops->interrupt(c->cpu, true);
		if (c->started)
			pthread_kill(c->thread, VCPU_SIGNAL);
	}
}

void vcpus_end(struct vcpus *s, enum vcpus_end end, const char *what)
{
	uint64_t one = 1;
	char where[VCPU_DETAIL_MAX / 2] = "";
	if (current && current->set == s)
		s->ops->where(current->cpu, where, sizeof(where));
	pthread_mutex_lock(&s->lock);
	if (s->end == VCPUS_END_NONE) {
		s->end = end;
		if (where[0])
			snprintf(s->detail, sizeof(s->detail), "%s, CPU %u at %s", what,
				 current->id, where);
		else
			snprintf(s->detail, sizeof(s->detail), "%s", what);
		atomic_store(&s->want, VCPUS_STOP);
		interrupt_all(s);
		/* Who waits for a pause waits in vain. */
		pthread_cond_broadcast(&s->changed);
		ssize_t n = write(s->end_fd, &one, sizeof(one));
		(void)n; /* the counter was 0: there is room */
	}
	pthread_mutex_unlock(&s->lock);
}

static void serve_access(struct vcpu *c, struct vcpu_exit *x)
{
	struct bus *b = x->kind == VCPU_EXIT_PORT ? c->set->ports : c->set->mmio;
	for (unsigned i = 0; i < x->count; i++) {
		uint8_t *data = x->data + (size_t)i * x->len;
		if (x->write)
			bus_write(b, x->addr, data, x->len);
		else
			bus_read(b, x->addr, data, x->len);
	}
}

static void serve(struct vcpu *c, struct vcpu_exit *x)
{
	switch (x->kind) {
	case VCPU_EXIT_PORT:
	case VCPU_EXIT_MMIO: serve_access(c, x); break;
	case VCPU_EXIT_SHUTDOWN: vcpus_end(c->set, VCPUS_END_SHUTDOWN, "triple fault"); break;
	case VCPU_EXIT_EVENT: vcpus_end(c->set, VCPUS_END_RESET, x->detail); break;
	case VCPU_EXIT_ERROR: vcpus_end(c->set, VCPUS_END_ERROR, x->detail); break;
	case VCPU_EXIT_KICK:
	case VCPU_EXIT_AGAIN:
	case VCPU_EXIT_HLT:
	case VCPU_EXIT_KINDS: break;
	}
}

/* Waits for the end of a pause. */
static void park(struct vcpu *c)
{
	struct vcpus *s = c->set;
	pthread_mutex_lock(&s->lock);
	s->parked++;
	pthread_cond_broadcast(&s->changed);
	while (atomic_load(&s->want) == VCPUS_PAUSE)
		pthread_cond_wait(&s->changed, &s->lock);
	s->parked--;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

static void *thread_main(void *arg)
{
	struct vcpu *c = arg;
	struct vcpus *s = c->set;
	struct vcpu_exit x = {.kind = VCPU_EXIT_KICK};
	enum vcpus_want want;
	char name[16];
	current = c;
	snprintf(name, sizeof(name), "vcpu%u", c->id);
	pthread_setname_np(pthread_self(), name);
	bool may_run = !s->begin || s->begin(name) == 0;
	while (may_run && (want = atomic_load(&s->want)) != VCPUS_STOP) {
		/* An access is complete, and the registers true, only after the next run: while
		 * interrupted that does nothing else. */
		if (want == VCPUS_PAUSE && x.kind == VCPU_EXIT_KICK) {
			park(c);
			continue;
		}
		s->ops->run(c->cpu, &x);
		atomic_fetch_add_explicit(&c->exits[x.kind], 1, memory_order_relaxed);
		serve(c, &x);
	}
	pthread_mutex_lock(&s->lock);
	/* A machine that is stopped from outside: the first CPU tells where it was. */
	if (may_run && c->id == 0 && s->end == VCPUS_END_NONE) {
		char where[VCPU_DETAIL_MAX / 2] = "";
		s->ops->where(c->cpu, where, sizeof(where));
		snprintf(s->detail, sizeof(s->detail), "CPU 0 at %s", where);
	}
	s->ended++;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

int vcpus_start(struct vcpus *s)
{
	int ret = 0;
	/* The lock keeps an early vcpus_end() of the first CPU from reading half a list. */
	pthread_mutex_lock(&s->lock);
	for (unsigned i = 0; ret == 0 && i < s->n; i++) {
		struct vcpu *c = &s->cpu[i];
		ret = -pthread_create(&c->thread, NULL, thread_main, c);
		if (ret < 0)
			break;
		c->started = true;
	}
	pthread_mutex_unlock(&s->lock);
	return ret;
}

static unsigned started(const struct vcpus *s)
{
	unsigned n = 0;
	for (unsigned i = 0; i < s->n; i++)
		n += s->cpu[i].started;
	return n;
}

static struct timespec deadline(unsigned ms)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_sec += ms / 1000;
	ts.tv_nsec += (long)(ms % 1000) * 1000000;
	if (ts.tv_nsec >= 1000000000) {
		ts.tv_sec++;
		ts.tv_nsec -= 1000000000;
	}
	return ts;
}

/*
 * With the lock held: until *count reaches all threads; 0, -ETIMEDOUT, or -ECANCELED if something
 * else is wanted meanwhile.
 */
static int wait_for_all(struct vcpus *s, const unsigned *count, enum vcpus_want want, unsigned ms)
{
	struct timespec until = deadline(ms);
	int ret = 0;
	while (ret == 0 && *count < started(s) && atomic_load(&s->want) == want)
		ret = -pthread_cond_timedwait(&s->changed, &s->lock, &until);
	if (atomic_load(&s->want) != want)
		return -ECANCELED;
	return *count >= started(s) ? 0 : -ETIMEDOUT;
}

/* With the lock held. */
static void go_on(struct vcpus *s)
{
	for (unsigned i = 0; i < s->n; i++)
		s->ops->interrupt(s->cpu[i].cpu, false);
	atomic_store(&s->want, VCPUS_RUN);
	pthread_cond_broadcast(&s->changed);
}

int vcpus_pause(struct vcpus *s, unsigned ms)
{
	int ret = -ECANCELED;
	pthread_mutex_lock(&s->lock);
	if (atomic_load(&s->want) != VCPUS_STOP) {
		atomic_store(&s->want, VCPUS_PAUSE);
		interrupt_all(s);
		ret = wait_for_all(s, &s->parked, VCPUS_PAUSE, ms);
		if (ret == -ETIMEDOUT)
			go_on(s);
	}
	pthread_mutex_unlock(&s->lock);
	return ret;
}

void vcpus_resume(struct vcpus *s)
{
	pthread_mutex_lock(&s->lock);
	if (atomic_load(&s->want) == VCPUS_PAUSE)
		go_on(s);
	pthread_mutex_unlock(&s->lock);
}

int vcpus_stop(struct vcpus *s, unsigned ms)
{
	pthread_t thread[VCPU_MAX];
	unsigned n = 0;
	pthread_mutex_lock(&s->lock);
	atomic_store(&s->want, VCPUS_STOP);
	interrupt_all(s);
	pthread_cond_broadcast(&s->changed);
	int ret = wait_for_all(s, &s->ended, VCPUS_STOP, ms);
	for (unsigned i = 0; ret == 0 && i < s->n; i++) {
		if (!s->cpu[i].started)
			continue;
		/* Nobody signals it from now on. */
		s->cpu[i].started = false;
		thread[n++] = s->cpu[i].thread;
	}
	pthread_mutex_unlock(&s->lock);
	for (unsigned i = 0; i < n; i++)
		pthread_join(thread[i], NULL);
	return ret;
}

void vcpus_free(struct vcpus *s)
{
	close(s->end_fd);
	pthread_mutex_destroy(&s->lock);
	pthread_cond_destroy(&s->changed);
}

unsigned long long vcpus_exits(const struct vcpus *s)
{
	unsigned long long n = 0;
	for (unsigned i = 0; i < s->n; i++)
		for (unsigned k = 0; k < VCPU_EXIT_KINDS; k++)
			n += atomic_load_explicit(&s->cpu[i].exits[k], memory_order_relaxed);
	return n;
}
