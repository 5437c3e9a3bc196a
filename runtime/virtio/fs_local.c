// SPDX-License-Identifier: Apache-2.0
// fs_local.c - READ and WRITE between guest memory and files, and what else needs an open file
#include "virtio/fs_local.h"

#include "base/checked.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* A copy holds up the other requests meanwhile. */
#define FS_LOCAL_COPY_MAX (16u << 20)

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

/* The guest's number of a file, at this place in the arguments, becomes the fs process's. */
static ssize_t to_server(const struct fs_handle *h, uint8_t *arg, size_t at)
{
	memcpy(arg + at, &h->remote, sizeof(h->remote));
	return FS_LOCAL_FORWARD;
}

static ssize_t do_write(struct fs_local *l, const struct fuse_in_header *in, uint8_t *arg,
			const struct chain *c)
{
	struct fuse_write_in w;
	memcpy(&w, arg, sizeof(w));
	const struct fs_handle *h = fs_handle_get(l->files, in->nodeid, w.fh);
	if (!h)
		return -EBADF;
	if (!h->rw)
		return -EROFS;
	if (w.size > FS_LOCAL_WRITE_MAX || w.size != c->out_len - sizeof(*in) - sizeof(w))
		return -EINVAL;
	if (h->kept)
		return to_server(h, arg, offsetof(struct fuse_write_in, fh));
	if (w.offset > (uint64_t)INT64_MAX - w.size)
		return -EFBIG;
	int n = chain_out_slice(c, sizeof(*in) + sizeof(w), w.size, l->iov);
	if (n < 0)
		return n;
	ssize_t done = 0;
	do {
		done = n > 0 ? pwritev(h->fd, l->iov, n, (off_t)w.offset) : 0;
	} while (done < 0 && errno == EINTR);
	if (done < 0)
		return -errno;
	struct fuse_write_out out = {.size = (uint32_t)done};
	int ret = chain_write(c, sizeof(struct fuse_out_header), &out, sizeof(out));
	return ret < 0 ? ret : (ssize_t)sizeof(out);
}

static ssize_t do_fsync(struct fs_local *l, const struct fuse_in_header *in, uint8_t *arg)
{
	struct fuse_fsync_in s;
	memcpy(&s, arg, sizeof(s));
	/* Nothing can be written, so nothing is to be flushed: Linux will not ask again. */
	if (!l->writable)
		return -ENOSYS;
	const struct fs_handle *h = fs_handle_get(l->files, in->nodeid, s.fh);
	if (!h)
		return -EBADF;
	if (!h->rw)
		return 0;
	if (h->fd < 0)
		return to_server(h, arg, offsetof(struct fuse_fsync_in, fh));
	int ret = (s.fsync_flags & FUSE_FSYNC_FDATASYNC) ? fdatasync(h->fd) : fsync(h->fd);
	return ret < 0 ? -errno : 0;
}

static ssize_t do_fallocate(struct fs_local *l, const struct fuse_in_header *in, uint8_t *arg)
{
	struct fuse_fallocate_in f;
	memcpy(&f, arg, sizeof(f));
	const struct fs_handle *h = fs_handle_get(l->files, in->nodeid, f.fh);
	if (!h)
		return -EBADF;
	if (!h->rw)
		return -EROFS;
	if (h->kept)
		return to_server(h, arg, offsetof(struct fuse_fallocate_in, fh));
	if (f.offset > INT64_MAX || f.length > (uint64_t)INT64_MAX - f.offset)
		return -EFBIG;
	return fallocate(h->fd, (int)f.mode, (off_t)f.offset, (off_t)f.length) < 0 ? -errno : 0;
}

