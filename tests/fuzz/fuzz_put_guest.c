// SPDX-License-Identifier: Apache-2.0
// fuzz_put_guest.c - a hostile host to the side that writes its files in the guest
// links: init/put.c runtime/copy/out.c runtime/copy/out_file.c runtime/copy/out_target.c
//
// Input: the name in the request, a byte of flags, then either steps of a walk or raw bytes of the
// connection. Whatever comes, nothing but the target is made, no temporary name stays, and the
// connection is answered or left.
#include "base/checked.h"
#include "base/cleanup.h"
#include "proto/frame.h"
#include "put.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A file this large is a hole: nothing of it is written that the input does not hold. */
#define SIZE_MAX_MADE (1u << 20)

static char dir[] = "/dev/shm/mayfly-fuzz-put-XXXXXX";
/* The fuzzer's own directory, which its arguments are relative to. */
static int home;

struct input {
	const uint8_t *data;
	size_t len;
};

static void must(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "fuzz_put_guest: %s\n", what);
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

/* One frame of the walk; false if the queue is full. */
static bool step(struct frame_conn *c, struct input *in)
{
	static uint8_t buf[PROTO_DATA_MAX];
	uint8_t op = (uint8_t)take(in, 1);
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__Entry m = MAYFLY__ENTRY__INIT;
	Mayfly__EntryData d = MAYFLY__ENTRY_DATA__INIT;
	Mayfly__EntryEnd x = MAYFLY__ENTRY_END__INIT;
	Mayfly__FetchNote n = MAYFLY__FETCH_NOTE__INIT;
	Mayfly__FetchEnd e = MAYFLY__FETCH_END__INIT;
	switch (op % 6) {
	case 0:
	case 1:
		m.kind = (Mayfly__Entry__Kind)(op >> 4 & 3);
		m.name = take_bytes(in);
		m.mode = (uint32_t)take(in, 2);
		m.mtime_ns = (uint32_t)take(in, 4);
		m.size = take(in, 3) % SIZE_MAX_MADE;
		m.link = take_bytes(in);
		f.body_case = MAYFLY__FRAME__BODY_ENTRY;
		f.entry = &m;
		break;
	case 2:
		d.offset = take(in, op & 0x10 ? 8 : 1);
		d.data.data = buf;
		d.data.len = take(in, op & 0x20 ? 2 : 1) % sizeof(buf);
		f.body_case = MAYFLY__FRAME__BODY_ENTRY_DATA;
		f.entry_data = &d;
		break;
	case 3:
		x.discard = op & 0x10;
		f.body_case = MAYFLY__FRAME__BODY_ENTRY_END;
		f.entry_end = &x;
		break;
	case 4:
		f.body_case = MAYFLY__FRAME__BODY_FETCH_NOTE;
		f.fetch_note = &n;
		break;
	default:
		e.code = op & 0x10 ? (int32_t)take(in, 1) : 0;
		e.lost = op & 0x20 ? 1 : 0;
		f.body_case = MAYFLY__FRAME__BODY_FETCH_END;
		f.fetch_end = &e;
		break;
	}
	return frame_send(c, &f) == 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)type;
	const char *name = path + ftw->base;
	must(!(st->st_mode & 06000), "a set-uid file");
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
	for (int i = 0; i < 8 && nftw("top", open_up, 8, FTW_PHYS) != 0 && errno == EACCES; i++)
		;
	nftw("top", remove_one, 8, FTW_PHYS | FTW_DEPTH);
	must(access("top", F_OK) < 0, "cleaning");
}

/* All is sent and closed before the guest's side begins: one thread is enough. */
static void serve(const Mayfly__Put *m, struct input *in, bool raw)
{
	int pair[2];
	const int room = 1 << 20;
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0, "pair");
	setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	struct frame_conn host = {.fd = pair[0]};
	struct frame_conn guest = {.fd = pair[1], .got_hello = true};
	if (raw)
		must(write(pair[0], in->data, in->len) == (ssize_t)in->len, "raw bytes");
	while (!raw && in->len > 0 && step(&host, in))
		;
	must(frame_flush(&host) >= 0 && shutdown(pair[0], SHUT_WR) == 0, "sending");
	put_serve(&guest, m);
	frame_conn_free(&host);
	frame_conn_free(&guest);
	close(pair[0]);
	close(pair[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char path[100];
	struct input in = {.data = data, .len = MIN(size, (size_t)4096)};
	Mayfly__Put m = MAYFLY__PUT__INIT;
	m.name = take_bytes(&in);
	uint8_t flags = (uint8_t)take(&in, 1);
	/* Only at our own name: what a path means in the guest is its kernel's part. */
	snprintf(path, sizeof(path), "%s/top%s", dir, flags & 1 ? "/" : "");
	m.path.data = (uint8_t *)path;
	m.path.len = strlen(path);
	m.into = flags & 2;
	if (put_check(&m) < 0)
		return 0;
	must(chdir(dir) == 0, "directory");
	if (flags & 4)
		must(mkdir("top", 0755) == 0, "top");
	serve(&m, &in, flags & 8);
	check_and_clean();
	must(fchdir(home) == 0, "back");
	return 0;
}
