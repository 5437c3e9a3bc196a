// SPDX-License-Identifier: Apache-2.0
// fs_attr.h - what the guest is told about a file: attributes, identity, how long to believe it
#ifndef MAYFLY_FS_ATTR_H
#define MAYFLY_FS_ATTR_H

#include "fs/fs_node.h"

#include <linux/fuse.h>
#include <sys/stat.h>

struct fs;

/*
 * fs_attr_statx() - statx() of name below dirfd (or of dirfd itself if name is ""), following
 * neither symlink nor automount; 0 or -errno.
 */
int fs_attr_statx(int dirfd, const char *name, struct statx *stx);

/* fs_attr_key() - the identity of what statx() saw in a view; 0 or -errno. */
int fs_attr_key(struct fs *fs, uint16_t view, const struct statx *stx, struct fs_key *key);

/* fs_attr_same_file() - is this still the file of node n, on the mount of its view? */
bool fs_attr_same_file(struct fs *fs, const struct fs_node *n, const struct statx *stx);

/* fs_attr_stat() - fresh attributes of a real node; 0, -ESTALE, -errno. */
int fs_attr_stat(struct fs *fs, struct fs_node *n, struct statx *stx);

/* fs_attr_fill() - attributes of a real node as the guest sees them; remembers what was told. */
void fs_attr_fill(struct fs *fs, struct fs_node *n, const struct statx *stx, struct fuse_attr *out);

/* fs_attr_fill_synth() - attributes of a node without a host file. */
void fs_attr_fill_synth(const struct fs_node *n, struct fuse_attr *out);

/* fs_attr_stamp() - fingerprint of what may change in a file. */
uint32_t fs_attr_stamp(const struct statx *stx);

/* fs_attr_ttl_ms() - how long attributes of a node, and names below it, may be cached. */
uint32_t fs_attr_ttl_ms(const struct fs *fs, const struct fs_node *n);

#endif
