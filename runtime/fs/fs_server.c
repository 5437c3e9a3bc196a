// SPDX-License-Identifier: Apache-2.0
// fs_server.c - one message in, one message out, until the device is gone
//
// The device is as hostile as the guest behind it: each message is checked, and one that breaks
// the rules is dropped with a rate-limited line, never answered by more than an error.
#include "fs/fs_server.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/fdpass.h"
#include "fs/fs_ops.h"
#include "fs/fs_wire.h"

#include <errno.h>

/* 8 for the FUSE structs in them. Untouched pages cost nothing. */
static uint8_t request[FS_WIRE_MAX] __attribute__((aligned(8)));
static uint8_t answer[FS_WIRE_BODY_MAX] __attribute__((aligned(8)));

static int send_answer(int sock, uint64_t tag, size_t len, int fd)
{
	struct fs_wire_rep rep = {
		.len = (uint32_t)(sizeof(rep) + len),
		.nfds = fd >= 0 ? 1 : 0,
		.tag = tag,
	};
	struct iovec iov[2] = {
		{.iov_base = &rep, .iov_len = sizeof(rep)},
		{.iov_base = answer, .iov_len = len},
	};
	ssize_t n = fdpass_send(sock, iov, ARRAY_SIZE(iov), &fd, rep.nfds, 0);
	return n < 0 ? (int)n : 0;
}

static int serve_one(struct fs *fs, int sock, size_t len)
{
	struct fs_wire_req req;
	if (len < sizeof(req)) {
		log_guest(&fs->limit, "dropped a message of %zu bytes", len);
		return 0;
	}
	__builtin_memcpy(&req, request, sizeof(req));
	if (req.len != len) {
		log_guest(&fs->limit, "dropped a message of %zu bytes that claims %u", len,
			  req.len);
		return 0;
	}
	AUTO_CLOSE int fd = -1;
	size_t room = MIN((size_t)req.room, sizeof(answer));
	size_t n = fs_ops_serve(fs, request + sizeof(req), len - sizeof(req), answer, room, &fd);
	return n > 0 ? send_answer(sock, req.tag, n, fd) : 0;
}

int fs_server_run(struct fs *fs, int sock)
{
	for (;;) {
		struct iovec iov = {.iov_base = request, .iov_len = sizeof(request)};
		/* No room for descriptors: who sends any breaks the rules. */
		ssize_t n = fdpass_recv(sock, &iov, 1, NULL, 0, NULL, 0);
		if (n == 0)
			return 0;
		if (n == -EMSGSIZE || n == -EPROTO) {
			log_guest(&fs->limit, "dropped a message that is too long or has fds");
			continue;
		}
		int ret = n < 0 ? (int)n : serve_one(fs, sock, (size_t)n);
		if (ret == -EPIPE || ret == -ECONNRESET)
			return 0;
		if (ret < 0)
			return ret;
	}
}
