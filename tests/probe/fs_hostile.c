// SPDX-License-Identifier: Apache-2.0
// fs_hostile.c - stands where mayfly-vmm would, and asks the real mayfly-fs in its jail for too
// much
//
// Compiled by the script that uses it, alone: it speaks the messages of runtime/fs/fs_wire.h by
// itself. The share has "mayfly-mark"; whatever holds "OUTSIDE" must never be seen. A share that
// has "writable-mark", too, is one that may be written: then it tries to change what is outside.
// Says lines "fsx: NAME: ok" or "fsx: NAME: what was wrong".
#include "fs_client.h"

#define RACE_MS 4000
#define FS_SERVER_FIELD 5 /* VmmConfig.fs_server_fd */

/* ---- finding the share ---- */

static bool find_share(uint64_t node, unsigned depth)
{
	struct fuse_entry_out e;
	if (lookup(node, "mayfly-mark", &e) == 0) {
		t.share = node;
		return true;
	}
	if (depth == 0)
		return false;
	struct fuse_read_in in = {.fh = open_dir(node), .size = 32768};
	int n = call(FUSE_READDIR, node, &in, sizeof(in));
	static uint8_t list[4][32768];
	if (n <= 0 || n > 32768)
		return false;
	memcpy(list[depth], t.rep.body, (size_t)n);
	for (int at = 0; at + (int)(offsetof(struct fuse_dirent, name)) < n;) {
		struct fuse_dirent d;
		char name[256] = "";
		memcpy(&d, list[depth] + at, (offsetof(struct fuse_dirent, name)));
		memcpy(name, list[depth] + at + (offsetof(struct fuse_dirent, name)),
		       d.namelen & 255);
		at += (int)(((offsetof(struct fuse_dirent, name)) + d.namelen + 7) & ~7u);
		if (name[0] != '.' && lookup(node, name, &e) == 0 && S_ISDIR(e.attr.mode) &&
		    find_share(e.nodeid, depth - 1))
			return true;
	}
	return false;
}

/* ---- what is tried ---- */

static void names(void)
{
	static const char *const bad[] = {
		"..",	  "../outside", "../outside/inner", "/",	 "/etc/passwd",
		"//",	  "",		"sub/deep",	    "sub/../..", "file/",
		"./file", "up/outside", "link/x",	    "sub/",	 "/proc/self/root",
	};
	static const char inner_nul[] = "file\0/../x";
	char big[BODY_MAX];
	struct fuse_entry_out e;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (lookup(t.share, bad[i], &e) == 0)
			wrong("LOOKUP '%s' found node %llu", bad[i], (unsigned long long)e.nodeid);
	struct fuse_entry_out self;
	if (lookup(t.share, ".", &e) == 0 && lookup(1, ".", &self) == 0 &&
	    e.attr.ino == self.attr.ino)
		wrong("LOOKUP '.' gave the root");
	if (lookup_raw(t.share, inner_nul, sizeof(inner_nul), &e) == 0)
		wrong("a NUL inside a name was passed over");
	if (lookup_raw(t.share, "file", 4, &e) == 0)
		wrong("a name without an end was taken");
	if (lookup_raw(t.share, "file", 0, &e) == 0)
		wrong("no name was taken");
	for (size_t len = 255; len < sizeof(big) - 64; len = len * 2 + 1) {
		memset(big, 'a', sizeof(big));
		for (size_t i = 0; i + 3 < len; i += 3)
			memcpy(big + i, "../", 3);
		big[len] = '\0';
		if (lookup_raw(t.share, big, len + 1, &e) == 0)
			wrong("LOOKUP of %zu bytes found something", len);
	}
	/* Names in places that are no directories. */
	static const char *const places[] = {"file", "link", "up", "abs", "fifo"};
	for (size_t i = 0; i < 5; i++) {
		struct fuse_entry_out in;
		if (lookup(t.share, places[i], &in) < 0)
			continue;
		if (lookup(in.nodeid, "inner", &e) == 0 || lookup(in.nodeid, "passwd", &e) == 0 ||
		    lookup(in.nodeid, "..", &e) == 0)
			wrong("LOOKUP below '%s' found something", places[i]);
		if (!S_ISREG(in.attr.mode) && open_node(in.nodeid, 0, places[i]) >= 0)
			wrong("'%s' was opened", places[i]);
		if (open_dir(in.nodeid) != 0)
			wrong("'%s' was opened as a directory", places[i]);
	}
	if (lookup(t.share, "file", &e) < 0 || open_node(e.nodeid, 0, "file") < 0 || t.fd < 0)
		wrong("the honest way does not work");
}

