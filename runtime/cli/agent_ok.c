// SPDX-License-Identifier: Apache-2.0
// agent_ok.c - the handshake of a connection into the guest, before its first frame
#include "cli/agent_ok.h"

#include "base/io.h"
#include "proto/limits.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int agent_ok_ask(int fd)
{
	char line[32];
	/* The socket is new: there is room for a line. */
	int n = snprintf(line, sizeof(line), "CONNECT %d\n", PROTO_AGENT_PORT);
	return io_write_full(fd, line, (size_t)n);
}

int agent_ok_read(struct agent_ok *o, int fd)
{
	while (!o->done) {
		ssize_t n = read(fd, o->line + o->len, 1);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -errno;
		if (n == 0)
			return -ECONNREFUSED;
		if (o->line[o->len] == '\n')
			o->done = true;
		if (++o->len == sizeof(o->line))
			return -EPROTO;
	}
	return strncmp(o->line, "OK ", 3) == 0 ? 1 : -EPROTO;
}
