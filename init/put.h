// SPDX-License-Identifier: Apache-2.0
// put.h - writes a file or a tree that the host sends
#ifndef MAYFLY_INIT_PUT_H
#define MAYFLY_INIT_PUT_H

#include "proto/frame.h"

#include <sys/types.h>

/*
 * put_check() - is this request one that can be answered? 0 or -EPROTO.
 */
int put_check(const Mayfly__Put *m);

/*
 * put_serve() - takes the walk that follows and writes it, then answers with FetchEnd; earlier if
 * it can't go on. Waits until the peer closes, so that the answer is not lost.
 * @conn: over a non-blocking socket; Put was its last frame
 * Returns 0 when the answer was sent, or -errno of the connection.
 */
int put_serve(struct frame_conn *conn, const Mayfly__Put *m);

/*
 * put_spawn() - does that in a process of its own with the ids of the request, so that a slow disk
 * keeps nobody else waiting. It takes over the socket, both ways, with what was read of it: the
 * caller neither reads nor writes from then on, and closes it when the process has ended.
 * Returns the pid or -errno.
 */
pid_t put_spawn(struct frame_conn *conn, const Mayfly__Put *m);

#endif