static void flags(void)
{
	static const uint32_t bad[] = {O_WRONLY,
				       O_RDWR,
				       O_RDWR | O_TRUNC,
				       O_CREAT | O_RDWR,
				       O_PATH,
				       3,
				       O_TMPFILE | O_RDWR,
				       O_APPEND | O_WRONLY,
				       O_DIRECTORY,
				       ~0u,
				       O_TRUNC};
	struct fuse_entry_out e;
	if (lookup(t.share, "file", &e) < 0)
		wrong("no file");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		open_node(e.nodeid, bad[i], "OPEN with odd flags");
}

static uint64_t random_u64(void)
{
	static uint64_t x = 88172645463325252ull;
	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x;
}

static void one_forged(uint64_t node)
{
	struct fuse_entry_out e;
	struct fuse_getattr_in ga = {0};
	struct fuse_read_in rd = {.fh = node, .offset = node, .size = 4096};
	call(FUSE_GETATTR, node, &ga, sizeof(ga));
	open_node(node, 0, "a forged node");
	if (lookup(node, "only-outside", &e) == 0 || lookup(node, "..", &e) == 0)
		wrong("node %llx leads outside", (unsigned long long)node);
	call(FUSE_READDIR, node, &rd, sizeof(rd));
	call(FUSE_READLINK, node, NULL, 0);
}

static void forged(void)
{
	for (uint64_t n = 0; n < 1500; n++)
		one_forged(n);
	for (unsigned bit = 0; bit < 64; bit++)
		one_forged(t.share ^ 1ull << bit);
	for (unsigned i = 0; i < 1500; i++)
		one_forged(random_u64());
	one_forged(~0ull);
}

static void offsets(void)
{
	static const uint64_t off[] = {1,	   1ull << 31, 1ull << 32, (1ull << 63) - 1,
				       1ull << 63, ~0ull};
	static const uint32_t size[] = {0, 1, 23, 65535, 1u << 20, 1u << 31, ~0u};
	uint64_t fh = open_dir(t.share);
	for (size_t i = 0; i < 6; i++)
		for (size_t k = 0; k < 7; k++) {
			struct fuse_read_in in = {.fh = fh, .offset = off[i], .size = size[k]};
			call(FUSE_READDIR, t.share, &in, sizeof(in));
			call(FUSE_READDIRPLUS, t.share, &in, sizeof(in));
			in.fh = off[i];
			call(FUSE_READDIR, t.share, &in, sizeof(in));
			call(FUSE_READ, t.share, &in, sizeof(in));
			struct fuse_lseek_in ls = {.fh = fh, .offset = off[i], .whence = size[k]};
			call(FUSE_LSEEK, t.share, &ls, sizeof(ls));
		}
}

/* The script compares the tree with what it was. */
static void changes(void)
{
	static const uint32_t ops[] = {
		FUSE_SETATTR,	  FUSE_SYMLINK,		FUSE_MKNOD,  FUSE_MKDIR, FUSE_UNLINK,
		FUSE_RMDIR,	  FUSE_RENAME,		FUSE_LINK,   FUSE_WRITE, FUSE_SETXATTR,
		FUSE_REMOVEXATTR, FUSE_SETLK,		FUSE_CREATE, FUSE_IOCTL, FUSE_FALLOCATE,
		FUSE_RENAME2,	  FUSE_COPY_FILE_RANGE, 51,	     52};
	struct fuse_entry_out e = {0};
	lookup(t.share, "file", &e);
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		for (unsigned k = 0; k < 4; k++) {
			static uint8_t arg[128];
			uint64_t target = k & 1 ? e.nodeid : t.share;
			memset(arg, k & 2 ? 0xff : 0, sizeof(arg));
			for (size_t len = 0; len <= 112; len += 8) {
				memcpy(arg + len, "file\0new", 9);
				if (call(ops[i], target, arg, len + 9) >= 0)
					wrong("operation %u was done", ops[i]);
				memset(arg + len, 0, 8);
			}
		}
}

/* ---- somebody on the host swaps names all the time ---- */

