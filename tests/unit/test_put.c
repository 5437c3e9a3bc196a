// SPDX-License-Identifier: Apache-2.0
// test_put.c - the guest's writer: where a copy goes, whose it is, what a wrong host gets, cuts
// links: init/put.c runtime/copy/out.c runtime/copy/out_target.c
#include "put.h"

#include "base/checked.h"
#include "base/cleanup.h"

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
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#define OTHER 12345

static struct {
	char dir[40]; /* what is written lies in it; outside/ is touched by nothing */
	char path[100];
	struct frame_conn c; /* the host's end */
	pid_t pid;
	uid_t uid;
	char text[400]; /* of the answer */
	uint8_t data[PROTO_DATA_MAX];
} t;

static int setup(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	memset(t.data, 'x', sizeof(t.data));
	t.c.fd = -1;
	t.uid = getuid();
	snprintf(t.dir, sizeof(t.dir), "/tmp/mayfly-put-XXXXXX");
	return mkdtemp(t.dir) && chdir(t.dir) == 0 && mkdir("outside", 0755) == 0 ? 0 : -1;
}

static int teardown(void **state)
{
	char cmd[100];
	(void)state;
	assert_int_equal(system("! find . -name '.mayfly-out-*' | grep -q ."), 0);
	assert_int_equal(system("[ -z \"$(ls outside)\" ] && [ ! -e /escaped ]"), 0);
	assert_int_equal(chdir("/"), 0);
	snprintf(cmd, sizeof(cmd), "chmod -R u+rwx %s; rm -rf %s", t.dir, t.dir);
	return system(cmd);
}

static void begin(const char *below, const char *name)
{
	int pair[2];
	Mayfly__Put m = MAYFLY__PUT__INIT;
	snprintf(t.path, sizeof(t.path), "%s/%s", t.dir, below);
	m.path.data = (uint8_t *)t.path;
	m.path.len = strlen(t.path);
	m.name.data = (uint8_t *)(uintptr_t)name;
	m.name.len = strlen(name);
	m.uid = t.uid;
	m.gid = t.uid;
	m.into = true;
	assert_int_equal(put_check(&m), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair),
			 0);
	struct frame_conn guest = {.fd = pair[1], .got_hello = true};
	t.c = (struct frame_conn){.fd = pair[0], .got_hello = true};
	/* As an ordinary user nobody can set groups: without the ids of the request, then. */
	if (getuid() == 0) {
		t.pid = put_spawn(&guest, &m);
	} else {
		t.pid = fork();
		if (t.pid == 0)
			_exit(put_serve(&guest, &m) == 0 ? 0 : 1);
	}
	assert_true(t.pid > 0);
	close(pair[1]);
	frame_conn_free(&guest);
}

/* Waits as long as the guest takes nothing; false if it is gone. */
static bool send_all(void)
{
	int left;
	while ((left = frame_flush(&t.c)) == 1) {
		struct pollfd p = {.fd = t.c.fd, .events = POLLOUT};
		assert_int_equal(poll(&p, 1, 10000), 1);
	}
	return left == 0;
}

static void say(const Mayfly__Frame *f)
{
	assert_int_equal(frame_send(&t.c, f), 0);
	send_all();
}

static void entry(Mayfly__Entry__Kind kind, const char *name, uint64_t size, const char *link)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__Entry m = MAYFLY__ENTRY__INIT;
	m.kind = kind;
	m.name.data = (uint8_t *)(uintptr_t)name;
	m.name.len = strlen(name);
	m.mode = kind == MAYFLY__ENTRY__KIND__DIRECTORY ? 0751 : 0640;
	m.mtime_s = 981173106;
	m.size = size;
	m.link.data = (uint8_t *)(uintptr_t)link;
	m.link.len = link ? strlen(link) : 0;
	f.body_case = MAYFLY__FRAME__BODY_ENTRY;
	f.entry = &m;
	say(&f);
}

static void file(const char *name, uint64_t size)
{
	entry(MAYFLY__ENTRY__KIND__FILE, name, size, NULL);
}

static void dir(const char *name)
{
	entry(MAYFLY__ENTRY__KIND__DIRECTORY, name, 0, NULL);
}

static void data(uint64_t offset, size_t len)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__EntryData m = MAYFLY__ENTRY_DATA__INIT;
	m.offset = offset;
	m.data.data = t.data;
	m.data.len = len;
	f.body_case = MAYFLY__FRAME__BODY_ENTRY_DATA;
	f.entry_data = &m;
	say(&f);
}

