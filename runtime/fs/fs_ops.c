// SPDX-License-Identifier: Apache-2.0
// fs_ops.c - the table of FUSE operations
#include "fs/fs_ops.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "fs/fs_attr.h"
#include "fs/fs_call.h"
#include "fs/fs_lookup.h"
#include "fs/fs_open.h"
#include "fs/fs_ops_change.h"
#include "fs/fs_quota.h"
#include "fs/fs_wire.h"
#include "fs/fs_xattr.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>

/* Oldest guest we speak with: Linux 5.4. */
#define MINOR_MIN 31u

#define INIT_FLAGS_WANTED                                                                          \
	(FUSE_ASYNC_READ | FUSE_PARALLEL_DIROPS | FUSE_BIG_WRITES | FUSE_AUTO_INVAL_DATA |         \
	 FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO | FUSE_MAX_PAGES | FUSE_CACHE_SYMLINKS |      \
	 FUSE_ASYNC_DIO)
#define INIT_MAX_PAGES 256
#define INIT_MAX_WRITE (1u << 20)
#define INIT_BACKGROUND 64
#define INIT_CONGESTION 48
#define INIT_MAX_READAHEAD (1u << 20)

static void forget_everything(struct fs *fs)
{
	fs_file_close_all(fs);
	fs_dir_close_all(fs);
	fs_node_reset(&fs->nodes);
}

static int op_init(struct call *c)
{
	struct fuse_init_in in = {0};
	memcpy(&in, c->arg, MIN(c->arg_len, sizeof(in)));
	/* A new driver: what an older one held is gone. */
	forget_everything(c->fs);
	struct fuse_init_out out = {.major = FUSE_KERNEL_VERSION,
				    .minor = FUSE_KERNEL_MINOR_VERSION};
	if (in.major > FUSE_KERNEL_VERSION)
		return reply(c, &out, sizeof(out)); /* it will ask again with our major */
	if (in.major < FUSE_KERNEL_VERSION || in.minor < MINOR_MIN)
		return -EPROTO;
	out.minor = MIN(in.minor, out.minor);
	out.max_readahead = MIN(in.max_readahead, INIT_MAX_READAHEAD);
	out.flags = in.flags & INIT_FLAGS_WANTED;
	/* No set-ID bit is shown, and the host's kernel takes them away. */
	if (c->fs->writable)
		out.flags |= in.flags & FUSE_HANDLE_KILLPRIV_V2;
	out.max_background = INIT_BACKGROUND;
	out.congestion_threshold = INIT_CONGESTION;
	out.max_write = c->fs->quota ? FS_WIRE_WRITE_MAX : INIT_MAX_WRITE;
	out.max_pages = INIT_MAX_PAGES;
	out.time_gran = 1;
	return reply(c, &out, sizeof(out));
}

static int op_destroy(struct call *c)
{
	forget_everything(c->fs);
	return 0;
}

static int op_lookup(struct call *c)
{
	const char *name = (const char *)c->arg;
	struct fuse_entry_out e;
	uint32_t ttl = fs_attr_ttl_ms(c->fs, c->node);
	int ret = fs_tree_name_ok(name);
	if (ret < 0)
		return ret;
	if (c->fs->careful > 0) {
		c->fs->careful--;
		ret = fs_lookup_careful(c->fs, c->node, name, &e);
	} else {
		ret = fs_lookup(c->fs, c->node, -1, name, &e);
	}
	if (ret == -ENOENT && ttl >= FS_TTL_LONG_MS) {
		/* Node 0: there is no such name, and the guest may remember that. */
		e = (struct fuse_entry_out){.entry_valid = ttl / 1000};
		ret = 0;
	}
	return ret < 0 ? ret : reply(c, &e, sizeof(e));
}

