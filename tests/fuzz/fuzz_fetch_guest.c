// SPDX-License-Identifier: Apache-2.0
// fuzz_fetch_guest.c - requests to the guest's walk, over trees that are made from the input
// links: init/fetch.c runtime/copy/walk.c runtime/copy/walk_dir.c runtime/copy/out.c
//
// Input: the request's length and bytes, then steps that make a tree. A request is refused or
// answered to its end, and the host's side takes every message of an honest guest.
#include "base/checked.h"
#include "base/cleanup.h"
#include "copy/out.h"
#include "fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define WAIT_MS 10000

static char dir[] = "/dev/shm/mayfly-fuzz-fetch-XXXXXX";
static int pair[2];
/* The fuzzer's own directory, which its arguments are relative to. */
static int home;

static void must(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "fuzz_fetch_guest: %s\n", what);
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
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0, "pair");
	atexit(remove_dir);
	return 0;
}

static void make_file(const char *name, uint8_t size)
{
	AUTO_CLOSE int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return;
	/* Data, a hole behind it, sometimes data behind that. */
	must(write(fd, "data", size % 5) >= 0 && ftruncate(fd, size * 100L) == 0, "file");
	if (size & 1)
		must(pwrite(fd, "end", 3, size * 200L) == 3, "file");
}

/* A step is a byte that says what, a byte for a name of one or two bytes, a byte of size. */
static void make_tree(const uint8_t *p, size_t len)
{
	int depth = 0;
	must(mkdir("in", 0755) == 0 && chdir("in") == 0, "tree");
	for (; len >= 3; p += 3, len -= 3) {
		char name[3] = {(char)(p[1] ? p[1] : 'x'), (char)(p[0] & 0x80 ? p[2] : 0), 0};
		if (name[0] == '/' || name[1] == '/' || name[0] == '.')
			continue;
		switch (p[0] % 6) {
		case 0:
		case 1: make_file(name, p[2]); break;
		case 2:
			if (depth < 20 && mkdir(name, 0700 | p[2]) == 0 && chdir(name) == 0)
				depth++;
			break;
		case 3:
			if (depth > 0 && chdir("..") == 0)
				depth--;
			break;
		case 4: (void)!symlink(p[2] & 1 ? "/etc" : "..", name); break;
		default: (void)!mkfifo(name, 0600); break;
		}
	}
	must(chdir(dir) == 0, "back");
}

static bool take(struct out *o, const Mayfly__Frame *f)
{
	struct err e = {0};
	int ret = 0;
	switch (f->body_case) {
	case MAYFLY__FRAME__BODY_ENTRY: ret = out_entry(o, f->entry, &e); break;
	case MAYFLY__FRAME__BODY_ENTRY_DATA: ret = out_data(o, f->entry_data, &e); break;
	case MAYFLY__FRAME__BODY_ENTRY_END: ret = out_entry_end(o, f->entry_end, &e); break;
	case MAYFLY__FRAME__BODY_FETCH_NOTE: break;
	case MAYFLY__FRAME__BODY_FETCH_END:
		must(f->fetch_end->code != 0 || f->fetch_end->lost || o->complete, "half a copy");
		return true;
	default: must(false, "a frame of another kind");
	}
	if (ret < 0)
		fprintf(stderr, "%s\n", e.text);
	must(ret == 0, "the host refuses what the guest sends");
	return false;
}

struct serving {
	struct frame_conn from;
	const Mayfly__Fetch *m;
};

static void *serve(void *arg)
{
	struct serving *s = arg;
	must(fetch_serve(&s->from, s->m) == 0, "serving");
	return NULL;
}

/* The socket holds less than a tree can be: one thread writes, one reads. */
static void round_trip(const Mayfly__Fetch *m)
{
	struct serving s = {.from.fd = pair[0], .m = m};
	struct pollfd readable = {.fd = pair[1], .events = POLLIN};
	pthread_t thread;
	static struct out o;
	struct out_target t = OUT_TARGET_NONE;
	struct frame_conn to = {.fd = pair[1], .got_hello = true};
	bool over = false;
	t.host = t.guest;
	t.max_bytes = 1 << 30;
	snprintf(t.name, sizeof(t.name), "out");
	t.parent_fd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	out_init(&o, &t);
	must(pthread_create(&thread, NULL, serve, &s) == 0, "thread");
	while (!over) {
		Mayfly__Frame *f = NULL;
		int ret = frame_next(&to, &f);
		must(ret >= 0, "a frame");
		if (ret == 0) {
			must(poll(&readable, 1, WAIT_MS) == 1 && frame_fill(&to) == 1, "no end");
			continue;
		}
		over = take(&o, f);
		mayfly__frame__free_unpacked(f, NULL);
	}
	pthread_join(thread, NULL);
	out_close(&o);
	out_target_close(&t);
	frame_conn_free(&s.from);
	frame_conn_free(&to);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int open_up(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)type;
	(void)ftw;
	return S_ISDIR(st->st_mode) ? chmod(path, 0700) : 0;
}

static void clean(const char *name)
{
	nftw(name, open_up, 8, FTW_PHYS);
	nftw(name, remove_one, 8, FTW_PHYS | FTW_DEPTH);
	must(access(name, F_OK) < 0, "cleaning");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char path[400];
	if (size < 1)
		return 0;
	size_t n = MIN((size_t)data[0], size - 1);
	Mayfly__Fetch m = MAYFLY__FETCH__INIT;
	m.path.data = (uint8_t *)(uintptr_t)data + 1;
	m.path.len = n;
	bool fine = fetch_check(&m) == 0;
	must(!fine || (n > 0 && data[1] == '/' && !memchr(data + 1, '\0', n)), "a bad request");
	int len =
		snprintf(path, sizeof(path), "%s/in%.*s", dir, fine ? (int)n : 0, (char *)data + 1);
	/* Only below our own directory: what a path means there is the kernel's part. */
	if (strstr(path, ".."))
		len = snprintf(path, sizeof(path), "%s/in", dir);
	m.path.data = (uint8_t *)path;
	m.path.len = (size_t)len;
	must(chdir(dir) == 0, "directory");
	make_tree(data + 1 + n, MIN(size - 1 - n, (size_t)60));
	round_trip(&m);
	clean("in");
	clean("out");
	must(fchdir(home) == 0, "back");
	return 0;
}