static void end(void)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__EntryEnd m = MAYFLY__ENTRY_END__INIT;
	f.body_case = MAYFLY__FRAME__BODY_ENTRY_END;
	f.entry_end = &m;
	say(&f);
}

static void over(void)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__FetchEnd m = MAYFLY__FETCH_END__INIT;
	f.body_case = MAYFLY__FRAME__BODY_FETCH_END;
	f.fetch_end = &m;
	say(&f);
}

/* The guest's answer; its text stays in t.text. The process must then end in good order. */
static int answer(void)
{
	int status;
	int code = -1;
	while (code < 0) {
		struct pollfd p = {.fd = t.c.fd, .events = POLLIN};
		Mayfly__Frame *f = NULL;
		assert_int_equal(poll(&p, 1, 10000), 1);
		assert_int_equal(frame_fill(&t.c), 1);
		if (frame_next(&t.c, &f) != 1)
			continue;
		assert_int_equal(f->body_case, MAYFLY__FRAME__BODY_FETCH_END);
		code = f->fetch_end->code;
		snprintf(t.text, sizeof(t.text), "%s", f->fetch_end->text);
		mayfly__frame__free_unpacked(f, NULL);
	}
	close(t.c.fd);
	frame_conn_free(&t.c);
	assert_int_equal(waitpid(t.pid, &status, 0), t.pid);
	assert_int_equal(status, 0);
	return code;
}

static void expect(const char *path, off_t size, mode_t mode)
{
	struct stat st;
	if (lstat(path, &st) < 0)
		fail_msg("'%s' is not there: %s", path, strerror(errno));
	assert_int_equal(st.st_mode & 07777, mode);
	assert_int_equal(st.st_uid, t.uid);
	assert_int_equal(st.st_mtim.tv_sec, 981173106);
	if (S_ISREG(st.st_mode))
		assert_int_equal(st.st_size, size);
}

static int one_file(const char *below, const char *name)
{
	begin(below, name);
	file("", 3);
	data(0, 3);
	end();
	over();
	return answer();
}

static void test_where(void **state)
{
	(void)state;
	assert_int_equal(mkdir("dir", 0700), 0);
	assert_int_equal(one_file("new", "src"), 0);
	expect("new", 3, 0640);
	assert_int_equal(one_file("dir", "src"), 0);
	expect("dir/src", 3, 0640);
	assert_int_equal(one_file("dir/", "src2"), 0);
	expect("dir/src2", 3, 0640);
	assert_int_equal(one_file("dir/src", "other"), 0);
	assert_int_equal(one_file("none/", "src"), ENOTDIR);
	assert_non_null(strstr(t.text, "none/' is not there"));
	assert_int_equal(one_file("none/below", "src"), ENOENT);
	assert_non_null(strstr(t.text, "can't open the directory"));
	assert_int_equal(access("none", F_OK), -1);
}

static void test_tree(void **state)
{
	char link[40] = "";
	(void)state;
	assert_int_equal(mkdir("there", 0700), 0);
	begin("there", "src");
	dir("");
	dir("a");
	file("f", 1 << 30);
	data(1 << 20, 5);
	end();
	end();
	entry(MAYFLY__ENTRY__KIND__SYMLINK, "l", 0, "/escaped");
	end();
	over();
	assert_int_equal(answer(), 0);
	expect("there/src", 0, 0751);
	expect("there/src/a/f", 1 << 30, 0640);
	struct stat st;
	assert_true(stat("there/src/a/f", &st) == 0 && st.st_blocks < 1000);
	assert_int_equal(readlink("there/src/l", link, sizeof(link) - 1), 8);
	/* A source without a name is its content. */
	begin("there", "");
	dir("");
	file("g", 0);
	end();
	end();
	over();
	assert_int_equal(answer(), 0);
	expect("there/g", 0, 0640);
	assert_true(stat("there", &st) == 0 && (st.st_mode & 07777) == 0700);
}