static void forget_one(struct fs *fs, uint64_t id, uint64_t count)
{
	struct fs_node *n = fs_node_get(&fs->nodes, id);
	if (n && (n->flags & FS_NODE_PINNED))
		return;
	if (!n || !fs_node_forget(&fs->nodes, n, count))
		log_guest(&fs->limit, "the guest forgot a file that it had not looked up");
}

static int op_forget(struct call *c)
{
	struct fuse_forget_in in = ARGS(c, struct fuse_forget_in);
	forget_one(c->fs, c->nodeid, in.nlookup);
	return 0;
}

static int op_batch_forget(struct call *c)
{
	struct fuse_batch_forget_in head = ARGS(c, struct fuse_batch_forget_in);
	for (uint32_t i = 0; i < head.count; i++) {
		struct fuse_forget_one one;
		memcpy(&one, c->arg + sizeof(head) + i * sizeof(one), sizeof(one));
		forget_one(c->fs, one.nodeid, one.nlookup);
	}
	return 0;
}

static int op_getattr(struct call *c)
{
	struct fuse_attr_out out;
	int ret = fs_lookup_attr(c->fs, c->node, &out);
	return ret < 0 ? ret : reply(c, &out, sizeof(out));
}

static int op_readlink(struct call *c)
{
	if (c->node->key.kind != FS_KIND_REAL || c->node->key.type != FS_TYPE(S_IFLNK))
		return -EINVAL;
	int fd = fs_cache_fd(c->fs, c->node);
	if (fd < 0)
		return fd;
	size_t max = MIN(c->room, (size_t)PATH_MAX - 1);
	ssize_t n = readlinkat(fd, "", (char *)c->out, max);
	if (n < 0)
		return -errno;
	c->used = (size_t)n;
	return 0;
}

static int op_open(struct call *c)
{
	struct fuse_open_in in = ARGS(c, struct fuse_open_in);
	struct fuse_open_out out = {0};
	if (c->room < sizeof(out))
		return -EINVAL;
	struct fs_opened o;
	int ret = fs_open_file(c->fs, c->node, in.flags, &o);
	if (ret < 0)
		return ret;
	out.fh = o.fh;
	out.open_flags = o.open_flags;
	c->fd = o.fd;
	return reply(c, &out, sizeof(out));
}

static int op_opendir(struct call *c)
{
	struct fuse_open_out out = {.open_flags = fs_open_flags(c->fs, c->node)};
	if (c->room < sizeof(out))
		return -EINVAL;
	int ret = fs_dir_open(c->fs, c->node, &out.fh);
	return ret < 0 ? ret : reply(c, &out, sizeof(out));
}

static int op_readdir(struct call *c)
{
	struct fuse_read_in in = ARGS(c, struct fuse_read_in);
	int n = fs_dir_read(c->fs, c->node, in.fh, in.offset, c->out, MIN(in.size, c->room),
			    c->opcode == FUSE_READDIRPLUS);
	if (n < 0)
		return n;
	c->used = (size_t)n;
	return 0;
}

static int op_releasedir(struct call *c)
{
	struct fuse_release_in in = ARGS(c, struct fuse_release_in);
	return fs_dir_close(c->fs, c->nodeid, in.fh);
}

static int op_statfs(struct call *c)
{
	struct fuse_statfs_out out = {.st = {.bsize = 4096, .frsize = 4096, .namelen = NAME_MAX}};
	if (c->node->key.kind == FS_KIND_REAL) {
		struct statfs s;
		int fd = fs_cache_fd(c->fs, c->node);
		if (fd < 0)
			return fd;
		if (fstatfs(fd, &s) < 0)
			return -errno;
		fs_quota_statfs(fs_tree_view(c->fs, c->node), &s);
		out.st.blocks = s.f_blocks;
		out.st.bfree = s.f_bfree;
		out.st.bavail = s.f_bavail;
		out.st.files = s.f_files;
		out.st.ffree = s.f_ffree;
		out.st.bsize = (uint32_t)s.f_bsize;
		out.st.frsize = (uint32_t)s.f_frsize;
		out.st.namelen = (uint32_t)s.f_namelen;
	}
	return reply(c, &out, sizeof(out));
}

