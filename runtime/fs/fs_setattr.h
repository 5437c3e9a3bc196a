// SPDX-License-Identifier: Apache-2.0
// fs_setattr.h - modes, owners, sizes and times of files in writable views
#ifndef MAYFLY_FS_SETATTR_H
#define MAYFLY_FS_SETATTR_H

#include "fs/fs_node.h"

#include <linux/fuse.h>
#include <sys/types.h>

struct fs;

/* fs_setattr() - does what in->valid asks for, in Linux's order; 0 with what is then so, or -errno.
 */
int fs_setattr(struct fs *fs, struct fs_node *n, const struct fuse_setattr_in *in,
	       struct fuse_attr_out *out);

/* fs_setattr_mode() - what of a guest's mode is given to a file: no set-ID bits. */
mode_t fs_setattr_mode(uint32_t mode);

/* fs_setattr_chmod() - of an open file (O_PATH will do) that is no symlink; 0 or -errno. */
int fs_setattr_chmod(struct fs *fs, int fd, mode_t mode);

#endif
