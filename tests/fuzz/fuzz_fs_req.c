// SPDX-License-Identifier: Apache-2.0
// fuzz_fs_req.c - FUSE requests straight into the fs process's operations, over a real tree
//
// Input: records of [opcode][node][room][length][body]. The node byte picks an id that an earlier
// reply gave (0xff: the body's first 8 bytes are the id). An input whose first byte is odd meets
// two writable views of the directory "rw", one with a quota. Never may a descriptor come out that
// is not one of the tree's regular files, opened for reading, or one below "rw"; never may anything
// change in the tree but below "rw", or a device or a set-ID file be made there.
#include "base/checked.h"
#include "base/cleanup.h"
#include "fs/fs_ops.h"
#include "proto/config.pb-c.h"

#include <fcntl.h>
#include <ftw.h>
#include <linux/fuse.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define IDS_MAX 64
#define HANDLES_MAX 16
#define TREE_MAX 8

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int tree_fd, start_dir;
static struct stat inside[TREE_MAX];
static unsigned ninside;

struct session {
	struct fs *fs;
	uint64_t id[IDS_MAX];
	unsigned nid;
	uint64_t fh[HANDLES_MAX];
	unsigned nfh;
};

static void must(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "fuzz_fs_req: %s\n", what);
		abort();
	}
}

