// SPDX-License-Identifier: Apache-2.0
// fuzz_out_host.c - messages of a hostile guest to the side that writes its files on the host
// links: runtime/copy/out.c runtime/copy/out_file.c
//
// Input: steps. Every name, link and size comes from it. Whatever is sent, only the target's name
// appears beside it, no file grows over the limit, and no temporary name stays.
#include "base/checked.h"
#include "base/cleanup.h"
#include "copy/out.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define LIMIT (64u << 10)

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char dir[] = "/dev/shm/mayfly-fuzz-out-XXXXXX";
/* The fuzzer's own directory, which its arguments are relative to. */
static int home;

struct input {
	const uint8_t *data;
	size_t len;
};

static void must(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "fuzz_out_host: %s\n", what);
		abort();
	}
}

static void remove_dir(void)
{
	must(rmdir(dir) == 0, "something is left");
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	home = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	must(home >= 0 && mkdtemp(dir), "directory");
	atexit(remove_dir);
	return 0;
}

static uint64_t take(struct input *in, size_t n)
{
	uint64_t v = 0;
	for (size_t i = 0; i < n && in->len > 0; i++, in->data++, in->len--)
		v = v << 8 | *in->data;
	return v;
}

static ProtobufCBinaryData take_bytes(struct input *in)
{
	size_t want = take(in, 1);
	size_t n = MIN(want, in->len);
	ProtobufCBinaryData b = {.data = (uint8_t *)(uintptr_t)in->data, .len = n};
	in->data += n;
	in->len -= n;
	return b;
}

static int step(struct out *o, struct input *in)
{
	static uint8_t buf[PROTO_DATA_MAX + 1];
	struct err e;
	uint8_t op = (uint8_t)take(in, 1);
	Mayfly__Entry m = MAYFLY__ENTRY__INIT;
	Mayfly__EntryData d = MAYFLY__ENTRY_DATA__INIT;
	Mayfly__EntryEnd x = MAYFLY__ENTRY_END__INIT;
	switch (op & 3) {
	case 0:
	case 1:
		m.kind = (Mayfly__Entry__Kind)(op >> 2 & 3);
		m.name = take_bytes(in);
		m.mode = (uint32_t)take(in, 2);
		m.mtime_s = (int64_t)take(in, 8);
		m.mtime_ns = (uint32_t)take(in, 4);
		m.size = take(in, op & 0x10 ? 8 : 1);
		m.link = take_bytes(in);
		return out_entry(o, &m, &e);
	case 2:
		d.offset = take(in, op & 0x10 ? 8 : 1);
		d.data.data = buf;
		d.data.len = take(in, op & 0x20 ? 2 : 1) % sizeof(buf);
		return out_data(o, &d, &e);
	default: x.discard = op & 4; return out_entry_end(o, &x, &e);
	}
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)type;
	const char *name = path + ftw->base;
	must(!S_ISREG(st->st_mode) || st->st_size <= LIMIT, "a file over the limit");
	must(!(st->st_mode & 06000), "a set-uid file");
	/* The only such names are those that the guest chose itself, never 28 long by chance. */
	must(strncmp(name, ".mayfly-out-", 12) != 0 || strlen(name) != 28, "a temporary name");
	return remove(path);
}

static int open_up(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)ftw;
	(void)type;
	return S_ISDIR(st->st_mode) ? chmod(path, 0700) : 0;
}

static void check_and_clean(void)
{
	DIR *d = opendir(".");
	must(d, "opendir");
	const struct dirent *de;
	while ((de = readdir(d)))
		must(de->d_name[0] == '.' || strcmp(de->d_name, "top") == 0, "an escape");
	closedir(d);
	/* Directories without rights, for those that are not root. */
	for (int i = 0; i < 8 && nftw("top", open_up, 8, FTW_PHYS) != 0 && errno == EACCES; i++)
		;
	nftw("top", remove_one, 8, FTW_PHYS | FTW_DEPTH);
	must(access("top", F_OK) < 0, "cleaning");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct out o;
	struct out_target t = OUT_TARGET_NONE;
	struct input in = {.data = data, .len = size};
	must(chdir(dir) == 0, "directory");
	t.host = "top";
	t.max_bytes = LIMIT;
	snprintf(t.guest, sizeof(t.guest), "/g");
	snprintf(t.name, sizeof(t.name), "top");
	t.parent_fd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	must(t.parent_fd >= 0, "open");
	out_init(&o, &t);
	o.max_entries = 64;
	while (in.len > 0 && step(&o, &in) == 0)
		must(o.depth <= PROTO_TREE_DEPTH_MAX && o.entries <= 64 && o.bytes <= LIMIT,
		     "limits");
	out_close(&o);
	out_target_close(&t);
	check_and_clean();
	must(fchdir(home) == 0, "back");
	return 0;
}
