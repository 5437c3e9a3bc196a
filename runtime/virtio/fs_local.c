// SPDX-License-Identifier: Apache-2.0
// fs_local.c - READ straight into guest memory, RELEASE, LSEEK, and the refusal of WRITE
#include "virtio/fs_local.h"

#include "base/checked.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static ssize_t do_read(struct fs_local *l, const struct fuse_in_header *in, const void *arg,
		       const struct chain *c)
{
	struct fuse_read_in r;
	memcpy(&r, arg, sizeof(r));
	int fd = fs_handle_fd(l->files, in->nodeid, r.fh);
	if (fd < 0)
		return fd;
	size_t room = c->in_len - sizeof(struct fuse_out_header);
	if (r.size > FS_LOCAL_READ_MAX || r.size > room ||
	    r.offset > (uint64_t)INT64_MAX - FS_LOCAL_READ_MAX)
		return -EINVAL;
	int n = chain_in_slice(c, sizeof(struct fuse_out_header), r.size, l->iov);
	if (n <= 0)
		return n;
	ssize_t got;
	do {
		got = preadv(fd, l->iov, n, (off_t)r.offset);
	} while (got < 0 && errno == EINTR);
	return got < 0 ? -errno : got;
}

static ssize_t do_write(struct fs_local *l, const struct fuse_in_header *in, const void *arg)
{
	struct fuse_write_in w;
	memcpy(&w, arg, sizeof(w));
	int fd = fs_handle_fd(l->files, in->nodeid, w.fh);
	return fd < 0 ? fd : -EROFS;
}

static ssize_t do_lseek(struct fs_local *l, const struct fuse_in_header *in, const void *arg,
			const struct chain *c)
{
	struct fuse_lseek_in s;
	memcpy(&s, arg, sizeof(s));
	int fd = fs_handle_fd(l->files, in->nodeid, s.fh);
	if (fd < 0)
		return fd;
	if ((s.whence != SEEK_DATA && s.whence != SEEK_HOLE) || s.offset > INT64_MAX)
		return -EINVAL;
	/* The descriptor's own offset is used by nobody: reads name theirs. */
	off_t off = lseek(fd, (off_t)s.offset, (int)s.whence);
	if (off < 0)
		return -errno;
	struct fuse_lseek_out out = {.offset = (uint64_t)off};
	int ret = chain_write(c, sizeof(struct fuse_out_header), &out, sizeof(out));
	return ret < 0 ? ret : (ssize_t)sizeof(out);
}

bool fs_local_serves(uint32_t opcode)
{
	switch (opcode) {
	case FUSE_READ:
	case FUSE_WRITE:
	case FUSE_LSEEK:
	case FUSE_RELEASE:
	case FUSE_FLUSH:
	case FUSE_FSYNC:
	case FUSE_FSYNCDIR: return true;
	default: return false;
	}
}

ssize_t fs_local_serve(struct fs_local *l, const struct fuse_in_header *in, const void *arg,
		       const struct chain *c)
{
	struct fuse_release_in release;
	switch (in->opcode) {
	case FUSE_READ: return do_read(l, in, arg, c);
	case FUSE_WRITE: return do_write(l, in, arg);
	case FUSE_LSEEK: return do_lseek(l, in, arg, c);
	case FUSE_RELEASE:
		memcpy(&release, arg, sizeof(release));
		return fs_handle_close(l->files, in->nodeid, release.fh);
	default:
		/* Nothing was written, so nothing is to be flushed: Linux will not ask again. */
		return -ENOSYS;
	}
}
