// SPDX-License-Identifier: Apache-2.0
// fs_wire.c - the one table of FUSE requests: sizes, strings, replies
#include "fs/fs_wire.h"

#include "base/checked.h"

#include <errno.h>
#include <string.h>

/* INIT of the oldest protocol we speak: major, minor, max_readahead, flags. */
#define INIT_ARGS_MIN 16

#define OP(op, shape_, args_, reply_)                                                              \
	[FUSE_##op] = {.name = #op, .shape = FS_WIRE_##shape_, .args = (args_), .reply = (reply_)}
#define OP_SILENT(op, shape_, args_)                                                               \
	[FUSE_##op] = {.name = #op, .shape = FS_WIRE_##shape_, .args = (args_), .no_reply = true}

static const struct fs_wire_op ops[] = {
	OP(LOOKUP, NAME, 0, sizeof(struct fuse_entry_out)),
	OP_SILENT(FORGET, EXACT, sizeof(struct fuse_forget_in)),
	OP(GETATTR, EXACT, sizeof(struct fuse_getattr_in), sizeof(struct fuse_attr_out)),
	OP(SETATTR, EXACT, sizeof(struct fuse_setattr_in), sizeof(struct fuse_attr_out)),
	OP(READLINK, EXACT, 0, 0),
	OP(SYMLINK, NAMES, 0, sizeof(struct fuse_entry_out)),
	OP(MKNOD, NAME, sizeof(struct fuse_mknod_in), sizeof(struct fuse_entry_out)),
	OP(MKDIR, NAME, sizeof(struct fuse_mkdir_in), sizeof(struct fuse_entry_out)),
	OP(UNLINK, NAME, 0, 0),
	OP(RMDIR, NAME, 0, 0),
	OP(RENAME, NAMES, sizeof(struct fuse_rename_in), 0),
	OP(LINK, NAME, sizeof(struct fuse_link_in), sizeof(struct fuse_entry_out)),
	OP(OPEN, EXACT, sizeof(struct fuse_open_in), sizeof(struct fuse_open_out)),
	OP(READ, EXACT, sizeof(struct fuse_read_in), 0),
	OP(WRITE, OPEN, sizeof(struct fuse_write_in), sizeof(struct fuse_write_out)),
	OP(STATFS, EXACT, 0, sizeof(struct fuse_statfs_out)),
	OP(RELEASE, EXACT, sizeof(struct fuse_release_in), 0),
	OP(FSYNC, EXACT, sizeof(struct fuse_fsync_in), 0),
	OP(SETXATTR, VALUE, FUSE_COMPAT_SETXATTR_IN_SIZE, 0),
	OP(GETXATTR, NAME, sizeof(struct fuse_getxattr_in), 0),
	OP(LISTXATTR, EXACT, sizeof(struct fuse_getxattr_in), 0),
	OP(REMOVEXATTR, NAME, 0, 0),
	OP(FLUSH, EXACT, sizeof(struct fuse_flush_in), 0),
	OP(INIT, OPEN, INIT_ARGS_MIN, sizeof(struct fuse_init_out)),
	OP(OPENDIR, EXACT, sizeof(struct fuse_open_in), sizeof(struct fuse_open_out)),
	OP(READDIR, EXACT, sizeof(struct fuse_read_in), 0),
	OP(RELEASEDIR, EXACT, sizeof(struct fuse_release_in), 0),
	OP(FSYNCDIR, EXACT, sizeof(struct fuse_fsync_in), 0),
	OP(ACCESS, EXACT, sizeof(struct fuse_access_in), 0),
	OP(CREATE, NAME, sizeof(struct fuse_create_in),
	   sizeof(struct fuse_entry_out) + sizeof(struct fuse_open_out)),
	OP_SILENT(INTERRUPT, EXACT, sizeof(struct fuse_interrupt_in)),
	OP(DESTROY, EXACT, 0, 0),
	OP_SILENT(BATCH_FORGET, FORGETS, sizeof(struct fuse_batch_forget_in)),
	OP(FALLOCATE, EXACT, sizeof(struct fuse_fallocate_in), 0),
	OP(READDIRPLUS, EXACT, sizeof(struct fuse_read_in), 0),
	OP(RENAME2, NAMES, sizeof(struct fuse_rename2_in), 0),
	OP(LSEEK, EXACT, sizeof(struct fuse_lseek_in), sizeof(struct fuse_lseek_out)),
	OP(COPY_FILE_RANGE, EXACT, sizeof(struct fuse_copy_file_range_in),
	   sizeof(struct fuse_write_out)),
	OP(TMPFILE, OPEN, 0, 0),
};

/* TMPFILE came with 7.37; older headers than ours are not supported. */
_Static_assert(ARRAY_SIZE(ops) == FUSE_TMPFILE + 1, "the last opcode of the table");

const struct fs_wire_op *fs_wire_op(uint32_t opcode)
{
	if (opcode >= ARRAY_SIZE(ops) || !ops[opcode].name)
		return NULL;
	return &ops[opcode];
}

static bool string_to_the_end(const char *s, size_t len)
{
	return len > 0 && memchr(s, '\0', len) == s + len - 1;
}

/* One string and then either one more up to the end, or anything. */
static bool string_first(const char *s, size_t len, bool another)
{
	const char *end = len > 0 ? memchr(s, '\0', len) : NULL;
	if (!end)
		return false;
	size_t first = (size_t)(end - s) + 1;
	return !another || string_to_the_end(s + first, len - first);
}

static bool forgets_fit(const void *body, size_t len)
{
	struct fuse_batch_forget_in head;
	memcpy(&head, body, sizeof(head));
	size_t bytes = len - sizeof(head);
	return bytes % sizeof(struct fuse_forget_one) == 0 &&
	       bytes / sizeof(struct fuse_forget_one) == head.count;
}

int fs_wire_check(const struct fuse_in_header *in, const void *body, size_t len)
{
	const struct fs_wire_op *op = fs_wire_op(in->opcode);
	if (!op)
		return -ENOSYS;
	bool ok = len >= op->args;
	switch (op->shape) {
	case FS_WIRE_EXACT: ok = len == op->args; break;
	case FS_WIRE_OPEN: break;
	case FS_WIRE_NAME:
		ok = ok && string_to_the_end((const char *)body + op->args, len - op->args);
		break;
	case FS_WIRE_NAMES:
	case FS_WIRE_VALUE:
		ok = ok && string_first((const char *)body + op->args, len - op->args,
					op->shape == FS_WIRE_NAMES);
		break;
	case FS_WIRE_FORGETS: ok = ok && forgets_fit(body, len); break;
	}
	return ok ? 0 : -EINVAL;
}
