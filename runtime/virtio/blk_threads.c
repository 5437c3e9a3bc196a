// SPDX-License-Identifier: Apache-2.0
// blk_threads.c - a list of requests, threads that take from it, a list of those that are over
#include "virtio/blk_threads.h"

#include "base/checked.h"
#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define THREAD_NAME "blk-io"

struct list {
	struct blk_io_req *head, *tail;
};

struct blk_threads {
	struct blk_io io;
	struct evloop *loop;
	struct evsource ready; /* an eventfd */
	int fd;
	int (*begin)(const char *thread);
	unsigned n;
	pthread_t thread[BLK_THREADS];
	struct list submitted; /* the device's thread's, until go() */

	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t work, some_over;
	struct list todo, over;
	bool stop;
};

static struct blk_threads *threads_of(struct blk_io *io)
{
	return container_of(io, struct blk_threads, io);
}

static void list_add(struct list *l, struct blk_io_req *r)
{
	r->next = NULL;
	if (l->tail)
		l->tail->next = r;
	else
		l->head = r;
	l->tail = r;
}

static struct blk_io_req *list_take(struct list *l)
{
	struct blk_io_req *r = l->head;
	if (!r)
		return NULL;
	l->head = r->next;
	if (!l->head)
		l->tail = NULL;
	return r;
}

static int64_t call(int fd, const struct blk_io_req *r)
{
	int64_t n = 0;
	const struct iovec *iov = r->iov + r->first;
	int n_iov = (int)(r->n_iov - r->first);
	switch (r->op) {
	case BLK_IO_READ: n = preadv(fd, iov, n_iov, (off_t)r->off); break;
	case BLK_IO_WRITE: n = pwritev(fd, iov, n_iov, (off_t)r->off); break;
	case BLK_IO_FLUSH: n = fdatasync(fd); break;
	default: n = fallocate(fd, blk_io_mode(r), (off_t)r->off, (off_t)r->len);
	}
	return n < 0 ? -errno : n;
}

static void *worker(void *arg)
{
	struct blk_threads *t = arg;
	pthread_setname_np(pthread_self(), THREAD_NAME);
	if (t->begin && t->begin(THREAD_NAME) != 0)
		return NULL;
	pthread_mutex_lock(&t->lock);
	while (!t->stop) {
		struct blk_io_req *r = list_take(&t->todo);
		if (!r) {
			pthread_cond_wait(&t->work, &t->lock);
			continue;
		}
		pthread_mutex_unlock(&t->lock);
		while (!blk_io_step(r, call(t->fd, r)))
			;
		pthread_mutex_lock(&t->lock);
		bool first = !t->over.head;
		list_add(&t->over, r);
		pthread_cond_signal(&t->some_over);
		uint64_t one = 1;
		/* The counter never fills: one for each time that the list was empty. */
		if (first && write(t->ready.fd, &one, sizeof(one)) < 0)
			t->stop = true;
	}
	pthread_mutex_unlock(&t->lock);
	return NULL;
}

static void submit(struct blk_io *io, struct blk_io_req *r)
{
	list_add(&threads_of(io)->submitted, r);
}

static void go(struct blk_io *io)
{
	struct blk_threads *t = threads_of(io);
	struct blk_io_req *r;
	if (!t->submitted.head)
		return;
	pthread_mutex_lock(&t->lock);
	while ((r = list_take(&t->submitted)))
		list_add(&t->todo, r);
	pthread_cond_broadcast(&t->work);
	pthread_mutex_unlock(&t->lock);
}

/* @block: until there is something */
static void reap(struct blk_threads *t, bool block)
{
	struct blk_io_req *r;
	pthread_mutex_lock(&t->lock);
	while (block && !t->over.head && !t->stop)
		pthread_cond_wait(&t->some_over, &t->lock);
	struct list over = t->over;
	t->over = (struct list){0};
	if (t->stop && !over.head)
		t->io.failed = -EIO;
	pthread_mutex_unlock(&t->lock);
	while ((r = list_take(&over))) {
		t->io.busy--;
		t->io.user.done(t->io.user.arg, r);
	}
}

static void wait_some(struct blk_io *io)
{
	go(io);
	reap(threads_of(io), true);
}

static void on_ready(struct evsource *src, uint32_t events)
{
	struct blk_threads *t = src->arg;
	uint64_t count;
	(void)events;
	ssize_t n = read(src->fd, &count, sizeof(count));
	(void)n;
	reap(t, false);
	t->io.user.more(t->io.user.arg);
}

static void destroy(struct blk_io *io)
{
	struct blk_threads *t = threads_of(io);
	pthread_mutex_lock(&t->lock);
	t->stop = true;
	pthread_cond_broadcast(&t->work);
	pthread_mutex_unlock(&t->lock);
	for (unsigned i = 0; i < t->n; i++)
		pthread_join(t->thread[i], NULL);
	if (t->ready.fd >= 0) {
		evloop_del(t->loop, &t->ready);
		close_fd(&t->ready.fd);
	}
	pthread_cond_destroy(&t->work);
	pthread_cond_destroy(&t->some_over);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

static const struct blk_io_ops threads_ops = {
	.submit = submit, .go = go, .wait = wait_some, .destroy = destroy};

static int start(struct blk_threads *t)
{
	t->ready.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int ret = t->ready.fd < 0 ? -errno : evloop_add(t->loop, &t->ready, EPOLLIN);
	while (ret == 0 && t->n < BLK_THREADS) {
		ret = -pthread_create(&t->thread[t->n], NULL, worker, t);
		t->n += ret == 0;
	}
	return ret;
}

int blk_threads_create(struct blk_io **out, struct evloop *loop, int fd,
		       const struct blk_io_user *user, int (*begin)(const char *thread))
{
	struct blk_threads *t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	t->io = (struct blk_io){.ops = &threads_ops, .user = *user};
	t->loop = loop;
	t->fd = fd;
	t->begin = begin;
	t->ready = (struct evsource){.fd = -1, .fn = on_ready, .arg = t};
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->work, NULL);
	pthread_cond_init(&t->some_over, NULL);
	int ret = start(t);
	if (ret < 0) {
		destroy(&t->io);
		return ret;
	}
	*out = &t->io;
	return 0;
}
