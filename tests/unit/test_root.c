// SPDX-License-Identifier: Apache-2.0
// test_root.c - children that leave the host for a root of their own, as root and as a user
// links: jailer/root.c jailer/userns.c runtime/base/err.c
#include "root.h"

#include "userns.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define PLAIN_UID 12345
#define JAIL_UID 12399

/* DIR: tree/file, tree/sub/deep, tree/link -> ../outside, outside, open, secret (0600), up -> tree
 */
static char dir[64];
static int secret_fd, open_fd;

/* In children: what fails says so and ends them. */
#define need(ok) need_at((ok), #ok, __LINE__)
static void need_at(bool ok, const char *what, int line)
{
	if (ok)
		return;
	dprintf(2, "line %d: %s (errno %d)\n", line, what, errno);
	_exit(1);
}

static void put(const char *name, const char *text, mode_t mode)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static int make_tree(void **state)
{
	(void)state;
	umask(022);
	strcpy(dir, "/tmp/mayfly-root.XXXXXX");
	if (!mkdtemp(dir) || chmod(dir, 0755) < 0 || chdir(dir) < 0 || mkdir("tree", 0755) < 0 ||
	    mkdir("tree/sub", 0755) < 0 || mkdir("tree/mount", 0755) < 0 ||
	    symlink("../outside", "tree/link") < 0 || symlink("tree", "up") < 0)
		return -1;
	put("tree/file", "file", 0644);
	put("tree/sub/deep", "deep", 0644);
	put("outside", "outside", 0644);
	put("open", "open", 0644);
	put("secret", "secret", 0600);
	secret_fd = open("secret", O_RDONLY | O_CLOEXEC);
	open_fd = open("open", O_RDONLY | O_CLOEXEC);
	return 0;
}

static int remove_tree(void **state)
{
	static const char *const files[] = {"tree/file", "tree/sub/deep", "tree/link", "up",
					    "outside",	 "open",	  "secret"};
	(void)state;
	for (size_t i = 0; i < 7; i++)
		unlink(files[i]);
	rmdir("tree/sub");
	rmdir("tree/mount");
	rmdir("tree");
	return chdir("/") < 0 ? -1 : rmdir(dir);
}

