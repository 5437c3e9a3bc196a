// SPDX-License-Identifier: Apache-2.0
// host_exec.h - a short-lived child with a deadline, for what only trying can tell
#ifndef MAYFLY_CLI_HOST_EXEC_H
#define MAYFLY_CLI_HOST_EXEC_H

#include <stddef.h>
#include <sys/types.h>

/* Runs in the child; out_fd leads to the caller's buffer. The return value is the exit status. */
typedef int host_exec_fn(void *arg, int out_fd);

/*
 * host_exec_call() - runs fn in a child process group of its own and collects what it writes.
 * @size: of buf, which gets a NUL behind the text; what doesn't fit is dropped
 * Returns the number of bytes, or -errno: -ETIMEDOUT when the deadline passed, -ECANCELED when
 * the child failed. The child and its own children are gone and reaped when it returns. For
 * single-threaded callers.
 */
ssize_t host_exec_call(host_exec_fn *fn, void *arg, unsigned timeout_ms, char *buf, size_t size);

/*
 * host_exec_output() - as above for a program, by descriptor, with its standard output collected
 * and nothing to read.
 * @argv: ends with NULL
 */
ssize_t host_exec_output(int exec_fd, char *const argv[], unsigned timeout_ms, char *buf,
			 size_t size);

#endif