static void test_wrong_host(void **state)
{
	static const char *const names[] = {"..", ".", "a/b", "../outside/x", "/escaped", ""};
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		begin("top", "x");
		dir("");
		file(names[i], 1);
		assert_int_equal(answer(), EPROTO);
		assert_non_null(strstr(t.text, "the host sent a name that is none"));
	}
	begin("top", "x");
	over();
	assert_int_equal(answer(), EPROTO);
	begin("top", "x");
	frame_send_eof(&t.c, MAYFLY__STREAM__STDIN);
	send_all();
	assert_int_equal(answer(), EPROTO);
	begin("top", "x");
	assert_int_equal(write(t.c.fd, "\xff\xff\xff\xff", 4), 4);
	assert_int_equal(answer(), EPROTO);
	begin("top", "x");
	assert_int_equal(write(t.c.fd, "\x02\0\0\0\xff\xff", 6), 6);
	assert_int_equal(answer(), EPROTO);
}

/* What a process in the guest has put in the way. */
static void test_planted_links(void **state)
{
	(void)state;
	assert_int_equal(system("ln -s outside top && mkdir dir && ln -s ../outside dir/a"), 0);
	assert_int_equal(one_file("top", "src"), ELOOP);
	begin("dir", "");
	dir("");
	dir("a");
	assert_int_equal(answer(), ELOOP);
	assert_non_null(strstr(t.text, "a symbolic link is in its place"));
	begin("dir", "a");
	dir("");
	assert_int_equal(answer(), ELOOP);
	assert_non_null(strstr(t.text, "dir/a'"));
}

/* The answer is not lost behind what the host sends without looking. */
static void test_answer_in_a_flood(void **state)
{
	(void)state;
	begin("none/x", "src");
	file("", 100 << 20);
	for (uint64_t at = 0; at < 5 << 20; at += sizeof(t.data))
		data(at, sizeof(t.data));
	assert_int_equal(answer(), ENOENT);
}

static void test_cut(void **state)
{
	int status;
	(void)state;
	begin("top", "x");
	dir("");
	file("a", 1);
	data(0, 1);
	end();
	file("b", 100);
	data(0, 50);
	close(t.c.fd);
	frame_conn_free(&t.c);
	assert_int_equal(waitpid(t.pid, &status, 0), t.pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	assert_int_equal(system("[ \"$(ls -A top)\" = a ]"), 0);
}

static void test_no_room(void **state)
{
	(void)state;
	begin("top", "x");
	struct rlimit small = {.rlim_cur = 1000, .rlim_max = RLIM_INFINITY};
	assert_int_equal(prlimit(t.pid, RLIMIT_FSIZE, &small, NULL), 0);
	file("", 5000);
	data(0, 5000);
	assert_int_equal(answer(), EFBIG);
	assert_non_null(strstr(t.text, "can't write"));
	assert_int_equal(access("top", F_OK), -1);
}

static void test_other_user(void **state)
{
	(void)state;
	if (getuid() != 0)
		skip();
	t.uid = OTHER;
	assert_int_equal(chmod(".", 0755), 0);
	assert_int_equal(one_file("new", "src"), EACCES);
	assert_non_null(strstr(t.text, "can't write to the directory"));
	assert_int_equal(mkdir("his", 0755), 0);
	assert_int_equal(chown("his", OTHER, OTHER), 0);
	assert_int_equal(one_file("his", "src"), 0);
	expect("his/src", 3, 0640);
}

static void test_bad_requests(void **state)
{
	static char big[PATH_MAX];
	static const struct {
		const char *path, *name;
		size_t path_len, name_len;
	} rows[] = {
		{"", "n", 0, 1},
		{"x", "n", 1, 1},
		{"/a\0b", "n", 4, 1},
		{big, "n", PATH_MAX, 1},
		{"/x", "a/b", 2, 3},
		{"/x", "a\0b", 2, 3},
		{"/x", big, 2, NAME_MAX + 1},
	};
	(void)state;
	memset(big, '/', sizeof(big));
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		Mayfly__Put m = MAYFLY__PUT__INIT;
		m.path.data = (uint8_t *)(uintptr_t)rows[i].path;
		m.path.len = rows[i].path_len;
		m.name.data = (uint8_t *)(uintptr_t)rows[i].name;
		m.name.len = rows[i].name_len;
		assert_int_equal(put_check(&m), -EPROTO);
	}
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_where),
		T(test_tree),
		T(test_wrong_host),
		T(test_planted_links),
		T(test_answer_in_a_flood),
		T(test_cut),
		T(test_no_room),
		T(test_other_user),
		T(test_bad_requests),
	};
	alarm(50);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	return cmocka_run_group_tests_name("put", tests, NULL, NULL);
}
