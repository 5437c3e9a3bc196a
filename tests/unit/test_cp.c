// SPDX-License-Identifier: Apache-2.0
// test_cp.c - mayfly cp against the guest's own code, and against guests that lie, stop or vanish
// links: runtime/cli/cp_conn.c runtime/cli/cp_fetch.c runtime/cli/cp_put.c
#include "cli/cp_fetch.h"
#include "cli/cp_put.h"
#include "fetch.h"
#include "put.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
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

enum guest {
	HONEST,
	SILENT,
	CLOSES,
	NO_OK,
	GARBAGE,
	WRONG_FRAME,
	EARLY_ANSWER,
	TWO_TOPS,
	FOREVER,
	NOTES,
	HUGE,
	NOTHING
};

static struct {
	char dir[40];
	struct cp_conn c;
	pid_t pid;
	struct err e;
} t;

static int setup(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	snprintf(t.dir, sizeof(t.dir), "/tmp/mayfly-cp-XXXXXX");
	return mkdtemp(t.dir) && chdir(t.dir) == 0 ? 0 : -1;
}

static int teardown(void **state)
{
	char cmd[100];
	(void)state;
	assert_int_equal(system("! find . -name '.mayfly-out-*' | grep -q ."), 0);
	assert_int_equal(chdir("/"), 0);
	snprintf(cmd, sizeof(cmd), "chmod -R u+rwx %s; rm -rf %s", t.dir, t.dir);
	return system(cmd);
}

static void flush(struct frame_conn *c)
{
	while (frame_flush(c) == 1) {
		struct pollfd p = {.fd = c->fd, .events = POLLOUT};
		poll(&p, 1, 10000);
	}
}

static void say_end(struct frame_conn *c, int code, const char *text)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__FetchEnd m = MAYFLY__FETCH_END__INIT;
	m.code = code;
	m.text = (char *)(uintptr_t)text;
	f.body_case = MAYFLY__FRAME__BODY_FETCH_END;
	f.fetch_end = &m;
	frame_send(c, &f);
	flush(c);
}

static void say_file(struct frame_conn *c, uint64_t size)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__Entry m = MAYFLY__ENTRY__INIT;
	m.size = size;
	f.body_case = MAYFLY__FRAME__BODY_ENTRY;
	f.entry = &m;
	frame_send(c, &f);
	flush(c);
}

static int say_note(struct frame_conn *c)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__FetchNote m = MAYFLY__FETCH_NOTE__INIT;
	f.body_case = MAYFLY__FRAME__BODY_FETCH_NOTE;
	f.fetch_note = &m;
	frame_send(c, &f);
	return frame_flush(c);
}

static void say_entry_end(struct frame_conn *c)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__EntryEnd m = MAYFLY__ENTRY_END__INIT;
	f.body_case = MAYFLY__FRAME__BODY_ENTRY_END;
	f.entry_end = &m;
	frame_send(c, &f);
	flush(c);
}

static void say_nothing(struct frame_conn *c, uint64_t at)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__EntryData m = MAYFLY__ENTRY_DATA__INIT;
	m.offset = at;
	f.body_case = MAYFLY__FRAME__BODY_ENTRY_DATA;
	f.entry_data = &m;
	frame_send(c, &f);
	flush(c);
}

static Mayfly__Frame *hear(struct frame_conn *c)
{
	Mayfly__Frame *f = NULL;
	while (frame_next(c, &f) != 1) {
		struct pollfd p = {.fd = c->fd, .events = POLLIN};
		if (poll(&p, 1, 10000) != 1 || frame_fill(c) < 0)
			_exit(0);
	}
	return f;
}

static void serve_honestly(struct frame_conn *c)
{
	mayfly__frame__free_unpacked(hear(c), NULL);
	Mayfly__Frame *f = hear(c);
	int ret = -1;
	if (f->body_case == MAYFLY__FRAME__BODY_PUT && put_check(f->put) == 0)
		ret = put_serve(c, f->put);
	else if (f->body_case == MAYFLY__FRAME__BODY_FETCH && fetch_check(f->fetch) == 0)
		ret = fetch_serve(c, f->fetch);
	_exit(ret == 0 ? 0 : 1);
}