static void make_file(const char *name)
{
	int fd = openat(tree_fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	must(fd >= 0 && write(fd, name, strlen(name)) > 0, "making a file");
	must(fstat(fd, &inside[ninside++]) == 0, "stat");
	close(fd);
}

static char tree_path[] = "/tmp/mayfly-fuzz-XXXXXX";

static void remove_tree(void)
{
	char cmd[64];
	snprintf(cmd, sizeof(cmd), "rm -rf %s", tree_path);
	must(system(cmd) == 0, "removing the tree");
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	start_dir = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	must(start_dir >= 0 && mkdtemp(tree_path) != NULL, "mkdtemp");
	atexit(remove_tree);
	tree_fd = open(tree_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	make_file("file");
	must(mkdirat(tree_fd, "dir", 0755) == 0 && mkdirat(tree_fd, "dir/sub", 0755) == 0, "mkdir");
	make_file("dir/sub/deep");
	make_file("dir/other");
	must(linkat(tree_fd, "file", tree_fd, "dir/hard", 0) == 0, "link");
	must(symlinkat("/etc/passwd", tree_fd, "abs") == 0, "symlink");
	must(symlinkat("../../..", tree_fd, "up") == 0, "symlink");
	must(mkdirat(tree_fd, "rw", 0755) == 0, "mkdir");
	must(mknodat(tree_fd, "fifo", S_IFIFO | 0644, 0) == 0, "fifo");
	log_init("fuzz", LOG_ERROR);
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)type;
	must(!S_ISCHR(st->st_mode) && !S_ISBLK(st->st_mode), "a device was made");
	must(!S_ISREG(st->st_mode) || !(st->st_mode & (S_ISUID | S_ISGID)), "a set-ID file");
	return ftw->level > 0 ? remove(path) : 0;
}

/* What may be written, looked at and made anew. */
static void fresh_rw(void)
{
	char path[64];
	snprintf(path, sizeof(path), "%s/rw", tree_path);
	chmod(path, 0755);
	must(nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS) == 0, "emptying rw");
	must(mkdirat(tree_fd, "rw/d", 0755) == 0, "mkdir");
	must(symlinkat("../../dir", tree_fd, "rw/d/out") == 0, "symlink");
	int fd = openat(tree_fd, "rw/f", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	must(fd >= 0 && write(fd, "rw", 2) == 2, "making a file");
	close(fd);
}

static struct fs *new_fs(bool writable)
{
	static const struct fs_limits limits = {
		.max_bytes = 1 << 20, .max_cached = 8, .max_dirs = 4, .max_files = 4};
	static const char *const names[] = {"", "v", "w", "f", "x", "y"};
	Mayfly__FsEntry e[6];
	Mayfly__FsEntry *top[5] = {&e[1], &e[2], &e[3], &e[4], &e[5]};
	static const char *const host[] = {NULL, ".", ".", "file", "rw", "rw"};
	for (unsigned i = 0; i < ARRAY_SIZE(e); i++) {
		mayfly__fs_entry__init(&e[i]);
		e[i].name = (char *)(uintptr_t)names[i];
		e[i].fd = i == 0 || (i > 3 && !writable)
				  ? -1
				  : openat(tree_fd, host[i], O_PATH | O_CLOEXEC);
		e[i].writable = i > 3 && writable;
		e[i].quota = i == 5 && writable ? 64 << 10 : 0;
		e[i].cache_ms = i * 1000;
	}
	e[2].cache_ms = 60000;
	e[0].entry = top;
	e[0].n_entry = writable ? 5 : 3;
	Mayfly__FsConfig cfg;
	mayfly__fs_config__init(&cfg);
	cfg.version = 1;
	cfg.root = &e[0];
	struct fs *fs = calloc(1, sizeof(*fs));
	must(fs && fs_init(fs, &cfg, &limits, NULL) == 0, "fs_init");
	return fs;
}

static bool below_rw(int fd)
{
	char link[32];
	char to[256] = "";
	char want[64];
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	must(readlink(link, to, sizeof(to) - 1) > 0, "readlink");
	int n = snprintf(want, sizeof(want), "%s/rw/", tree_path);
	return strncmp(to, want, (size_t)n) == 0;
}

static void check_fd(int fd)
{
	struct stat st;
	bool known = false;
	int fl = fcntl(fd, F_GETFL);
	must(fstat(fd, &st) == 0, "a descriptor that isn't one");
	must(S_ISREG(st.st_mode) && !(fl & (O_PATH | O_APPEND)), "a descriptor of no file");
	if (below_rw(fd))
		return;
	must((fl & O_ACCMODE) == O_RDONLY, "a descriptor that can write");
	for (unsigned i = 0; i < ninside; i++)
		known = known || (st.st_dev == inside[i].st_dev && st.st_ino == inside[i].st_ino);
	must(known && S_ISREG(st.st_mode), "a descriptor outside the tree");
}

/* Learns ids and handles from replies, so that later records can use them. */
static void learn(struct session *s, uint32_t opcode, const uint8_t *out, size_t n)
{
	struct fuse_out_header head;
	memcpy(&head, out, sizeof(head));
	must(head.len == n && head.error <= 0 && head.error > -512, "a reply with a bad header");
	must(head.error == 0 || n == sizeof(head), "a failure with data");
	out += sizeof(head);
	n -= sizeof(head);
	bool entry = opcode == FUSE_LOOKUP || opcode == FUSE_MKDIR || opcode == FUSE_MKNOD ||
		     opcode == FUSE_CREATE || opcode == FUSE_SYMLINK || opcode == FUSE_LINK;
	if (entry && n >= sizeof(struct fuse_entry_out))
		memcpy(&s->id[s->nid++ % IDS_MAX], out, sizeof(uint64_t));
	if (opcode == FUSE_READDIRPLUS && n >= sizeof(struct fuse_entry_out))
		memcpy(&s->id[s->nid++ % IDS_MAX], out, sizeof(uint64_t));
	bool opened = opcode == FUSE_OPENDIR || opcode == FUSE_OPEN || opcode == FUSE_CREATE;
	if (opened && n >= sizeof(struct fuse_open_out))
		memcpy(&s->fh[s->nfh++ % HANDLES_MAX], out + n - sizeof(struct fuse_open_out),
		       sizeof(uint64_t));
}

static bool takes_handle(uint32_t opcode)
{
	return opcode == FUSE_READDIR || opcode == FUSE_READDIRPLUS || opcode == FUSE_RELEASEDIR ||
	       opcode == FUSE_WRITE || opcode == FUSE_FALLOCATE || opcode == FUSE_RELEASE ||
	       opcode == FUSE_FSYNC || opcode == FUSE_FSYNCDIR;
}

static void one_request(struct session *s, const uint8_t *rec, const uint8_t *body, size_t len)
{
	static uint8_t msg[sizeof(struct fuse_in_header) + 256] __attribute__((aligned(8)));
	static uint8_t out[65536];
	struct fuse_in_header in = {
		.len = (uint32_t)(sizeof(in) + len),
		.opcode = rec[0],
		.unique = 7,
		.nodeid = s->id[rec[1] % MIN(MAX(s->nid, 1u), IDS_MAX)],
	};
	if (rec[1] == 0xff && len >= sizeof(in.nodeid))
		memcpy(&in.nodeid, body, sizeof(in.nodeid));
	memcpy(msg, &in, sizeof(in));
	memcpy(msg + sizeof(in), body, len);
	if (takes_handle(in.opcode) && len >= 8 && body[0] < HANDLES_MAX)
		memcpy(msg + sizeof(in), &s->fh[body[0]], 8);
	int fd = -1;
	size_t room = (size_t)rec[2] * 256;
	size_t n = fs_ops_serve(s->fs, msg, in.len, out, room, &fd);
	must(n <= room, "a reply larger than its room");
	bool opens = in.opcode == FUSE_OPEN || in.opcode == FUSE_CREATE;
	must(fd < 0 || (n > 0 && opens), "a descriptor that nobody asked for");
	if (fd >= 0)
		check_fd(fd);
	close_fd(&fd);
	if (n > 0)
		learn(s, in.opcode, out, n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	bool writable = size > 0 && (data[0] & 1);
	if (writable)
		fresh_rw();
	struct session s = {.fs = new_fs(writable), .id = {FUSE_ROOT_ID}, .nid = 1};
	while (size >= 4) {
		size_t len = MIN((size_t)data[3], size - 4);
		one_request(&s, data, data + 4, len);
		data += 4 + len;
		size -= 4 + len;
	}
	fs_destroy(s.fs);
	free(s.fs);
	/* fs_init() moved to /proc/self/fd; libFuzzer's paths are relative to here. */
	must(fchdir(start_dir) == 0, "going back");
	struct stat st;
	must(fstatat(tree_fd, "file", &st, 0) == 0 && st.st_size == 4, "the tree changed");
	return 0;
}
