// SPDX-License-Identifier: Apache-2.0
// fs_ops_change.c - from requests to fs_change.c, fs_setattr.c, fs_file.c and fs_xattr.c
#include "fs/fs_ops_change.h"

#include "base/checked.h"
#include "fs/fs_change.h"
#include "fs/fs_open.h"
#include "fs/fs_setattr.h"
#include "fs/fs_xattr.h"

#include <linux/fuse.h>
#include <sys/stat.h>
#include <unistd.h>

/* The string behind the arguments of a struct; fs_wire_check() has found its end. */
#define NAME_BEHIND(c, type) ((const char *)(c)->arg + sizeof(type))

static const char *second(const char *first)
{
	return first + strlen(first) + 1;
}

static int reply_entry(struct call *c, int ret, const struct fuse_entry_out *e)
{
	return ret < 0 ? ret : reply(c, e, sizeof(*e));
}

static int op_mknod(struct call *c)
{
	struct fuse_mknod_in in = ARGS(c, struct fuse_mknod_in);
	struct fuse_entry_out e;
	int ret = fs_change_mknod(c->fs, c->node, NAME_BEHIND(c, in), in.mode, &e);
	return reply_entry(c, ret, &e);
}

static int op_mkdir(struct call *c)
{
	struct fuse_mkdir_in in = ARGS(c, struct fuse_mkdir_in);
	struct fuse_entry_out e;
	int ret = fs_change_mkdir(c->fs, c->node, NAME_BEHIND(c, in), in.mode, &e);
	return reply_entry(c, ret, &e);
}

static int op_symlink(struct call *c)
{
	const char *name = (const char *)c->arg;
	struct fuse_entry_out e;
	int ret = fs_change_symlink(c->fs, c->node, name, second(name), &e);
	return reply_entry(c, ret, &e);
}

static int op_link(struct call *c)
{
	struct fuse_link_in in = ARGS(c, struct fuse_link_in);
	struct fuse_entry_out e;
	struct fs_node *old = fs_node_get(&c->fs->nodes, in.oldnodeid);
	if (!old)
		return -ESTALE;
	int ret = fs_change_link(c->fs, old, c->node, NAME_BEHIND(c, in), &e);
	return reply_entry(c, ret, &e);
}

static int op_unlink(struct call *c)
{
	return fs_change_remove(c->fs, c->node, (const char *)c->arg, c->opcode == FUSE_RMDIR);
}

static int rename_to(struct call *c, uint64_t newdir, const char *name, uint32_t flags)
{
	struct fs_node *to = fs_node_get(&c->fs->nodes, newdir);
	if (!to)
		return -ESTALE;
	return fs_change_rename(c->fs, c->node, name, to, second(name), flags);
}

static int op_rename(struct call *c)
{
	struct fuse_rename_in in = ARGS(c, struct fuse_rename_in);
	return rename_to(c, in.newdir, NAME_BEHIND(c, in), 0);
}

static int op_rename2(struct call *c)
{
	struct fuse_rename2_in in = ARGS(c, struct fuse_rename2_in);
	return rename_to(c, in.newdir, NAME_BEHIND(c, in), in.flags);
}

static int op_create(struct call *c)
{
	struct fuse_create_in in = ARGS(c, struct fuse_create_in);
	struct {
		struct fuse_entry_out entry;
		struct fuse_open_out open;
	} out = {0};
	struct fs_opened o;
	int ret = fs_change_create(c->fs, c->node, NAME_BEHIND(c, in), in.flags, in.mode,
				   &out.entry, &o);
	if (ret < 0)
		return ret;
	out.open.fh = o.fh;
	out.open.open_flags = o.open_flags;
	c->fd = o.fd;
	return reply(c, &out, sizeof(out));
}