static _Noreturn void be_guest(enum guest kind, int fd)
{
	char line[16];
	struct frame_conn c = {.fd = fd};
	if (kind == CLOSES || io_read_full(fd, line, strlen("CONNECT 1024\n")) < 0)
		_exit(0);
	io_write_full(fd, kind == NO_OK ? "NO\n" : "OK 7\n", kind == NO_OK ? 3 : 5);
	io_set_nonblock(fd, 1);
	frame_send_hello(&c, "guest");
	flush(&c);
	switch (kind) {
	case HONEST: serve_honestly(&c); break;
	case GARBAGE: io_write_full(fd, "\xff\xff\xff\xff", 4); break;
	case WRONG_FRAME:
		frame_send_eof(&c, MAYFLY__STREAM__STDIN);
		flush(&c);
		break;
	case EARLY_ANSWER: say_end(&c, ENOSPC, "no space\x1b[31m at all"); break;
	case TWO_TOPS:
		say_file(&c, 0);
		say_file(&c, 0);
		break;
	case NOTES:
		for (int i = 0; i < 3000 && say_note(&c) >= 0; i++)
			;
		break;
	case HUGE:
		say_file(&c, INT64_MAX);
		say_entry_end(&c);
		break;
	case NOTHING:
		say_file(&c, 10);
		say_nothing(&c, 0);
		break;
	case FOREVER:
		while (frame_flush(&c) >= 0)
			frame_send_hello(&c, "again");
		break;
	default: break;
	}
	/* Takes nothing, says nothing, goes with its host. */
	struct pollfd p = {.fd = fd, .events = 0};
	poll(&p, 1, 20000);
	_exit(0);
}