/* The guest's kernel compares modes itself (virtiofs mounts have default_permissions). */
static int op_access(struct call *c)
{
	struct fuse_access_in in = ARGS(c, struct fuse_access_in);
	struct fuse_attr_out attr;
	if ((in.mask & W_OK) && !fs_tree_writable(c->fs, c->node))
		return -EROFS;
	return fs_lookup_attr(c->fs, c->node, &attr);
}

/* Both xattr requests ask for the size with size 0. */
static int xattr_reply(struct call *c, uint32_t asked, ssize_t n)
{
	if (n < 0)
		return (int)n;
	if (asked == 0) {
		struct fuse_getxattr_out out = {.size = (uint32_t)n};
		return reply(c, &out, sizeof(out));
	}
	c->used = (size_t)n;
	return 0;
}

static int op_getxattr(struct call *c)
{
	struct fuse_getxattr_in in = ARGS(c, struct fuse_getxattr_in);
	const char *name = (const char *)c->arg + sizeof(in);
	if (c->fs->no_xattr && !fs_tree_writable(c->fs, c->node))
		return c->fs->writable ? -ENODATA : -ENOSYS;
	size_t size = MIN(in.size, c->room);
	if (in.size > 0 && size == 0)
		return -ERANGE;
	return xattr_reply(c, in.size, fs_xattr_get(c->fs, c->node, name, c->out, size));
}

static int op_listxattr(struct call *c)
{
	struct fuse_getxattr_in in = ARGS(c, struct fuse_getxattr_in);
	if (c->fs->no_xattr && !fs_tree_writable(c->fs, c->node))
		return c->fs->writable ? xattr_reply(c, in.size, 0) : -ENOSYS;
	size_t size = MIN(in.size, c->room);
	if (in.size > 0 && size == 0)
		return -ERANGE;
	return xattr_reply(c, in.size, fs_xattr_list(c->fs, c->node, (char *)c->out, size));
}

/* The one place where it is decided whether anything may change. */
static int op_change(struct call *c)
{
	if (!c->fs->writable)
		return -EROFS;
	int ret = c->node ? 0 : -ESTALE;
	if (ret == 0 && !fs_tree_writable(c->fs, c->node))
		ret = -EROFS;
	if (ret == 0 && c->room < fs_wire_op(c->opcode)->reply)
		ret = -EINVAL;
	return ret < 0 ? ret : fs_ops_change(c->opcode)(c);
}

/* Files that fs keeps; of the others it knows nothing. */
static int op_release(struct call *c)
{
	struct fuse_release_in in = ARGS(c, struct fuse_release_in);
	return c->fs->writable ? fs_file_close(c->fs, c->nodeid, in.fh) : -ENOSYS;
}

static int op_fsync(struct call *c)
{
	return c->fs->writable ? op_change(c) : -ENOSYS;
}

/* READ, LSEEK and the like belong to the device; FLUSH has nothing to do, as nothing is kept back.
 * ENOSYS makes Linux stop asking where it can. */
static int op_not_here(struct call *c)
{
	(void)c;
	return -ENOSYS;
}

static int op_nothing(struct call *c)
{
	(void)c;
	return 0;
}

struct row {
	op_fn *fn;
	bool no_node; /* the header's node id is not used, or may be gone */
};

