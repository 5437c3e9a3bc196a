// SPDX-License-Identifier: Apache-2.0
// fs_quota.h - by how much the guest has made a view grow, and by how much it may
//
// What counts are blocks, as the host's file system reports them (st_blocks), before and after each
// request. A request that may take blocks is first refused if the worst case would be too much.
// Blocks of a file without a name come back when the guest has forgotten and closed it.
#ifndef MAYFLY_FS_QUOTA_H
#define MAYFLY_FS_QUOTA_H

#include "fs/fs_node.h"

#include <sys/statfs.h>

struct fs;
struct fs_view;

#define FS_QUOTA_BLOCK 4096u

/* fs_quota_room() - may the view grow by so many bytes, rounded up to blocks: 0 or -EDQUOT. */
int fs_quota_room(const struct fs_view *v, uint64_t bytes);

/*
 * fs_quota_range() - the same for a range of a file that is to be filled: only its holes and what
 * is behind its end count.
 */
int fs_quota_range(const struct fs_view *v, int fd, uint64_t off, uint64_t len);

/* fs_quota_size() - bytes that an open file (O_PATH will do) takes; 0 if the view has no quota. */
int64_t fs_quota_size(const struct fs_view *v, int fd);

/* fs_quota_grew() - the view takes so many bytes more, or less. */
void fs_quota_grew(struct fs_view *v, int64_t bytes);

/* fs_quota_gone() - a node without a name ends, and its descriptor is open still. */
void fs_quota_gone(struct fs *fs, struct fs_node *n);

/* fs_quota_statfs() - free space as the guest is told: no more than the quota leaves. */
void fs_quota_statfs(const struct fs_view *v, struct statfs *s);

#endif
