// SPDX-License-Identifier: Apache-2.0
// test_views.c - which directories are shared, under which names, and which targets are refused
// links: runtime/cli/views.c
#include "cli/views.h"

#include "base/checked.h"
#include "base/cleanup.h"

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
#include <sys/wait.h>

#include <cmocka.h>

static struct {
	char dir[32];
	int old_dir;
	struct views v;
	struct vm_config c;
	struct err e;
	unsigned fds;
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
	snprintf(t.dir, sizeof(t.dir), "/tmp/mayfly-views-XXXXXX");
	t.old_dir = open(".", O_PATH | O_CLOEXEC);
	setenv("HOME", "/nonexistent", 1);
	if (!mkdtemp(t.dir) || chdir(t.dir) < 0 || mkdir("sub", 0755) < 0 ||
	    mkdir("home", 0755) < 0 || symlink("sub", "link") < 0 || mkfifo("fifo", 0600) < 0)
		return -1;
	AUTO_CLOSE int f = open("file", O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
	t.fds = open_fds() - 1;
	return 0;
}

static int teardown(void **state)
{
	char cmd[64];
	(void)state;
	views_close(&t.v);
	int ret = fchdir(t.old_dir);
	close(t.old_dir);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", t.dir);
	return ret < 0 ? ret : system(cmd);
}

static int reopen(void)
{
	views_close(&t.v);
	return views_open(&t.v, &t.c, &t.e);
}

static Mayfly__FsEntry *find(const Mayfly__FsEntry *dir, const char *name)
{
	for (size_t i = 0; dir && i < dir->n_entry; i++)
		if (strcmp(dir->entry[i]->name, name) == 0)
			return dir->entry[i];
	return NULL;
}

static void test_cwd_policy(void **state)
{
	(void)state;
	static const struct {
		const char *cwd, *home;
		bool refused;
	} rows[] = {
		{"/", NULL, true},
		{"/tmp", NULL, true},
		{"/tmp/x", NULL, false},
		{"/tmpx", NULL, false},
		{"/var/tmp", NULL, true},
		{"/var/tmp/x", NULL, false},
		{"/etc", NULL, true},
		{"/etc/ssl/private", NULL, true},
		{"/etcetera", NULL, false},
		{"/proc", NULL, true},
		{"/proc/1", NULL, true},
		{"/sys/kernel", NULL, true},
		{"/dev/shm", NULL, true},
		{"/run", NULL, true},
		{"/run/user/1000", NULL, true},
		{"/running", NULL, false},
		{"/var/lib/dpkg", NULL, true},
		{"/var/lib", NULL, true},
		{"/var/libx", NULL, false},
		{"/var", NULL, false},
		{"/root", NULL, true}, /* from the passwd file */
		{"/root/project", NULL, false},
		{"/srv/people/ann", "/srv/people/ann", true},
		{"/srv/people/ann", "/srv/people/ann/", true},
		{"/srv/people", "/srv/people/ann", true},
		{"/srv", "/srv/people/ann", true},
		{"/srv/people/ann/src", "/srv/people/ann", false},
		{"/srv/people/anna", "/srv/people/ann", false},
		{"/srv/people/an", "/srv/people/ann", false},
		{"/data", "/", false},
		{"/data", "", false},
		{"/data", "data", false},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *why = views_cwd_refused(rows[i].cwd, rows[i].home);
		if ((why != NULL) != rows[i].refused)
			fail_msg("%s with HOME %s: %s", rows[i].cwd, rows[i].home,
				 why ? why : "shared");
	}
}

static void test_system_view(void **state)
{
	(void)state;
	t.c.no_cwd = true;
	assert_int_equal(reopen(), 0);
	assert_string_equal(t.v.root_name, "system");
	const Mayfly__FsEntry *sys = find(t.v.root, "system");
	assert_non_null(sys);
	assert_int_equal(sys->fd, -1);
	assert_non_null(find(sys, "usr"));
	const Mayfly__FsEntry *etc = find(sys, "etc");
	assert_int_equal(etc->fd, -1);
	assert_non_null(find(etc, "passwd"));
	static const char *const secret[] = {"shadow", "gshadow",     "machine-id",
					     "ssh",    "sudoers",     "hostname",
					     "hosts",  "resolv.conf", "fstab"};
	for (size_t i = 0; i < ARRAY_SIZE(secret); i++)
		assert_null(find(etc, secret[i]));
	static const char *const outside[] = {"home", "root", "var",  "run", "proc", "sys",
					      "dev",  "tmp",  "boot", "srv", "mnt",  "opt"};
	for (size_t i = 0; i < ARRAY_SIZE(outside); i++)
		assert_null(find(sys, outside[i]));
	assert_null(find(find(etc, "ssl"), "private"));
	assert_int_equal(t.v.n_view, 0);
	/* All are O_PATH: nothing can be read through what is handed on, only looked up. */
	for (size_t i = 0; i < t.v.n_fd; i++) {
		assert_true(fcntl(t.v.fd[i], F_GETFL) & O_PATH);
		assert_true(fcntl(t.v.fd[i], F_GETFD) & FD_CLOEXEC);
	}
}

static void test_cwd(void **state)
{
	(void)state;
	assert_int_equal(reopen(), 0);
	assert_true(t.v.cwd_shared);
	assert_string_equal(t.v.cwd, t.dir);
	assert_string_equal(t.v.note, "");
	assert_int_equal(t.v.n_view, 1);
	assert_string_equal(t.v.view[0].source, "cwd");
	assert_string_equal(t.v.view[0].target, t.dir);
	assert_int_equal(t.v.view[0].mode, MAYFLY__VIEW__MODE__OVERLAY);
	t.c.no_cwd = true;
	assert_int_equal(reopen(), 0);
	assert_false(t.v.cwd_shared);
	assert_int_equal(t.v.n_view, 0);
	assert_string_equal(t.v.note, "");
}

static void test_cwd_is_home(void **state)
{
	char path[64];
	(void)state;
	snprintf(path, sizeof(path), "%s/home", t.dir);
	setenv("HOME", path, 1);
	assert_int_equal(reopen(), 0); /* above it */
	assert_false(t.v.cwd_shared);
	assert_non_null(strstr(t.v.note, "--share"));
	assert_int_equal(chdir("home"), 0);
	assert_int_equal(reopen(), 0);
	assert_false(t.v.cwd_shared);
	assert_int_equal(t.v.n_view, 0);
	assert_int_equal(chdir("../sub"), 0);
	assert_int_equal(reopen(), 0);
	assert_true(t.v.cwd_shared);
	/* HOME by way of a link is the same directory. */
	snprintf(path, sizeof(path), "%s/link", t.dir);
	setenv("HOME", path, 1);
	assert_int_equal(reopen(), 0);
	assert_false(t.v.cwd_shared);
}

static void test_cwd_gone(void **state)
{
	(void)state;
	assert_int_equal(mkdir("gone", 0700), 0);
	assert_int_equal(chdir("gone"), 0);
	assert_int_equal(rmdir("../gone"), 0);
	assert_int_equal(reopen(), 0);
	assert_false(t.v.cwd_shared);
	assert_string_equal(t.v.cwd, "");
	assert_non_null(strstr(t.v.note, "gone"));
	assert_int_equal(chdir(t.dir), 0);
}

static int share(const char *host, const char *guest)
{
	t.c.no_cwd = true;
	t.c.n_share = 1;
	t.c.share[0] = (struct share){.host = host, .guest = guest};
	t.e.text[0] = '\0';
	return reopen();
}

static void test_shares(void **state)
{
	char want[64];
	(void)state;
	assert_int_equal(share("sub", "/data"), 0);
	assert_int_equal(t.v.n_view, 1);
	assert_string_equal(t.v.view[0].source, "share0");
	assert_string_equal(t.v.view[0].target, "/data");
	assert_int_equal(t.v.view[0].mode, MAYFLY__VIEW__MODE__READ_ONLY);
	assert_ptr_equal(t.v.view_ptr[0], &t.v.view[0]);
	const Mayfly__FsEntry *en = find(t.v.root, "share0");
	assert_true(en->fd >= 0);
	assert_int_equal(en->cache_ms, 1000);
	/* The same path as on the host: the real one. */
	assert_int_equal(share("link", NULL), 0);
	snprintf(want, sizeof(want), "%s/sub", t.dir);
	assert_string_equal(t.v.view[0].target, want);
	assert_int_equal(share("file", "/etc/my.conf"), 0);
}

static void test_bad_shares(void **state)
{
	(void)state;
	assert_int_equal(share("missing", NULL), -ENOENT);
	assert_non_null(strstr(t.e.text, "--share"));
	assert_non_null(strstr(t.e.text, "'missing'"));
	assert_int_equal(share("missing", "/x"), -ENOENT);
	assert_int_equal(share("fifo", "/x"), -ENOTDIR);
	assert_int_equal(share("/dev/null", "/x"), -ENOTDIR);
	static char longest[PATH_MAX + 2];
	memset(longest, 'x', sizeof(longest) - 1);
	longest[0] = '/';
	assert_int_equal(share("sub", longest), -ENAMETOOLONG);
	views_close(&t.v);
	assert_int_equal(open_fds(), t.fds);
}

static void test_refused_targets(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"/",	      "/proc",	"/proc/sys", "/sys",	 "/dev",   "/dev/shm",
		"/a/../proc", "/a/..",	"/..",	     "/../x",	 "//",	   "/.",
		"/./",	      "//proc", "/./proc",   "///dev/x", "/proc/",
	};
	static const char *const good[] = {"/a",      "/procx", "/a/..b", "/a..",
					   "/system", "/devel", "/a/"};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (share("sub", bad[i]) != -EINVAL)
			fail_msg("a share at '%s' is accepted", bad[i]);
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		if (share("sub", good[i]) != 0)
			fail_msg("%s: %s", good[i], t.e.text);
}

