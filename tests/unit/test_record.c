// SPDX-License-Identifier: Apache-2.0
// test_record.c - records of machines: made, found, kept, completed, removed; and their logs
// links: runtime/cli/record.c runtime/cli/record_log.c
#include "cli/record.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "cli/record_log.h"
#include "statedir.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static bool usable;
static struct err e;

static char dir[] = "/tmp/mayfly-test-record-XXXXXX";

/* A directory of machines of our own. */
static int setup_all(void **state)
{
	(void)state;
	if (geteuid() == 0) {
		usable = unshare(CLONE_NEWNS) == 0 &&
			 mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
			 mount("tmpfs", "/run", "tmpfs", 0, "mode=755") == 0;
	} else {
		usable = mkdtemp(dir) && setenv("XDG_RUNTIME_DIR", dir, 1) == 0;
	}
	return 0;
}

static int teardown_all(void **state)
{
	char command[64];
	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return geteuid() == 0 ? 0 : system(command);
}

static void need_base(void)
{
	e.text[0] = '\0';
	if (!usable)
		skip();
}

static json_t *machine(const char *id)
{
	return json_pack("{s:s, s:s}", "state", "ready", "id", id);
}

static void make(struct record *r, const char *name, const char *id)
{
	json_t *o = machine(id);
	assert_int_equal(record_make(r, name, o, &e), 0);
	json_decref(o);
}

/* Its keeper ends without a word. */
static void make_dead(const char *name, const char *id, bool rm)
{
	struct record r;
	json_t *o = machine(id);
	json_object_set_new(o, "rm", json_boolean(rm));
	assert_int_equal(record_make(&r, name, o, &e), 0);
	json_decref(o);
	record_close(&r);
}

static void gone(const char *name)
{
	struct record r;
	assert_int_equal(record_find(&r, name, &e), -ENOENT);
}

static void test_names(void **state)
{
	char name[RECORD_NAME_MAX + 2];
	(void)state;
	memset(name, 'x', sizeof(name));
	name[RECORD_NAME_MAX + 1] = '\0';
	assert_false(record_name_ok(name));
	name[RECORD_NAME_MAX] = '\0';
	assert_true(record_name_ok(name));
	assert_true(record_name_ok("a"));
	assert_true(record_name_ok("0.b_C-d"));
	static const char *const bad[] = {"",	".",   "..",  ".a",  "-a",
					  "_a", "a/b", "a b", "a\n", "\xc3\xa4"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(record_name_ok(bad[i]));
}

static void test_life(void **state)
{
	struct record r;
	struct record found;
	struct stat st;
	(void)state;
	need_base();
	make(&r, "life", "run-0123456789abcdef");
	assert_true(record_kept(&r));
	assert_int_equal(fstat(r.dir_fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	json_t *o = machine("x");
	struct record second;
	assert_int_equal(record_make(&second, "life", o, &e), -EEXIST);
	assert_non_null(strstr(e.text, "'life' already"));
	json_decref(o);
	static const char *const names[] = {"life", "run-0123456789abcdef", "0123", "run-0123456"};
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(record_find(&found, names[i], &e), 0);
		assert_string_equal(found.name, "life");
		assert_true(record_kept(&found));
		assert_int_equal(record_remove(&found, &e), -EBUSY);
		record_close(&found);
	}
	gone("012");
	gone("run-");
	gone("../life");
	record_close(&r);
	assert_int_equal(record_find(&found, "life", &e), 0);
	assert_false(record_kept(&found));
	assert_int_equal(record_remove(&found, &e), 0);
	assert_int_equal(record_remove(&found, &e), -ENOENT);
	record_close(&found);
	gone("life");
}

/* A record that has ended is not kept by somebody who only looks. */
static void test_looked_at(void **state)
{
	struct record r;
	(void)state;
	need_base();
	make_dead("looked", "run-77777777", false);
	assert_int_equal(record_find(&r, "looked", &e), 0);
	AUTO_CLOSE int lock = openat(r.dir_fd, "lock", O_RDWR | O_CLOEXEC);
	assert_int_equal(flock(lock, LOCK_SH | LOCK_NB), 0);
	assert_int_equal(record_remove(&r, &e), 0);
	record_close(&r);
	gone("looked");
}

/* What a maker with our number left when it was killed is in nobody's way. */
static void test_number_again(void **state)
{
	struct record r;
	char part[32];
	(void)state;
	need_base();
	make(&r, "first", "run-88888888");
	snprintf(part, sizeof(part), ".new-%d", (int)getpid());
	assert_int_equal(mkdirat(r.all_fd, part, 0700), 0);
	struct record second;
	make(&second, "second", "run-99999999");
	assert_int_equal(record_remove(&second, &e), 0);
	assert_int_equal(record_remove(&r, &e), 0);
	record_close(&second);
	record_close(&r);
}

static void test_ambiguous(void **state)
{
	struct record a;
	struct record b;
	struct record found;
	(void)state;
	need_base();
	make(&a, "a1", "run-feed000000000001");
	make(&b, "b1", "run-feed000000000002");
	assert_int_equal(record_find(&found, "feed", &e), -EINVAL);
	assert_non_null(strstr(e.text, "2 machines"));
	assert_int_equal(record_find(&found, "feed000000000002", &e), 0);
	assert_string_equal(found.name, "b1");
	record_close(&found);
	assert_int_equal(record_remove(&a, &e), 0);
	assert_int_equal(record_remove(&b, &e), 0);
	record_close(&a);
	record_close(&b);
}

static void test_unnamed(void **state)
{
	struct record r[2];
	(void)state;
	need_base();
	for (int i = 0; i < 2; i++) {
		make(&r[i], NULL, "run-1111");
		assert_true(record_name_ok(r[i].name));
	}
	assert_string_not_equal(r[0].name, r[1].name);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(record_remove(&r[i], &e), 0);
		record_close(&r[i]);
	}
}

static void test_killed_keeper(void **state)
{
	struct record r;
	(void)state;
	need_base();
	make_dead("dead", "run-2222", false);
	assert_int_equal(record_find(&r, "dead", &e), 0);
	json_t *o = record_load(&r, RECORD_MACHINE);
	assert_string_equal(json_string_value(json_object_get(o, "state")), "stopped");
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(o, "verdict"), "reason")),
		"keeper-killed");
	json_decref(o);
	assert_int_equal(record_remove(&r, &e), 0);
	record_close(&r);
	make_dead("dead-rm", "run-3333", true);
	gone("dead-rm");
	make_dead("dead-rm", "run-3333", true);
	make(&r, "dead-rm", "run-4444");
	assert_int_equal(record_remove(&r, &e), 0);
	record_close(&r);
}

