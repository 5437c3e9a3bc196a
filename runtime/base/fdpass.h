// SPDX-License-Identifier: Apache-2.0
// fdpass.h - one datagram or stream message with descriptors beside it
#ifndef MAYFLY_BASE_FDPASS_H
#define MAYFLY_BASE_FDPASS_H

#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

#define FDPASS_MAX 16

/*
 * fdpass_send() - sendmsg() with up to FDPASS_MAX descriptors; they stay the caller's.
 * @flags: MSG_DONTWAIT or 0; MSG_NOSIGNAL is always set
 * Returns the bytes sent or -errno.
 */
ssize_t fdpass_send(int sock, const struct iovec *iov, size_t iovcnt, const int *fds, size_t nfds,
		    int flags);

/*
 * fdpass_recv() - recvmsg() that takes descriptors, all close-on-exec.
 * @fds: room for max_fds (at most FDPASS_MAX); unused entries are set to -1
 * Returns the bytes received (0 at the end), or -errno: -EMSGSIZE if the message was longer
 * than the buffers, -EPROTO if it carried more descriptors than allowed. On failure no
 * descriptor is left open.
 */
ssize_t fdpass_recv(int sock, const struct iovec *iov, size_t iovcnt, int *fds, size_t max_fds,
		    size_t *nfds, int flags);

#endif
