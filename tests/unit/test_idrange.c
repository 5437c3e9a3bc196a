// SPDX-License-Identifier: Apache-2.0
// test_idrange.c - a machine's own ids: ranges, never one for two, nothing left
// links: jailer/idrange.c
#include "idrange.h"

#include "base/checked.h"
#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#define TAKERS 8
#define TAKES 300
#define HELD 20
/* So few that the takers meet all the time. */
#define CROWDED (TAKERS * HELD + 5)

static char dir[32];
static int base = -1;
static struct err e;

static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/mayfly-id-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	base = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return base < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	char cmd[64];
	(void)state;
	close_fd(&base);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	return system(cmd);
}

static bool there(const char *name)
{
	return faccessat(base, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void test_parse(void **state)
{
	(void)state;
	uint32_t first = 0;
	uint32_t count = 0;
	static const char *const bad[] = {
		"",
		":",
		"1000",
		"1000:",
		":5",
		"1000:0",
		"0:10",
		"999:1",
		"-1:5",
		"1000:-1",
		" 1000:5",
		"1000:5 ",
		"1000:5x",
		"1000,5",
		"+1000:5",
		"0x1000:5",
		"4294967296:1",
		"99999999999999999999999999:1",
		"100000:18446744073709551616",
		"65534:1",
		"65535:1",
		"65000:535",
		"60000:100000",
		"4294967294:1",
		"4294967295:1",
		"4294967000:4294967000",
	};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		e.text[0] = '\0';
		assert_int_equal(idrange_parse(bad[i], &first, &count, &e), -EINVAL);
		assert_non_null(strstr(e.text, bad[i]));
	}
	assert_int_equal(idrange_parse("1000:1", &first, &count, &e), 0);
	assert_true(first == 1000 && count == 1);
	assert_int_equal(idrange_parse("65000:534", &first, &count, &e), 0);
	assert_int_equal(idrange_parse("65536:4294901758", &first, &count, &e), 0);
	assert_true(first == 65536 && count == 4294901758u);
	char text[64];
	snprintf(text, sizeof(text), "%u:%u", IDRANGE_FIRST, IDRANGE_COUNT);
	assert_int_equal(idrange_parse(text, &first, &count, &e), 0);
	snprintf(text, sizeof(text), "%u:%u", IDRANGE_SMALL_FIRST, IDRANGE_SMALL_COUNT);
	assert_int_equal(idrange_parse(text, &first, &count, &e), 0);
}

static void test_mapped(void **state)
{
	(void)state;
	static const char all[] = "         0          0 4294967295\n";
	static const char docker[] = "0 100000 65536\n";
	static const char split[] = "70000 5 1000\n0 100000 60710\n60710 200000 9290\n";
	assert_true(idrange_mapped(all, IDRANGE_FIRST, IDRANGE_COUNT));
	assert_false(idrange_mapped(docker, IDRANGE_FIRST, IDRANGE_COUNT));
	assert_true(idrange_mapped(docker, IDRANGE_SMALL_FIRST, IDRANGE_SMALL_COUNT));
	assert_true(idrange_mapped(docker, 65535, 1));
	assert_false(idrange_mapped(docker, 65535, 2));
	assert_false(idrange_mapped(docker, 65536, 1));
	assert_true(idrange_mapped(split, IDRANGE_SMALL_FIRST, IDRANGE_SMALL_COUNT));
	assert_true(idrange_mapped(split, 0, 71000));
	assert_false(idrange_mapped(split, 0, 71001));
	assert_false(idrange_mapped("", 5, 1));
	assert_false(idrange_mapped("nonsense\n\n1 2\n", 5, 1));
	assert_false(idrange_mapped("1000 1000 1\n", 1001, 1));
	assert_false(idrange_mapped("1000 1000 1\n", 999, 1));
	/* No way around the end of 32 bits, and no endless walk. */
	assert_true(idrange_mapped(all, 4294967290u, 5));
	assert_false(idrange_mapped(all, 4294967290u, 100));
	assert_false(idrange_mapped("0 0 0\n5 5 0\n", 5, 3));
}

static void test_default(void **state)
{
	(void)state;
	uint32_t first = 0;
	uint32_t count = 0;
	int ret = idrange_default(&first, &count, &e);
	if (ret < 0) {
		assert_int_equal(ret, -ERANGE);
		skip();
	}
	assert_true(first == IDRANGE_FIRST || first == IDRANGE_SMALL_FIRST);
	assert_int_equal(idrange_usable(first, count, &e), 0);
}

static void test_take_release(void **state)
{
	(void)state;
	struct idrange a;
	struct idrange b;
	struct stat st;
	char name[32];
	assert_int_equal(idrange_take(&a, base, 5000, 2, &e), 0);
	assert_int_equal(idrange_take(&b, base, 5000, 2, &e), 0);
	assert_true(a.id / 2 == 2500 && b.id / 2 == 2500 && a.id != b.id);
	assert_true(fcntl(a.lock_fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(fstatat(base, ".ids", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	struct idrange full;
	assert_int_equal(idrange_take(&full, base, 5000, 2, &e), -EAGAIN);
	assert_non_null(strstr(e.text, "5000"));
	idrange_release(&full);
	snprintf(name, sizeof(name), ".ids/uid-%u", a.id);
	assert_true(there(name));
	uint32_t was = a.id;
	idrange_release(&a);
	assert_false(there(name));
	idrange_release(&a);
	assert_int_equal(idrange_take(&a, base, 5000, 2, &e), 0);
	assert_int_equal(a.id, was);
	idrange_release(&a);
	idrange_release(&b);
	assert_false(there(name));
}

/* The owner's copy keeps the id when the supervisor is killed; a late release harms nobody. */
static void test_copies(void **state)
{
	(void)state;
	struct idrange a;
	struct idrange next;
	assert_int_equal(idrange_take(&a, base, 5000, 1, &e), 0);
	struct idrange owner = {a.id, fcntl(a.lock_fd, F_DUPFD_CLOEXEC, 3),
				fcntl(a.dir_fd, F_DUPFD_CLOEXEC, 3)};
	idrange_close(&a);
	assert_int_equal(idrange_take(&next, base, 5000, 1, &e), -EAGAIN);
	assert_int_equal(idrange_sweep(base, NULL), 0);
	struct idrange late = {owner.id, fcntl(owner.lock_fd, F_DUPFD_CLOEXEC, 3),
			       fcntl(owner.dir_fd, F_DUPFD_CLOEXEC, 3)};
	idrange_release(&owner);
	assert_int_equal(idrange_take(&next, base, 5000, 1, &e), 0);
	/* The name is another's by now. */
	idrange_release(&late);
	assert_true(there(".ids/uid-5000"));
	assert_int_equal(idrange_take(&a, base, 5000, 1, &e), -EAGAIN);
	idrange_release(&next);
}

/* Each id has a cell; whoever finds his taken has shared it. */
static void taker(int *cell)
{
	struct idrange held[HELD];
	for (unsigned i = 0; i < HELD; i++)
		held[i] = (struct idrange){.lock_fd = -1, .dir_fd = -1};
	for (unsigned i = 0; i < TAKES + HELD; i++) {
		struct idrange *r = &held[i % HELD];
		if (r->lock_fd >= 0) {
			if (__atomic_exchange_n(&cell[r->id - 5000], 0, __ATOMIC_SEQ_CST) !=
			    getpid())
				_exit(2);
			/* Every third dies without a word. */
			if (i % 3 == 0)
				idrange_close(r);
			else
				idrange_release(r);
		}
		if (i >= TAKES)
			continue;
		/* One walk along a nearly full range may miss what becomes free behind it. */
		int ret = -EAGAIN;
		while (ret == -EAGAIN)
			ret = idrange_take(r, base, 5000, CROWDED, &e);
		if (ret < 0)
			_exit(3);
		if (__atomic_exchange_n(&cell[r->id - 5000], getpid(), __ATOMIC_SEQ_CST) != 0)
			_exit(4);
		if (i % 50 == 0)
			idrange_sweep(base, NULL);
	}
	_exit(0);
}

static void test_never_shared(void **state)
{
	(void)state;
	pid_t pid[TAKERS];
	int *cell = mmap(NULL, CROWDED * sizeof(int), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(cell != MAP_FAILED);
	for (unsigned i = 0; i < TAKERS; i++) {
		pid[i] = fork();
		if (pid[i] == 0)
			taker(cell);
	}
	for (unsigned i = 0; i < TAKERS; i++) {
		int status = -1;
		assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
		assert_int_equal(status, 0);
	}
	munmap(cell, CROWDED * sizeof(int));
	idrange_sweep(base, NULL);
	assert_int_equal(unlinkat(base, ".ids", AT_REMOVEDIR), 0);
}

static unsigned seen;
static void count_id(void *arg, enum sweep_kind kind, const char *name, int ret)
{
	assert_int_equal(kind, SWEEP_ID);
	assert_string_equal(name, arg);
	assert_int_equal(ret, 0);
	seen++;
}

static void test_sweep(void **state)
{
	(void)state;
	struct idrange live;
	struct idrange dead;
	char name[] = "uid-7000";
	struct sweep s = {.dry_run = true, .found = count_id, .arg = name};
	assert_int_equal(idrange_sweep(base, NULL), 0);
	assert_int_equal(idrange_take(&live, base, 6000, 1, &e), 0);
	assert_int_equal(idrange_take(&dead, base, 7000, 1, &e), 0);
	idrange_close(&dead);
	AUTO_CLOSE int ids = openat(base, ".ids", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	static const char *const others[] = {"uid-",   "uid-x", "uid-01",
					     "uid-5 ", "gid-5", "uid-99999999999"};
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		assert_int_equal(mknodat(ids, others[i], S_IFREG | 0600, 0), 0);
	assert_int_equal(symlinkat("/etc/passwd", ids, "uid-8000"), 0);
	assert_int_equal(idrange_sweep(base, &s), 1);
	assert_true(there(".ids/uid-7000"));
	s.dry_run = false;
	assert_int_equal(idrange_sweep(base, &s), 1);
	assert_int_equal(seen, 2);
	assert_false(there(".ids/uid-7000"));
	assert_true(there(".ids/uid-6000") && there(".ids/uid-8000"));
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		assert_int_equal(unlinkat(ids, others[i], 0), 0);
	idrange_release(&live);
	assert_false(there(".ids/uid-6000"));
}

static void test_bad_dir(void **state)
{
	(void)state;
	struct idrange r;
	assert_int_equal(mkdirat(base, ".ids", 0755), 0);
	assert_int_equal(fchmodat(base, ".ids", 0755, 0), 0);
	assert_int_equal(idrange_take(&r, base, 5000, 1, &e), -EPERM);
	idrange_release(&r);
	assert_int_equal(unlinkat(base, ".ids", AT_REMOVEDIR), 0);
	assert_int_equal(symlinkat("/tmp", base, ".ids"), 0);
	assert_true(idrange_take(&r, base, 5000, 1, &e) < 0);
	assert_true(idrange_sweep(base, NULL) < 0);
	assert_int_equal(access("/tmp/uid-5000", F_OK), -1);
}

/* A holder of the directory's lock that is stopped: the release ends all the same. */
static void test_stuck_dir_lock(void **state)
{
	(void)state;
	struct idrange r;
	assert_int_equal(idrange_take(&r, base, 5000, 1, &e), 0);
	AUTO_CLOSE int guard = openat(base, ".ids", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(flock(guard, LOCK_EX), 0);
	idrange_release(&r);
	assert_int_equal(idrange_take(&r, base, 5000, 1, &e), 0);
	close_fd(&guard);
	idrange_release(&r);
	assert_false(there(".ids/uid-5000"));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_parse),	      T(test_mapped),  T(test_default),
		T(test_take_release), T(test_copies),  T(test_never_shared),
		T(test_sweep),	      T(test_bad_dir), T(test_stuck_dir_lock),
	};
	alarm(60);
	return cmocka_run_group_tests_name("idrange", tests, NULL, NULL);
}
