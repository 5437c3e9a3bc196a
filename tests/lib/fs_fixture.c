// SPDX-License-Identifier: Apache-2.0
// fs_fixture.c - temporary tree and a small FUSE client
#include "lib/fs_fixture.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/fdpass.h"
#include "fs/fs_ops.h"
#include "fs/fs_server.h"
#include "fs/fs_wire.h"
#include "proto/config.pb-c.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* cmocka wants these four first. */
#include <cmocka.h>

/* Numbers of entries in build(). */
#define FX_SHARE 2
#define FX_NOW 3

#define FX_DIR_TEMPLATE "/tmp/mayfly-fs-test.XXXXXX"

void fx_write(struct fs_fixture *fx, const char *name, const char *text)
{
	int fd = openat(fx->dirfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

void fx_tree(struct fs_fixture *fx)
{
	memset(fx, 0, sizeof(*fx));
	fx->sock = fx->reply_fd = -1;
	strcpy(fx->dir, FX_DIR_TEMPLATE);
	assert_non_null(mkdtemp(fx->dir));
	fx->dirfd = open(fx->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_true(fx->dirfd >= 0);
	fx_write(fx, "file", "hello fs\n");
	assert_int_equal(linkat(fx->dirfd, "file", fx->dirfd, "hard", 0), 0);
	assert_int_equal(symlinkat("/etc/passwd", fx->dirfd, "link"), 0);
	assert_int_equal(symlinkat("../..", fx->dirfd, "up"), 0);
	assert_int_equal(mkdirat(fx->dirfd, "d1", 0755), 0);
	assert_int_equal(mkdirat(fx->dirfd, "d1/d2", 0755), 0);
	assert_int_equal(mkdirat(fx->dirfd, "d1/d2/d3", 0755), 0);
	fx_write(fx, "d1/d2/d3/deep", "deep\n");
	fx_write(fx, "suid", "x");
	assert_int_equal(fchmodat(fx->dirfd, "suid", 04755, 0), 0);
	assert_int_equal(mkdirat(fx->dirfd, "empty", 0755), 0);
	assert_int_equal(mknodat(fx->dirfd, "fifo", S_IFIFO | 0644, 0), 0);
}

static int path_fd(struct fs_fixture *fx, const char *name)
{
	int fd = openat(fx->dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static void hide_one(struct fs_fixture *fx, const char *name, Mayfly__FsHide *h)
{
	struct stat st;
	mayfly__fs_hide__init(h);
	h->name = (char *)(uintptr_t)name;
	assert_int_equal(fstat(fx->dirfd, &st), 0);
	h->dir_dev = st.st_dev;
	h->dir_ino = st.st_ino;
	if (fstatat(fx->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		h->dev = st.st_dev;
		h->ino = st.st_ino;
	}
}

static struct fs *build(struct fs_fixture *fx, const struct fx_options *o)
{
	Mayfly__FsEntry e[7];
	Mayfly__FsEntry *top[4] = {&e[1], &e[2], &e[3], &e[4]};
	Mayfly__FsEntry *etc[2] = {&e[5], &e[6]};
	static const char *const names[] = {"", "sys", "share", "now", "etc", "one", "link"};
	static const char *const host[] = {NULL, ".", ".", ".", NULL, "file", "link"};
	static const uint32_t ms[] = {0, FX_LONG_MS, FX_SHORT_MS, 0, 0, FX_SHORT_MS, FX_LONG_MS};
	for (unsigned i = 0; i < ARRAY_SIZE(e); i++) {
		mayfly__fs_entry__init(&e[i]);
		e[i].name = (char *)(uintptr_t)names[i];
		e[i].fd = host[i] ? path_fd(fx, host[i]) : -1;
		e[i].cache_ms = ms[i];
		e[i].writable = o->writable && (i == FX_SHARE || i == FX_NOW);
		e[i].quota = i == FX_SHARE ? o->quota : 0;
	}
	e[0].entry = top;
	e[0].n_entry = ARRAY_SIZE(top);
	e[4].entry = etc;
	e[4].n_entry = ARRAY_SIZE(etc);
	Mayfly__FsConfig cfg;
	mayfly__fs_config__init(&cfg);
	cfg.version = 1;
	cfg.root = &e[0];
	cfg.map_ids = o->map_ids;
	cfg.no_xattr = o->no_xattr;
	cfg.uid = 4242;
	cfg.gid = 4343;
	Mayfly__FsHide hide;
	Mayfly__FsHide *hide_ptr = &hide;
	if (o->hide) {
		hide_one(fx, o->hide, &hide);
		cfg.hide = &hide_ptr;
		cfg.n_hide = 1;
	}
	struct fs_limits l = o->limits;
	l.max_bytes = l.max_bytes ? l.max_bytes : FS_BUDGET_BYTES;
	l.max_cached = l.max_cached ? l.max_cached : 400;
	l.max_dirs = l.max_dirs ? l.max_dirs : 64;
	l.max_files = l.max_files ? l.max_files : 64;
	struct fs *fs = calloc(1, sizeof(*fs));
	struct err err = {.text = ""};
	if (!fs || fs_init(fs, &cfg, &l, &err) < 0) {
		fprintf(stderr, "fs_init: %s\n", err.text);
		fail();
	}
	return fs;
}

void fx_start_inline(struct fs_fixture *fx, const struct fx_options *o)
{
	fx->fs = build(fx, o);
}

void fx_start_child(struct fs_fixture *fx, const struct fx_options *o)
{
	int sv[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv), 0);
	fx->pid = fork();
	assert_true(fx->pid >= 0);
	if (fx->pid == 0) {
		close(sv[0]);
		if (o->nofile) {
			struct rlimit r = {.rlim_cur = o->nofile, .rlim_max = o->nofile};
			setrlimit(RLIMIT_NOFILE, &r);
		}
		struct fs *fs = build(fx, o);
		int ret = fs_server_run(fs, sv[1]);
		fs_destroy(fs);
		free(fs);
		_exit(ret < 0 ? 1 : 0);
	}
	close(sv[1]);
	fx->sock = sv[0];
}

int fx_stop(struct fs_fixture *fx)
{
	int status = 0;
	close_fd(&fx->reply_fd);
	close_fd(&fx->sock);
	if (fx->fs) {
		fs_destroy(fx->fs);
		free(fx->fs);
		/* fs_init() moved us into /proc/self/fd. */
		assert_int_equal(chdir("/"), 0);
	}
	if (fx->pid > 0)
		assert_int_equal(waitpid(fx->pid, &status, 0), fx->pid);
	close_fd(&fx->dirfd);
	char cmd[128];
	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", fx->dir);
	assert_int_equal(system(cmd), 0);
	return status;
}

const void *fx_data(const struct fs_fixture *fx)
{
	return fx->reply + sizeof(struct fuse_out_header);
}

static ssize_t exchange(struct fs_fixture *fx, struct fs_wire_req *req, void *msg, size_t len)
{
	struct iovec out[2] = {{.iov_base = req, .iov_len = sizeof(*req)},
			       {.iov_base = msg, .iov_len = len}};
	if (fdpass_send(fx->sock, out, 2, NULL, 0, 0) < 0)
		return -1;
	const struct fs_wire_op *op = fs_wire_op(((struct fuse_in_header *)msg)->opcode);
	if (op && op->no_reply)
		return 0;
	struct fs_wire_rep rep;
	struct iovec in[2] = {{.iov_base = &rep, .iov_len = sizeof(rep)},
			      {.iov_base = fx->reply, .iov_len = sizeof(fx->reply)}};
	size_t nfds;
	ssize_t n = fdpass_recv(fx->sock, in, 2, &fx->reply_fd, 1, &nfds, 0);
	if (n <= 0)
		return -1;
	assert_int_equal(rep.len, n);
	assert_int_equal(rep.tag, req->tag);
	assert_int_equal(rep.nfds, nfds);
	return n - (ssize_t)sizeof(rep);
}

int fx_call_room(struct fs_fixture *fx, uint32_t opcode, uint64_t node, const void *arg, size_t len,
		 size_t room)
{
	static uint8_t msg[FS_WIRE_BODY_MAX] __attribute__((aligned(8)));
	struct fuse_in_header *in = (struct fuse_in_header *)(void *)msg;
	*in = (struct fuse_in_header){
		.len = (uint32_t)(sizeof(*in) + len),
		.opcode = opcode,
		.unique = ++fx->unique,
		.nodeid = node,
		.pid = fx->caller,
	};
	if (len > 0)
		memcpy(msg + sizeof(*in), arg, len);
	close_fd(&fx->reply_fd);
	ssize_t n;
	if (fx->fs) {
		n = (ssize_t)fs_ops_serve(fx->fs, msg, in->len, fx->reply, room, &fx->reply_fd);
	} else {
		struct fs_wire_req req = {.len = (uint32_t)(sizeof(req) + in->len),
					  .room = (uint32_t)room,
					  .tag = fx->unique * 77};
		n = exchange(fx, &req, msg, in->len);
	}
	if (n < (ssize_t)sizeof(struct fuse_out_header))
		return -EPIPE;
	struct fuse_out_header head;
	memcpy(&head, fx->reply, sizeof(head));
	assert_int_equal(head.len, n);
	assert_int_equal(head.unique, fx->unique);
	fx->reply_len = (size_t)n - sizeof(head);
	return head.error < 0 ? head.error : (int)fx->reply_len;
}

int fx_call(struct fs_fixture *fx, uint32_t opcode, uint64_t node, const void *arg, size_t len)
{
	return fx_call_room(fx, opcode, node, arg, len, 65536);
}

int fx_init(struct fs_fixture *fx)
{
	struct fuse_init_in in = {.major = 7, .minor = 41, .max_readahead = 131072, .flags = ~0u};
	return fx_call(fx, FUSE_INIT, 0, &in, sizeof(in));
}

int fx_lookup(struct fs_fixture *fx, uint64_t dir, const char *name, struct fuse_entry_out *e)
{
	int ret = fx_call(fx, FUSE_LOOKUP, dir, name, strlen(name) + 1);
	if (ret == (int)sizeof(*e)) {
		memcpy(e, fx_data(fx), sizeof(*e));
		return 0;
	}
	assert_true(ret < 0);
	return ret;
}

uint64_t fx_walk(struct fs_fixture *fx, const char *path)
{
	uint64_t node = FUSE_ROOT_ID;
	char copy[512];
	char *save = NULL;
	snprintf(copy, sizeof(copy), "%s", path);
	for (char *c = strtok_r(copy, "/", &save); c; c = strtok_r(NULL, "/", &save)) {
		struct fuse_entry_out e;
		assert_int_equal(fx_lookup(fx, node, c, &e), 0);
		assert_int_not_equal(e.nodeid, 0);
		node = e.nodeid;
	}
	return node;
}

int fx_getattr(struct fs_fixture *fx, uint64_t node, struct fuse_attr *attr)
{
	struct fuse_getattr_in in = {0};
	int ret = fx_call(fx, FUSE_GETATTR, node, &in, sizeof(in));
	if (ret < 0)
		return ret;
	struct fuse_attr_out out;
	assert_int_equal(ret, sizeof(out));
	memcpy(&out, fx_data(fx), sizeof(out));
	*attr = out.attr;
	return 0;
}

int fx_open(struct fs_fixture *fx, uint64_t node, uint32_t flags)
{
	struct fuse_open_in in = {.flags = flags};
	int ret = fx_call(fx, FUSE_OPEN, node, &in, sizeof(in));
	assert_true((ret >= 0) == (fx->reply_fd >= 0));
	return ret < 0 ? ret : 0;
}

void fx_forget(struct fs_fixture *fx, uint64_t node, uint64_t count)
{
	struct fuse_forget_in in = {.nlookup = count};
	fx_call(fx, FUSE_FORGET, node, &in, sizeof(in));
}

int64_t fx_opendir(struct fs_fixture *fx, uint64_t node)
{
	struct fuse_open_in in = {0};
	int ret = fx_call(fx, FUSE_OPENDIR, node, &in, sizeof(in));
	if (ret < 0)
		return ret;
	struct fuse_open_out out;
	assert_int_equal(ret, sizeof(out));
	memcpy(&out, fx_data(fx), sizeof(out));
	return (int64_t)out.fh;
}

int fx_releasedir(struct fs_fixture *fx, uint64_t node, uint64_t fh)
{
	struct fuse_release_in in = {.fh = fh};
	return fx_call(fx, FUSE_RELEASEDIR, node, &in, sizeof(in));
}
