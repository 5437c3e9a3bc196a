// SPDX-License-Identifier: Apache-2.0
// fetch.h - copies a file or a tree of the guest to the host, as frames of one connection
#ifndef MAYFLY_INIT_FETCH_H
#define MAYFLY_INIT_FETCH_H

#include "proto/frame.h"

#include <sys/types.h>

/*
 * fetch_check() - is this request one that can be answered? 0 or -EPROTO.
 */
int fetch_check(const Mayfly__Fetch *m);

/*
 * fetch_serve() - walks and sends it all, up to FetchEnd; waits for the peer to take it.
 * What can't be read is noted and left out; FetchEnd tells how much that was.
 * @conn: over a non-blocking socket
 * Returns 0 when all is sent, or -errno of the connection or of lack of memory.
 */
int fetch_serve(struct frame_conn *conn, const Mayfly__Fetch *m);

/*
 * fetch_spawn() - does that in a process of its own, so that a slow file or host keeps nobody
 * else waiting. It takes over the socket's writing side: the caller only reads from then on.
 * Returns the pid or -errno.
 */
pid_t fetch_spawn(struct frame_conn *conn, const Mayfly__Fetch *m);

#endif
