// SPDX-License-Identifier: Apache-2.0
// test_cgroup.c - cgroups: finding the hierarchies, real groups with limits, hostile records
// links: jailer/cgroup.c jailer/cgroup_find.c jailer/statedir.c
#include "cgroup.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cmocka.h>

#define MEM (1u << CGROUP_MEMORY)
#define PIDS (1u << CGROUP_PIDS)
#define CPU (1u << CGROUP_CPU)
#define IO (1u << CGROUP_IO)
#define ALL (MEM | PIDS | CPU | IO)
#define NOBODY 65534
#define ID "unit-test-cg"

static char dir[32];
static int state_fd = -1;
static struct err e;

static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/mayfly-cg-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	state_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return state_fd < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	char cmd[64];
	(void)state;
	close_fd(&state_fd);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	return system(cmd);
}

static unsigned find(struct cgroup_places *p, const char *self, const char *mounts, unsigned want)
{
	char text[4096];
	char *save = NULL;
	snprintf(text, sizeof(text), "%s", mounts);
	cgroup_find_own(p, self, want);
	for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		bool more = cgroup_find_mount(p, l);
		assert_true(more == (p->want != 0));
	}
	return p->want;
}

static void test_find_v1(void **state)
{
	(void)state;
	struct cgroup_places p;
	static const char mounts[] =
		"22 1 8:1 / / rw - ext4 /dev/root rw\n"
		"31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
		"32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:1 master:2 - cgroup cgroup "
		"rw,cpu,cpuacct\n"
		"35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
		"38 31 0:35 / /sys/fs/cgroup/bl\\040k rw - cgroup cgroup rw,blkio\n"
		"39 31 0:36 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"
		"41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
	assert_int_equal(find(&p,
			      "9:name=systemd:/x\n8:pids:/\n7:blkio:/u/v\n4:memory:/a/b\n"
			      "1:cpu,cpuacct:/c\n0::/other\n",
			      mounts, ALL),
			 0);
	assert_int_equal(p.n, 4);
	assert_true(p.place[0].v1 && p.place[0].ctls == CPU);
	assert_string_equal(p.place[0].own, "/sys/fs/cgroup/cpu,cpuacct/c");
	assert_string_equal(p.place[1].own, "/sys/fs/cgroup/memory/a/b");
	assert_string_equal(p.place[1].point, "/sys/fs/cgroup/memory");
	assert_true(p.place[2].ctls == IO);
	assert_string_equal(p.place[2].own, "/sys/fs/cgroup/bl k/u/v");
	assert_string_equal(p.place[3].own, "/sys/fs/cgroup/pids");
}

/* Hybrid: what v1 has is taken from v1, whatever comes first; the rest from v2. */
static void test_find_hybrid(void **state)
{
	(void)state;
	struct cgroup_places p;
	static const char self[] = "2:memory,cpu:/m\n0::/user/me\n";
	static const char mounts[] = "41 31 0:38 / /u rw - cgroup2 cgroup2 rw\n"
				     "32 31 0:29 / /m rw - cgroup cgroup rw,cpu,memory\n"
				     "33 31 0:29 / /again rw - cgroup cgroup rw,cpu,memory\n";
	assert_int_equal(find(&p, self, mounts, MEM | PIDS | CPU), 0);
	assert_int_equal(p.n, 2);
	assert_true(!p.place[0].v1 && p.place[0].ctls == PIDS);
	assert_string_equal(p.place[0].own, "/u/user/me");
	assert_true(p.place[1].v1 && p.place[1].ctls == (MEM | CPU));
	assert_string_equal(p.place[1].own, "/m/m");
	/* A v1 controller whose mount isn't here is nowhere, not in v2. */
	assert_int_equal(find(&p, self, "41 31 0:38 / /u rw - cgroup2 cgroup2 rw\n", MEM | PIDS),
			 MEM);
	assert_int_equal(p.n, 1);
	assert_int_equal(p.place[0].ctls, PIDS);
}

