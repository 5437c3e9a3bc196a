// SPDX-License-Identifier: Apache-2.0
// test_statedir.c - machine directories: ids, locks, sweeping, whose base directory is trusted
// links: jailer/statedir.c jailer/cgroup.c jailer/cgroup_find.c
#include "statedir.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <cmocka.h>

#define NOBODY 65534

static char dir[32];
static int base = -1;
static struct err e;

static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/mayfly-sd-XXXXXX");
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

static void test_ids(void **state)
{
	(void)state;
	char id[STATEDIR_ID_MAX + 2];
	struct statedir d;
	static const char *const bad[] = {"",	 ".",	"..",  "a/b", "../a", "A",
					  "a b", "a\n", "a_b", "a.b", "/",    "\xc3\xa4"};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_false(statedir_id_ok(bad[i]));
		assert_int_equal(statedir_create(&d, base, bad[i], &e), -EINVAL);
		statedir_remove(&d);
	}
	memset(id, 'a', sizeof(id));
	id[STATEDIR_ID_MAX + 1] = '\0';
	assert_false(statedir_id_ok(id));
	id[STATEDIR_ID_MAX] = '\0';
	assert_true(statedir_id_ok(id));
	assert_true(statedir_id_ok("0-9-az"));
	assert_int_equal(statedir_create(&d, base, id, &e), 0);
	assert_true(there(id));
	statedir_remove(&d);
	assert_false(there(id));
}

