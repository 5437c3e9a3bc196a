// SPDX-License-Identifier: Apache-2.0
// out_target.h - where one copy goes: HOST, opened before anything comes
#ifndef MAYFLY_COPY_OUT_TARGET_H
#define MAYFLY_COPY_OUT_TARGET_H

#include "base/err.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

/* Descriptors are -1 when not there. All later work is relative to them. */
struct out_target {
	char guest[PATH_MAX];	 /* absolute path in the guest */
	const char *host;	 /* as typed, for messages */
	uint64_t max_bytes;	 /* sum of the files' sizes */
	int parent_fd;		 /* the directory that HOST is in; -1 if dir_fd is enough */
	int dir_fd;		 /* HOST itself, if it is a directory */
	bool must_be_dir;	 /* typed with a slash at its end */
	bool into;		 /* parent_fd is HOST, and name is base */
	char name[NAME_MAX + 1]; /* of HOST in parent_fd */
	char base[NAME_MAX + 1]; /* last name of GUEST; empty: it has none */
};

#define OUT_TARGET_NONE ((struct out_target){.parent_fd = -1, .dir_fd = -1})

/*
 * out_target_open() - opens HOST or the directory that it will be made in, and checks that it may
 * be written to. Links above the last name are followed, as the user typed them; the last is not.
 * @host: as typed; must live as long as t
 * Returns 0 or -errno with text; out_target_close() in both cases.
 */
int out_target_open(struct out_target *t, const char *host, uint64_t max_bytes, struct err *e);

/*
 * out_target_source() - what is copied from; its last name is base.
 * @workdir: what a relative path is relative to
 */
int out_target_source(struct out_target *t, const char *path, const char *workdir, struct err *e);

/*
 * out_target_into() - as cp(1): if HOST is a directory the copy goes into it, as base. A source
 * without a last name ("/", "DIR/.") still becomes HOST itself. After the two above.
 */
void out_target_into(struct out_target *t);
void out_target_close(struct out_target *t);

/*
 * out_open_dir() - opens a directory by a single name, never through a link or out of dir.
 * @flags: O_PATH or O_RDONLY
 * Returns the descriptor or -errno.
 */
int out_open_dir(int dir, const char *name, int flags);

#endif
