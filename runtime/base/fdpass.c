// SPDX-License-Identifier: Apache-2.0
// fdpass.c - SCM_RIGHTS both ways; what doesn't fit is refused and closed
#include "base/fdpass.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

union fdpass_ctl {
	struct cmsghdr align;
	char buf[CMSG_SPACE(sizeof(int) * FDPASS_MAX)];
};

ssize_t fdpass_send(int sock, const struct iovec *iov, size_t iovcnt, const int *fds, size_t nfds,
		    int flags)
{
	if (nfds > FDPASS_MAX)
		return -EINVAL;
	union fdpass_ctl ctl;
	struct msghdr msg = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = iovcnt};
	if (nfds > 0) {
		memset(&ctl, 0, sizeof(ctl));
		msg.msg_control = ctl.buf;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * nfds);
	}
	ssize_t n;
	do {
		n = sendmsg(sock, &msg, flags | MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/* Takes every descriptor out of the control data; what is over the limit is closed. */
static int take_fds(struct msghdr *msg, int *fds, size_t max_fds, size_t *nfds)
{
	int ret = 0;
	size_t n = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (n < max_fds) {
				fds[n++] = fd;
			} else {
				close(fd);
				ret = -EPROTO;
			}
		}
	}
	*nfds = n;
	return ret;
}

ssize_t fdpass_recv(int sock, const struct iovec *iov, size_t iovcnt, int *fds, size_t max_fds,
		    size_t *nfds, int flags)
{
	union fdpass_ctl ctl;
	struct msghdr msg = {
		.msg_iov = (struct iovec *)(uintptr_t)iov,
		.msg_iovlen = iovcnt,
		.msg_control = ctl.buf,
		.msg_controllen = sizeof(ctl.buf),
	};
	size_t count = 0;
	for (size_t i = 0; i < max_fds; i++)
		fds[i] = -1;
	if (nfds)
		*nfds = 0;
	ssize_t n;
	do {
		n = recvmsg(sock, &msg, flags | MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	ssize_t ret = take_fds(&msg, fds, max_fds, &count);
	if (ret == 0 && (msg.msg_flags & MSG_CTRUNC))
		ret = -EPROTO;
	if (ret == 0 && (msg.msg_flags & MSG_TRUNC))
		ret = -EMSGSIZE;
	if (ret < 0) {
		for (size_t i = 0; i < count; i++)
			close_fd(&fds[i]);
		return ret;
	}
	if (nfds)
		*nfds = count;
	return n;
}