static void test_writable(void **state)
{
	(void)state;
	t.c.n_share = 2;
	t.c.no_cwd = true;
	t.c.share[0] = (struct share){.host = "sub", .guest = "/a"};
	t.c.share[1] = (struct share){
		.host = "sub", .guest = "/b", .writable = true, .uncached = true, .quota = 8192};
	assert_int_equal(reopen(), 0);
	assert_true(t.v.writable);
	assert_int_equal(t.v.view[0].mode, MAYFLY__VIEW__MODE__READ_ONLY);
	assert_int_equal(t.v.view[1].mode, MAYFLY__VIEW__MODE__READ_WRITE);
	const Mayfly__FsEntry *en = find(t.v.root, "share1");
	assert_true(en->writable && en->direct);
	assert_int_equal(en->quota, 8192);
	assert_int_equal(en->cache_ms, 0);
	assert_false(find(t.v.root, "share0")->writable);
	/* That descriptor and no other may be written through. */
	for (size_t i = 0; i < t.v.n_fd; i++)
		assert_int_equal(t.v.fd_writable[i], t.v.fd[i] == en->fd);
	t.c.n_share = 1;
	assert_int_equal(reopen(), 0);
	assert_false(t.v.writable);
	if (geteuid() == 0)
		return;
	assert_int_equal(chmod("sub", 0555), 0);
	t.c.share[0].writable = true;
	assert_int_equal(reopen(), -EACCES);
	assert_non_null(strstr(t.e.text, "can't write 'sub'"));
}

