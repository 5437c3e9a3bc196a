// SPDX-License-Identifier: Apache-2.0
// fake_engine.c - scripted CPUs that come back, stay and are interrupted as KVM's are
#include "lib/fake_engine.h"

#include "base/checked.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Nothing in a test takes so long; who waits longer waits for ever. */
#define LIMIT_S 10

static void must(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "fake_engine: %s\n", what);
		abort();
	}
}

static bool wait_sem(sem_t *s)
{
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += LIMIT_S;
	int ret;
	do {
		ret = sem_timedwait(s, &until);
	} while (ret < 0 && errno == EINTR);
	return ret == 0;
}

/* As KVM: the flag is looked at once, on entry; from then on only a signal ends the stay, also one
 * that is pending already. */
static void stay(struct fake_cpu *c, struct vcpu_exit *x)
{
	const struct timespec limit = {.tv_sec = LIMIT_S};
	sigset_t all;
	sigset_t before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	bool flagged = atomic_load(&c->interrupted);
	if (!flagged)
		sem_post(&c->inside);
	c->lost = !flagged && ppoll(NULL, 0, &limit, &before) == 0;
	x->kind = c->lost ? VCPU_EXIT_ERROR : VCPU_EXIT_KICK;
	if (c->lost)
		snprintf(x->detail, sizeof(x->detail), "nobody interrupts the CPU");
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void come_back(struct fake_cpu *c, const struct fake_step *s, struct vcpu_exit *x)
{
	unsigned count = s->count ? s->count : 1;
	must((size_t)s->len * count <= sizeof(c->data), "an access is too long");
	x->kind = s->kind;
	x->write = s->write;
	x->len = s->len;
	x->count = count;
	x->addr = s->addr;
	x->data = c->data;
	if (s->detail)
		snprintf(x->detail, sizeof(x->detail), "%s", s->detail);
	/* Reads find what an engine's memory happens to hold. */
	memset(c->data, 0xa5, sizeof(c->data));
	if (s->write && s->data)
		memcpy(c->data, s->data, (size_t)s->len * count);
	else if (s->write)
		memcpy(c->data, &s->value, sizeof(s->value));
	atomic_store(&c->half_done, s->kind == VCPU_EXIT_PORT || s->kind == VCPU_EXIT_MMIO);
}

static void complete(struct fake_cpu *c)
{
	const struct vcpu_exit *x = &c->last;
	if (!atomic_exchange(&c->half_done, false) || x->write)
		return;
	size_t len = (size_t)x->len * x->count;
	must(range_inside(c->n_answers, len, sizeof(c->answer)), "too many answers");
	memcpy(c->answer + c->n_answers, c->data, len);
	c->n_answers += len;
}

static void run(void *cpu, struct vcpu_exit *x)
{
	static const struct fake_step last = FAKE_STAYS;
	struct fake_cpu *c = cpu;
	*x = (struct vcpu_exit){0};
	complete(c);
	const struct fake_step *s = c->at < c->n ? &c->step[c->at] : &last;
	if (s->what == FAKE_AT_THE_GATE) {
		sem_post(&c->inside);
		must(wait_sem(&c->gate), "nobody opens the gate");
		c->at++;
	}
	if (atomic_load(&c->interrupted)) {
		x->kind = VCPU_EXIT_KICK;
		atomic_fetch_add(&c->kicks, 1);
		return;
	}
	atomic_fetch_add(&c->entries, 1);
	if (c->at < c->n && s == &c->step[c->at] && ++c->again >= s->repeat) {
		c->at++;
		c->again = 0;
	}
	if (s->what == FAKE_EXIT)
		come_back(c, s, x);
	else
		stay(c, x);
	c->last = *x;
}

static void interrupt(void *cpu, bool on)
{
	atomic_store(&((struct fake_cpu *)cpu)->interrupted, on);
}

static void where(void *cpu, char *buf, size_t len)
{
	snprintf(buf, len, "%s", ((const struct fake_cpu *)cpu)->place);
}

const struct vcpu_ops fake_engine_ops = {.run = run, .interrupt = interrupt, .where = where};

void fake_cpu_init(struct fake_cpu *c, const struct fake_step *script, size_t n)
{
	memset(c, 0, sizeof(*c));
	c->step = script;
	c->n = n;
	c->place = "step one";
	must(sem_init(&c->inside, 0, 0) == 0 && sem_init(&c->gate, 0, 0) == 0, "semaphore");
}

void fake_cpu_destroy(struct fake_cpu *c)
{
	sem_destroy(&c->inside);
	sem_destroy(&c->gate);
}

bool fake_cpu_wait(struct fake_cpu *c)
{
	return wait_sem(&c->inside);
}

void fake_cpu_open(struct fake_cpu *c)
{
	sem_post(&c->gate);
}
