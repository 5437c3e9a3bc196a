// SPDX-License-Identifier: Apache-2.0
// changes.c - the file systems that take what commands write: is one of them full?
#include "changes.h"

#include "base/checked.h"

#include <stdint.h>
#include <sys/vfs.h>

/* A write that finds no room leaves less than this; a file system keeps some blocks for itself. */
#define NEXT_TO_NOTHING (64u << 10)

static int fds[CHANGES_MAX];
static unsigned n_fds;

void changes_add(int fd)
{
	if (fd >= 0 && n_fds < ARRAY_SIZE(fds))
		fds[n_fds++] = fd;
}

bool changes_full(void)
{
	struct statfs fs;
	for (unsigned i = 0; i < n_fds; i++) {
		if (fstatfs(fds[i], &fs) < 0)
			continue;
		/* Nothing in all: it has no such limit. */
		if (fs.f_blocks > 0 &&
		    (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize < NEXT_TO_NOTHING)
			return true;
		if (fs.f_files > 0 && fs.f_ffree == 0)
			return true;
	}
	return false;
}