static void run(void (*fn)(void), uid_t uid)
{
	int status = 0;
	struct err e = {.text = ""};
	pid_t pid = fork();
	if (pid == 0) {
		if (uid) {
			need(setgroups(0, NULL) == 0 && setresgid(uid, uid, uid) == 0);
			need(setresuid(uid, uid, uid) == 0);
			need(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0);
		}
		if (geteuid() != 0 && userns_enter(&e) < 0)
			_exit(77);
		fn();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(status, 0);
}

/* As whoever runs this; and if that is root, as an ordinary user, too. */
static void in_child(void (*fn)(void))
{
	run(fn, 0);
	if (geteuid() == 0)
		run(fn, PLAIN_UID);
}

static const char *below(const char *name)
{
	static char path[128];
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static bool holds(const char *path, const char *text)
{
	char buf[64] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ssize_t n = read(fd, buf, sizeof(buf) - 1);
	close(fd);
	return n == (ssize_t)strlen(text) && strcmp(buf, text) == 0;
}

static unsigned entries(const char *path)
{
	unsigned n = 0;
	const struct dirent *de;
	DIR *d = opendir(path);
	need(d != NULL);
	while ((de = readdir(d)))
		n += strcmp(de->d_name, ".") != 0 && strcmp(de->d_name, "..") != 0;
	closedir(d);
	return n;
}

static void out_of_host(void)
{
	struct err e = {.text = ""};
	need(root_own_mounts(&e) == 0);
}

/* As a process of the machine would. */
static void into(const struct root *r)
{
	struct err e = {.text = ""};
	need(root_leave_host(&e) == 0);
	need(unshare(CLONE_NEWNS) == 0);
	need(root_drop_proc() == 0);
	need(root_enter(r) == 0);
}

/* ---- the supervisor's empty root ---- */

static void empty(void)
{
	struct err e = {.text = ""};
	out_of_host();
	int held = open(".", O_PATH | O_DIRECTORY);
	need(root_leave_host(&e) == 0);
	/* Until it is dropped, a whole procfs and nothing else. */
	need(access("/self/status", F_OK) < 0 || access("/etc/passwd", F_OK) < 0);
	need(root_drop_proc() == 0);
	need(entries("/") == 0);
	need(access(dir, F_OK) < 0 && errno == ENOENT);
	need(mkdir("/x", 0700) < 0 && errno == EROFS);
	need(open("/x", O_WRONLY | O_CREAT, 0600) < 0 && errno == EROFS);
	need(mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND, NULL) == 0 || errno == EPERM);
	/* What was open still works. */
	need(faccessat(held, "outside", R_OK, 0) == 0);
	struct stat a, b;
	need(stat("/", &a) == 0 && stat("/..", &b) == 0 && a.st_ino == b.st_ino);
}

static void test_empty(void **state)
{
	(void)state;
	in_child(empty);
}

/* ---- trees ---- */

static void tree(void)
{
	struct root r = {.n = 0};
	struct err e = {.text = ""};
	out_of_host();
	need(root_add_tree(&r, below("tree"), &e) == 0);
	need(root_add_tree(&r, below("up"), &e) == 0);
	need(root_add_tree(&r, below("open"), &e) == 0);
	need(root_add_tree(&r, below("made/here/"), &e) == 0);
	need(r.n == 4);
	need(root_add_tree(&r, below("missing"), &e) == 0 && r.n == 4);
	into(&r);
	need(entries("/") == 1 && entries("/tmp") == 1 && entries(dir) == 4);
	need(holds(below("tree/file"), "file"));
	need(holds(below("tree/sub/deep"), "deep"));
	need(holds(below("open"), "open"));
	need(entries(below("made/here")) == 0);
	/* A link stays one: inside it leads to what is inside. */
	char to[64] = "";
	need(readlink(below("up"), to, sizeof(to) - 1) == 4 && strcmp(to, "tree") == 0);
	need(holds(below("up/file"), "file"));
	need(open(below("tree/link"), O_RDONLY) < 0 && errno == ENOENT);
	need(access(below("outside"), F_OK) < 0 && access("/etc", F_OK) < 0);
}

static void read_only(void)
{
	struct root r = {.n = 0};
	struct err e = {.text = ""};
	out_of_host();
	/* A mount below comes along, and is as little writable. */
	need(mount("none", below("tree/mount"), "tmpfs", 0, NULL) == 0);
	need(mkdir(below("tree/mount/in"), 0755) == 0);
	need(root_add_tree(&r, below("tree"), &e) == 0);
	need(root_add_file(&r, open_fd, "copy", &e) == 0);
	into(&r);
	static const char *const dirs[] = {"", "tree", "tree/sub", "tree/mount"};
	need(access(below("tree/mount/in"), F_OK) == 0);
	for (size_t i = 0; i < 4; i++) {
		need(chdir(below(dirs[i])) == 0);
		need(mkdir("new", 0700) < 0 && errno == EROFS);
		need(open("new", O_WRONLY | O_CREAT, 0600) < 0 && errno == EROFS);
	}
	need(mkdir("/new", 0700) < 0 && errno == EROFS);
	need(open(below("tree/file"), O_WRONLY) < 0 && (errno == EROFS || errno == EACCES));
	need(open("/copy", O_WRONLY) < 0 && (errno == EROFS || errno == EACCES));
	struct stat st;
	need(stat(below("tree"), &st) == 0);
}

static void test_tree(void **state)
{
	(void)state;
	in_child(tree);
	in_child(read_only);
}

/* ---- files ---- */

static void as_another(void)
{
	if (geteuid() != 0)
		return;
	need(setgroups(0, NULL) == 0 && setresgid(JAIL_UID, JAIL_UID, JAIL_UID) == 0);
	need(setresuid(JAIL_UID, JAIL_UID, JAIL_UID) == 0);
}

static void secret(void)
{
	struct root r = {.n = 0};
	struct err e = {.text = ""};
	out_of_host();
	need(root_add_file(&r, secret_fd, "kernel", &e) == 0);
	/* Nobody else may read it where it is: a copy it must be. */
	need(r.part[0].mount_fd == -1 && r.part[0].copy_fd == secret_fd);
	need(root_add_file(&r, open_fd, "init", &e) == 0);
	need(r.part[1].mount_fd >= 0 && r.part[1].copy_fd == -1);
	into(&r);
	as_another();
	need(holds("/kernel", "secret"));
	need(holds("/init", "open"));
	need(entries("/") == 2);
	struct stat st;
	need(stat("/kernel", &st) == 0 && (st.st_mode & 07777) == 0444);
}

static void test_secret(void **state)
{
	(void)state;
	in_child(secret);
}

/* Opened as "open"; by the time it is to be shown that name leads elsewhere. */
static void shown_is_what_was_opened(void)
{
	struct root r = {.n = 0};
	struct err e = {.text = ""};
	out_of_host();
	need(root_add_file(&r, open_fd, "init", &e) == 0);
	need(r.part[0].mount_fd == -1 && r.part[0].copy_fd == open_fd);
	into(&r);
	need(holds("/init", "open"));
}

/* A file that was only renamed is mounted: it is the same one. */
static void renamed(void)
{
	struct root r = {.n = 0};
	struct err e = {.text = ""};
	out_of_host();
	need(root_add_file(&r, open_fd, "init", &e) == 0);
	into(&r);
	need(holds("/init", "open"));
}

static void test_replaced(void **state)
{
	(void)state;
	assert_int_equal(rename("open", "open.real"), 0);
	put("open", "evil", 0644);
	in_child(renamed);
	unlink("open");
	assert_int_equal(rename("open.real", "open"), 0);

	/* The kernel now calls the descriptor's file "open (deleted)". */
	assert_int_equal(link("open", "open.real"), 0);
	unlink("open");
	in_child(shown_is_what_was_opened);
	put("open", "evil", 0644);
	put("open (deleted)", "evil", 0644);
	in_child(shown_is_what_was_opened);
	unlink("open");
	unlink("open (deleted)");
	/* A symbolic link to the very same file is not the name that it was opened by. */
	assert_int_equal(symlink("open.real", "open (deleted)"), 0);
	in_child(shown_is_what_was_opened);
	unlink("open (deleted)");
	assert_int_equal(rename("open.real", "open"), 0);
	close(open_fd);
	open_fd = open("open", O_RDONLY | O_CLOEXEC);
}

/* Changed after it was added: a mount is of the file, not of its name. */
static void replaced_after(void)
{
	struct root r = {.n = 0};
	struct err e = {.text = ""};
	out_of_host();
	need(root_add_file(&r, open_fd, "init", &e) == 0 && r.part[0].mount_fd >= 0);
	need(root_add_tree(&r, below("tree"), &e) == 0);
	need(mount("none", below("tree"), "tmpfs", 0, NULL) == 0);
	need(mount("none", dir, "tmpfs", 0, NULL) == 0);
	into(&r);
	need(holds("/init", "open"));
	need(holds(below("tree/file"), "file"));
}

static void test_replaced_after(void **state)
{
	(void)state;
	in_child(replaced_after);
}

/* ---- what has no place ---- */

static void refused(void)
{
	static const char *const bad_names[] = {"", ".", "..", ".x", "a/b", "/x", "../x"};
	struct root r = {.n = 0};
	struct err e = {.text = ""};
	char longest[ROOT_PATH_MAX + 8];
	out_of_host();
	for (size_t i = 0; i < 7; i++)
		need(root_add_file(&r, open_fd, bad_names[i], &e) == -EINVAL);
	memset(longest, 'a', sizeof(longest));
	longest[65] = '\0';
	need(root_add_file(&r, open_fd, longest, &e) == -EINVAL);
	need(root_add_file(&r, 4000, "x", &e) == -EBADF);
	need(root_add_tree(&r, "relative/", &e) == -EINVAL);
	need(chdir(dir) == 0 && root_add_tree(&r, "tree", &e) == -EINVAL);
	need(strstr(e.text, "'tree'") != NULL);
	memset(longest, 'a', sizeof(longest));
	longest[0] = '/';
	longest[sizeof(longest) - 2] = '/';
	longest[sizeof(longest) - 1] = '\0';
	need(root_add_tree(&r, longest, &e) == -EINVAL);
	need(r.n == 0);
	for (unsigned i = 0; i < ROOT_MAX_PARTS; i++)
		need(root_add_tree(&r, below("x/"), &e) == 0);
	need(root_add_tree(&r, below("tree"), &e) == -EINVAL && r.n == ROOT_MAX_PARTS);
	need(root_add_file(&r, open_fd, "one", &e) == -EINVAL);
	root_free(&r);
	need(r.n == 0);
}

static void clash(void)
{
	struct root r = {.n = 0};
	struct err e = {.text = ""};
	out_of_host();
	need(root_add_file(&r, open_fd, "same", &e) == 0);
	need(root_add_file(&r, secret_fd, "same", &e) == 0);
	need(root_leave_host(&e) == 0);
	need(unshare(CLONE_NEWNS) == 0);
	need(root_enter(&r) == -EEXIST);
}

static void test_refused(void **state)
{
	(void)state;
	in_child(refused);
	in_child(clash);
}

/* Parts below a link: the link is made in the new root and leads nowhere from it. */
static void below_a_link(void)
{
	struct root r = {.n = 0};
	struct err e = {.text = ""};
	char was[64];
	out_of_host();
	snprintf(was, sizeof(was), "%s", dir);
	need(root_add_tree(&r, below("abs"), &e) == 0);
	need(root_add_tree(&r, below("abs/planted/"), &e) == 0);
	need(root_leave_host(&e) == 0);
	need(unshare(CLONE_NEWNS) == 0);
	need(root_drop_proc() == 0);
	need(root_enter(&r) < 0);
	need(access("/planted", F_OK) < 0);
}

static void test_prepared_places(void **state)
{
	(void)state;
	assert_int_equal(symlink("/", "abs"), 0);
	in_child(below_a_link);
	unlink("abs");
	assert_int_equal(access("/planted", F_OK), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),		cmocka_unit_test(test_tree),
		cmocka_unit_test(test_secret),		cmocka_unit_test(test_replaced),
		cmocka_unit_test(test_replaced_after),	cmocka_unit_test(test_refused),
		cmocka_unit_test(test_prepared_places),
	};
	alarm(60);
	return cmocka_run_group_tests_name("root", tests, make_tree, remove_tree);
}
