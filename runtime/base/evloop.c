// SPDX-License-Identifier: Apache-2.0
// evloop.c - epoll with typed sources; deletion inside a batch is safe
#include "base/evloop.h"

#include <errno.h>
#include <stddef.h>
#include <unistd.h>

int evloop_init(struct evloop *loop)
{
	*loop = (struct evloop){.epfd = epoll_create1(EPOLL_CLOEXEC)};
	return loop->epfd < 0 ? -errno : 0;
}

void evloop_close(struct evloop *loop)
{
	if (loop->epfd >= 0)
		close(loop->epfd);
	loop->epfd = -1;
}

static int control(struct evloop *loop, int op, struct evsource *src, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = src};
	return epoll_ctl(loop->epfd, op, src->fd, &ev) < 0 ? -errno : 0;
}

int evloop_add(struct evloop *loop, struct evsource *src, uint32_t events)
{
	src->events = 0;
	return evloop_mod(loop, src, events);
}

int evloop_mod(struct evloop *loop, struct evsource *src, uint32_t events)
{
	if (src->events == events)
		return 0;
	if (events == 0) {
		evloop_del(loop, src);
		return 0;
	}
	int ret = control(loop, src->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, src, events);
	if (ret == 0)
		src->events = events;
	return ret;
}

void evloop_del(struct evloop *loop, struct evsource *src)
{
	if (src->fd >= 0 && src->events)
		control(loop, EPOLL_CTL_DEL, src, 0);
	src->events = 0;
	for (int i = loop->batch_pos; i < loop->batch_len; i++)
		if (loop->batch[i].data.ptr == src)
			loop->batch[i].data.ptr = NULL;
}

int evloop_once(struct evloop *loop, int timeout_ms)
{
	int n = epoll_wait(loop->epfd, loop->batch, EVLOOP_BATCH, timeout_ms);
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	loop->batch_len = n;
	for (loop->batch_pos = 0; loop->batch_pos < n;) {
		struct epoll_event *ev = &loop->batch[loop->batch_pos++];
		struct evsource *src = ev->data.ptr;
		if (src)
			src->fn(src, ev->events);
	}
	loop->batch_len = 0;
	return n;
}

int evloop_run(struct evloop *loop)
{
	while (!loop->stop) {
		int n = evloop_once(loop, -1);
		if (n < 0)
			return n;
	}
	return 0;
}
