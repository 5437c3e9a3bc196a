// SPDX-License-Identifier: Apache-2.0
// fs_writer.h - requests that change something, to the server of fs_fixture.h
#ifndef MAYFLY_TESTS_FS_WRITER_H
#define MAYFLY_TESTS_FS_WRITER_H

#include "lib/fs_fixture.h"

/* fx_names() - arguments, then one name or two; as fx_call(). */
int fx_names(struct fs_fixture *fx, uint32_t opcode, uint64_t node, const void *arg, size_t len,
	     const char *a, const char *b);

/* All: 0 or -errno. */
int fx_create(struct fs_fixture *fx, uint64_t dir, const char *name, uint32_t flags, uint32_t mode,
	      struct fuse_entry_out *e);
int fx_mknod(struct fs_fixture *fx, uint64_t dir, const char *name, uint32_t mode,
	     struct fuse_entry_out *e);
int fx_mkdir(struct fs_fixture *fx, uint64_t dir, const char *name, uint32_t mode,
	     struct fuse_entry_out *e);
int fx_remove(struct fs_fixture *fx, uint64_t dir, const char *name, bool is_dir);
int fx_rename(struct fs_fixture *fx, uint64_t from, const char *old, uint64_t to, const char *name,
	      uint32_t flags);
int fx_setattr(struct fs_fixture *fx, uint64_t node, const struct fuse_setattr_in *in,
	       struct fuse_attr *attr);

/* fx_fh() - the number in the reply to OPEN or CREATE. */
uint64_t fx_fh(const struct fs_fixture *fx);

/* fx_pwrite() - WRITE of len bytes 'w': the bytes written, or -errno. */
int fx_pwrite(struct fs_fixture *fx, uint64_t node, uint64_t fh, size_t len, uint64_t off);
int fx_release(struct fs_fixture *fx, uint64_t node, uint64_t fh);

#endif
