// SPDX-License-Identifier: Apache-2.0
// notify.c - the supervisor's end of the seccomp listeners
#include "notify.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "seccomp.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define X32_BIT 0x40000000

/* A kernel may know a longer struct than we do, and wants all of it to be zero. */
#define NOTIF_ROOM 512

static void drop(struct notify_source *s)
{
	evloop_del(s->set->loop, &s->src);
	close(s->src.fd);
	s->src.fd = -1;
}

static void name_call(const struct seccomp_data *d, char *buf, size_t len)
{
	const char *name = seccomp_call_name(d->nr);
	if (d->arch != AUDIT_ARCH_X86_64)
		snprintf(buf, len, "i386 call %d", d->nr);
	else if (d->nr >= X32_BIT)
		snprintf(buf, len, "x32 call %d", d->nr - X32_BIT);
	else if (name[0] == '?')
		snprintf(buf, len, "call %d", d->nr);
	else
		snprintf(buf, len, "%s", name);
}

static void on_event(struct evsource *src, uint32_t events)
{
	struct notify_source *s = src->arg;
	struct notify *set = s->set;
	_Alignas(struct seccomp_notif) char room[NOTIF_ROOM] = {0};
	struct seccomp_notif got;
	if (!(events & EPOLLIN)) {
		/* The last thread is gone. */
		drop(s);
		return;
	}
	/* ENOENT: the thread was killed meanwhile. Only we hold a listener whose threads can ask it
	 * for anything, so after EPOLLIN this doesn't wait. */
	if (ioctl(src->fd, SECCOMP_IOCTL_NOTIF_RECV, room) < 0)
		return;
	memcpy(&got, room, sizeof(got));
	struct notify_call c = {
		.process = s->process,
		.thread = s->thread,
		.tid = (pid_t)got.pid,
		.nr = got.data.nr,
	};
	_Static_assert(sizeof(c.args) == sizeof(got.data.args), "same arguments");
	memcpy(c.args, got.data.args, sizeof(c.args));
	name_call(&got.data, c.name, sizeof(c.name));
	set->fn(set->arg, &c);
}

void notify_init(struct notify *n, struct evloop *loop, notify_fn *fn, void *arg)
{
	*n = (struct notify){.loop = loop, .fn = fn, .arg = arg};
	for (unsigned i = 0; i < NOTIFY_MAX; i++)
		n->source[i].src.fd = -1;
}

/* A listener knows no call by this number; anything else does not know the question. */
static bool is_listener(int fd)
{
	uint64_t id = 0;
	return ioctl(fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0 || errno == ENOENT;
}

int notify_add(struct notify *n, int listener, const char *process, const char *thread)
{
	AUTO_CLOSE int fd = listener;
	if (!is_listener(fd))
		return -EINVAL;
	for (unsigned i = 0; i < NOTIFY_MAX; i++) {
		struct notify_source *s = &n->source[i];
		if (s->src.fd >= 0)
			continue;
		s->src = (struct evsource){.fd = fd, .fn = on_event, .arg = s};
		s->set = n;
		snprintf(s->process, sizeof(s->process), "%s", process);
		snprintf(s->thread, sizeof(s->thread), "%s", thread);
		int ret = evloop_add(n->loop, &s->src, EPOLLIN);
		if (ret < 0)
			s->src.fd = -1;
		else
			steal_fd(&fd);
		return ret;
	}
	return -ENOSPC;
}

unsigned notify_count(const struct notify *n)
{
	unsigned count = 0;
	for (unsigned i = 0; i < NOTIFY_MAX; i++)
		count += n->source[i].src.fd >= 0;
	return count;
}

void notify_close(struct notify *n)
{
	for (unsigned i = 0; i < NOTIFY_MAX; i++)
		if (n->source[i].src.fd >= 0)
			drop(&n->source[i]);
}