static void begin(enum guest kind)
{
	int pair[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	t.pid = fork();
	assert_true(t.pid >= 0);
	if (t.pid == 0) {
		alarm(30);
		close(pair[0]);
		be_guest(kind, pair[1]);
	}
	close(pair[1]);
	int ret = cp_conn_init(&t.c, pair[0]);
	/* A guest that has closed already may be seen here. */
	if (ret < 0)
		assert_int_equal(kind, CLOSES);
	t.c.stall_ns = 500000000;
	t.e.text[0] = '\0';
}

static void finish(void)
{
	int status;
	cp_conn_close(&t.c);
	assert_int_equal(waitpid(t.pid, &status, 0), t.pid);
	assert_int_equal(status, 0);
}

static int put(enum guest kind, const char *local, const char *below)
{
	char path[100];
	snprintf(path, sizeof(path), "%s/%s", t.dir, below);
	const struct cp_put_to to = {.path = path, .uid = getuid(), .gid = getgid()};
	begin(kind);
	int ret = cp_put(&t.c, local, &to, &t.e);
	finish();
	return ret;
}

static int fetch(enum guest kind, const char *below, const char *local, int out)
{
	char path[100];
	struct out_target target = OUT_TARGET_NONE;
	snprintf(path, sizeof(path), "%s/%s", t.dir, below);
	begin(kind);
	int ret;
	if (local) {
		assert_int_equal(out_target_open(&target, local, 1 << 20, &t.e), 0);
		assert_int_equal(out_target_source(&target, path, "", &t.e), 0);
		out_target_into(&target);
		ret = cp_fetch(&t.c, &target, &t.e);
	} else {
		ret = cp_fetch_stdout(&t.c, path, out, 1 << 20, &t.e);
	}
	finish();
	out_target_close(&target);
	return ret;
}

static void test_round_trip(void **state)
{
	(void)state;
	assert_int_equal(system("mkdir -p src/d there back && head -c 700000 /dev/urandom >src/d/f"
				" && ln -s d src/l && truncate -s 900000 src/hole && chmod 555 "
				"src/d && touch -d @1000000000 src/d"),
			 0);
	assert_int_equal(put(HONEST, "src", "there"), 0);
	assert_int_equal(system("diff -r src there/src && [ \"$(readlink there/src/l)\" = d ] && [ "
				"\"$(stat -c '%a %Y' there/src/d)\" = '555 1000000000' ]"),
			 0);
	assert_int_equal(put(HONEST, "src/.", "fresh"), 0);
	assert_int_equal(system("diff -r src fresh"), 0);
	/* 1.6 MB are more than the 1 MiB that fetch() allows. */
	assert_int_equal(fetch(HONEST, "src", "back", -1), -EFBIG);
	assert_non_null(strstr(t.e.text, "--max-size"));
	assert_int_equal(fetch(HONEST, "src/d", "back", -1), 0);
	assert_int_equal(system("cmp src/d/f back/d/f"), 0);
	assert_int_equal(fetch(HONEST, "src/d/f", "back/new", -1), 0);
	assert_int_equal(system("cmp src/d/f back/new"), 0);
	assert_int_equal(fetch(HONEST, "missing", "back", -1), -ENOENT);
}

static void test_stdout(void **state)
{
	(void)state;
	assert_int_equal(system("truncate -s 300000 f && printf end >>f && mkdir d && ln -s f l"),
			 0);
	AUTO_CLOSE int fd = open("got", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(fetch(HONEST, "f", NULL, fd), 0);
	assert_int_equal(system("cmp f got"), 0);
	assert_int_equal(fetch(HONEST, "d", NULL, fd), -EISDIR);
	assert_int_equal(fetch(HONEST, "l", NULL, fd), -EISDIR);
	assert_int_equal(fetch(HONEST, "none", NULL, fd), -ENOENT);
	assert_int_equal(fetch(TWO_TOPS, "f", NULL, fd), -EPROTO);
	assert_int_equal(fetch(EARLY_ANSWER, "f", NULL, fd), -EIO);
	AUTO_CLOSE int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	assert_int_equal(fetch(HONEST, "f", NULL, full), -ENOSPC);
}

/* What the host can't read is named, and fails the copy; the rest arrives. */
static void test_left_out(void **state)
{
	(void)state;
	assert_int_equal(system("mkdir -p src/d && mkfifo src/p && echo >src/a && mkdir there"), 0);
	assert_int_equal(put(HONEST, "src", "there"), 0);
	assert_int_equal(system("[ \"$(ls there/src | xargs)\" = 'a d' ]"), 0);
	if (geteuid() != 0) {
		assert_int_equal(chmod("src/a", 0), 0);
		assert_int_equal(put(HONEST, "src", "there"), -EIO);
		assert_non_null(strstr(t.e.text, "1 files"));
	}
	assert_int_equal(cp_put_check("src/p", &t.e), -EINVAL);
	assert_int_equal(cp_put_check("src/none", &t.e), -ENOENT);
	assert_int_equal(cp_put_check("src", &t.e), 0);
}

/* The guest's file system refuses in the middle of a large copy: its own words, promptly. */
static void test_guest_fails(void **state)
{
	(void)state;
	assert_int_equal(system("head -c 8000000 /dev/zero | tr '\\0' x >big && mkdir t"), 0);
	assert_int_equal(put(HONEST, "big", "none/x"), -EIO);
	assert_non_null(strstr(t.e.text, "in the machine: can't open the directory"));
	assert_int_equal(put(EARLY_ANSWER, "big", "t"), -EIO);
	assert_non_null(strstr(t.e.text, "no space"));
}

static const struct {
	enum guest kind;
	int put, fetch; /* 0: any error */
	const char *text;
} hostile[] = {
	{SILENT, -ETIMEDOUT, -ETIMEDOUT, "the machine has"},
	{CLOSES, 0, 0, "agent is gone"},
	{NO_OK, 0, 0, "agent is gone"},
	{GARBAGE, 0, 0, "broke the protocol"},
	{WRONG_FRAME, -EPROTO, -EPROTO, "not its turn"},
	{FOREVER, 0, 0, "broke the protocol"},
};

static void test_hostile(void **state)
{
	(void)state;
	assert_int_equal(system("head -c 3000000 /dev/zero >big && echo >small && mkdir t"), 0);
	for (size_t i = 0; i < ARRAY_SIZE(hostile); i++) {
		const char *what = "small";
		for (int big = 0; big < 2; big++, what = "big") {
			int ret = put(hostile[i].kind, what, "t");
			if (ret >= 0 || (hostile[i].put && ret != hostile[i].put) ||
			    (!strstr(t.e.text, hostile[i].text) && !big))
				fail_msg("guest %zu, %s: %d, %s", i, what, ret, t.e.text);
		}
		int ret = fetch(hostile[i].kind, "small", "t", -1);
		if (ret >= 0 || (hostile[i].fetch && ret != hostile[i].fetch) ||
		    !strstr(t.e.text, hostile[i].text))
			fail_msg("guest %zu: %d, %s", i, ret, t.e.text);
		assert_int_equal(system("[ -z \"$(ls -A t)\" ]"), 0);
	}
}

/* A guest that is never done: notes without an end, a size that nobody could ever write. */
static void test_endless(void **state)
{
	(void)state;
	assert_int_equal(system("mkdir t"), 0);
	assert_int_equal(fetch(NOTES, "x", "t", -1), -EPROTO);
	assert_non_null(strstr(t.e.text, "more notes than it may"));
	AUTO_CLOSE int fd = open("got", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(fetch(HUGE, "x", NULL, fd), -EFBIG);
	assert_non_null(strstr(t.e.text, "--max-size"));
	assert_int_equal(fetch(NOTHING, "x", NULL, fd), -EPROTO);
	assert_int_equal(lseek(fd, 0, SEEK_END), 0);
}

/* One that moves a little now and then, so that it never stands still. */
static void test_too_slow(void **state)
{
	static const uint64_t one = 1;
	(void)state;
	int pair[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(cp_conn_init(&t.c, pair[0]), 0);
	t.c.files = t.c.bytes = t.c.data = &one;
	t.c.quiet = true;
	t.c.pace.busy_ns = PACE_GRACE_NS + 5000000000ull;
	Mayfly__Frame *f = NULL;
	assert_int_equal(cp_conn_next(&t.c, &f, &t.e), -ETIMEDOUT);
	assert_non_null(strstr(t.e.text, "would never end"));
	cp_conn_close(&t.c);
	close(pair[1]);
}

/* The same where there is no copy: one end for all of it, though something always moves. */
static void test_end(void **state)
{
	(void)state;
	int pair[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		alarm(30);
		close(pair[0]);
		/* A frame of 64 KiB, a byte at a time. */
		dprintf(pair[1], "OK 1\n%c%c%c%c", 0, 0, 1, 0);
		while (send(pair[1], "x", 1, MSG_NOSIGNAL) == 1)
			poll(NULL, 0, 10);
		_exit(0);
	}
	close(pair[1]);
	assert_int_equal(cp_conn_init(&t.c, pair[0]), 0);
	t.c.quiet = true;
	t.c.end_ns = t.c.start_ns + 300000000;
	Mayfly__Frame *f = NULL;
	assert_int_equal(cp_conn_next(&t.c, &f, &t.e), -ETIMEDOUT);
	cp_conn_close(&t.c);
	/* By itself, when we have gone: with the alarm it would be a signal. */
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_round_trip), T(test_stdout),  T(test_left_out), T(test_guest_fails),
		T(test_hostile),    T(test_endless), T(test_too_slow), T(test_end),
	};
	alarm(50);
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("cp", tests, NULL, NULL);
}
