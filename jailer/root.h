// SPDX-License-Identifier: Apache-2.0
// root.h - the file trees of a machine's processes: an empty one, or some system directories
//
// The supervisor copies the host's mount table once and leaves it for an empty read-only root. Its
// processes get copies of that; a process that needs files gets a root of its own, made of mounts
// that were taken out of the host's table before it was left.
#ifndef MAYFLY_JAILER_ROOT_H
#define MAYFLY_JAILER_ROOT_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define ROOT_MAX_PARTS 32
#define ROOT_PATH_MAX 256

struct root_part {
	char path[ROOT_PATH_MAX]; /* absolute, the same as on the host; or "/NAME" of a file */
	char link[ROOT_PATH_MAX]; /* a symbolic link's target, else "" */
	bool dir;
	int mount_fd; /* detached, read-only; -1: none */
	int copy_fd;  /* a file to be copied instead; the caller's; -1: none */
};

struct root {
	size_t n;
	struct root_part part[ROOT_MAX_PARTS];
};

/*
 * root_add_tree() - a directory or file of the host under its own name, with what is mounted below
 * it; symbolic links stay what they are; what the host lacks is left out. With a slash at the end
 * of path: an empty directory. In the namespace that root_leave_host() leaves. Returns 0, or -errno
 * with text.
 */
int root_add_tree(struct root *r, const char *path, struct err *e);

/*
 * root_add_file() - one file that is already open, as "/NAME". It is mounted if its path still
 * leads to the very same file and anybody may read it, and copied otherwise.
 * @fd: stays the caller's, and open until root_enter()
 */
int root_add_file(struct root *r, int fd, const char *name, struct err *e);

/* root_free() - closes the mounts that are still held. */
void root_free(struct root *r);

/* root_own_mounts() - a mount namespace whose changes reach nobody else; 0 or -errno with text. */
int root_own_mounts(struct err *e);

/*
 * root_leave_host() - the root becomes an empty read-only directory and the host's tree is no
 * longer mounted; open descriptors still work. After root_own_mounts(). 0, or -errno with text.
 * The host's procfs lies out of sight on top of the root, because the kernel lets only those mount
 * a new one in a user namespace who have a whole one: until root_drop_proc().
 */
int root_leave_host(struct err *e);

/* root_drop_proc() - 0 or -errno. */
int root_drop_proc(void);

/*
 * root_enter() - in a mount namespace of the process's own: its root becomes one with r's parts and
 * nothing else, read-only. Returns 0 or -errno.
 */
int root_enter(const struct root *r);

#endif
