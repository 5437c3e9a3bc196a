// SPDX-License-Identifier: Apache-2.0
// hostio.c - mayfly's own stdin, stdout and stderr without ever blocking on them
#include "cli/hostio.h"

#include "base/checked.h"
#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

static int reopen(int fd, int flags)
{
	char path[32];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

int hostio_open(struct hostio *h, struct evloop *loop, int fd, evsource_fn *fn, void *arg)
{
	struct stat st;
	*h = (struct hostio){.loop = loop, .src = {.fd = fd, .fn = fn, .arg = arg}};
	if (fstat(fd, &st) < 0)
		return -errno;
	h->kind = HOSTIO_CAREFUL;
	if (S_ISSOCK(st.st_mode))
		h->kind = HOSTIO_SOCKET;
	else if (!S_ISFIFO(st.st_mode) && !S_ISCHR(st.st_mode))
		h->kind = HOSTIO_FILE;
	if (h->kind == HOSTIO_CAREFUL) {
		int own = reopen(fd, fd == 0 ? O_RDONLY : O_WRONLY);
		if (own >= 0) {
			h->src.fd = own;
			h->own_fd = true;
			h->kind = HOSTIO_NONBLOCK;
		}
	}
	/* /dev/null and its like are always ready, which epoll says by refusing them. */
	int ret = h->kind == HOSTIO_FILE ? 0 : evloop_add(loop, &h->src, EPOLLIN | EPOLLOUT);
	if (ret == -EPERM) {
		h->kind = HOSTIO_FILE;
		ret = 0;
	}
	evloop_del(loop, &h->src);
	return ret;
}

void hostio_close(struct hostio *h)
{
	if (h->loop)
		evloop_del(h->loop, &h->src);
	if (h->own_fd)
		close_fd(&h->src.fd);
	free(h->buf);
	h->buf = NULL;
	h->done = true;
	h->len = 0;
}

void hostio_want(struct hostio *h, uint32_t events)
{
	if (h->kind != HOSTIO_FILE)
		evloop_mod(h->loop, &h->src, h->done ? 0 : events);
}

static bool ready_now(const struct hostio *h, short events)
{
	struct pollfd p = {.fd = h->src.fd, .events = events};
	return poll(&p, 1, 0) > 0;
}

ssize_t hostio_read(struct hostio *h, void *buf, size_t len)
{
	ssize_t n;
	if (h->kind == HOSTIO_CAREFUL && !ready_now(h, POLLIN))
		return -EAGAIN;
	if (h->kind == HOSTIO_SOCKET)
		n = recv(h->src.fd, buf, len, MSG_DONTWAIT);
	else
		n = read(h->src.fd, buf, len);
	if (n < 0 && errno == EINTR)
		return -EAGAIN;
	/* SIGTTIN is ignored: a terminal says EIO to those in its background, and when it hung up.
	 */
	if (n < 0 && errno == EIO && isatty(h->src.fd)) {
		pid_t foreground = tcgetpgrp(h->src.fd);
		return foreground > 0 && foreground != getpgrp() ? -EBUSY : 0;
	}
	if (n > 0)
		h->moved += (uint64_t)n;
	return n < 0 ? -errno : n;
}

/* How much of it may go out; the rest is as good as written. */
static size_t within_limit(struct hostio *h, size_t len)
{
	struct hostio_limit *l = h->limit;
	if (!l)
		return len;
	if (len > l->left) {
		l->over = true;
		h->owed += (uint32_t)(len - l->left);
		len = (size_t)l->left;
	}
	l->left -= len;
	return len;
}

int hostio_add(struct hostio *h, const uint8_t *data, size_t len)
{
	h->moved += len;
	len = within_limit(h, len);
	if (h->done) {
		h->owed += (uint32_t)len;
		return 0;
	}
	if (!h->buf) {
		h->buf = malloc(PROTO_WINDOW);
		if (!h->buf)
			return -ENOMEM;
	}
	if (len > PROTO_WINDOW - h->len)
		return -EPROTO;
	while (len > 0) {
		uint32_t tail = (h->head + h->len) % PROTO_WINDOW;
		size_t part = MIN(len, (size_t)(PROTO_WINDOW - tail));
		memcpy(h->buf + tail, data, part);
		h->len += (uint32_t)part;
		data += part;
		len -= part;
	}
	return 0;
}

static ssize_t write_some(const struct hostio *h, const uint8_t *data, size_t len)
{
	if (h->kind == HOSTIO_SOCKET)
		return send(h->src.fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (h->kind == HOSTIO_CAREFUL) {
		if (!ready_now(h, POLLOUT)) {
			errno = EAGAIN;
			return -1;
		}
		len = MIN(len, (size_t)PIPE_BUF);
	}
	return write(h->src.fd, data, len);
}

void hostio_try(struct hostio *h, const void *data, size_t len)
{
	const uint8_t *p = data;
	while (!h->done && len > 0) {
		ssize_t n = write_some(h, p, len);
		if (n <= 0)
			break;
		p += n;
		len -= (size_t)n;
	}
}

bool hostio_push(struct hostio *h)
{
	while (!h->done && h->len > 0) {
		uint32_t part = MIN(h->len, PROTO_WINDOW - h->head);
		ssize_t n = write_some(h, h->buf + h->head, part);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			hostio_want(h, EPOLLOUT);
			return false;
		}
		if (n < 0) {
			h->error = errno;
			h->done = true;
			h->owed += h->len;
			h->len = 0;
			break;
		}
		h->head = (h->head + (uint32_t)n) % PROTO_WINDOW;
		h->len -= (uint32_t)n;
		h->moved += (uint64_t)n;
		h->owed += (uint32_t)n;
	}
	hostio_want(h, 0);
	return true;
}