/* What record_sweep() has done. */
static unsigned completed, removed;
static void on_swept(void *arg, const char *name, bool rm)
{
	(void)arg;
	(void)name;
	*(rm ? &removed : &completed) += 1;
}

static void test_sweep(void **state)
{
	struct record r;
	struct stat st;
	(void)state;
	need_base();
	AUTO_CLOSE int base = statedir_base(&e);
	assert_true(base >= 0);
	make(&r, "lives", "run-5555");
	make_dead("s1", "run-6666", false);
	make_dead("s2", "run-7777", true);
	assert_int_equal(mkdirat(r.all_fd, ".new-1", 0700), 0);
	assert_int_equal(mkdirat(r.all_fd, ".old-1-2", 0700), 0);
	/* The sweeper of machines' directories leaves all of it alone. */
	statedir_sweep(base);
	assert_int_equal(fstatat(r.all_fd, "s2", &st, 0), 0);
	assert_int_equal(record_sweep(base, true, on_swept, NULL), 2);
	assert_int_equal(record_sweep(base, false, on_swept, NULL), 2);
	assert_int_equal(completed, 2);
	assert_int_equal(removed, 2);
	assert_int_equal(fstatat(r.all_fd, ".new-1", &st, 0), -1);
	assert_int_equal(fstatat(r.all_fd, ".old-1-2", &st, 0), -1);
	assert_int_equal(fstatat(r.all_fd, "s2", &st, 0), -1);
	assert_true(record_kept(&r));
	assert_int_equal(record_sweep(base, false, on_swept, NULL), 0);
	struct record s1;
	assert_int_equal(record_find(&s1, "s1", &e), 0);
	assert_int_equal(record_remove(&s1, &e), 0);
	record_close(&s1);
	assert_int_equal(record_remove(&r, &e), 0);
	record_close(&r);
}