static int op_setattr(struct call *c)
{
	struct fuse_setattr_in in = ARGS(c, struct fuse_setattr_in);
	struct fuse_attr_out out;
	int ret = fs_setattr(c->fs, c->node, &in, &out);
	return ret < 0 ? ret : reply(c, &out, sizeof(out));
}

static int op_write(struct call *c)
{
	struct fuse_write_in in = ARGS(c, struct fuse_write_in);
	if (in.size != c->arg_len - sizeof(in))
		return -EINVAL;
	int fd = fs_file_fd(c->fs, c->node, in.fh);
	if (fd < 0)
		return fd;
	ssize_t n = fs_file_write(c->fs, c->node, fd, c->arg + sizeof(in), in.size, in.offset);
	struct fuse_write_out out = {.size = (uint32_t)n};
	return n < 0 ? (int)n : reply(c, &out, sizeof(out));
}

static int op_fallocate(struct call *c)
{
	struct fuse_fallocate_in in = ARGS(c, struct fuse_fallocate_in);
	int fd = fs_file_fd(c->fs, c->node, in.fh);
	return fd < 0 ? fd : fs_file_allocate(c->fs, c->node, fd, in.mode, in.offset, in.length);
}

static int do_fsync(int fd, uint32_t flags)
{
	int ret = (flags & FUSE_FSYNC_FDATASYNC) ? fdatasync(fd) : fsync(fd);
	return ret < 0 ? -errno : 0;
}

static int op_fsync(struct call *c)
{
	struct fuse_fsync_in in = ARGS(c, struct fuse_fsync_in);
	int fd = fs_file_fd(c->fs, c->node, in.fh);
	return fd < 0 ? fd : do_fsync(fd, in.fsync_flags);
}

static int op_fsyncdir(struct call *c)
{
	struct fuse_fsync_in in = ARGS(c, struct fuse_fsync_in);
	int fd = fs_dir_fd(c->fs, c->node, in.fh);
	return fd < 0 ? fd : do_fsync(fd, in.fsync_flags);
}

static int op_setxattr(struct call *c)
{
	uint32_t head[FUSE_COMPAT_SETXATTR_IN_SIZE / sizeof(uint32_t)];
	memcpy(head, c->arg, sizeof(head));
	const char *name = (const char *)c->arg + sizeof(head);
	const char *value = second(name);
	size_t len = c->arg_len - (size_t)(value - (const char *)c->arg);
	if (head[0] != len)
		return -EINVAL;
	return fs_xattr_set(c->fs, c->node, name, value, len, head[1]);
}

static int op_removexattr(struct call *c)
{
	return fs_xattr_remove(c->fs, c->node, (const char *)c->arg);
}

/* The guest's kernel then says EOPNOTSUPP, as a file system without it does. */
static int op_missing(struct call *c)
{
	(void)c;
	return -ENOSYS;
}

op_fn *fs_ops_change(uint32_t opcode)
{
	static op_fn *const table[] = {
		[FUSE_SETATTR] = op_setattr,	 [FUSE_SYMLINK] = op_symlink,
		[FUSE_MKNOD] = op_mknod,	 [FUSE_MKDIR] = op_mkdir,
		[FUSE_UNLINK] = op_unlink,	 [FUSE_RMDIR] = op_unlink,
		[FUSE_RENAME] = op_rename,	 [FUSE_LINK] = op_link,
		[FUSE_WRITE] = op_write,	 [FUSE_FSYNC] = op_fsync,
		[FUSE_SETXATTR] = op_setxattr,	 [FUSE_REMOVEXATTR] = op_removexattr,
		[FUSE_FSYNCDIR] = op_fsyncdir,	 [FUSE_CREATE] = op_create,
		[FUSE_FALLOCATE] = op_fallocate, [FUSE_RENAME2] = op_rename2,
		[FUSE_TMPFILE] = op_missing,	 [FUSE_COPY_FILE_RANGE] = op_missing,
	};
	return opcode < ARRAY_SIZE(table) ? table[opcode] : NULL;
}
