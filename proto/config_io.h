// SPDX-License-Identifier: Apache-2.0
// config_io.h - packed messages in sealed memfds and in datagrams between our own processes
#ifndef MAYFLY_PROTO_CONFIG_IO_H
#define MAYFLY_PROTO_CONFIG_IO_H

#include "base/err.h"
#include "proto/config.pb-c.h"

#define CONFIG_VERSION 1
#define CONFIG_MAX_BYTES (8u << 20)
#define CONFIG_DATAGRAM_MAX 8192

/* config_memfd() - a sealed memfd that holds the packed message; descriptor or -errno. */
int config_memfd(const char *name, const ProtobufCMessage *msg);

/*
 * config_load() - reads a message of the given type from a memfd.
 * Returns 0 with *out (free with protobuf_c_message_free_unpacked), or -errno with text.
 */
int config_load(int fd, const ProtobufCMessageDescriptor *type, ProtobufCMessage **out,
		struct err *e);

/* config_send() - one datagram with descriptors beside it; 0 or -errno. */
int config_send(int sock, const ProtobufCMessage *msg, const int *fds, size_t nfds);

/*
 * config_recv() - one datagram. Returns 1 with *out, 0 at the end, -EAGAIN, or -errno.
 * @fds: as fdpass_recv()
 */
int config_recv(int sock, const ProtobufCMessageDescriptor *type, ProtobufCMessage **out, int *fds,
		size_t max_fds, size_t *nfds);

/*
 * config_fd_arg() - the number behind "--config-fd", the one argument our processes take.
 * Returns the descriptor or -EINVAL.
 */
int config_fd_arg(int argc, char **argv);

#endif