/* Files that nobody of ours wrote: links, FIFOs, nonsense, too much. */
static void test_foreign_files(void **state)
{
	struct record r;
	(void)state;
	need_base();
	make(&r, "foreign", "run-8888");
	assert_null(record_load(&r, "none.json"));
	assert_int_equal(symlinkat("/etc/passwd", r.dir_fd, "link.json"), 0);
	assert_null(record_load(&r, "link.json"));
	assert_int_equal(mkfifoat(r.dir_fd, "fifo.json", 0600), 0);
	assert_null(record_load(&r, "fifo.json"));
	static const char *const texts[] = {"", "[1]", "{", "{}x", "null"};
	for (size_t i = 0; i < 5; i++) {
		int fd = openat(r.dir_fd, "t.json", O_WRONLY | O_CREAT | O_TRUNC, 0600);
		assert_int_equal(io_write_full(fd, texts[i], strlen(texts[i])), 0);
		close(fd);
		assert_null(record_load(&r, "t.json"));
	}
	int fd = openat(r.dir_fd, "t.json", O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_int_equal(ftruncate(fd, 64 << 20), 0);
	close(fd);
	assert_null(record_load(&r, "t.json"));
	assert_int_equal(record_remove(&r, &e), 0);
	record_close(&r);
}

/* Many processes want one name: exactly one gets it. */
static void test_race(void **state)
{
	pid_t pid[8];
	int won = 0;
	(void)state;
	need_base();
	int hold[2];
	assert_int_equal(pipe(hold), 0);
	for (size_t i = 0; i < 8; i++) {
		pid[i] = fork();
		if (pid[i] == 0) {
			struct record r;
			char c;
			json_t *o = machine("run-9999");
			int ret = record_make(&r, "race", o, NULL);
			json_decref(o);
			close(hold[1]);
			/* Until all have tried. */
			if (ret == 0 && read(hold[0], &c, 1) == 0)
				_exit(0);
			_exit(ret == -EEXIST ? 1 : 2);
		}
	}
	close(hold[0]);
	/* The losers end by themselves. */
	for (int left = 8; left > 1; left--) {
		int status;
		assert_true(wait(&status) > 0);
		assert_int_equal(WEXITSTATUS(status), 1);
	}
	close(hold[1]);
	int status;
	assert_true(wait(&status) > 0);
	won += WEXITSTATUS(status) == 0;
	assert_int_equal(won, 1);
	struct record r;
	assert_int_equal(record_find(&r, "race", &e), 0);
	assert_int_equal(record_remove(&r, &e), 0);
	record_close(&r);
}

static void test_log(void **state)
{
	struct record r;
	struct record_log l;
	struct stat st;
	char text[1000];
	(void)state;
	need_base();
	make(&r, "logs", "run-aaaa");
	assert_int_equal(record_log_open(&l, r.dir_fd, "t.log", 10000), 0);
	for (unsigned i = 0; i < 100; i++) {
		memset(text, 'a' + (int)(i % 26), sizeof(text));
		assert_int_equal(record_log_add(&l, text, sizeof(text)), 0);
		assert_int_equal(fstat(l.fd, &st), 0);
		assert_true(st.st_size <= 10000);
	}
	/* What came last is its end. */
	AUTO_CLOSE int fd = openat(r.dir_fd, "t.log", O_RDONLY);
	char last[1000];
	assert_int_equal(fstat(fd, &st), 0);
	assert_true(st.st_size >= 5000);
	assert_int_equal(pread(fd, last, sizeof(last), st.st_size - 1000), 1000);
	assert_memory_equal(last, text, 1000);
	record_log_close(&l);
	assert_int_equal(record_log_open(&l, r.dir_fd, "t.log", 10000), 0);
	assert_int_equal(record_log_trim(&l), 0);
	record_log_close(&l);
	record_log_close(&l);
	assert_int_equal(record_remove(&r, &e), 0);
	record_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),	      cmocka_unit_test(test_life),
		cmocka_unit_test(test_looked_at),     cmocka_unit_test(test_number_again),
		cmocka_unit_test(test_ambiguous),     cmocka_unit_test(test_unnamed),
		cmocka_unit_test(test_killed_keeper), cmocka_unit_test(test_sweep),
		cmocka_unit_test(test_foreign_files), cmocka_unit_test(test_race),
		cmocka_unit_test(test_log),
	};
	return cmocka_run_group_tests(tests, setup_all, teardown_all);
}
