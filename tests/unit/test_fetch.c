// SPDX-License-Identifier: Apache-2.0
// test_fetch.c - the guest's walk: order, links not followed, what is noted, sizes, a slow peer
// links: init/fetch.c runtime/copy/walk.c runtime/copy/walk_dir.c
#include "fetch.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "copy/walk_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

static struct {
	char dir[40];
	char said[65536]; /* what came, as words */
	size_t len;
	uint64_t bytes;
	pid_t pid;
} t;

static int setup(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	snprintf(t.dir, sizeof(t.dir), "/tmp/mayfly-fetch-XXXXXX");
	return mkdtemp(t.dir) && chdir(t.dir) == 0 ? 0 : -1;
}

static int teardown(void **state)
{
	char cmd[100];
	(void)state;
	assert_int_equal(chdir("/"), 0);
	snprintf(cmd, sizeof(cmd), "chmod -R u+rwx %s; rm -rf %s", t.dir, t.dir);
	return system(cmd);
}

static void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	t.len += (size_t)vsnprintf(t.said + t.len, sizeof(t.said) - t.len, fmt, ap);
	va_end(ap);
	assert_true(t.len < sizeof(t.said));
}

#define B(x) (int)(x).len, (x).data ? (char *)(x).data : ""

/* Returns true after FetchEnd. */
static bool hear(const Mayfly__Frame *f)
{
	static const char kinds[] = "fdl";
	const Mayfly__Entry *m = f->entry;
	switch (f->body_case) {
	case MAYFLY__FRAME__BODY_ENTRY:
		say("%c%.*s", kinds[m->kind], B(m->name));
		if (m->kind == MAYFLY__ENTRY__KIND__FILE)
			say("=%llu", (unsigned long long)m->size);
		if (m->kind == MAYFLY__ENTRY__KIND__SYMLINK)
			say("=%.*s", B(m->link));
		say(" ");
		return false;
	case MAYFLY__FRAME__BODY_ENTRY_DATA: t.bytes += f->entry_data->data.len; return false;
	case MAYFLY__FRAME__BODY_ENTRY_END: say(f->entry_end->discard ? "E " : "e "); return false;
	case MAYFLY__FRAME__BODY_FETCH_NOTE:
		say("(%.*s: %s%s) ", B(f->fetch_note->path), f->fetch_note->lost ? "lost, " : "",
		    f->fetch_note->text);
		return false;
	case MAYFLY__FRAME__BODY_FETCH_END:
		say("end %d %llu %llu", f->fetch_end->code, (unsigned long long)f->fetch_end->notes,
		    (unsigned long long)f->fetch_end->lost);
		return true;
	default: fail_msg("frame %d", (int)f->body_case); return true;
	}
}

static int start(const char *path)
{
	int pair[2];
	Mayfly__Fetch m = MAYFLY__FETCH__INIT;
	m.path.data = (uint8_t *)(uintptr_t)path;
	m.path.len = strlen(path);
	assert_int_equal(fetch_check(&m), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair),
			 0);
	struct frame_conn c = {.fd = pair[1]};
	t.pid = fetch_spawn(&c, &m);
	assert_true(t.pid > 0);
	close(pair[1]);
	frame_conn_free(&c);
	return pair[0];
}

/* What the copy of this path says, NULL-terminated. */
static const char *fetch(const char *path)
{
	struct frame_conn c = {.fd = start(path), .got_hello = true};
	int status;
	bool over = false;
	t.len = 0;
	t.bytes = 0;
	while (!over) {
		struct pollfd p = {.fd = c.fd, .events = POLLIN};
		Mayfly__Frame *f = NULL;
		assert_int_equal(poll(&p, 1, 10000), 1);
		assert_int_equal(frame_fill(&c), 1);
		while (!over && frame_next(&c, &f) == 1) {
			over = hear(f);
			mayfly__frame__free_unpacked(f, NULL);
		}
	}
	assert_int_equal(waitpid(t.pid, &status, 0), t.pid);
	assert_int_equal(status, 0);
	frame_conn_free(&c);
	close(c.fd);
	return t.said;
}

static const char *fetch_here(const char *name)
{
	char path[100];
	snprintf(path, sizeof(path), "%s/%s", t.dir, name);
	return fetch(path);
}

static void test_tree(void **state)
{
	(void)state;
	assert_int_equal(system("mkdir -p top/b/c top/z; echo hi >top/b/f; ln -s /etc top/l; "
				"ln -s b top/a; mkdir top/B; : >'top/sp ace'"),
			 0);
	assert_string_equal(fetch_here("top"),
			    "d dB e la=b db dc e ff=3 e e ll=/etc fsp ace=0 e dz e e end 0 0 0");
	assert_int_equal(t.bytes, 3);
	assert_string_equal(fetch_here("top/b/f"), "f=3 e end 0 0 0");
	/* A link at the end is copied itself, unless a slash asks for what it leads to. */
	assert_string_equal(fetch_here("top/a"), "l=b end 0 0 0");
	assert_string_equal(fetch_here("top/a/"), "d dc e ff=3 e e end 0 0 0");
}

static void test_missing(void **state)
{
	(void)state;
	assert_string_equal(fetch_here("nothing"), "end 2 0 0");
	assert_string_equal(fetch_here("nothing/below"), "end 2 0 0");
}

