// SPDX-License-Identifier: Apache-2.0
// test_out.c - messages of a hostile guest: refused by the table, and nothing outside the target
// links: runtime/copy/out.c runtime/copy/out_file.c
#include "copy/out.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "copy/out_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static struct {
	char dir[40]; /* holds top/, where everything goes, and outside, which nothing touches */
	struct out_target target;
	struct out o;
	struct err e;
	unsigned fds;
	char long_name[300];
	uint8_t data[PROTO_DATA_MAX + 1];
} t;

static unsigned open_fds(void)
{
	unsigned n = 0;
	DIR *d = opendir("/proc/self/fd");
	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static int setup(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	memset(t.long_name, 'n', sizeof(t.long_name) - 1);
	snprintf(t.dir, sizeof(t.dir), "/tmp/mayfly-out-XXXXXX");
	if (!mkdtemp(t.dir) || chdir(t.dir) < 0 || mkdir("outside", 0755) < 0)
		return -1;
	t.fds = open_fds();
	t.target = OUT_TARGET_NONE;
	t.target.host = "top";
	t.target.max_bytes = 1 << 20;
	snprintf(t.target.guest, sizeof(t.target.guest), "/g/base");
	snprintf(t.target.name, sizeof(t.target.name), "top");
	snprintf(t.target.base, sizeof(t.target.base), "base");
	t.target.parent_fd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	out_init(&t.o, &t.target);
	return t.target.parent_fd < 0 ? -1 : 0;
}

/* No descriptor stays open, and no temporary name. */
static int teardown(void **state)
{
	char cmd[100];
	(void)state;
	out_close(&t.o);
	out_target_close(&t.target);
	assert_int_equal(open_fds(), t.fds);
	assert_int_equal(system("! find . -name '.mayfly-out-*' | grep -q ."), 0);
	assert_int_equal(system("[ -z \"$(ls outside)\" ] && [ ! -e x ] && [ ! -e /escaped ]"), 0);
	assert_int_equal(chdir("/"), 0);
	snprintf(cmd, sizeof(cmd), "chmod -R u+rwx %s; rm -rf %s", t.dir, t.dir);
	return system(cmd);
}

static int entry(Mayfly__Entry__Kind kind, const char *name, size_t len, uint64_t size,
		 const char *link, uint32_t mode)
{
	Mayfly__Entry m = MAYFLY__ENTRY__INIT;
	m.kind = kind;
	m.name.data = (uint8_t *)(uintptr_t)name;
	m.name.len = len;
	m.mode = mode;
	m.mtime_s = 981173106;
	m.mtime_ns = 123456789;
	m.size = size;
	m.link.data = (uint8_t *)(uintptr_t)link;
	m.link.len = link ? strlen(link) : 0;
	return out_entry(&t.o, &m, &t.e);
}

static int data(uint64_t offset, size_t len)
{
	Mayfly__EntryData m = MAYFLY__ENTRY_DATA__INIT;
	memset(t.data, 'x', sizeof(t.data));
	m.offset = offset;
	m.data.data = t.data;
	m.data.len = len;
	return out_data(&t.o, &m, &t.e);
}

static int end(bool discard)
{
	Mayfly__EntryEnd m = MAYFLY__ENTRY_END__INIT;
	m.discard = discard;
	return out_entry_end(&t.o, &m, &t.e);
}

/*
 * One word of a script: D, F, S the top as directory, file of 9 bytes, link; dNAME, lNAME=TARGET,
 * fNAME or fNAME=SIZE; wOFFSET,LENGTH; e, E (discard); a name of LONG is 299 bytes, of NUL "a\0b".
 */
static int step(const char *w)
{
	char name[320];
	snprintf(name, sizeof(name), "%s", w + 1);
	char *eq = strchr(name, '=');
	if (eq)
		*eq++ = '\0';
	if (strcmp(name, "LONG") == 0)
		snprintf(name, sizeof(name), "%s", t.long_name);
	size_t len = strlen(name);
	if (strcmp(name, "NUL") == 0) {
		memcpy(name, "a\0b", 3);
		len = 3;
	}
	unsigned long long size = eq ? strtoull(eq, NULL, 0) : 9;
	char *comma;
	switch (w[0]) {
	case 'D': return entry(MAYFLY__ENTRY__KIND__DIRECTORY, name, len, 0, NULL, 0755);
	case 'F': return entry(MAYFLY__ENTRY__KIND__FILE, name, len, size, NULL, 0644);
	case 'S': return entry(MAYFLY__ENTRY__KIND__SYMLINK, name, len, 0, "/escaped", 0777);
	case 'd': return entry(MAYFLY__ENTRY__KIND__DIRECTORY, name, len, 0, NULL, 0755);
	case 'f': return entry(MAYFLY__ENTRY__KIND__FILE, name, len, size, NULL, 0644);
	case 'l': return entry(MAYFLY__ENTRY__KIND__SYMLINK, name, len, 0, eq, 0777);
	case '?': return entry((Mayfly__Entry__Kind)77, name, len, 0, NULL, 0644);
	case 'w': {
		uint64_t at = strtoull(name, &comma, 0);
		return data(at, strtoull(comma + 1, NULL, 0));
	}
	case 'e': return end(false);
	case 'E': return end(true);
	default: fail_msg("no step '%s'", w); return 0;
	}
}

/* All words but the last are taken; returns what the last one gives. */
static int run(const char *script)
{
	char words[600];
	int ret = 0;
	snprintf(words, sizeof(words), "%s", script);
	char *save = NULL;
	for (char *w = strtok_r(words, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
		if (ret != 0)
			fail_msg("'%s': refused before '%s': %s", script, w, t.e.text);
		ret = step(w);
	}
	return ret;
}

static const struct {
	const char *script;
	int want;
	const char *text;
} hostile[] = {
	{"Dx", -EPROTO, "a name for the top"},
	{"Fx", -EPROTO, "a name for the top"},
	{"Sx", -EPROTO, "a name for the top"},
	{"e", -EPROTO, "an end of nothing"},
	{"E", -EPROTO, "an end of nothing"},
	{"w0,1", -EPROTO, "data of no file"},
	{"D d", -EPROTO, "a name that is none"},
	{"D d.", -EPROTO, "a name that is none"},
	{"D d..", -EPROTO, "a name that is none"},
	{"D f..", -EPROTO, "a name that is none"},
	{"D l..=x", -EPROTO, "a name that is none"},
	{"D da/b", -EPROTO, "a name that is none"},
	{"D f../outside/x", -EPROTO, "a name that is none"},
	{"D f/escaped", -EPROTO, "a name that is none"},
	{"D fNUL", -EPROTO, "a name that is none"},
	{"D dNUL", -EPROTO, "a name that is none"},
	{"D fLONG", -EPROTO, "a name that is none"},
	{"D la=b la=c", -EPROTO, "a name twice"},
	{"D fa e fa", -EPROTO, "a name twice"},
	{"D fa e da", -EPROTO, "a name twice"},
	{"D da e da", -EPROTO, "a name twice"},
	{"D da e fa", -EPROTO, "a name twice"},
	{"D la=../outside da", -EPROTO, "a name twice"},
	{"D la=../outside fa", -EPROTO, "a name twice"},
	{"D fb e fa", -EPROTO, "names out of order"},
	{"D db e la=x", -EPROTO, "names out of order"},
	{"D fa fb", -EPROTO, "an entry inside a file"},
	{"D fa db", -EPROTO, "an entry inside a file"},
	{"F D", -EPROTO, "an entry inside a file"},
	{"D ?a", -EPROTO, "an entry of no known kind"},
	{"?", -EPROTO, "an entry of no known kind"},
	{"D la", -EPROTO, "a symbolic link to nowhere"},
	{"D e D", -EPROTO, "an entry behind the last"},
	{"D e F", -EPROTO, "an entry behind the last"},
	{"F e S", -EPROTO, "an entry behind the last"},
	{"S S", -EPROTO, "an entry behind the last"},
	{"D e e", -EPROTO, "an end of nothing"},
	{"D E", -EPROTO, "an end of nothing"},
	{"F e w0,1", -EPROTO, "data of no file"},
	{"S w0,1", -EPROTO, "data of no file"},
	{"D w0,1", -EPROTO, "data of no file"},
	{"F w0,10", -EPROTO, "outside its file"},
	{"F w9,1", -EPROTO, "outside its file"},
	{"F w0,9 w9,1", -EPROTO, "outside its file"},
	{"F w4,2 w5,1", -EPROTO, "outside its file"},
	{"F w4,2 w0,1", -EPROTO, "outside its file"},
	{"F w0,0", -EPROTO, "outside its file"},
	{"F w0xffffffffffffffff,2", -EPROTO, "outside its file"},
	{"F=100000 w0,32769", -EPROTO, "outside its file"},
	{"F=0xffffffffffffffff", -EPROTO, "a size that is none"},
	{"F=1048577", -EFBIG, "more than 1 MiB"},
	{"D fa=1048576 e fb=1", -EFBIG, "more than 1 MiB"},
	{"D fa=0x7fffffffffffffff", -EFBIG, "more than 1 MiB"},
};

static void test_hostile(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(hostile); i++) {
		assert_int_equal(system("rm -rf top"), 0);
		out_init(&t.o, &t.target);
		int ret = run(hostile[i].script);
		if (ret != hostile[i].want || !strstr(t.e.text, hostile[i].text))
			fail_msg("'%s' gives %d, '%s'", hostile[i].script, ret, t.e.text);
		out_close(&t.o);
		assert_int_equal(open_fds(), t.fds + 1);
	}
}

static void expect_file(const char *path, const char *want, mode_t mode)
{
	char buf[64] = "";
	struct stat st;
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	assert_true(fd >= 0 && fstat(fd, &st) == 0);
	assert_int_equal(st.st_mode & 07777, mode);
	assert_int_equal(st.st_mtim.tv_sec, 981173106);
	assert_int_equal(st.st_mtim.tv_nsec, 123456789);
	assert_int_equal(read(fd, buf, sizeof(buf) - 1), strlen(want));
	assert_string_equal(buf, want);
}

static void test_tree(void **state)
{
	struct stat st;
	char link[64] = "";
	(void)state;
	assert_int_equal(run("D da db fc=3 w0,3 e e lc=/escaped e fb=1 w0,1 e dz e e"), 0);
	assert_true(t.o.complete);
	expect_file("top/a/b/c", "xxx", 0644);
	expect_file("top/b", "x", 0644);
	assert_int_equal(readlink("top/a/c", link, sizeof(link) - 1), 8);
	assert_string_equal(link, "/escaped");
	assert_true(lstat("top/z", &st) == 0 && S_ISDIR(st.st_mode));
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_int_equal(st.st_mtim.tv_sec, 981173106);
	assert_true(lstat("top", &st) == 0 && st.st_mtim.tv_sec == 981173106);
}

static void test_modes(void **state)
{
	struct stat st;
	(void)state;
	umask(077);
	assert_int_equal(run("D"), 0);
	assert_int_equal(entry(MAYFLY__ENTRY__KIND__DIRECTORY, "a", 1, 0, NULL, 07555), 0);
	assert_int_equal(entry(MAYFLY__ENTRY__KIND__FILE, "s", 1, 0, NULL, 07777), 0);
	assert_int_equal(run("e e"), 0);
	assert_int_equal(entry(MAYFLY__ENTRY__KIND__FILE, "z", 1, 0, NULL, 0), 0);
	assert_int_equal(run("e e"), 0);
	/* Set-uid and set-gid never come along, the sticky bit with directories only. */
	assert_true(lstat("top/a/s", &st) == 0 && (st.st_mode & 07777) == 0777);
	assert_true(lstat("top/a", &st) == 0 && (st.st_mode & 07777) == 01555);
	assert_true(lstat("top/z", &st) == 0 && (st.st_mode & 07777) == 0);
	umask(022);
}

static void test_sparse(void **state)
{
	struct stat st;
	(void)state;
	t.target.max_bytes = 1 << 30;
	assert_int_equal(run("F=1000000000 w500000000,7 e"), 0);
	assert_true(stat("top", &st) == 0 && st.st_size == 1000000000);
	assert_true(st.st_blocks < 1000);
}

static void test_replaces(void **state)
{
	(void)state;
	assert_int_equal(
		system("mkdir top && echo long old text >top/a && ln -s ../outside/f top/b &&"
		       " ln -s nowhere top/c"),
		0);
	assert_int_equal(run("D fa=2 w0,2 e fb=2 w0,2 e lc=new e"), 0);
	expect_file("top/a", "xx", 0644);
	/* The link itself is replaced, what it points to is not made. */
	expect_file("top/b", "xx", 0644);
	assert_int_equal(system("[ \"$(readlink top/c)\" = new ]"), 0);
}

static void test_planted_link(void **state)
{
	(void)state;
	assert_int_equal(system("mkdir top && ln -s ../outside top/a"), 0);
	assert_int_equal(run("D da"), -ELOOP);
	assert_non_null(strstr(t.e.text, "'top/a'"));
	assert_non_null(strstr(t.e.text, "symbolic link"));
	out_close(&t.o);
	/* HOST itself, after it was looked at. */
	assert_int_equal(system("rm -r top && ln -s outside top"), 0);
	out_init(&t.o, &t.target);
	assert_int_equal(run("D"), -ELOOP);
	assert_int_equal(run("F=1 w0,1 e"), 0);
	expect_file("top", "x", 0644);
}

static void test_in_the_way(void **state)
{
	static const char *const scripts[] = {"D da", "D fb e", "D lb=x"};
	(void)state;
	assert_int_equal(system("mkdir -p top/b && echo >top/a"), 0);
	for (size_t i = 0; i < ARRAY_SIZE(scripts); i++) {
		out_init(&t.o, &t.target);
		int ret = run(scripts[i]);
		assert_true(ret == -ENOTDIR || ret == -EISDIR);
		assert_non_null(strstr(t.e.text, "'top/"));
		out_close(&t.o);
	}
}

static void test_discard(void **state)
{
	(void)state;
	assert_int_equal(system("mkdir top && echo old >top/a"), 0);
	assert_int_equal(run("D fa=5 w0,3 E fb=5 w0,3 E e"), 0);
	assert_int_equal(system("[ \"$(cat top/a)\" = old ] && [ ! -e top/b ]"), 0);
}

/* Cut short: what is whole stays, what is not is not there. */
static void test_cut(void **state)
{
	(void)state;
	assert_int_equal(run("D fa=1 w0,1 e fb=5 w0,3"), 0);
	out_close(&t.o);
	assert_int_equal(system("[ \"$(ls -A top)\" = a ]"), 0);
}

static void test_read_only_dir_is_filled(void **state)
{
	(void)state;
	assert_int_equal(system("mkdir -p top/a && chmod 555 top/a top"), 0);
	assert_int_equal(run("D da fb=1 w0,1 e e e"), 0);
	expect_file("top/a/b", "x", 0644);
}

static void test_into_directory(void **state)
{
	struct stat st;
	(void)state;
	assert_int_equal(system("mkdir -m 750 top && touch -d @1000 top"), 0);
	t.target.dir_fd = out_open_dir(t.target.parent_fd, "top", O_PATH);
	assert_true(t.target.dir_fd >= 0);
	assert_int_equal(run("F=1 w0,1 e"), 0);
	expect_file("top/base", "x", 0644);
	out_init(&t.o, &t.target);
	assert_int_equal(run("D fa=1 w0,1 e e"), 0);
	expect_file("top/a", "x", 0644);
	/* The user's own directory keeps its mode. */
	assert_true(stat("top", &st) == 0 && (st.st_mode & 07777) == 0750);
	out_init(&t.o, &t.target);
	t.target.base[0] = '\0';
	assert_int_equal(run("F"), -EINVAL);
}

static void test_slash_wants_directory(void **state)
{
	(void)state;
	t.target.must_be_dir = true;
	assert_int_equal(run("F"), -ENOTDIR);
	out_init(&t.o, &t.target);
	assert_int_equal(run("D e"), 0);
}

static void test_depth(void **state)
{
	(void)state;
	assert_int_equal(run("D"), 0);
	for (int i = 1; i < PROTO_TREE_DEPTH_MAX; i++)
		assert_int_equal(run("da"), 0);
	assert_int_equal(run("da"), -EPROTO);
}

static void test_entries(void **state)
{
	(void)state;
	t.o.max_entries = 3;
	assert_int_equal(run("D da e db e dc"), -E2BIG);
}

/* As on a file system that has no O_TMPFILE. */
static void test_named_temporary(void **state)
{
	struct out_file f = {.fd = -1, .name = "n", .mode = 0600};
	(void)state;
	f.dir = t.target.parent_fd;
	snprintf(f.temp, sizeof(f.temp), OUT_TEMP_PREFIX "0");
	f.fd = open(f.temp, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(out_file_place(&f), 0);
	out_file_close(&f);
	assert_int_equal(access("n", F_OK), 0);
	snprintf(f.temp, sizeof(f.temp), OUT_TEMP_PREFIX "1");
	f.fd = open(f.temp, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	out_file_close(&f);
	assert_int_equal(access(OUT_TEMP_PREFIX "1", F_OK), -1);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_hostile),
		T(test_tree),
		T(test_modes),
		T(test_sparse),
		T(test_replaces),
		T(test_planted_link),
		T(test_in_the_way),
		T(test_discard),
		T(test_cut),
		T(test_read_only_dir_is_filled),
		T(test_into_directory),
		T(test_slash_wants_directory),
		T(test_depth),
		T(test_entries),
		T(test_named_temporary),
	};
	return cmocka_run_group_tests_name("out", tests, NULL, NULL);
}