static ssize_t do_copy(struct fs_local *l, const struct fuse_in_header *in, const uint8_t *arg,
		       const struct chain *c)
{
	struct fuse_copy_file_range_in r;
	memcpy(&r, arg, sizeof(r));
	const struct fs_handle *from = fs_handle_get(l->files, in->nodeid, r.fh_in);
	const struct fs_handle *to = fs_handle_get(l->files, r.nodeid_out, r.fh_out);
	if (!from || !to || from->fd < 0)
		return -EBADF;
	if (!to->rw)
		return -EROFS;
	/* The guest's kernel then copies by reading and writing. */
	if (to->kept)
		return -EOPNOTSUPP;
	if (r.flags != 0 || r.off_in > INT64_MAX || r.off_out > INT64_MAX)
		return -EINVAL;
	off_t at = (off_t)r.off_in;
	off_t out_at = (off_t)r.off_out;
	ssize_t done = copy_file_range(from->fd, &at, to->fd, &out_at,
				       MIN(r.len, (uint64_t)FS_LOCAL_COPY_MAX), 0);
	if (done < 0)
		return -errno;
	struct fuse_write_out out = {.size = (uint32_t)done};
	int ret = chain_write(c, sizeof(struct fuse_out_header), &out, sizeof(out));
	return ret < 0 ? ret : (ssize_t)sizeof(out);
}

/*
 * ftruncate() is ours because the file may be one that can't be opened for writing once more; what
 * else is to change, and the answer, are the fs process's.
 */
static ssize_t do_setattr(struct fs_local *l, const struct fuse_in_header *in, uint8_t *arg)
{
	struct fuse_setattr_in s;
	memcpy(&s, arg, sizeof(s));
	if (!l->writable || (s.valid & (FATTR_SIZE | FATTR_FH)) != (FATTR_SIZE | FATTR_FH))
		return FS_LOCAL_FORWARD;
	const struct fs_handle *h = fs_handle_get(l->files, in->nodeid, s.fh);
	if (!h)
		return -EBADF;
	if (h->kept)
		return to_server(h, arg, offsetof(struct fuse_setattr_in, fh));
	if (!h->rw)
		return -EROFS;
	if (s.size > INT64_MAX)
		return -EFBIG;
	if (ftruncate(h->fd, (off_t)s.size) < 0)
		return -errno;
	s.valid &= ~(uint32_t)(FATTR_SIZE | FATTR_FH);
	memcpy(arg, &s, sizeof(s));
	return FS_LOCAL_FORWARD;
}

/* A kept one's own handle is closed when the request is on its way. */
static ssize_t do_release(struct fs_local *l, const struct fuse_in_header *in, uint8_t *arg)
{
	struct fuse_release_in r;
	memcpy(&r, arg, sizeof(r));
	const struct fs_handle *h = fs_handle_get(l->files, in->nodeid, r.fh);
	if (h && h->kept)
		return to_server(h, arg, offsetof(struct fuse_release_in, fh));
	return fs_handle_close(l->files, in->nodeid, r.fh);
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
	case FUSE_FSYNCDIR:
	case FUSE_FALLOCATE:
	case FUSE_SETATTR:
	case FUSE_COPY_FILE_RANGE: return true;
	default: return false;
	}
}

ssize_t fs_local_serve(struct fs_local *l, const struct fuse_in_header *in, uint8_t *arg,
		       const struct chain *c)
{
	switch (in->opcode) {
	case FUSE_READ: return do_read(l, in, arg, c);
	case FUSE_WRITE: return do_write(l, in, arg, c);
	case FUSE_LSEEK: return do_lseek(l, in, arg, c);
	case FUSE_RELEASE: return do_release(l, in, arg);
	case FUSE_FSYNC: return do_fsync(l, in, arg);
	case FUSE_FSYNCDIR: return l->writable ? FS_LOCAL_FORWARD : -ENOSYS;
	case FUSE_FALLOCATE: return do_fallocate(l, in, arg);
	case FUSE_SETATTR: return do_setattr(l, in, arg);
	case FUSE_COPY_FILE_RANGE: return do_copy(l, in, arg, c);
	default:
		/* Nothing is kept back, so there is nothing to flush: Linux will not ask again. */
		return -ENOSYS;
	}
}