static void test_rootfs(void **state)
{
	(void)state;
	t.c.rootfs = "sub";
	assert_int_equal(reopen(), 0);
	assert_string_equal(t.v.root_name, "root");
	assert_null(find(t.v.root, "system"));
	assert_true(find(t.v.root, "root")->fd >= 0);
	assert_false(t.v.cwd_shared);
	t.c.rootfs = "file";
	assert_int_equal(reopen(), -ENOTDIR);
	assert_non_null(strstr(t.e.text, "--rootfs"));
	t.c.rootfs = "missing";
	assert_int_equal(reopen(), -ENOENT);
}

static void test_renumber(void **state)
{
	(void)state;
	assert_int_equal(share("sub", "/data"), 0);
	const Mayfly__FsEntry *en = find(t.v.root, "share0");
	int last = (int)t.v.n_fd - 1;
	assert_int_equal(en->fd, t.v.fd[last]);
	views_renumber(&t.v, 4);
	assert_int_equal(en->fd, 4 + last);
	assert_int_equal(find(t.v.root, "system")->fd, -1);
	for (size_t i = 0; i < find(t.v.root, "system")->n_entry; i++) {
		int fd = find(t.v.root, "system")->entry[i]->fd;
		assert_true(fd == -1 || (fd >= 4 && fd <= 4 + last));
	}
}