static uint64_t now_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void race(void)
{
	unsigned inside = 0;
	unsigned links = 0;
	unsigned gone = 0;
	for (uint64_t end = now_ms() + RACE_MS; now_ms() < end;) {
		struct fuse_entry_out dir, e;
		if (lookup(t.share, "swap", &dir) < 0) {
			gone++;
			continue;
		}
		if (S_ISLNK(dir.attr.mode))
			links++;
		if (lookup(dir.nodeid, "only-outside", &e) == 0)
			wrong("a name outside was found through a swapped directory");
		if (lookup(dir.nodeid, "inner", &e) == 0) {
			if (e.attr.size == OUTSIDE_SIZE)
				wrong("the attributes of a file outside were seen");
			if (open_node(e.nodeid, 0, "a swapped directory") >= 0)
				inside++;
		}
		struct fuse_read_in in = {.fh = open_dir(dir.nodeid), .size = 8192};
		if (in.fh) {
			int n = call(FUSE_READDIRPLUS, dir.nodeid, &in, sizeof(in));
			if (n > 0 && memmem(t.rep.body, (size_t)n, "only-outside", 12))
				wrong("a directory outside was listed");
			struct fuse_release_in re = {.fh = in.fh};
			call(FUSE_RELEASEDIR, dir.nodeid, &re, sizeof(re));
		}
		if (lookup(t.share, "swapfile", &e) == 0)
			open_node(e.nodeid, 0, "a swapped file");
		if (lookup(t.share, "mover", &dir) == 0 && lookup(dir.nodeid, "kept", &e) == 0)
			open_node(e.nodeid, 0, "a moved directory");
	}
	dprintf(2, "fsx: met: %u files, %u links, %u gaps\n", inside, links, gone);
	if (inside == 0)
		wrong("not one file was opened");
	if (links == 0)
		wrong("nobody swapped anything");
}

/* ---- a share that may be written ---- */

/* Arguments of len bytes, then a name or two; the answer. */
static int change(uint32_t op, uint64_t dir, const void *arg, size_t len, const char *a,
		  const char *b)
{
	static uint8_t body[2048];
	memcpy(body, arg, len);
	size_t at = len;
	for (const char *s = a; s; s = s == a ? b : NULL) {
		memcpy(body + at, s, strlen(s) + 1);
		at += strlen(s) + 1;
	}
	int ret = call(op, dir, body, at);
	if (op == FUSE_CREATE)
		check_opened("CREATE");
	struct fuse_entry_out e;
	struct fuse_open_out o;
	if (op == FUSE_CREATE && ret >= (int)(sizeof(e) + sizeof(o))) {
		memcpy(&e, t.rep.body, sizeof(e));
		memcpy(&o, t.rep.body + sizeof(e), sizeof(o));
		struct fuse_release_in re = {.fh = o.fh};
		call(FUSE_RELEASE, e.nodeid, &re, sizeof(re));
	}
	return ret;
}

/* Every operation with one name; true if any was done. */
static bool change_all(uint64_t dir, const char *name, uint64_t other, const char *target)
{
	struct fuse_create_in create = {.flags = O_RDWR | O_CREAT | O_TRUNC,
					.mode = S_IFREG | 0644};
	struct fuse_mknod_in mknod = {.mode = S_IFREG | 0644};
	struct fuse_mkdir_in mkdir = {.mode = 0755};
	struct fuse_rename_in rename = {.newdir = other};
	struct fuse_rename2_in exchange = {.newdir = other, .flags = 2};
	struct fuse_link_in link = {.oldnodeid = other};
	bool any = change(FUSE_CREATE, dir, &create, sizeof(create), name, NULL) >= 0;
	any |= change(FUSE_MKNOD, dir, &mknod, sizeof(mknod), name, NULL) >= 0;
	any |= change(FUSE_MKDIR, dir, &mkdir, sizeof(mkdir), name, NULL) >= 0;
	any |= change(FUSE_SYMLINK, dir, "", 0, name, "/etc/passwd") >= 0;
	any |= change(FUSE_RENAME, dir, &rename, sizeof(rename), name, target) >= 0;
	any |= change(FUSE_RENAME2, dir, &exchange, sizeof(exchange), name, target) >= 0;
	any |= change(FUSE_LINK, dir, &link, sizeof(link), name, NULL) >= 0;
	any |= change(FUSE_UNLINK, dir, "", 0, name, NULL) >= 0;
	any |= change(FUSE_RMDIR, dir, "", 0, name, NULL) >= 0;
	return any;
}

static void write_names(void)
{
	static const char *const bad[] = {"..",
					  "../outside/inner",
					  "../planted",
					  "/tmp/planted",
					  "/",
					  ".",
					  "sub/planted",
					  "up/planted",
					  "",
					  "link/planted",
					  "abs/planted",
					  "sub/../planted"};
	struct fuse_mknod_in node = {.mode = S_IFCHR | 0666, .rdev = 0x103};
	struct fuse_entry_out e;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (change_all(t.share, bad[i], t.share, "planted"))
			wrong("something was done with '%s'", bad[i]);
		if (change_all(t.share, "planted-a", t.share, bad[i]) && bad[i][0] == '.' &&
		    lookup(t.share, bad[i], &e) == 0)
			wrong("something went to '%s'", bad[i]);
	}
	if (change(FUSE_MKNOD, t.share, &node, sizeof(node), "planted-dev", NULL) >= 0)
		wrong("a character device was made");
	if (change_all(1, "planted", t.share, "x"))
		wrong("the root of the views was changed");
}

