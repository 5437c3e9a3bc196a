// SPDX-License-Identifier: Apache-2.0
// session_start.h - what ExecStart asks for, and its start
#ifndef MAYFLY_INIT_SESSION_START_H
#define MAYFLY_INIT_SESSION_START_H

#include "session.h"

/* session_take_request() - checks and copies it; 0, -EPROTO, -ENOMEM. */
int session_take_request(struct session *s, const Mayfly__ExecStart *m);

/*
 * session_fork() - makes pipes or terminal, and the process. The owner watches s->status and the
 * streams from then on. Returns 0 or -errno with text.
 * @on_pipe: the handler of the streams; arg is s
 */
int session_fork(struct session *s, evsource_fn *on_pipe, struct err *e);

/* session_forget_words() - arguments and environment, once the program has them. */
void session_forget_words(struct session *s);

#endif