/* Neither blocks nor is copied: a pipe, a socket, files of the kernel. */
static void test_special(void **state)
{
	(void)state;
	assert_int_equal(system("mkdir top && mkfifo top/p && echo >top/x"), 0);
	assert_string_equal(fetch_here("top"),
			    "d (p: not copied: a named pipe) fx=1 e e end 0 1 0");
	assert_string_equal(fetch_here("top/p"), "(: lost, not copied: a named pipe) end 0 1 1");
	assert_string_equal(fetch("/dev/null"), "(: lost, not copied: a device) end 0 1 1");
	assert_string_equal(fetch("/proc/self/"),
			    "(: lost, not copied: files of the kernel) end 0 1 1");
}

static void test_unreadable(void **state)
{
	(void)state;
	if (geteuid() == 0)
		skip();
	assert_int_equal(
		system("mkdir -p top/d && echo >top/a && echo >top/b && chmod 0 top/a top/d"), 0);
	assert_string_equal(fetch_here("top"),
			    "d (a: lost, can't open it: Permission denied) fb=1 e "
			    "(d: lost, can't open it: Permission denied) e end 0 2 2");
}

static void test_many_notes(void **state)
{
	char want[64];
	(void)state;
	assert_int_equal(system("mkdir top && cd top && for i in $(seq 100); do mkfifo $i; done"),
			 0);
	snprintf(want, sizeof(want), "e end 0 %d 0", 100);
	const char *said = fetch_here("top");
	assert_non_null(strstr(said, want));
	size_t n = 0;
	for (const char *p = said; (p = strchr(p, '(')); p++)
		n++;
	assert_int_equal(n, PROTO_TREE_NOTES_MAX);
}

static void test_holes(void **state)
{
	(void)state;
	assert_int_equal(
		system("truncate -s 1G big && printf x | dd of=big bs=1 seek=500M conv=notrunc "
		       "2>/dev/null && : >empty && truncate -s 100M hole"),
		0);
	assert_string_equal(fetch_here("big"), "f=1073741824 e end 0 0 0");
	/* Whole blocks of the file system, not 1 GiB. */
	assert_true(t.bytes > 0 && t.bytes <= 1 << 20);
	assert_string_equal(fetch_here("hole"), "f=104857600 e end 0 0 0");
	assert_int_equal(t.bytes, 0);
	assert_string_equal(fetch_here("empty"), "f=0 e end 0 0 0");
}

static void test_deep(void **state)
{
	(void)state;
	assert_int_equal(system("d=top; mkdir top; cd top; for i in $(seq 300); do mkdir d && cd d "
				"|| exit 1; done"),
			 0);
	const char *said = fetch_here("top");
	assert_non_null(strstr(said, "lost, too deep a directory"));
	assert_non_null(strstr(said, "end 0 1 1"));
}

/* More than a socket holds: the walk waits for its peer. */
static void test_large(void **state)
{
	(void)state;
	assert_int_equal(system("head -c 5000000 /dev/zero | tr '\\0' x >big"), 0);
	assert_string_equal(fetch_here("big"), "f=5000000 e end 0 0 0");
	assert_int_equal(t.bytes, 5000000);
}

/* A peer that is gone ends the process that copies. */
static void test_peer_gone(void **state)
{
	int status;
	char path[100];
	(void)state;
	assert_int_equal(system("head -c 5000000 /dev/zero | tr '\\0' x >big"), 0);
	snprintf(path, sizeof(path), "%s/big", t.dir);
	close(start(path));
	assert_int_equal(waitpid(t.pid, &status, 0), t.pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
}

static void test_bad_requests(void **state)
{
	static char big[PATH_MAX];
	static const struct {
		const char *path;
		size_t len;
	} rows[] = {{"", 0}, {"x", 1}, {"./x", 3}, {"/a\0b", 4}, {big, sizeof(big)}};
	(void)state;
	memset(big, '/', sizeof(big));
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		Mayfly__Fetch m = MAYFLY__FETCH__INIT;
		m.path.data = (uint8_t *)(uintptr_t)rows[i].path;
		m.path.len = rows[i].len;
		assert_int_equal(fetch_check(&m), -EPROTO);
	}
}

static void test_too_many_names(void **state)
{
	struct walk_dir d;
	(void)state;
	assert_int_equal(system("mkdir top && touch top/a top/b top/c"), 0);
	assert_int_equal(walk_dir_open(&d, open("top", O_RDONLY | O_CLOEXEC), 2), -E2BIG);
	walk_dir_close(&d);
	assert_int_equal(walk_dir_open(&d, open("top", O_RDONLY | O_CLOEXEC), 3), 0);
	assert_int_equal(d.n, 3);
	assert_string_equal(d.name[2], "c");
	walk_dir_close(&d);
	assert_int_equal(walk_dir_open(&d, open("top/a", O_RDONLY | O_CLOEXEC), 3), -ENOTDIR);
	walk_dir_close(&d);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_tree),	      T(test_missing),	      T(test_special),
		T(test_unreadable),   T(test_many_notes),     T(test_holes),
		T(test_deep),	      T(test_large),	      T(test_peer_gone),
		T(test_bad_requests), T(test_too_many_names),
	};
	alarm(50);
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("fetch", tests, NULL, NULL);
}
