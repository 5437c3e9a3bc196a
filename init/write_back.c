// SPDX-License-Identifier: Apache-2.0
// write_back.c - what waits in memory for a disk or a share goes there before the machine ends
#include "write_back.h"

#include "base/cleanup.h"

#include <errno.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

int write_back(int max_ms)
{
	/* In a process of its own: a sync that hangs can't be left. */
	pid_t pid = fork();
	if (pid == 0) {
		sync();
		_exit(0);
	}
	if (pid < 0)
		return -errno;
	AUTO_CLOSE int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int n = fd < 0 ? -1 : poll(&p, 1, max_ms);
	if (n < 0)
		return -errno;
	return n == 0 ? -ETIMEDOUT : 0;
}
