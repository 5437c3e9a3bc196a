// SPDX-License-Identifier: Apache-2.0
// erofs_read.h - reads the EROFS images that erofs_write.c writes; trusts no number in them
#ifndef MAYFLY_IMAGE_EROFS_READ_H
#define MAYFLY_IMAGE_EROFS_READ_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct erofs {
	int fd; /* borrowed */
	uint64_t bytes;
	uint64_t root; /* nid */
};

struct erofs_file {
	uint64_t nid;
	mode_t mode;
	uint32_t uid, gid;
	uint32_t nlink;
	uint64_t size;
	int64_t mtime;
	uint32_t mtime_nsec;
	uint64_t data; /* place in the image */
	uint64_t xattrs;
	uint32_t xattr_bytes;
};

/* erofs_open() - checks the superblock and the length; 0 or -errno with text. */
int erofs_open(struct erofs *fs, int fd, struct err *e);

/* erofs_stat() - an inode by its number; 0 or -errno with text. */
int erofs_stat(const struct erofs *fs, uint64_t nid, struct erofs_file *out, struct err *e);

/* erofs_pread() - reads all of [at, at + len) of a file or link; 0 or -errno with text. */
int erofs_pread(const struct erofs *fs, const struct erofs_file *f, uint64_t at, void *buf,
		size_t len, struct err *e);

/*
 * erofs_dir() - calls fn for each entry but "." and "..", in order, until it returns non-zero.
 * Names hold no '/' and have 1 to 255 bytes. Returns 0, what fn returned, or -errno with text.
 */
typedef int erofs_entry_fn(const char *name, uint64_t nid, void *arg, struct err *e);
int erofs_dir(const struct erofs *fs, const struct erofs_file *dir, erofs_entry_fn *fn, void *arg,
	      struct err *e);

/* erofs_xattrs() - the same for extended attributes; names with their prefix. */
typedef int erofs_xattr_fn(const char *name, const void *value, size_t len, void *arg,
			   struct err *e);
int erofs_xattrs(const struct erofs *fs, const struct erofs_file *f, erofs_xattr_fn *fn, void *arg,
		 struct err *e);

/*
 * erofs_find() - the file that a path leads to; links are followed, inside of the image.
 * Returns 0, -ENOENT, -ENOTDIR, -ELOOP or another -errno.
 */
int erofs_find(const struct erofs *fs, const char *path, struct erofs_file *out);

#endif
