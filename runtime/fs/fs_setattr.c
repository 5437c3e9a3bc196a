// SPDX-License-Identifier: Apache-2.0
// fs_setattr.c - SETATTR on the node's own descriptor: no name is looked up
#include "fs/fs_setattr.h"

#include "fs/fs.h"
#include "fs/fs_attr.h"
#include "fs/fs_lookup.h"
#include "fs/fs_open.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define FD_NAME_MAX 16
#define NS_PER_S 1000000000u

mode_t fs_setattr_mode(uint32_t mode)
{
	return (mode_t)(mode & (S_ISVTX | 0777));
}

int fs_setattr_chmod(struct fs *fs, int fd, mode_t mode)
{
	char name[FD_NAME_MAX];
	snprintf(name, sizeof(name), "%d", fd);
	return fchmodat(fs->proc_fd, name, mode, 0) < 0 ? -errno : 0;
}

static int set_mode(struct fs *fs, struct fs_node *n, uint32_t mode)
{
	if (n->key.type == FS_TYPE(S_IFLNK))
		return -EOPNOTSUPP;
	int fd = fs_cache_fd(fs, n);
	if (fd < 0)
		return fd;
	mode_t m = fs_setattr_mode(mode);
	if (n->key.type == FS_TYPE(S_IFDIR))
		m |= mode & S_ISGID;
	return fs_setattr_chmod(fs, fd, m);
}

/* The guest's number of an owner as the host has it; -EPERM for one that stands for nobody here. */
static int64_t host_id(const struct fs *fs, uint32_t asked, uint32_t shown, uint32_t guest,
		       uint32_t own)
{
	if (asked == shown)
		return UINT32_MAX; /* stays as it is */
	if (!fs->map_ids)
		return asked;
	return asked == guest ? (int64_t)own : -EPERM;
}

/* The host decides: without capabilities a file is not given away. */
static int set_owner(struct fs *fs, struct fs_node *n, const struct fuse_setattr_in *in)
{
	struct fuse_attr_out now;
	int64_t uid = UINT32_MAX;
	int64_t gid = UINT32_MAX;
	int ret = fs_lookup_attr(fs, n, &now);
	if (ret < 0)
		return ret;
	if (in->valid & FATTR_UID)
		uid = host_id(fs, in->uid, now.attr.uid, fs->uid, fs->own_uid);
	if (in->valid & FATTR_GID)
		gid = host_id(fs, in->gid, now.attr.gid, fs->gid, fs->own_gid);
	if (uid < 0 || gid < 0)
		return -EPERM;
	int fd = fs_cache_fd(fs, n);
	if (fd < 0)
		return fd;
	return fchownat(fd, "", (uid_t)uid, (gid_t)gid, AT_EMPTY_PATH) < 0 ? -errno : 0;
}

static int set_size(struct fs *fs, struct fs_node *n, const struct fuse_setattr_in *in)
{
	if (n->key.type == FS_TYPE(S_IFDIR))
		return -EISDIR;
	if (n->key.type != FS_TYPE(S_IFREG))
		return -EINVAL;
	/* A file open in the guest may be one that can't be opened for writing once more. */
	if (in->valid & FATTR_FH) {
		int fd = fs_file_fd(fs, n, in->fh);
		return fd < 0 ? fd : fs_file_truncate(fs, n, fd, in->size);
	}
	return fs_open_truncate(fs, n, in->size);
}

static int time_of(struct timespec *t, const struct fuse_setattr_in *in, uint32_t set, uint32_t now,
		   uint64_t sec, uint32_t nsec)
{
	*t = (struct timespec){.tv_nsec = UTIME_OMIT};
	if (in->valid & now) {
		t->tv_nsec = UTIME_NOW;
	} else if (in->valid & set) {
		if (nsec >= NS_PER_S)
			return -EINVAL;
		*t = (struct timespec){.tv_sec = (time_t)sec, .tv_nsec = nsec};
	}
	return 0;
}

static int set_times(struct fs *fs, struct fs_node *n, const struct fuse_setattr_in *in)
{
	struct timespec t[2];
	int ret = time_of(&t[0], in, FATTR_ATIME, FATTR_ATIME_NOW, in->atime, in->atimensec);
	if (ret == 0)
		ret = time_of(&t[1], in, FATTR_MTIME, FATTR_MTIME_NOW, in->mtime, in->mtimensec);
	int fd = ret < 0 ? ret : fs_cache_fd(fs, n);
	if (fd < 0)
		return fd;
	return utimensat(fd, "", t, AT_EMPTY_PATH) < 0 ? -errno : 0;
}

int fs_setattr(struct fs *fs, struct fs_node *n, const struct fuse_setattr_in *in,
	       struct fuse_attr_out *out)
{
	int ret = 0;
	if (in->valid & (FATTR_UID | FATTR_GID))
		ret = set_owner(fs, n, in);
	if (ret == 0 && (in->valid & FATTR_SIZE))
		ret = set_size(fs, n, in);
	if (ret == 0 && (in->valid & (FATTR_ATIME | FATTR_MTIME)))
		ret = set_times(fs, n, in);
	/* Last, because it may take the right to the others away. */
	if (ret == 0 && (in->valid & FATTR_MODE))
		ret = set_mode(fs, n, in->mode);
	return ret < 0 ? ret : fs_lookup_attr(fs, n, out);
}