static void test_closes_all(void **state)
{
	(void)state;
	assert_int_equal(share("sub", "/data"), 0);
	assert_true(open_fds() > t.fds);
	views_close_fds(&t.v);
	assert_int_equal(open_fds(), t.fds);
	assert_string_equal(t.v.view[0].target, "/data");
	views_close(&t.v);
	views_close(&t.v);
	assert_int_equal(open_fds(), t.fds);
}

static void test_most_shares(void **state)
{
	(void)state;
	t.c.n_share = CONFIG_MAX_SHARES;
	for (size_t i = 0; i < CONFIG_MAX_SHARES; i++)
		t.c.share[i] = (struct share){.host = "sub", .guest = "/data"};
	assert_int_equal(reopen(), 0);
	assert_int_equal(t.v.n_view, CONFIG_MAX_SHARES + 1);
	assert_true(t.v.n_fd <= VIEWS_MAX_FDS);
}

static void test_view_none(void **state)
{
	(void)state;
	t.c.view_none = true;
	t.c.n_share = 1;
	t.c.share[0] = (struct share){.host = "sub", .guest = "/data"};
	assert_int_equal(reopen(), 0);
	const Mayfly__FsEntry *sys = find(t.v.root, t.v.root_name);
	assert_non_null(sys);
	assert_int_equal(sys->n_entry, 0);
	assert_false(t.v.cwd_shared);
	assert_int_equal(t.v.n_view, 1);
	assert_int_equal(t.v.n_fd, 1);
}

static void test_hide(void **state)
{
	(void)state;
	t.c.n_hide = 3;
	t.c.hide[0] = "/etc/passwd";
	t.c.hide[1] = "/etc/ssl";
	t.c.hide[2] = "sub";
	assert_int_equal(reopen(), 0);
	const Mayfly__FsEntry *etc = find(find(t.v.root, "system"), "etc");
	assert_non_null(find(etc, "group"));
	assert_null(find(etc, "passwd"));
	assert_null(find(etc, "ssl"));
	assert_int_equal(t.v.hides.n, 3);
	/* Below what is hidden, and the same directory by another name. */
	t.c.n_share = 1;
	t.c.share[0] = (struct share){.host = "sub", .guest = "/data"};
	assert_int_equal(reopen(), -EINVAL);
	t.c.share[0] = (struct share){.host = "link", .guest = "/data"};
	assert_int_equal(reopen(), -EINVAL);
	t.c.n_share = 0;
	assert_int_equal(chdir("sub"), 0);
	t.c.hide[2] = "../sub";
	assert_int_equal(reopen(), 0);
	assert_false(t.v.cwd_shared);
	t.c.hide[2] = "/etc";
	assert_int_equal(reopen(), 0);
	assert_null(find(find(t.v.root, "system"), "etc"));
	views_close(&t.v);
	assert_int_equal(open_fds(), t.fds);
}

/* The type of /bin in the system view of a host whose root is t.dir; in a child. */
static mode_t type_of_bin(void)
{
	struct stat st;
	if (chroot(t.dir) < 0 || chdir("/") < 0)
		return 0;
	t.c.no_cwd = true;
	if (reopen() < 0)
		return 0;
	const Mayfly__FsEntry *bin = find(find(t.v.root, "system"), "bin");
	return bin && fstat(bin->fd, &st) == 0 ? st.st_mode & S_IFMT : 0;
}

static void expect_bin(const char *make, mode_t want)
{
	int status;
	assert_int_equal(system(make), 0);
	pid_t pid = fork();
	if (pid == 0)
		_exit(type_of_bin() == want ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* /bin as a directory of its own, and as a link into /usr. */
static void test_split_and_merged_usr(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	expect_bin("mkdir -p usr/bin bin etc", S_IFDIR);
	expect_bin("rmdir bin && ln -s usr/bin bin", S_IFLNK);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_cwd_policy),  T(test_system_view),
		T(test_cwd),	     T(test_cwd_is_home),
		T(test_cwd_gone),    T(test_shares),
		T(test_bad_shares),  T(test_refused_targets),
		T(test_writable),    T(test_rootfs),
		T(test_renumber),    T(test_closes_all),
		T(test_most_shares), T(test_view_none),
		T(test_hide),	     T(test_split_and_merged_usr),
	};
	alarm(30);
	return cmocka_run_group_tests_name("views", tests, NULL, NULL);
}
