// SPDX-License-Identifier: Apache-2.0
// disk_files.c - opens, checks and locks disks; makes the file behind --scratch
#include "cli/disk_files.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "base/log.h"
#include "cli/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SECTOR 512
#define LOCK_WAIT_NS 1000000000ull
#define LOCK_RETRY_NS 5000000l
#define SCRATCH_DIR "/var/tmp"
/* The program's number for the file that it is to format. */
#define MKFS_FD 3

/*
 * The lock goes with the last reference to the open file. A ring gives its own back a moment after
 * its process is gone, when nothing is under way any more: so a machine that has just ended is
 * waited for.
 */
static int lock(const struct disk_file *f, const char *path, struct err *e)
{
	struct flock l = {.l_type = f->read_only ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET};
	const struct timespec pause = {.tv_nsec = LOCK_RETRY_NS};
	uint64_t until = io_now_ns() + LOCK_WAIT_NS;
	int ret;
	while ((ret = fcntl(f->fd, F_OFD_SETLK, &l)) < 0 && errno == EAGAIN && io_now_ns() < until)
		nanosleep(&pause, NULL);
	if (ret == 0)
		return 0;
	if (errno == EAGAIN || errno == EACCES)
		return err_set(e, EBUSY, "disk '%s' is in use by another machine, or named twice%s",
			       path,
			       f->read_only ? "; somebody may write to it"
					    : " (any number may have it with ':ro')");
	/* Some network file systems. */
	log_warn("disk '%s' can't be locked against other machines: %s", path, strerror(errno));
	return 0;
}

static int measure(struct disk_file *f, const char *path, struct err *e)
{
	struct stat st;
	if (fstat(f->fd, &st) < 0)
		return err_errno(e, errno, "can't look at disk '%s'", path);
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return err_set(e, EINVAL, "disk '%s' is neither a file nor a disk of the host",
			       path);
	off_t end = lseek(f->fd, 0, SEEK_END);
	if (end < 0)
		return err_errno(e, errno, "can't tell the size of disk '%s'", path);
	f->size = (uint64_t)end;
	if (f->size == 0 || f->size % SECTOR != 0)
		return err_set(e, EINVAL,
			       "disk '%s' has %llu bytes, which is no multiple of %d above 0 "
			       "(truncate -s sets a file's size)",
			       path, (unsigned long long)f->size, SECTOR);
	return 0;
}

static int open_disk(struct disk_file *f, const struct disk_option *o, struct err *e)
{
	int mode = o->read_only ? O_RDONLY : O_RDWR;
	f->read_only = o->read_only;
	/* A fifo would wait for its other end. */
	f->fd = open(o->path, mode | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (f->fd < 0)
		return err_errno(e, errno, "can't open disk '%s'%s", o->path,
				 !o->read_only && (errno == EACCES || errno == EROFS)
					 ? " for writing (':ro' behind it is for reading only)"
					 : "");
	int ret = measure(f, o->path, e);
	if (ret == 0)
		ret = lock(f, o->path, e);
	if (ret == 0 && io_set_nonblock(f->fd, 0) < 0)
		return err_errno(e, errno, "can't use disk '%s'", o->path);
	return ret;
}

/* ---- scratch ---- */

static int open_unlinked(const char *dir)
{
	char path[PATH_MAX];
	int fd = open(dir, O_TMPFILE | O_RDWR | O_EXCL | O_CLOEXEC, 0600);
	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL))
		return fd < 0 ? -errno : fd;
	if (snprintf(path, sizeof(path), "%s/mayfly-scratch.XXXXXX", dir) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0 || unlink(path) < 0)
		fd = fd < 0 ? -errno : fd;
	return fd;
}

static int find_mkfs(void)
{
	static const char *const others[] = {"/usr/sbin/mke2fs", "/sbin/mke2fs"};
	int fd = paths_which("mke2fs");
	/* An ordinary user's PATH has no sbin. */
	for (size_t i = 0; fd < 0 && i < ARRAY_SIZE(others); i++)
		fd = open(others[i], O_PATH | O_CLOEXEC);
	return fd;
}