static void test_find_container(void **state)
{
	(void)state;
	struct cgroup_places p;
	/* Only a part of the hierarchy is mounted. */
	find(&p, "0::/docker/abc/job\n", "41 31 0:38 /docker/abc /cg rw - cgroup2 cgroup rw\n",
	     ALL);
	assert_string_equal(p.place[0].own, "/cg/job");
	find(&p, "0::/docker/abcd\n", "41 31 0:38 /docker/abc /cg rw - cgroup2 cgroup rw\n", ALL);
	assert_string_equal(p.place[0].own, "/cg");
	find(&p, "0::/elsewhere\n", "41 31 0:38 /docker/abc /cg rw - cgroup2 cgroup rw\n", ALL);
	assert_string_equal(p.place[0].own, "/cg");
	find(&p, "0::/../../up\n", "41 31 0:38 / /cg rw - cgroup2 cgroup rw\n", ALL);
	assert_string_equal(p.place[0].own, "/cg");
	/* No /proc/self/cgroup to speak of. */
	find(&p, "", "41 31 0:38 / /cg rw - cgroup2 cgroup rw\n", ALL);
	assert_string_equal(p.place[0].own, "/cg");
}

static void test_find_nonsense(void **state)
{
	(void)state;
	struct cgroup_places p;
	static const char *const lines[] = {
		"",
		"-",
		"1 2 3 4 5 6 7 8",
		"1 2 3:4 / /cg rw - cgroup2",
		"1 2 3:4 / /cg rw - cgroup2 x",
		"1 2 3:4 / relative rw - cgroup2 x rw",
		"1 2 3:4 root /cg rw - cgroup2 x rw",
		"1 2 3:4 / /c\\012g rw - cgroup2 x rw",
		"1 2 3:4 / /cg rw - tmpfs x rw,memory",
		"1 2 3:4 / /cg rw a b c d e f g h i j k l m n o p q r s t u v w x y z - cgroup2 x "
		"rw",
	};
	static const char *const selfs[] = {
		"", ":", "::", "0", "0:", "\n\n", "0::", "1:memory", ":::::"};
	char list[400] = "7:";
	for (size_t k = 0; k < ARRAY_SIZE(selfs); k++)
		for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
			assert_int_equal(find(&p, selfs[k], lines[i], ALL), ALL);
			assert_int_equal(p.n, 0);
		}
	memset(list + 2, 'm', sizeof(list) - 3);
	memcpy(list + sizeof(list) - 4, ":/x", 4);
	assert_int_equal(find(&p, list, "1 2 3:4 / /cg rw - cgroup2 x rw", ALL), 0);
	assert_string_equal(p.place[0].own, "/cg");
}

/* The groups as the record names them; the count. */
static unsigned record(char path[4][512])
{
	AUTO_FREE char *text = NULL;
	size_t len;
	unsigned n = 0;
	char *save = NULL;
	AUTO_CLOSE int fd = openat(state_fd, "cgroup", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	assert_int_equal(io_read_all(fd, 65536, &text, &len), 0);
	for (char *l = strtok_r(text, "\n", &save); l && n < 4; l = strtok_r(NULL, "\n", &save))
		snprintf(path[n++], 512, "%s", l);
	return n;
}

/* Makes the groups, or skips the test where this process can't. */
static void make(struct cgroup *c, uint32_t cpu)
{
	struct cgroup_limits lim = {
		.memory_bytes = 96u << 20, .pids = 50, .cpu_permille = cpu, .io_weight = 50};
	int ret = cgroup_create(c, ID, state_fd, &lim, &e);
	if (ret == -EACCES || ret == -ENOENT || ret == -EROFS)
		skip();
	if (ret < 0)
		print_error("%s\n", e.text);
	assert_int_equal(ret, 0);
}

/* The value of a file in one of the groups, or "" */
static const char *value(const struct cgroup *c, const char *file)
{
	static char text[128];
	text[0] = '\0';
	for (unsigned i = 0; i < c->n; i++) {
		AUTO_CLOSE int fd = openat(c->group[i].dir_fd, file, O_RDONLY | O_CLOEXEC);
		ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
		if (n <= 0)
			continue;
		text[n] = '\0';
		text[strcspn(text, "\n")] = '\0';
		break;
	}
	return text;
}

/* A child that is in all groups, as the processes of a machine are. */
static pid_t start_inside(const struct cgroup *c)
{
	struct clone_args args = {.exit_signal = SIGCHLD};
	if (cgroup_clone_fd(c) >= 0) {
		args.flags = CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)cgroup_clone_fd(c);
	}
	assert_int_equal(cgroup_enter(c), 0);
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	assert_true(pid > 0);
	assert_int_equal(cgroup_leave(c), 0);
	return pid;
}

