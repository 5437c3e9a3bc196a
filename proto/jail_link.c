// SPDX-License-Identifier: Apache-2.0
// jail_link.c - what a jailed process may ask of its supervisor
#include "proto/jail_link.h"

#include "base/cleanup.h"
#include "base/fdpass.h"
#include "base/io.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define ANSWER_MS 1000

static int send_request(int link, const struct jail_link_request *req, int fd)
{
	struct iovec iov = {.iov_base = (void *)(uintptr_t)req, .iov_len = sizeof(*req)};
	ssize_t n = fdpass_send(link, &iov, 1, &fd, fd >= 0 ? 1 : 0, 0);
	return n < 0 ? (int)n : 0;
}

int jail_link_listener(int link, int listener, const char *label)
{
	struct jail_link_request req = {.kind = JAIL_LINK_LISTENER};
	snprintf(req.label, sizeof(req.label), "%s", label);
	return send_request(link, &req, listener);
}

static int wait_answer(int link)
{
	uint64_t end = io_now_ns() + ANSWER_MS * 1000000ull;
	struct pollfd p = {.fd = link, .events = POLLIN};
	for (;;) {
		uint64_t now = io_now_ns();
		if (now >= end)
			return -ETIMEDOUT;
		int n = poll(&p, 1, (int)((end - now) / 1000000 + 1));
		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
	}
}

int jail_link_dial(int link, uint32_t port)
{
	struct jail_link_request req = {.kind = JAIL_LINK_DIAL, .port = port};
	int32_t result = 0;
	struct iovec iov = {.iov_base = &result, .iov_len = sizeof(result)};
	AUTO_CLOSE int fd = -1;
	int ret = send_request(link, &req, -1);
	if (ret == 0)
		ret = wait_answer(link);
	if (ret < 0)
		return ret;
	ssize_t n = fdpass_recv(link, &iov, 1, &fd, 1, NULL, MSG_DONTWAIT);
	if (n < 0)
		return (int)n;
	if (n != sizeof(result) || (result == 0) != (fd >= 0) || result > 0)
		return -EPROTO;
	return result < 0 ? result : steal_fd(&fd);
}

static bool label_ok(const char *label)
{
	size_t n = strnlen(label, JAIL_LINK_LABEL_MAX);
	return n > 0 && n < JAIL_LINK_LABEL_MAX &&
	       strspn(label, "abcdefghijklmnopqrstuvwxyz0123456789-") == n;
}

int jail_link_receive(int link, struct jail_link_request *req, int *fd)
{
	struct iovec iov = {.iov_base = req, .iov_len = sizeof(*req)};
	AUTO_CLOSE int got = -1;
	*fd = -1;
	ssize_t n = fdpass_recv(link, &iov, 1, &got, 1, NULL, MSG_DONTWAIT);
	if (n == 0 || n == -ECONNRESET)
		return 0;
	if (n == -EAGAIN || n == -EINTR)
		return -EAGAIN;
	if (n != sizeof(*req))
		return -EPROTO;
	if (req->kind == JAIL_LINK_LISTENER ? got < 0 || !label_ok(req->label)
					    : req->kind != JAIL_LINK_DIAL || got >= 0)
		return -EPROTO;
	*fd = steal_fd(&got);
	return 1;
}

int jail_link_answer(int link, int result)
{
	int32_t code = result < 0 ? result : 0;
	struct iovec iov = {.iov_base = &code, .iov_len = sizeof(code)};
	ssize_t n = fdpass_send(link, &iov, 1, &result, result >= 0 ? 1 : 0, MSG_DONTWAIT);
	return n < 0 ? (int)n : 0;
}
