// SPDX-License-Identifier: Apache-2.0
// config_io.c - packed messages in sealed memfds and in datagrams between our own processes
#include "proto/config_io.h"

#include "base/cleanup.h"
#include "base/fdpass.h"
#include "base/io.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

int config_memfd(const char *name, const ProtobufCMessage *msg)
{
	size_t len = protobuf_c_message_get_packed_size(msg);
	AUTO_FREE uint8_t *buf = malloc(len ? len : 1);
	if (!buf)
		return -ENOMEM;
	protobuf_c_message_pack(msg, buf);
	return io_sealed_memfd(name, buf, len);
}

int config_load(int fd, const ProtobufCMessageDescriptor *type, ProtobufCMessage **out,
		struct err *e)
{
	AUTO_FREE char *buf = NULL;
	size_t len = 0;
	int ret = io_read_all(fd, CONFIG_MAX_BYTES, &buf, &len);
	if (ret < 0)
		return err_errno(e, -ret, "can't read the configuration on descriptor %d", fd);
	*out = protobuf_c_message_unpack(type, NULL, len, (uint8_t *)buf);
	if (!*out)
		return err_set(e, EPROTO, "the configuration on descriptor %d is not a %s", fd,
			       type->short_name);
	return 0;
}

int config_send(int sock, const ProtobufCMessage *msg, const int *fds, size_t nfds)
{
	uint8_t buf[CONFIG_DATAGRAM_MAX];
	size_t len = protobuf_c_message_get_packed_size(msg);
	if (len > sizeof(buf))
		return -EMSGSIZE;
	/* An empty datagram would look like the end. */
	if (len == 0)
		return -EINVAL;
	protobuf_c_message_pack(msg, buf);
	struct iovec iov = {.iov_base = buf, .iov_len = len};
	ssize_t n = fdpass_send(sock, &iov, 1, fds, nfds, 0);
	return n < 0 ? (int)n : 0;
}

int config_recv(int sock, const ProtobufCMessageDescriptor *type, ProtobufCMessage **out, int *fds,
		size_t max_fds, size_t *nfds)
{
	uint8_t buf[CONFIG_DATAGRAM_MAX];
	struct iovec iov = {.iov_base = buf, .iov_len = sizeof(buf)};
	ssize_t n = fdpass_recv(sock, &iov, 1, fds, max_fds, nfds, MSG_DONTWAIT);
	if (n <= 0)
		return (int)n;
	*out = protobuf_c_message_unpack(type, NULL, (size_t)n, buf);
	if (*out)
		return 1;
	for (size_t i = 0; i < max_fds; i++)
		close_fd(&fds[i]);
	return -EPROTO;
}

int config_fd_arg(int argc, char **argv)
{
	char *end;
	if (argc != 3 || strcmp(argv[1], "--config-fd") != 0)
		return -EINVAL;
	errno = 0;
	long v = strtol(argv[2], &end, 10);
	return errno || *end || end == argv[2] || v < 3 || v > 1 << 20 ? -EINVAL : (int)v;
}
