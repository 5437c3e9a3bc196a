// SPDX-License-Identifier: Apache-2.0
// root.c - the file trees of a machine's processes
#include "root.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define QUIET (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)
/* The kernel and the init image, where they must be copied. */
#define COPY_MAX (512u << 20)

static struct root_part *add(struct root *r, const char *path, struct err *e)
{
	struct root_part *p = &r->part[r->n];
	if (r->n == ROOT_MAX_PARTS || strlen(path) >= sizeof(p->path) || path[0] != '/') {
		err_set(e, EINVAL, "'%.64s' has no place in a jail's root", path);
		return NULL;
	}
	*p = (struct root_part){.mount_fd = -1, .copy_fd = -1};
	snprintf(p->path, sizeof(p->path), "%s", path);
	r->n++;
	return p;
}

/* A copy of the mount that path or fd stands in, with that as its root, attached nowhere. */
static int detach_copy(int at, const char *path)
{
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY | QUIET};
	AUTO_CLOSE int fd = open_tree(at, path,
				      OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE |
					      AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW);
	if (fd < 0)
		return -errno;
	if (mount_setattr(fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof(attr)) < 0)
		return -errno;
	return steal_fd(&fd);
}

int root_add_tree(struct root *r, const char *path, struct err *e)
{
	struct stat st;
	size_t len = strlen(path);
	if (len > 1 && path[len - 1] == '/') {
		struct root_part *empty = add(r, path, e);
		if (empty)
			empty->path[len - 1] = '\0';
		return empty ? 0 : -EINVAL;
	}
	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : err_errno(e, errno, "can't look at '%s'", path);
	struct root_part *p = add(r, path, e);
	if (!p)
		return -EINVAL;
	if (S_ISLNK(st.st_mode)) {
		ssize_t n = readlink(path, p->link, sizeof(p->link) - 1);
		if (n <= 0)
			return err_errno(e, n < 0 ? errno : EINVAL, "can't read the link '%s'",
					 path);
		p->link[n] = '\0';
		return 0;
	}
	p->dir = S_ISDIR(st.st_mode);
	p->mount_fd = detach_copy(AT_FDCWD, path);
	return p->mount_fd < 0 ? err_errno(e, -p->mount_fd, "can't show '%s' in the jail", path)
			       : 0;
}