static _Noreturn void become_mkfs(int exec_fd, int file)
{
	/*
	 * No journal: after a crash there is nobody to read it. What else the default has is only
	 * written when it is used (lazy_itable_init): making it costs the same for any size.
	 */
	static const char *const argv[] = {"mke2fs",
					   "-q",
					   "-F",
					   "-t",
					   "ext4",
					   "-m",
					   "0",
					   "-O",
					   "^has_journal,^resize_inode",
					   "-E",
					   "lazy_itable_init=1,nodiscard,root_owner=0:0",
					   "/proc/self/fd/3",
					   NULL};
	static const char *const env[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin",
					  "MKE2FS_SKIP_CHECK_MSG=1", NULL};
	int null = open("/dev/null", O_RDWR);
	dup2(null, 0);
	dup2(null, 1);
	if (dup2(file, MKFS_FD) == MKFS_FD)
		syscall(SYS_execveat, exec_fd, "", argv, env, AT_EMPTY_PATH);
	_exit(127);
}

static int format(int file, struct err *e)
{
	int status = 0;
	AUTO_CLOSE int exec_fd = find_mkfs();
	if (exec_fd < 0)
		return err_set(e, ENOENT,
			       "--scratch needs mke2fs, which is not installed (apt-get install "
			       "e2fsprogs)");
	pid_t pid = fork();
	if (pid == 0)
		become_mkfs(exec_fd, file);
	if (pid < 0)
		return err_errno(e, errno, "can't start mke2fs");
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_errno(e, errno, "can't wait for mke2fs");
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return err_set(e, EIO, "mke2fs failed to make a file system for --scratch");
	return 0;
}

static int open_scratch(struct disk_file *f, const struct vm_config *c, struct err *e)
{
	const char *dir = c->scratch_dir;
	if (!dir && !(dir = getenv("TMPDIR")))
		dir = SCRATCH_DIR;
	f->throwaway = true;
	f->size = c->scratch;
	f->fd = open_unlinked(dir);
	if (f->fd < 0)
		return err_errno(e, -f->fd, "can't make the file for --scratch in '%s'", dir);
	if (ftruncate(f->fd, (off_t)f->size) < 0)
		return err_errno(e, errno, "can't make a file of %llu bytes in '%s'",
				 (unsigned long long)f->size, dir);
	return format(f->fd, e);
}

/* As the guest's kernel counts them. */
static void device_name(const struct disk_files *d, char name[16])
{
	snprintf(name, 16, "vd%c", 'a' + (int)d->n - 1);
}

/* The store's own file: nobody writes to it, so nobody needs to lock it. */
static int open_image(struct disk_files *d, const struct vm_config *c, struct err *e)
{
	struct disk_file *f = &d->file[d->n++];
	snprintf(f->serial, sizeof(f->serial), "mayfly-image");
	device_name(d, d->image);
	f->read_only = true;
	f->fd = fcntl(c->image_fd, F_DUPFD_CLOEXEC, 3);
	if (f->fd < 0)
		return err_errno(e, errno, "can't use image '%s'", c->image);
	return measure(f, c->image, e);
}

int disk_files_open(struct disk_files *d, const struct vm_config *c, struct err *e)
{
	const char *io = getenv("MAYFLY_DISK_IO");
	int ret = 0;
	*d = (struct disk_files){0};
	if (c->n_disk > 0 && io && strcmp(io, "noflush") == 0)
		log_msg(LOG_ERROR, "warning: MAYFLY_DISK_IO=noflush: what the guest takes for "
				   "written is lost if this host fails");
	while (ret == 0 && d->n < c->n_disk) {
		struct disk_file *f = &d->file[d->n++];
		snprintf(f->serial, sizeof(f->serial), "mayfly-disk%u", d->n - 1);
		ret = open_disk(f, &c->disk[d->n - 1], e);
	}
	if (ret == 0 && c->image)
		ret = open_image(d, c, e);
	if (ret < 0 || c->scratch == 0)
		return ret;
	struct disk_file *f = &d->file[d->n++];
	snprintf(f->serial, sizeof(f->serial), "mayfly-scratch");
	device_name(d, d->scratch);
	return open_scratch(f, c, e);
}

void disk_files_close(struct disk_files *d)
{
	for (unsigned i = 0; i < d->n; i++)
		close_fd(&d->file[i].fd);
}
