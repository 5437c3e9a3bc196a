// SPDX-License-Identifier: Apache-2.0
// hostio.h - mayfly's own stdin, stdout and stderr without ever blocking on them
//
// The descriptors are shared with whoever started mayfly, so their flags are left alone: pipes and
// terminals are opened once more through /proc/self/fd with O_NONBLOCK of our own, sockets take a
// flag with each call, files never block for long.
#ifndef MAYFLY_CLI_HOSTIO_H
#define MAYFLY_CLI_HOSTIO_H

#include "base/evloop.h"
#include "proto/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum hostio_kind {
	HOSTIO_NONBLOCK, /* our own open file: read and write as usual */
	HOSTIO_SOCKET,
	HOSTIO_FILE,	/* always ready */
	HOSTIO_CAREFUL, /* could not be reopened: poll, then at most PIPE_BUF */
};

/* --output-limit, for both outputs together. */
struct hostio_limit {
	uint64_t left;
	bool over; /* something was dropped */
};

struct hostio {
	struct evsource src; /* fd: ours or the standard one */
	struct evloop *loop;
	enum hostio_kind kind;
	bool own_fd;
	bool done;    /* stdin: at its end; output: closed, data is dropped */
	int error;    /* why it is done, 0: in good order */
	uint8_t *buf; /* output: PROTO_WINDOW bytes, a ring */
	uint32_t head, len;
	uint32_t owed;	/* output: written, not yet given back as credit */
	uint64_t moved; /* bytes that came or went, for those who ask whether anything happens */
	struct hostio_limit *limit; /* output: NULL: none */
};

/* hostio_open() - wraps descriptor fd (0, 1 or 2); fn is called when it may be ready. */
int hostio_open(struct hostio *h, struct evloop *loop, int fd, evsource_fn *fn, void *arg);
void hostio_close(struct hostio *h);

/* hostio_want() - whether readiness is of interest now. */
void hostio_want(struct hostio *h, uint32_t events);

/*
 * hostio_read() - bytes read, 0 at the end, -EAGAIN if there are none now, -EBUSY while mayfly is
 * in the background of its terminal, -errno.
 */
ssize_t hostio_read(struct hostio *h, void *buf, size_t len);

/* hostio_add() - takes output; -EPROTO if it is more than the window. */
int hostio_add(struct hostio *h, const uint8_t *data, size_t len);

/* hostio_try() - writes what there is room for at this moment; the rest is lost. */
void hostio_try(struct hostio *h, const void *data, size_t len);

/* hostio_push() - writes what can be written now. Returns true if all is out or dropped. */
bool hostio_push(struct hostio *h);

#endif
