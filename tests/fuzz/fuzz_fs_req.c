// SPDX-License-Identifier: Apache-2.0
// fuzz_fs_req.c - FUSE requests straight into the fs process's operations, over a real tree
//
// Input: records of [opcode][node][room][length][body]. The node byte picks an id that an earlier
// reply gave (0xff: the body's first 8 bytes are the id). Never may a descriptor come out that is
// not one of the tree's regular files, opened for reading; never may anything in the tree change.
#include "base/checked.h"
#include "base/cleanup.h"
#include "fs/fs_ops.h"
#include "proto/config.pb-c.h"

#include <fcntl.h>
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
	must(mknodat(tree_fd, "fifo", S_IFIFO | 0644, 0) == 0, "fifo");
	log_init("fuzz", LOG_ERROR);
	return 0;
}

static struct fs *new_fs(void)
{
	static const struct fs_limits limits = {
		.max_bytes = 1 << 20, .max_cached = 8, .max_dirs = 4};
	static const char *const names[] = {"", "v", "w", "f"};
	Mayfly__FsEntry e[4];
	Mayfly__FsEntry *top[3] = {&e[1], &e[2], &e[3]};
	for (unsigned i = 0; i < ARRAY_SIZE(e); i++) {
		mayfly__fs_entry__init(&e[i]);
		e[i].name = (char *)(uintptr_t)names[i];
		e[i].fd = i == 0 ? -1 : openat(tree_fd, i == 3 ? "file" : ".", O_PATH | O_CLOEXEC);
		e[i].cache_ms = i * 1000;
	}
	e[2].cache_ms = 60000;
	e[0].entry = top;
	e[0].n_entry = ARRAY_SIZE(top);
	Mayfly__FsConfig cfg;
	mayfly__fs_config__init(&cfg);
	cfg.version = 1;
	cfg.root = &e[0];
	struct fs *fs = calloc(1, sizeof(*fs));
	must(fs && fs_init(fs, &cfg, &limits, NULL) == 0, "fs_init");
	return fs;
}

static void check_fd(int fd)
{
	struct stat st;
	bool known = false;
	int fl = fcntl(fd, F_GETFL);
	must(fstat(fd, &st) == 0, "a descriptor that isn't one");
	must((fl & O_ACCMODE) == O_RDONLY && !(fl & O_PATH), "a descriptor that can write");
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
	if (opcode == FUSE_LOOKUP && n == sizeof(struct fuse_entry_out))
		memcpy(&s->id[s->nid++ % IDS_MAX], out, sizeof(uint64_t));
	if (opcode == FUSE_READDIRPLUS && n >= sizeof(struct fuse_entry_out))
		memcpy(&s->id[s->nid++ % IDS_MAX], out, sizeof(uint64_t));
	if (opcode == FUSE_OPENDIR && n == sizeof(struct fuse_open_out))
		memcpy(&s->fh[s->nfh++ % HANDLES_MAX], out, sizeof(uint64_t));
}

static bool takes_handle(uint32_t opcode)
{
	return opcode == FUSE_READDIR || opcode == FUSE_READDIRPLUS || opcode == FUSE_RELEASEDIR;
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
	must(fd < 0 || (n > 0 && in.opcode == FUSE_OPEN), "a descriptor that nobody asked for");
	if (fd >= 0)
		check_fd(fd);
	close_fd(&fd);
	if (n > 0)
		learn(s, in.opcode, out, n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct session s = {.fs = new_fs(), .id = {FUSE_ROOT_ID}, .nid = 1};
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