static bool holds(const struct cgroup_group *g, pid_t pid)
{
	AUTO_FREE char *text = NULL;
	size_t len;
	char *save = NULL;
	AUTO_CLOSE int fd = openat(g->dir_fd, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(io_read_all(fd, 65536, &text, &len), 0);
	for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save))
		if (atoi(l) == pid)
			return true;
	return false;
}

static void test_limits(void **state)
{
	(void)state;
	struct cgroup c;
	char path[4][512];
	make(&c, 1500);
	unsigned n = record(path);
	assert_true(n >= c.n && c.n > 0);
	for (unsigned i = 0; i < c.n; i++)
		assert_true(fcntl(c.group[i].dir_fd, F_GETFD) & FD_CLOEXEC);
	if (!(c.missing & MEM))
		assert_string_equal(
			value(&c, c.group[0].v1 ? "memory.limit_in_bytes" : "memory.max"),
			"100663296");
	if (!(c.missing & PIDS))
		assert_string_equal(value(&c, "pids.max"), "50");
	if (!(c.missing & CPU))
		assert_string_equal(value(&c, c.group[0].v1 ? "cpu.cfs_quota_us" : "cpu.max"),
				    c.group[0].v1 ? "150000" : "150000 100000");
	if (geteuid() == 0)
		assert_int_equal(c.missing & (MEM | PIDS | CPU), 0);
	assert_int_equal(cgroup_remove(&c), 0);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(access(path[i], F_OK), -1);
	assert_int_equal(record(path), 0);
	assert_int_equal(cgroup_remove(&c), 0);
	cgroup_close(&c);
}

static void test_processes(void **state)
{
	(void)state;
	struct cgroup c;
	make(&c, 0);
	pid_t pid = start_inside(&c);
	for (unsigned i = 0; i < c.n; i++) {
		assert_true(holds(&c.group[i], pid));
		assert_false(holds(&c.group[i], getpid()));
	}
	/* Removing must not succeed, hang, or lose the record while somebody is in there. */
	uint64_t before = io_now_ns();
	assert_int_equal(cgroup_remove(&c), -EBUSY);
	assert_true(io_now_ns() - before < 5000000000ull);
	assert_int_equal(faccessat(state_fd, "cgroup", F_OK, 0), 0);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(cgroup_remove(&c), 0);
	assert_int_equal(faccessat(state_fd, "cgroup", F_OK, 0), -1);
	cgroup_close(&c);
}

