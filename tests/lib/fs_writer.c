// SPDX-License-Identifier: Apache-2.0
// fs_writer.c - requests that change something
#include "lib/fs_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

/* cmocka wants these four first. */
#include <cmocka.h>

int fx_names(struct fs_fixture *fx, uint32_t opcode, uint64_t node, const void *arg, size_t len,
	     const char *a, const char *b)
{
	char body[1024];
	if (len > 0)
		memcpy(body, arg, len);
	size_t at = len;
	memcpy(body + at, a, strlen(a) + 1);
	at += strlen(a) + 1;
	if (b) {
		memcpy(body + at, b, strlen(b) + 1);
		at += strlen(b) + 1;
	}
	return fx_call(fx, opcode, node, body, at);
}

static int entry(struct fs_fixture *fx, int ret, struct fuse_entry_out *e)
{
	if (ret < 0)
		return ret;
	assert_true(ret >= (int)sizeof(*e));
	memcpy(e, fx_data(fx), sizeof(*e));
	return 0;
}

int fx_create(struct fs_fixture *fx, uint64_t dir, const char *name, uint32_t flags, uint32_t mode,
	      struct fuse_entry_out *e)
{
	struct fuse_create_in in = {.flags = flags | O_CREAT, .mode = S_IFREG | mode};
	return entry(fx, fx_names(fx, FUSE_CREATE, dir, &in, sizeof(in), name, NULL), e);
}

int fx_mknod(struct fs_fixture *fx, uint64_t dir, const char *name, uint32_t mode,
	     struct fuse_entry_out *e)
{
	struct fuse_mknod_in in = {.mode = mode};
	return entry(fx, fx_names(fx, FUSE_MKNOD, dir, &in, sizeof(in), name, NULL), e);
}

int fx_mkdir(struct fs_fixture *fx, uint64_t dir, const char *name, uint32_t mode,
	     struct fuse_entry_out *e)
{
	struct fuse_mkdir_in in = {.mode = mode};
	return entry(fx, fx_names(fx, FUSE_MKDIR, dir, &in, sizeof(in), name, NULL), e);
}

int fx_remove(struct fs_fixture *fx, uint64_t dir, const char *name, bool is_dir)
{
	return fx_names(fx, is_dir ? FUSE_RMDIR : FUSE_UNLINK, dir, NULL, 0, name, NULL);
}

int fx_rename(struct fs_fixture *fx, uint64_t from, const char *old, uint64_t to, const char *name,
	      uint32_t flags)
{
	struct fuse_rename2_in in = {.newdir = to, .flags = flags};
	return fx_names(fx, FUSE_RENAME2, from, &in, sizeof(in), old, name);
}

int fx_setattr(struct fs_fixture *fx, uint64_t node, const struct fuse_setattr_in *in,
	       struct fuse_attr *attr)
{
	struct fuse_attr_out out;
	int ret = fx_call(fx, FUSE_SETATTR, node, in, sizeof(*in));
	if (ret < 0)
		return ret;
	assert_int_equal(ret, sizeof(out));
	memcpy(&out, fx_data(fx), sizeof(out));
	*attr = out.attr;
	return 0;
}

uint64_t fx_fh(const struct fs_fixture *fx)
{
	struct fuse_open_out out;
	memcpy(&out, (const char *)fx_data(fx) + fx->reply_len - sizeof(out), sizeof(out));
	return out.fh;
}

int fx_pwrite(struct fs_fixture *fx, uint64_t node, uint64_t fh, size_t len, uint64_t off)
{
	static char body[70000];
	struct fuse_write_in in = {.fh = fh, .size = (uint32_t)len, .offset = off};
	memset(body, 'w', sizeof(body));
	memcpy(body, &in, sizeof(in));
	int ret = fx_call(fx, FUSE_WRITE, node, body, sizeof(in) + len);
	if (ret < 0)
		return ret;
	struct fuse_write_out out;
	assert_int_equal(ret, sizeof(out));
	memcpy(&out, fx_data(fx), sizeof(out));
	return (int)out.size;
}

int fx_release(struct fs_fixture *fx, uint64_t node, uint64_t fh)
{
	struct fuse_release_in in = {.fh = fh};
	return fx_call(fx, FUSE_RELEASE, node, &in, sizeof(in));
}
