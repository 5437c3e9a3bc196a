// SPDX-License-Identifier: Apache-2.0
// link.h - the supervisor's end of the links to its processes: what they ask for, and what they get
#ifndef MAYFLY_JAILER_LINK_H
#define MAYFLY_JAILER_LINK_H

#include "base/evloop.h"
#include "notify.h"

#include <stdbool.h>

struct link {
	struct evsource src;
	struct evloop *loop;
	struct notify *notify;
	const char *process;
	bool dials;
	unsigned dropped; /* requests that broke the rules */
	bool complete;	  /* every thread's listener is here */
};

/*
 * link_start() - serves one process until it closes its end. Listeners it hands over go to notify;
 * dialling means to connect to "vsock.sock_PORT" in the supervisor's working directory, the
 * machine's, where no process of the machine can put anything.
 * @fd: belongs to the link from here on
 * @process: lives longer than the link
 * @dials: whether it may ask for connections
 * Returns 0 or -errno.
 */
int link_start(struct link *l, struct evloop *loop, int fd, const char *process, bool dials,
	       struct notify *notify);

/* link_close() - again is harmless. */
void link_close(struct link *l);

#endif