/* The limit on processes is felt, so the child is where it should be. */
static void test_pids_limit_holds(void **state)
{
	(void)state;
	struct cgroup c;
	struct cgroup_limits lim = {.pids = 2};
	int status = -1;
	int ret = cgroup_create(&c, ID, state_fd, &lim, &e);
	if (ret == -EACCES || ret == -ENOENT || ret == -EROFS)
		skip();
	assert_int_equal(ret, 0);
	assert_int_equal(c.n, 1);
	struct clone_args args = {.exit_signal = SIGCHLD};
	if (cgroup_clone_fd(&c) >= 0) {
		args.flags = CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)cgroup_clone_fd(&c);
	}
	assert_int_equal(cgroup_enter(&c), 0);
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (pid == 0) {
		/* On v1 the parent is in the group, too, until it leaves. */
		usleep(100000);
		pid_t one = fork();
		pid_t two = one > 0 ? fork() : one;
		if (one == 0 || two == 0)
			for (;;)
				pause();
		int ok = one > 0 && two < 0 && errno == EAGAIN;
		if (one > 0)
			kill(one, SIGKILL);
		if (two > 0)
			kill(two, SIGKILL);
		_exit(ok ? 0 : 1);
	}
	assert_int_equal(cgroup_leave(&c), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(cgroup_remove(&c), 0);
	cgroup_close(&c);
}

/* The next in line has nothing but the record; it waits for processes that are dying. */
static void test_recorded(void **state)
{
	(void)state;
	struct cgroup c;
	char path[4][512];
	make(&c, 0);
	unsigned n = record(path);
	pid_t pid = start_inside(&c);
	cgroup_close(&c);
	const struct sweep quick = {.dry_run = false};
	assert_int_equal(cgroup_remove_recorded(state_fd, ID, &quick), -EBUSY);
	assert_int_equal(access(path[0], F_OK), 0);
	/* Another machine's record, by its content: not touched. */
	assert_int_equal(cgroup_remove_recorded(state_fd, "unit-test-c", NULL), 0);
	assert_int_equal(access(path[0], F_OK), 0);
	pid_t killer = fork();
	if (killer == 0) {
		usleep(50000);
		kill(pid, SIGKILL);
		_exit(0);
	}
	signal(SIGCHLD, SIG_IGN);
	assert_int_equal(cgroup_remove_recorded(state_fd, ID, NULL), 0);
	signal(SIGCHLD, SIG_DFL);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(access(path[i], F_OK), -1);
	assert_int_equal(cgroup_remove_recorded(state_fd, ID, NULL), 0);
}

static unsigned seen;
static void count(void *arg, enum sweep_kind kind, const char *name, int ret)
{
	(void)arg;
	assert_int_equal(kind, SWEEP_CGROUP);
	assert_non_null(strstr(name, "/mayfly-" ID));
	assert_int_equal(ret, 0);
	seen++;
}

static void test_dry_run(void **state)
{
	(void)state;
	struct cgroup c;
	const struct sweep dry = {.dry_run = true, .found = count};
	char path[4][512];
	make(&c, 0);
	seen = 0;
	assert_int_equal(cgroup_remove_recorded(state_fd, ID, &dry), 0);
	assert_int_equal(seen, c.n);
	record(path);
	assert_int_equal(access(path[0], F_OK), 0);
	assert_int_equal(cgroup_remove(&c), 0);
	cgroup_close(&c);
}

