// SPDX-License-Identifier: Apache-2.0
// control_client.c - asks the keeper of a machine that lives
#include "cli/control_client.h"

#include "base/cleanup.h"
#include "base/fdpass.h"
#include "base/io.h"
#include "cli/record.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

/* A keeper answers at once; what takes longer was not for control_ask(). */
#define REPLY_MS 20000
/* How long a keeper may be about to make its socket. */
#define OPEN_NS 2000000000ull
#define OPEN_PAUSE_NS 5000000
/* A keeper that takes no callers any more hangs. */
#define CONNECT_S 5

static int try_open(const struct record *r)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	/* It is connect()'s, too, which else waits for room in the queue for ever. */
	const struct timeval limit = {.tv_sec = CONNECT_S};
	AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0)
		return -errno;
	/* Through the descriptor: the path itself may be longer than an address. */
	snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d/" RECORD_SOCKET,
		 r->dir_fd);
	return connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ? -errno : steal_fd(&fd);
}

int control_open_record(const struct record *r, struct err *e)
{
	const struct timespec pause = {.tv_nsec = OPEN_PAUSE_NS};
	const uint64_t deadline = io_now_ns() + OPEN_NS;
	int fd;
	for (;;) {
		bool kept = record_kept(r);
		fd = try_open(r);
		if (fd >= 0)
			return fd;
		if (!kept)
			return err_set(e, ESRCH, "machine '%s' is stopped", r->name);
		/* A record comes before its socket, and goes after it. */
		if ((fd != -ENOENT && fd != -ECONNREFUSED) || io_now_ns() >= deadline)
			break;
		nanosleep(&pause, NULL);
	}
	if (fd == -EAGAIN)
		return err_set(e, ETIMEDOUT, "the keeper of machine '%s' does not answer", r->name);
	return err_errno(e, -fd, "can't reach the keeper of machine '%s'", r->name);
}

int control_open(const char *machine, struct err *e)
{
	struct record r;
	int ret = record_find(&r, machine, e);
	if (ret < 0)
		return ret;
	ret = control_open_record(&r, e);
	record_close(&r);
	return ret;
}

int control_send(int sock, const Mayfly__ControlRequest *q, struct err *e)
{
	size_t len = mayfly__control_request__get_packed_size(q);
	if (len > CONTROL_REQUEST_MAX)
		return err_set(e, EMSGSIZE, "a request of %zu bytes for the machine's keeper", len);
	AUTO_FREE uint8_t *buf = malloc(CONTROL_REQUEST_MAX);
	if (!buf)
		return err_errno(e, ENOMEM, "a request");
	mayfly__control_request__pack(q, buf);
	struct iovec iov = {.iov_base = buf, .iov_len = len};
	ssize_t n = fdpass_send(sock, &iov, 1, NULL, 0, MSG_DONTWAIT);
	/* One that sends us away at once has said why. */
	if (n < 0 && n != -EPIPE && n != -ECONNRESET)
		return err_errno(e, (int)-n, "can't ask the machine's keeper");
	return 0;
}

int control_receive(int sock, int ms, Mayfly__ControlReply **reply, int *fds, size_t max,
		    size_t *nfds, struct err *e)
{
	AUTO_FREE uint8_t *buf = malloc(CONTROL_REPLY_MAX);
	struct pollfd p = {.fd = sock, .events = POLLIN};
	struct iovec iov = {.iov_base = buf, .iov_len = CONTROL_REPLY_MAX};
	*reply = NULL;
	*nfds = 0;
	if (!buf)
		return err_errno(e, ENOMEM, "the keeper's answer");
	int n;
	do {
		n = poll(&p, 1, ms);
	} while (n < 0 && errno == EINTR && ms < 0);
	if (n <= 0)
		return err_set(e, ETIMEDOUT, "the machine's keeper does not answer");
	ssize_t len = fdpass_recv(sock, &iov, 1, fds, max, nfds, MSG_DONTWAIT);
	if (len <= 0)
		return err_set(e, ECONNRESET, "the machine's keeper has ended");
	*reply = mayfly__control_reply__unpack(NULL, (size_t)len, buf);
	int code = *reply ? (*reply)->code : EPROTO;
	if (code == 0)
		return 0;
	err_set(e, code > 0 ? code : EPROTO, "%.300s",
		*reply ? (*reply)->text : "the machine's keeper answered something else");
	if (*reply)
		mayfly__control_reply__free_unpacked(*reply, NULL);
	*reply = NULL;
	for (size_t i = 0; i < *nfds; i++)
		close_fd(&fds[i]);
	*nfds = 0;
	return code > 0 ? -code : -EPROTO;
}

int control_ask(int sock, const Mayfly__ControlRequest *q, Mayfly__ControlReply **reply, int *fds,
		size_t max, size_t *nfds, struct err *e)
{
	*reply = NULL;
	*nfds = 0;
	int ret = control_send(sock, q, e);
	return ret < 0 ? ret : control_receive(sock, REPLY_MS, reply, fds, max, nfds, e);
}
