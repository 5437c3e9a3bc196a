// SPDX-License-Identifier: Apache-2.0
// evloop.h - epoll with typed sources; one loop belongs to one thread
#ifndef MAYFLY_BASE_EVLOOP_H
#define MAYFLY_BASE_EVLOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#define EVLOOP_BATCH 32

struct evsource;
typedef void evsource_fn(struct evsource *src, uint32_t events);

/* Embedded in its owner, which sets fn (and arg, if it wants one). */
struct evsource {
	int fd;
	uint32_t events;
	evsource_fn *fn;
	void *arg;
};

struct evloop {
	int epfd;
	bool stop;
	int batch_len;
	int batch_pos;
	struct epoll_event batch[EVLOOP_BATCH];
};

/* evloop_init() - 0 or -errno. evloop_close() - the sources' descriptors stay their owners'. */
int evloop_init(struct evloop *loop);
void evloop_close(struct evloop *loop);

/*
 * evloop_add() - starts to watch src->fd for events (EPOLLIN, ...); 0 or -errno.
 * With events 0 nothing at all is reported, not even a hang-up, until evloop_mod() asks for more;
 * who wants only the hang-up asks for EPOLLHUP. src stays where it is until evloop_del().
 * A regular file gives -EPERM.
 */
int evloop_add(struct evloop *loop, struct evsource *src, uint32_t events);

/* evloop_mod() - changes the events; costs nothing if they are the same; 0 or -errno. */
int evloop_mod(struct evloop *loop, struct evsource *src, uint32_t events);

/*
 * evloop_del() - stops to watch. Safe from any handler, for any source: events of it that are
 * already in the current batch are forgotten. Call it before closing the descriptor.
 */
void evloop_del(struct evloop *loop, struct evsource *src);

/*
 * evloop_once() - waits for at most timeout_ms (-1: for ever) and calls the handlers.
 * Returns the number of events, or -errno (EINTR counts as none).
 */
int evloop_once(struct evloop *loop, int timeout_ms);

/* evloop_run() - until a handler sets loop->stop; 0 or -errno. */
int evloop_run(struct evloop *loop);

#endif