static void write_record(const char *text)
{
	AUTO_CLOSE int fd =
		openat(state_fd, "cgroup", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(io_write_full(fd, text, strlen(text)), 0);
}

/* Whoever took the vmm over may write what it likes into the state directory. */
static void test_hostile_record(void **state)
{
	(void)state;
	char text[1024];
	char big[70000];
	assert_int_equal(mkdirat(state_fd, "mayfly-" ID, 0700), 0);
	assert_int_equal(symlinkat("/sys/fs/cgroup", state_fd, "link"), 0);
	snprintf(text, sizeof(text),
		 "%s/mayfly-" ID "\n%s/link/mayfly-" ID "\nmayfly-" ID "\n/mayfly-" ID
		 "\n\n/\n//\n../mayfly-" ID "\n/etc/passwd/mayfly-" ID
		 "\n/proc/self/fd/%d/mayfly-" ID "\n",
		 dir, dir, state_fd);
	write_record(text);
	assert_int_equal(cgroup_remove_recorded(state_fd, ID, NULL), 0);
	assert_int_equal(faccessat(state_fd, "mayfly-" ID, F_OK, 0), 0);
	memset(big, 'x', sizeof(big));
	big[sizeof(big) - 1] = '\0';
	write_record(big);
	assert_int_equal(cgroup_remove_recorded(state_fd, ID, NULL), 0);
	assert_int_equal(unlinkat(state_fd, "cgroup", 0), 0);
	assert_int_equal(mknodat(state_fd, "cgroup", S_IFIFO | 0600, 0), 0);
	assert_int_equal(cgroup_remove_recorded(state_fd, ID, NULL), 0);
	assert_int_equal(unlinkat(state_fd, "cgroup", 0), 0);
	assert_int_equal(symlinkat("/etc/passwd", state_fd, "cgroup"), 0);
	assert_int_equal(cgroup_remove_recorded(state_fd, ID, NULL), 0);
}

/* A group of somebody else's stays, though our record names it. */
static void test_foreign_group(void **state)
{
	(void)state;
	struct cgroup c;
	char path[4][512];
	char text[600];
	make(&c, 0);
	record(path);
	assert_int_equal(mkdirat(c.group[0].parent_fd, "mayfly-unit-other", 0755), 0);
	snprintf(text, sizeof(text), "%.*s/mayfly-unit-other\n",
		 (int)(strrchr(path[0], '/') - path[0]), path[0]);
	write_record(text);
	assert_int_equal(cgroup_remove_recorded(state_fd, ID, NULL), 0);
	AUTO_CLOSE int there = openat(c.group[0].parent_fd, "mayfly-unit-other", O_RDONLY);
	assert_true(there >= 0);
	assert_int_equal(cgroup_remove_recorded(state_fd, "unit-other", NULL), 0);
	assert_int_equal(faccessat(c.group[0].parent_fd, "mayfly-unit-other", F_OK, 0), -1);
	assert_int_equal(cgroup_remove(&c), 0);
	cgroup_close(&c);
}

static void test_nothing_wanted(void **state)
{
	(void)state;
	struct cgroup c;
	struct cgroup_limits none = {0};
	assert_int_equal(cgroup_create(&c, ID, state_fd, &none, &e), 0);
	assert_int_equal(c.n, 0);
	assert_int_equal(cgroup_enter(&c), 0);
	assert_int_equal(cgroup_leave(&c), 0);
	assert_int_equal(cgroup_clone_fd(&c), -1);
	assert_int_equal(cgroup_remove(&c), 0);
	cgroup_close(&c);
	assert_int_equal(cgroup_create(&c, "../x", state_fd, &none, &e), -EINVAL);
}

/* An ordinary user without a delegated group: one line, nothing left, nothing broken. */
static void as_nobody(void)
{
	struct cgroup c;
	struct cgroup_limits lim = {.memory_bytes = 64u << 20, .pids = 20};
	int ret = cgroup_create(&c, ID, state_fd, &lim, &e);
	if (ret != -EACCES || !strstr(e.text, "systemd-run") || c.missing != (MEM | PIDS) ||
	    faccessat(state_fd, "cgroup", F_OK, 0) == 0 || cgroup_enter(&c) != 0 ||
	    cgroup_leave(&c) != 0 || cgroup_clone_fd(&c) != -1 || cgroup_remove(&c) != 0) {
		fprintf(stderr, "ret %d: %s\n", ret, e.text);
		_exit(1);
	}
}

static int run_as_nobody(void (*fn)(void))
{
	int status = -1;
	pid_t pid = fork();
	if (pid == 0) {
		if (setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0)
			_exit(2);
		fn();
		_exit(0);
	}
	waitpid(pid, &status, 0);
	return status;
}

static void test_user_refused(void **state)
{
	(void)state;
	struct cgroup_places p;
	if (geteuid() != 0 || cgroup_find(&p, MEM) < 0 || p.n == 0)
		skip();
	assert_int_equal(fchown(state_fd, NOBODY, NOBODY), 0);
	assert_int_equal(run_as_nobody(as_nobody), 0);
}

/* As systemd delegates: the user owns a v2 group and its files, and stands in one below it. */
static void as_delegate(void)
{
	struct cgroup c;
	struct cgroup_limits lim = {.memory_bytes = 64u << 20, .pids = 20};
	char path[4][512];
	if (cgroup_create(&c, ID, state_fd, &lim, &e) != 0 || c.n != 1 || c.missing != 0 ||
	    record(path) != 1 || !strstr(path[0], "/mayfly-unit-deleg/mayfly-" ID) ||
	    strcmp(value(&c, "pids.max"), "20") != 0 || cgroup_clone_fd(&c) < 0) {
		fprintf(stderr, "%s\n", e.text);
		_exit(1);
	}
	pid_t pid = start_inside(&c);
	bool inside = holds(&c.group[0], pid);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	if (!inside || cgroup_remove(&c) != 0 || access(path[0], F_OK) == 0)
		_exit(1);
	cgroup_close(&c);
}

static void test_user_delegated(void **state)
{
	(void)state;
	static const char *const owned[] = {"", "/cgroup.procs", "/cgroup.subtree_control", "/own",
					    "/own/cgroup.procs"};
	struct cgroup_places p;
	char base[PATH_MAX + 32];
	char path[PATH_MAX + 128];
	if (geteuid() != 0 || cgroup_find(&p, MEM) < 0 || p.n != 1 || p.place[0].v1)
		skip();
	assert_int_equal(fchown(state_fd, NOBODY, NOBODY), 0);
	snprintf(base, sizeof(base), "%s/mayfly-unit-deleg", p.place[0].point);
	assert_int_equal(mkdir(base, 0755), 0);
	snprintf(path, sizeof(path), "%s/own", base);
	assert_int_equal(mkdir(path, 0755), 0);
	for (size_t i = 0; i < ARRAY_SIZE(owned); i++) {
		snprintf(path, sizeof(path), "%s%s", base, owned[i]);
		assert_int_equal(chown(path, NOBODY, NOBODY), 0);
	}
	pid_t pid = fork();
	if (pid == 0) {
		snprintf(path, sizeof(path), "%s/own/cgroup.procs", base);
		AUTO_CLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);
		if (fd < 0 || write(fd, "0", 1) != 1)
			_exit(3);
		_exit(run_as_nobody(as_delegate) == 0 ? 0 : 1);
	}
	int status = -1;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	snprintf(path, sizeof(path), "%s/own", base);
	rmdir(path);
	assert_int_equal(rmdir(base), 0);
	assert_int_equal(status, 0);
}

/* A supervisor in its empty root can't see /sys: that must not look like "all removed". */
static void test_blind(void **state)
{
	(void)state;
	int status = -1;
	if (geteuid() != 0)
		skip();
	write_record("/sys/fs/cgroup/memory/mayfly-" ID "\n");
	pid_t pid = fork();
	if (pid == 0) {
		if (chroot(dir) < 0)
			_exit(2);
		_exit(cgroup_remove_recorded(state_fd, ID, NULL) == -EBUSY ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_find_v1),	  T(test_find_hybrid),	  T(test_find_container),
		T(test_find_nonsense),	  T(test_limits),	  T(test_processes),
		T(test_pids_limit_holds), T(test_recorded),	  T(test_dry_run),
		T(test_hostile_record),	  T(test_foreign_group),  T(test_nothing_wanted),
		T(test_user_refused),	  T(test_user_delegated), T(test_blind),
	};
	alarm(60);
	return cmocka_run_group_tests_name("cgroup", tests, NULL, NULL);
}