static void write_nodes(void)
{
	for (uint64_t n = 2; n < 400; n++) {
		change_all(n, "planted", random_u64(), "planted-b");
		change_all(t.share, "planted-c", n, "planted-d");
	}
	for (unsigned i = 0; i < 300; i++)
		if (change_all(random_u64(), "planted", t.share, "planted-e"))
			wrong("a forged directory was changed");
	struct fuse_setattr_in set = {.valid = FATTR_SIZE | FATTR_MODE, .mode = 0777};
	for (unsigned i = 0; i < 300; i++)
		if (call(FUSE_SETATTR, random_u64(), &set, sizeof(set)) >= 0)
			wrong("a forged file was changed");
}

/* The directory is swapped for a link to the outside all the time, and moved there and back. */
static void write_race(void)
{
	unsigned done = 0;
	for (uint64_t end = now_ms() + RACE_MS; now_ms() < end;) {
		static const char *const dirs[] = {"swap", "swapfile", "sub"};
		struct fuse_entry_out dir, e;
		for (unsigned i = 0; i < 3; i++) {
			if (lookup(t.share, dirs[i], &dir) < 0)
				continue;
			done += change_all(dir.nodeid, "planted", t.share, "planted-f");
			change(FUSE_UNLINK, dir.nodeid, "", 0, "only-outside", NULL);
			struct fuse_rename_in to = {.newdir = t.share};
			if (change(FUSE_RENAME, dir.nodeid, &to, sizeof(to), "only-outside",
				   "stolen") >= 0)
				wrong("a file outside was moved");
			struct fuse_setattr_in set = {.valid = FATTR_SIZE};
			if (lookup(dir.nodeid, "only-outside", &e) == 0)
				wrong("a name outside was found");
			if (lookup(t.share, "swapfile", &e) == 0) {
				call(FUSE_SETATTR, e.nodeid, &set, sizeof(set));
				open_node(e.nodeid, O_RDWR, "a swapped file");
			}
		}
	}
	dprintf(2, "fsx: changed: %u times\n", done);
	if (done == 0)
		wrong("nothing was changed at all");
}

/* Well-formed outside, anything inside; answers are thrown away. */
static void noise(void)
{
	for (unsigned i = 0; i < 20000; i++) {
		size_t len = random_u64() % 200;
		for (size_t k = 0; k < len; k++)
			t.req.body[k] = (uint8_t)random_u64();
		uint32_t op = (uint32_t)(random_u64() % 60);
		/* Forgetting the root is allowed; looking at it afterwards is what comes next. */
		send_request(op, random_u64() % 64 ? random_u64() % 40 : random_u64(), len);
		while (receive(0) > 0)
			check_opened("noise");
	}
	struct fuse_getattr_in ga = {0};
	if (call(FUSE_GETATTR, 1, &ga, sizeof(ga)) < 0)
		wrong("the root is gone");
}

static int server_of(int argc, char **argv)
{
	static uint8_t b[1 << 20];
	if (argc != 3)
		return -1;
	ssize_t n = pread(atoi(argv[2]), b, sizeof(b), 0);
	for (ssize_t at = 0; at < n;) {
		uint64_t v[2] = {0, 0};
		for (unsigned i = 0; i < 2; i++) {
			unsigned shift = 0;
			do
				v[i] |= (uint64_t)(b[at] & 127) << shift, shift += 7;
			while ((b[at++] & 128) && at < n);
		}
		if ((v[0] & 7) == 2)
			at += (ssize_t)v[1];
		else if ((v[0] & 7) != 0)
			return -1;
		else if (v[0] >> 3 == FS_SERVER_FIELD)
			return (int)v[1];
	}
	return -1;
}

int main(int argc, char **argv)
{
	struct fuse_init_in init = {.major = 7, .minor = 38, .flags = ~0u};
	t.fd = -1;
	t.sock = server_of(argc, argv);
	if (t.sock < 3)
		dead("no socket in the description");
	if (call(FUSE_INIT, 0, &init, sizeof(init)) < 0)
		dead("no start");
	if (!find_share(1, 3))
		dead("no share");
	struct fuse_entry_out mark;
	t.writable = lookup(t.share, "writable-mark", &mark) == 0;
	names();
	report("names");
	if (t.writable) {
		write_names();
		report("write-names");
		write_nodes();
		report("write-nodes");
		write_race();
		report("write-race");
	}
	flags();
	report("flags");
	forged();
	report("nodes");
	offsets();
	report("offsets");
	if (!t.writable)
		changes();
	report("changes");
	race();
	report("race");
	noise();
	report("noise");
	dprintf(2, "fsx: end: ok\n");
	return 0;
}