static void test_create_remove(void **state)
{
	(void)state;
	struct statedir d;
	struct statedir twin;
	struct stat st;
	assert_int_equal(statedir_create(&d, base, "m1", &e), 0);
	assert_int_equal(fstatat(base, "m1", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(fstatat(base, "m1/lock", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_true(fcntl(d.dir_fd, F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(d.lock_fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(statedir_create(&twin, base, "m1", &e), -EEXIST);
	assert_non_null(strstr(e.text, "'m1'"));
	/* The failed twin must not take the real one away. */
	statedir_remove(&twin);
	assert_true(there("m1/lock"));
	AUTO_CLOSE int again = statedir_open(base, "m1");
	assert_true(again >= 0);
	AUTO_CLOSE int file = openat(d.dir_fd, "file", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_int_equal(symlinkat("/etc/passwd", d.dir_fd, "link"), 0);
	AUTO_CLOSE int sock = statedir_listen(&d, "vsock.sock");
	assert_true(file >= 0 && sock >= 0);
	statedir_remove(&d);
	assert_false(there("m1"));
	assert_int_equal(d.dir_fd, -1);
	assert_int_equal(d.lock_fd, -1);
	statedir_remove(&d);
	assert_int_equal(access("/etc/passwd", F_OK), 0);
	assert_int_equal(statedir_open(base, "m1"), -ENOENT);
}

/* The vmm works in this directory and may be in the guest's hands. */
static void test_remove_what_a_hostile_vmm_left(void **state)
{
	(void)state;
	struct statedir d;
	assert_int_equal(statedir_create(&d, base, "m1", &e), 0);
	assert_int_equal(mkdirat(d.dir_fd, "sub", 0700), 0);
	assert_int_equal(mkdirat(d.dir_fd, "sub/sub", 0700), 0);
	AUTO_CLOSE int file = openat(d.dir_fd, "sub/sub/f", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_int_equal(symlinkat(dir, d.dir_fd, "sub/out"), 0);
	statedir_remove(&d);
	assert_false(there("m1"));
	assert_true(there("."));
}

static void test_listen(void **state)
{
	(void)state;
	struct statedir d;
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	assert_int_equal(statedir_create(&d, base, "m1", &e), 0);
	AUTO_CLOSE int sock = statedir_listen(&d, "vsock.sock");
	assert_true(sock >= 0);
	assert_true(fcntl(sock, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(sock, F_GETFD) & FD_CLOEXEC);
	AUTO_CLOSE int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/m1/vsock.sock", dir);
	assert_int_equal(connect(client, (struct sockaddr *)&sun, sizeof(sun)), 0);
	assert_int_equal(statedir_listen(&d, "vsock.sock"), -EADDRINUSE);
	statedir_remove(&d);
}

/* A path that no socket address could hold. */
static void test_listen_deep(void **state)
{
	(void)state;
	struct statedir d;
	AUTO_CLOSE int at = dup(base);
	char name[101];
	memset(name, 'd', 100);
	name[100] = '\0';
	for (int i = 0; i < 3; i++) {
		assert_int_equal(mkdirat(at, name, 0700), 0);
		int next = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(next >= 0);
		close(at);
		at = next;
	}
	assert_int_equal(statedir_create(&d, at, "m1", &e), 0);
	AUTO_CLOSE int sock = statedir_listen(&d, "vsock.sock");
	assert_true(sock >= 0);
	statedir_remove(&d);
}

static void test_sweep(void **state)
{
	(void)state;
	struct statedir live;
	struct statedir dead;
	assert_int_equal(statedir_create(&live, base, "live", &e), 0);
	assert_int_equal(statedir_create(&dead, base, "dead", &e), 0);
	AUTO_CLOSE int sock = statedir_listen(&dead, "vsock.sock");
	assert_int_equal(statedir_sweep(base), 0);
	/* A copy of the lock, as mayfly holds one, keeps it alive after the jailer's death. */
	AUTO_CLOSE int copy = fcntl(dead.lock_fd, F_DUPFD_CLOEXEC, 3);
	close_fd(&dead.lock_fd);
	close_fd(&dead.dir_fd);
	assert_int_equal(statedir_sweep(base), 0);
	close_fd(&copy);
	assert_int_equal(statedir_sweep(base), 1);
	assert_false(there("dead"));
	assert_true(there("live/lock"));
	assert_int_equal(statedir_sweep(base), 0);
	statedir_remove(&live);
}

static void test_sweep_leaves_the_rest(void **state)
{
	(void)state;
	assert_int_equal(mkdirat(base, "Not-Ours", 0700), 0);
	assert_int_equal(mkdirat(base, ".hidden", 0700), 0);
	AUTO_CLOSE int file = openat(base, "file", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_int_equal(symlinkat(dir, base, "link"), 0);
	/* Its maker died between two steps. */
	assert_int_equal(mkdirat(base, "half-made", 0700), 0);
	/* Somebody's trap: whether the lock is held can't be known. */
	assert_int_equal(mkdirat(base, "trap", 0700), 0);
	assert_int_equal(symlinkat("/dev/null", base, "trap/lock"), 0);
	assert_int_equal(statedir_sweep(base), 1);
	assert_false(there("half-made"));
	assert_true(there("Not-Ours") && there(".hidden") && there("file") && there("link"));
	assert_true(there("trap"));
}

/* While somebody makes a machine, nobody sweeps; making never waits for ever. */
static void test_sweep_and_create(void **state)
{
	(void)state;
	AUTO_CLOSE int guard = openat(base, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(mkdirat(base, "half-made", 0700), 0);
	assert_int_equal(flock(guard, LOCK_SH), 0);
	assert_int_equal(statedir_sweep(base), 0);
	assert_true(there("half-made"));
	struct statedir d;
	assert_int_equal(statedir_create(&d, base, "m1", &e), 0);
	statedir_remove(&d);
	close_fd(&guard);
	assert_int_equal(statedir_sweep(base), 1);
}

struct told {
	unsigned n;
	char text[256];
};

static void tell(void *arg, enum sweep_kind kind, const char *name, int ret)
{
	struct told *t = arg;
	size_t len = strlen(t->text);
	t->n++;
	snprintf(t->text + len, sizeof(t->text) - len, "%u:%s:%d ", kind, name, ret);
}

static void test_sweep_report(void **state)
{
	(void)state;
	struct told t = {0};
	struct sweep s = {.dry_run = true, .found = tell, .arg = &t};
	struct statedir live;
	assert_int_equal(statedir_create(&live, base, "live", &e), 0);
	assert_int_equal(statedir_sweep_report(base, &s), 0);
	assert_int_equal(mkdirat(base, "dead", 0700), 0);
	assert_int_equal(statedir_sweep_report(base, &s), 1);
	assert_true(there("dead"));
	s.dry_run = false;
	assert_int_equal(statedir_sweep_report(base, &s), 1);
	assert_false(there("dead"));
	assert_string_equal(t.text, "0:dead:0 0:dead:0 ");
	AUTO_CLOSE int guard = openat(base, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(flock(guard, LOCK_SH), 0);
	assert_int_equal(statedir_sweep_report(base, &s), -EAGAIN);
	assert_int_equal(t.n, 2);
	statedir_remove(&live);
}

/* A directory is the only trace of its cgroup: it stays as long as that has processes. */
static void test_cgroup_outlives_no_record(void **state)
{
	(void)state;
	struct statedir d;
	struct cgroup c;
	struct told t = {0};
	const struct sweep s = {.found = tell, .arg = &t};
	const struct cgroup_limits lim = {.pids = 10};
	assert_int_equal(statedir_create(&d, base, "unit-busy", &e), 0);
	int ret = cgroup_create(&c, d.id, d.dir_fd, &lim, &e);
	if (ret < 0) {
		statedir_remove(&d);
		skip();
	}
	pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(d.lock_fd);
		for (;;)
			pause();
	}
	AUTO_CLOSE int procs = openat(c.group[0].dir_fd, "cgroup.procs", O_WRONLY | O_CLOEXEC);
	assert_true(dprintf(procs, "%d", pid) > 0);
	AUTO_CLOSE int parent = fcntl(c.group[0].parent_fd, F_DUPFD_CLOEXEC, 3);
	cgroup_close(&c);
	statedir_remove(&d);
	assert_true(there("unit-busy/cgroup") && there("unit-busy/lock"));
	assert_int_equal(statedir_sweep_report(base, &s), 0);
	assert_non_null(strstr(t.text, "0:unit-busy:-16"));
	assert_true(there("unit-busy/cgroup"));
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(statedir_sweep(base), 1);
	assert_false(there("unit-busy"));
	assert_int_equal(faccessat(parent, "mayfly-unit-busy", F_OK, 0), -1);
}

#define CHECK(x)                                                                                   \
	do {                                                                                       \
		if (!(x)) {                                                                        \
			fprintf(stderr, "%s:%d: %s (%s)\n", __FILE__, __LINE__, #x, e.text);       \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

/* Runs fn in a process of its own, as an ordinary user if we are root; 77: skipped. */
static void in_child(void (*fn)(void), bool drop)
{
	int status = -1;
	if (geteuid() == 0 && drop)
		assert_int_equal(fchown(base, NOBODY, NOBODY), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (geteuid() == 0 && drop)
			CHECK(setresgid(NOBODY, NOBODY, NOBODY) == 0 &&
			      setresuid(NOBODY, NOBODY, NOBODY) == 0);
		fn();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void user_base(void)
{
	struct stat st;
	setenv("XDG_RUNTIME_DIR", dir, 1);
	int fd = statedir_base(&e);
	CHECK(fd >= 0 && fstat(fd, &st) == 0 && (st.st_mode & 07777) == 0700);
	CHECK(there("mayfly"));
	CHECK(faccessat(fd, ".", R_OK, 0) == 0 && (fcntl(fd, F_GETFD) & FD_CLOEXEC));
	CHECK(statedir_base(&e) >= 0);
	CHECK(fchmod(fd, 0755) == 0);
	CHECK(statedir_base(&e) == -EPERM && strstr(e.text, "chmod 700"));
	CHECK(fchmod(fd, 0710) == 0);
	CHECK(statedir_base(&e) == -EPERM);
	CHECK(unlinkat(base, "mayfly", AT_REMOVEDIR) == 0);
	CHECK(symlinkat("/tmp", base, "mayfly") == 0);
	CHECK(statedir_base(&e) < 0);
	CHECK(unlinkat(base, "mayfly", 0) == 0);
	CHECK(mknodat(base, "mayfly", S_IFREG | 0600, 0) == 0);
	CHECK(statedir_base(&e) < 0);
	setenv("XDG_RUNTIME_DIR", "/nonexistent/dir", 1);
	CHECK(statedir_base(&e) == -ENOENT && strstr(e.text, "/nonexistent/dir"));
}

static void user_tmpdir(void)
{
	char name[32];
	char longest[600];
	/* Unset, and not absolute: as if it were unset. */
	for (int i = 0; i < 2; i++) {
		unsetenv("XDG_RUNTIME_DIR");
		if (i == 1)
			setenv("XDG_RUNTIME_DIR", "run", 1);
		setenv("TMPDIR", dir, 1);
		snprintf(name, sizeof(name), "mayfly-%u", (unsigned)geteuid());
		CHECK(statedir_base(&e) >= 0);
		CHECK(unlinkat(base, name, AT_REMOVEDIR) == 0);
	}
	memset(longest, 'x', sizeof(longest));
	longest[0] = '/';
	longest[sizeof(longest) - 1] = '\0';
	setenv("TMPDIR", longest, 1);
	CHECK(statedir_base(&e) == -ENAMETOOLONG);
}

/* Somebody else was faster to make the directory in a place where everybody may. */
static void user_foreign(void)
{
	setenv("XDG_RUNTIME_DIR", dir, 1);
	CHECK(statedir_base(&e) < 0);
}

static void root_base(void)
{
	setenv("XDG_RUNTIME_DIR", dir, 1);
	/* In a mount namespace: the real /run stays as it is. */
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("tmpfs", "/run", "tmpfs", 0, "mode=755") < 0)
		_exit(77);
	int fd = statedir_base(&e);
	struct stat st;
	CHECK(fd >= 0 && stat("/run/mayfly", &st) == 0 && (st.st_mode & 07777) == 0700);
	/* Root's machines don't go where a caller's environment says. */
	CHECK(!there("mayfly"));
	CHECK(chown("/run/mayfly", NOBODY, NOBODY) == 0);
	CHECK(statedir_base(&e) == -EPERM);
}

static void test_user_base(void **state)
{
	(void)state;
	in_child(user_base, true);
}

static void test_user_tmpdir(void **state)
{
	(void)state;
	in_child(user_tmpdir, true);
}

static void test_user_foreign(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(mkdirat(base, "mayfly", 0700), 0);
	assert_int_equal(fchownat(base, "mayfly", NOBODY - 1, NOBODY, 0), 0);
	in_child(user_foreign, true);
	assert_int_equal(fchmodat(base, "mayfly", 0777, 0), 0);
	in_child(user_foreign, true);
}

static void test_root_base(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	in_child(root_base, false);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_ids),
		T(test_create_remove),
		T(test_remove_what_a_hostile_vmm_left),
		T(test_listen),
		T(test_listen_deep),
		T(test_sweep),
		T(test_sweep_leaves_the_rest),
		T(test_sweep_and_create),
		T(test_sweep_report),
		T(test_cgroup_outlives_no_record),
		T(test_user_base),
		T(test_user_tmpdir),
		T(test_user_foreign),
		T(test_root_base),
	};
	alarm(30);
	return cmocka_run_group_tests_name("statedir", tests, NULL, NULL);
}
