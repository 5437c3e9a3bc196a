// SPDX-License-Identifier: Apache-2.0
// link.c - the supervisor's end of the links to its processes
#include "link.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/log.h"
#include "proto/jail_link.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

/* A process that breaks the rules this often has nothing more to say. */
#define DROPPED_MAX 16

/* Never waits: a host program with a full backlog is one that does not take connections. */
static int dial(uint32_t port)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	snprintf(sun.sun_path, sizeof(sun.sun_path), "vsock.sock_%u", port);
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0)
		return -errno;
	return steal_fd(&fd);
}

static int serve(struct link *l, const struct jail_link_request *req, int fd)
{
	if (req->kind == JAIL_LINK_LISTENER) {
		AUTO_CLOSE int listener = fd;
		/* The main thread's is the last one: whoever sends more is not what was started. */
		if (l->complete)
			return -EPROTO;
		l->complete = strcmp(req->label, "main") == 0;
		return notify_add(l->notify, steal_fd(&listener), l->process, req->label);
	}
	if (!l->dials)
		return -EPROTO;
	AUTO_CLOSE int sock = dial(req->port);
	return jail_link_answer(l->src.fd, sock);
}

static void on_request(struct evsource *src, uint32_t events)
{
	struct link *l = src->arg;
	struct jail_link_request req;
	int fd;
	(void)events;
	int ret = jail_link_receive(src->fd, &req, &fd);
	if (ret == -EAGAIN)
		return;
	if (ret > 0)
		ret = serve(l, &req, fd) < 0 ? -EPROTO : 1;
	if (ret < 0) {
		log_warn("%s: dropped a wrong request", l->process);
		l->dropped++;
	}
	if (ret == 0 || l->dropped > DROPPED_MAX)
		link_close(l);
}

int link_start(struct link *l, struct evloop *loop, int fd, const char *process, bool dials,
	       struct notify *notify)
{
	*l = (struct link){.loop = loop, .notify = notify, .process = process, .dials = dials};
	l->src = (struct evsource){.fd = fd, .fn = on_request, .arg = l};
	int ret = io_set_nonblock(fd, 1);
	if (ret == 0)
		ret = evloop_add(loop, &l->src, EPOLLIN);
	if (ret < 0)
		close_fd(&l->src.fd);
	return ret;
}

void link_close(struct link *l)
{
	if (l->src.fd < 0 || !l->loop)
		return;
	evloop_del(l->loop, &l->src);
	close_fd(&l->src.fd);
}