/* The path that a descriptor was opened by, if it leads to the same file in this namespace. */
static int reopen(int fd, const struct stat *want)
{
	char name[32];
	char target[4096];
	struct stat st;
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	ssize_t n = readlink(name, target, sizeof(target) - 1);
	if (n <= 0)
		return -ENOENT;
	target[n] = '\0';
	AUTO_CLOSE int again = open(target, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (again < 0 || fstat(again, &st) < 0 || st.st_dev != want->st_dev ||
	    st.st_ino != want->st_ino)
		return -ENOENT;
	return steal_fd(&again);
}

int root_add_file(struct root *r, int fd, const char *name, struct err *e)
{
	char path[ROOT_PATH_MAX];
	struct stat st;
	if (strlen(name) > 64 || strchr(name, '/') || name[0] == '.' || name[0] == '\0')
		return err_set(e, EINVAL, "'%.64s' is not a file's name", name);
	snprintf(path, sizeof(path), "/%s", name);
	if (fstat(fd, &st) < 0)
		return err_errno(e, errno, "can't look at the %s", name);
	struct root_part *p = add(r, path, e);
	if (!p)
		return -EINVAL;
	/* The process has another uid: a file that is not for everybody must be copied for it. */
	AUTO_CLOSE int again = (st.st_mode & S_IROTH) ? reopen(fd, &st) : -1;
	p->mount_fd = again >= 0 ? detach_copy(again, "") : -1;
	if (p->mount_fd < 0) {
		p->mount_fd = -1;
		p->copy_fd = fd;
	}
	return 0;
}

void root_free(struct root *r)
{
	for (size_t i = 0; i < r->n; i++)
		close_fd(&r->part[i].mount_fd);
	r->n = 0;
}

int root_own_mounts(struct err *e)
{
	if (unshare(CLONE_NEWNS) < 0)
		return err_errno(e, errno,
				 "this host forbids mount namespaces ('mayfly doctor' says more; "
				 "--jail reduced does without)");
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_errno(e, errno, "can't make the mounts private");
	return 0;
}

/* An empty file system in memory, attached nowhere. */
static int new_tmpfs(const char *size)
{
	AUTO_CLOSE int fs = fsopen("tmpfs", FSOPEN_CLOEXEC);
	if (fs < 0 || fsconfig(fs, FSCONFIG_SET_STRING, "size", size, 0) < 0 ||
	    fsconfig(fs, FSCONFIG_SET_STRING, "nr_inodes", "256", 0) < 0 ||
	    fsconfig(fs, FSCONFIG_SET_STRING, "mode", "0755", 0) < 0 ||
	    fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	int fd = fsmount(fs, FSMOUNT_CLOEXEC, QUIET);
	return fd < 0 ? -errno : fd;
}

/* On top of the root, out of sight: before Linux 6.15 only an attached mount can be mounted on. */
static int attach(int mount_fd)
{
	return move_mount(mount_fd, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) < 0 ? -errno : 0;
}

/* An attached mount becomes read-only and the root; what was the root is gone for this namespace.
 */
static int pivot(int mount_fd)
{
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};
	if (mount_setattr(mount_fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0 ||
	    fchdir(mount_fd) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 ||
	    umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return -errno;
	return 0;
}

int root_leave_host(struct err *e)
{
	AUTO_CLOSE int proc =
		open_tree(AT_FDCWD, "/proc", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	if (proc < 0)
		return err_errno(e, errno, "can't keep /proc");
	AUTO_CLOSE int fd = new_tmpfs("64k");
	int ret = fd < 0 ? fd : attach(fd);
	if (ret == 0)
		ret = pivot(fd);
	if (ret == 0)
		ret = attach(proc);
	return ret < 0 ? err_errno(e, -ret, "can't make an empty root") : 0;
}

int root_drop_proc(void)
{
	/* "." and not "/": of mounts in one place the topmost is meant. */
	return chdir("/") < 0 || umount2(".", MNT_DETACH) < 0 ? -errno : 0;
}

/* The directories above a part's own name. */
static int make_parents(int at, const char *path)
{
	char buf[ROOT_PATH_MAX];
	snprintf(buf, sizeof(buf), "%s", path);
	for (char *slash = strchr(buf, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdirat(at, buf, 0755) < 0 && errno != EEXIST)
			return -errno;
		*slash = '/';
	}
	return 0;
}

static int copy_file(int from, int to)
{
	off_t at = 0;
	while (at < COPY_MAX) {
		ssize_t n = sendfile(to, from, &at, COPY_MAX - (size_t)at);
		if (n < 0)
			return -errno;
		if (n == 0)
			return 0;
	}
	return -EFBIG;
}

static int place(int at, const struct root_part *p)
{
	const char *path = p->path + 1;
	int ret = make_parents(at, path);
	if (ret < 0)
		return ret;
	if (p->link[0])
		return symlinkat(p->link, at, path) < 0 ? -errno : 0;
	if (p->mount_fd < 0 && p->copy_fd < 0)
		return mkdirat(at, path, 0755) < 0 && errno != EEXIST ? -errno : 0;
	if (p->dir)
		return mkdirat(at, path, 0755) < 0 || move_mount(p->mount_fd, "", at, path,
								 MOVE_MOUNT_F_EMPTY_PATH) < 0
			       ? -errno
			       : 0;
	AUTO_CLOSE int file = openat(at, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
	if (file < 0)
		return -errno;
	if (p->copy_fd >= 0)
		return copy_file(p->copy_fd, file);
	return move_mount(p->mount_fd, "", at, path, MOVE_MOUNT_F_EMPTY_PATH) < 0 ? -errno : 0;
}

int root_enter(const struct root *r)
{
	AUTO_CLOSE int fd = new_tmpfs("512m");
	int ret = fd < 0 ? fd : attach(fd);
	/* It is to be entered under another uid. */
	mode_t old = umask(022);
	for (size_t i = 0; ret == 0 && i < r->n; i++)
		ret = place(fd, &r->part[i]);
	umask(old);
	return ret < 0 ? ret : pivot(fd);
}
