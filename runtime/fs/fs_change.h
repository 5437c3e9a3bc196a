// SPDX-License-Identifier: Apache-2.0
// fs_change.h - names made, removed and moved, in directories of writable views
//
// Each name is one component, resolved by the host's kernel relative to the directory's descriptor
// and never followed. What the guest is not shown (device nodes, other mounts) it can't remove,
// replace or move either. A node that loses the name it is known by keeps its descriptor. Every dir
// given here is of a writable view.
#ifndef MAYFLY_FS_CHANGE_H
#define MAYFLY_FS_CHANGE_H

#include "fs/fs_node.h"
#include "fs/fs_open.h"

#include <linux/fuse.h>
#include <stdbool.h>

struct fs;

/* All: 0 with the lookup counted where there is an entry, or -errno. */

/*
 * fs_change_create() - CREATE: makes a regular file, without O_EXCL opens one that is there.
 * @flags: the guest's; @mode: set-ID bits are dropped
 */
int fs_change_create(struct fs *fs, struct fs_node *dir, const char *name, uint32_t flags,
		     uint32_t mode, struct fuse_entry_out *e, struct fs_opened *o);

/* fs_change_mknod() - regular files, FIFOs, sockets; -EPERM for devices. */
int fs_change_mknod(struct fs *fs, struct fs_node *dir, const char *name, uint32_t mode,
		    struct fuse_entry_out *e);
int fs_change_mkdir(struct fs *fs, struct fs_node *dir, const char *name, uint32_t mode,
		    struct fuse_entry_out *e);
int fs_change_symlink(struct fs *fs, struct fs_node *dir, const char *name, const char *target,
		      struct fuse_entry_out *e);
int fs_change_link(struct fs *fs, struct fs_node *old, struct fs_node *dir, const char *name,
		   struct fuse_entry_out *e);

/* fs_change_remove() - UNLINK, or with @is_dir RMDIR. */
int fs_change_remove(struct fs *fs, struct fs_node *dir, const char *name, bool is_dir);

/* fs_change_rename() - @flags: RENAME_NOREPLACE or RENAME_EXCHANGE; -EXDEV between two views. */
int fs_change_rename(struct fs *fs, struct fs_node *from, const char *old, struct fs_node *to,
		     const char *name, uint32_t flags);

#endif
