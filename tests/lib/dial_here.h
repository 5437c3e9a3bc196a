// SPDX-License-Identifier: Apache-2.0
// dial_here.h - what a supervisor does for a device that wants a connection to a host port
#ifndef MAYFLY_TESTS_LIB_DIAL_HERE_H
#define MAYFLY_TESTS_LIB_DIAL_HERE_H

#include <stdint.h>

/* dial_here() - connects to "vsock.sock_PORT" in the working directory; socket or -errno. */
int dial_here(void *arg, uint32_t port);

#endif