static const struct row rows[] = {
	[FUSE_LOOKUP] = {op_lookup, false},
	[FUSE_FORGET] = {op_forget, true},
	[FUSE_GETATTR] = {op_getattr, false},
	[FUSE_SETATTR] = {op_change, true},
	[FUSE_READLINK] = {op_readlink, false},
	[FUSE_SYMLINK] = {op_change, true},
	[FUSE_MKNOD] = {op_change, true},
	[FUSE_MKDIR] = {op_change, true},
	[FUSE_UNLINK] = {op_change, true},
	[FUSE_RMDIR] = {op_change, true},
	[FUSE_RENAME] = {op_change, true},
	[FUSE_LINK] = {op_change, true},
	[FUSE_OPEN] = {op_open, false},
	[FUSE_READ] = {op_not_here, true},
	[FUSE_WRITE] = {op_change, true},
	[FUSE_STATFS] = {op_statfs, false},
	[FUSE_RELEASE] = {op_release, true},
	[FUSE_FSYNC] = {op_fsync, true},
	[FUSE_SETXATTR] = {op_change, true},
	[FUSE_GETXATTR] = {op_getxattr, false},
	[FUSE_LISTXATTR] = {op_listxattr, false},
	[FUSE_REMOVEXATTR] = {op_change, true},
	[FUSE_FLUSH] = {op_not_here, true},
	[FUSE_INIT] = {op_init, true},
	[FUSE_OPENDIR] = {op_opendir, false},
	[FUSE_READDIR] = {op_readdir, false},
	[FUSE_RELEASEDIR] = {op_releasedir, true},
	[FUSE_FSYNCDIR] = {op_fsync, true},
	[FUSE_ACCESS] = {op_access, false},
	[FUSE_CREATE] = {op_change, true},
	[FUSE_INTERRUPT] = {op_nothing, true},
	[FUSE_DESTROY] = {op_destroy, true},
	[FUSE_BATCH_FORGET] = {op_batch_forget, true},
	[FUSE_FALLOCATE] = {op_change, true},
	[FUSE_READDIRPLUS] = {op_readdir, false},
	[FUSE_RENAME2] = {op_change, true},
	[FUSE_LSEEK] = {op_not_here, true},
	[FUSE_COPY_FILE_RANGE] = {op_change, true},
	[FUSE_TMPFILE] = {op_change, true},
};

static int dispatch(struct call *c, const struct fuse_in_header *in)
{
	const struct row *row = in->opcode < ARRAY_SIZE(rows) ? &rows[in->opcode] : NULL;
	if (!row || !row->fn)
		return -ENOSYS;
	/* Who can change nothing is told so, however he asks. */
	if (row->fn == op_change && !c->fs->writable)
		return -EROFS;
	int ret = fs_wire_check(in, c->arg, c->arg_len);
	if (ret < 0)
		return ret;
	c->node = fs_node_get(&c->fs->nodes, in->nodeid);
	if (!c->node && !row->no_node)
		return -ESTALE;
	return row->fn(c);
}

size_t fs_ops_serve(struct fs *fs, const void *msg, size_t len, void *out, size_t room, int *fd)
{
	struct fuse_in_header in;
	struct fuse_out_header head = {.len = sizeof(head)};
	*fd = -1;
	if (len < sizeof(in))
		return 0;
	memcpy(&in, msg, sizeof(in));
	const struct fs_wire_op *op = fs_wire_op(in.opcode);
	bool silent = op && op->no_reply;
	if (!silent && room < sizeof(head))
		return 0;
	struct call c = {
		.fs = fs,
		.nodeid = in.nodeid,
		.opcode = in.opcode,
		.arg = (const uint8_t *)msg + sizeof(in),
		.arg_len = len - sizeof(in),
		.out = silent ? NULL : (uint8_t *)out + sizeof(head),
		.room = silent ? 0 : room - sizeof(head),
		.fd = -1,
	};
	fs->caller = in.pid;
	int ret = in.len == len ? dispatch(&c, &in) : -EINVAL;
	if (ret == -ESTALE)
		fs->careful = FS_CAREFUL_LOOKUPS;
	if (silent)
		return 0;
	head.unique = in.unique;
	if (ret < 0)
		head.error = ret < -FS_WIRE_ERRNO_MAX ? -EIO : ret;
	else
		head.len += (uint32_t)c.used;
	memcpy(out, &head, sizeof(head));
	if (ret < 0)
		close_fd(&c.fd);
	*fd = c.fd;
	return head.len;
}
