// SPDX-License-Identifier: Apache-2.0
// io.h - exact reads and writes, non-blocking flags, clocks, sealed memory files
#ifndef MAYFLY_BASE_IO_H
#define MAYFLY_BASE_IO_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* io_now_ns() - CLOCK_MONOTONIC in nanoseconds. */
uint64_t io_now_ns(void);

/* io_read_full() - reads exactly len bytes; 0, -errno, or -ENODATA if the end came early. */
int io_read_full(int fd, void *buf, size_t len);

/* io_write_full() - writes exactly len bytes to a blocking descriptor; 0 or -errno. */
int io_write_full(int fd, const void *buf, size_t len);

/*
 * io_write_wait() - the same for a descriptor that somebody else may have made non-blocking, as
 * standard output: waits as long as its reader takes.
 */
int io_write_wait(int fd, const void *buf, size_t len);

/*
 * io_read_all() - reads a file from offset 0 into a fresh buffer with a NUL behind it.
 * @max: larger files give -EFBIG
 * Returns 0 or -errno; *buf belongs to the caller.
 */
int io_read_all(int fd, size_t max, char **buf, size_t *len);

/* io_set_nonblock(), io_set_cloexec() - set or clear the flag; 0 or -errno. */
int io_set_nonblock(int fd, int on);
int io_set_cloexec(int fd, int on);

/*
 * io_sealed_memfd() - a memfd with this content that nobody can change any more.
 * Returns the descriptor (close-on-exec) or -errno.
 */
int io_sealed_memfd(const char *name, const void *data, size_t len);

#endif
