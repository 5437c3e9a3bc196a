// SPDX-License-Identifier: Apache-2.0
// mounts.c - the guest's file tree: overlay root, system mounts, views
//
// Theory of operation: one virtio-fs device holds all views as directories of its root; /fs is
// where it is mounted in the initramfs, /rw is the tmpfs that takes every change. The root view
// with a directory of /rw above it becomes the new root. The views are mounted after the switch,
// so that their targets, absolute paths, resolve inside the guest's own tree. Their sources are
// paths without a leading slash: the initramfs is the current directory until all is mounted, and
// its fs and rw are in reach that way only.
#include "mounts.h"

#include "accounts.h"
#include "base/checked.h"
#include "base/cleanup.h"
#include "changes.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define FS_TAG "mayfly"
#define IMAGE_DIR "/image"
#define PATH_BUF 4352
#define READAHEAD_KIB "480"

struct mount_row {
	const char *source;
	const char *target;
	const char *type;
	unsigned long flags;
	const char *data;
};

static const struct mount_row system_mounts[] = {
	{"sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL},
	{"cgroup2", "/sys/fs/cgroup", "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL},
	{"devtmpfs", "/dev", "devtmpfs", MS_NOSUID, "mode=0755,size=4m"},
	{"devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "gid=5,mode=0620,ptmxmode=0666"},
	{"mqueue", "/dev/mqueue", "mqueue", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL},
};

/*
 * Directories of the one tmpfs that the overlays write to as well: each with a tmpfs of its own,
 * of half the memory, could fill all of it, and files can't be killed.
 */
static const struct {
	const char *name;
	const char *target;
	mode_t mode;
	bool memory; /* also where a disk takes the changes */
} memory_dirs[] = {
	{"shm", "/dev/shm", 01777, true},
	{"tmp", "/tmp", 01777, false},
	{"run", "/run", 0755, true},
};

/* Made in the upper directory before the overlay is mounted: cheaper than through it. */
static const struct {
	const char *name;
	mode_t mode;
} base_dirs[] = {
	{"proc", 0555}, {"sys", 0555}, {"dev", 0755},	   {"tmp", 01777},
	{"run", 0755},	{"var", 0755}, {"var/tmp", 01777}, {"etc", 0755},
};

static const struct {
	const char *target;
	const char *link;
} dev_links[] = {
	{"/proc/self/fd", "/dev/fd"},	    {"/proc/self/fd/0", "/dev/stdin"},
	{"/proc/self/fd/1", "/dev/stdout"}, {"/proc/self/fd/2", "/dev/stderr"},
	{"pts/ptmx", "/dev/ptmx"},	    {"/run/initctl", "/dev/initctl"},
};

static int memory_fd = -1;
static int scratch_fd = -1;

int mounts_memory_fd(void)
{
	return memory_fd;
}

static int do_mount(const struct mount_row *m, struct err *e)
{
	if (mount(m->source, m->target, m->type, m->flags, m->data) < 0)
		return err_errno(e, errno, "can't mount %s on '%s'", m->type, m->target);
	return 0;
}

int mounts_early(struct err *e)
{
	static const struct mount_row rows[] = {
		{"proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL},
		{FS_TAG, "/fs", "virtiofs", MS_NOSUID | MS_NODEV | MS_RDONLY, NULL},
		{"tmpfs", "/rw", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755"},
	};
	int ret = 0;
	for (size_t i = 0; ret == 0 && i < ARRAY_SIZE(rows); i++) {
		mkdir(rows[i].target, 0755);
		ret = do_mount(&rows[i], e);
	}
	return ret;
}

int mounts_mkdir_p(const char *path)
{
	char buf[PATH_BUF];
	size_t len = strlen(path);
	if (len == 0 || len >= sizeof(buf))
		return -ENAMETOOLONG;
	memcpy(buf, path, len + 1);
	for (char *p = buf + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(buf, 0755) < 0 && errno != EEXIST)
			return -errno;
		*p = '/';
	}
	return mkdir(buf, 0755) < 0 && errno != EEXIST ? -errno : 0;
}

static int mkdir_exact(const char *path, mode_t mode)
{
	if (mkdir(path, mode) < 0 && errno != EEXIST)
		return -errno;
	return chmod(path, mode) < 0 ? -errno : 0;
}

static int write_file(const char *path, const char *text)
{
	AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return -errno;
	size_t len = strlen(text);
	return write(fd, text, len) == (ssize_t)len ? 0 : -EIO;
}

static int fill_upper(const char *upper, const char *hostname, struct err *e)
{
	char path[PATH_BUF];
	char text[512];
	int ret = 0;
	for (size_t i = 0; ret == 0 && i < ARRAY_SIZE(base_dirs); i++) {
		snprintf(path, sizeof(path), "%s/%s", upper, base_dirs[i].name);
		ret = mkdir_exact(path, base_dirs[i].mode);
	}
	if (ret == 0) {
		snprintf(path, sizeof(path), "%s/etc/hosts", upper);
		snprintf(text, sizeof(text), "127.0.0.1 localhost %s\n::1 localhost\n", hostname);
		ret = write_file(path, text);
	}
	if (ret == 0) {
		snprintf(path, sizeof(path), "%s/etc/hostname", upper);
		snprintf(text, sizeof(text), "%s\n", hostname);
		ret = write_file(path, text);
	}
	return ret < 0 ? err_errno(e, -ret, "can't make '%s'", path) : 0;
}

static int mount_disk(const char *device, struct mount_row m, struct err *e)
{
	char source[64];
	if (strchr(device, '/') || strlen(device) > 16)
		return err_set(e, EINVAL, "bad disk '%.16s'", device);
	snprintf(source, sizeof(source), "/dev/%s", device);
	m.source = source;
	mkdir(m.target, 0755);
	return do_mount(&m, e);
}

/* A disk that takes the changes stands where the tmpfs did; it is nobody's after the machine. */
static int mount_disks(const Mayfly__Setup *setup, struct err *e)
{
	const struct mount_row dev = {"devtmpfs", "/dev", "devtmpfs", MS_NOSUID, NULL};
	const struct mount_row image = {NULL, IMAGE_DIR, "erofs", MS_RDONLY | MS_NODEV, NULL};
	const struct mount_row rw = {NULL, "/rw", "ext4", MS_NOSUID | MS_NODEV | MS_NOATIME,
				     "noinit_itable,discard"};
	if (!setup->image[0] && !setup->scratch[0])
		return 0;
	mkdir("/dev", 0755);
	int ret = do_mount(&dev, e);
	if (ret == 0 && setup->image[0])
		ret = mount_disk(setup->image, image, e);
	if (ret == 0 && setup->scratch[0])
		ret = mount_disk(setup->scratch, rw, e);
	umount2("/dev", MNT_DETACH);
	return ret;
}

/* The merged directory shows the upper one's owner and mode: copy the lower one's. */
static int same_attributes(const char *lower, const char *upper, struct err *e)
{
	struct stat st;
	if (stat(lower, &st) < 0)
		return err_errno(e, errno, "can't look at a shared directory");
	if (chown(upper, st.st_uid, st.st_gid) < 0 || chmod(upper, st.st_mode & 07777) < 0)
		return err_errno(e, errno, "can't prepare '%s'", upper);
	return 0;
}

/* With setup it is the root. */
static int overlay(const char *lower, const char *rw, unsigned n, const char *target,
		   const Mayfly__Setup *setup, struct err *e)
{
	char upper[64];
	char work[64];
	char data[PATH_BUF];
	snprintf(upper, sizeof(upper), "%s/%u", rw, n);
	snprintf(work, sizeof(work), "%s/%u.work", rw, n);
	if (mkdir(upper, 0755) < 0 || mkdir(work, 0700) < 0)
		return err_errno(e, errno, "can't make '%s'", upper);
	int ret = same_attributes(lower, upper, e);
	if (ret == 0 && setup)
		ret = fill_upper(upper, setup->hostname, e);
	if (ret == 0 && setup)
		ret = accounts_prepare(lower, upper, setup, e);
	if (ret < 0)
		return ret;
	snprintf(data, sizeof(data), "lowerdir=%s,upperdir=%s,workdir=%s,redirect_dir=on", lower,
		 upper, work);
	struct mount_row m = {"overlay", target, "overlay", MS_NODEV, data};
	return do_mount(&m, e);
}

static int switch_root(const char *to, struct err *e)
{
	char proc[64];
	snprintf(proc, sizeof(proc), "%s/proc", to);
	if (mount("/proc", proc, NULL, MS_MOVE, NULL) < 0 || chdir(to) < 0 ||
	    mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 || chdir("/") < 0)
		return err_errno(e, errno, "can't switch to the new root");
	return 0;
}

static int make_target(const char *source, const char *target, struct err *e)
{
	struct stat st;
	if (stat(source, &st) < 0)
		return err_errno(e, errno, "can't look at the share for '%s'", target);
	if (S_ISDIR(st.st_mode)) {
		int ret = mounts_mkdir_p(target);
		return ret < 0 ? err_errno(e, -ret, "can't make '%s'", target) : 0;
	}
	char parent[PATH_BUF];
	snprintf(parent, sizeof(parent), "%s", target);
	char *slash = strrchr(parent, '/');
	if (slash && slash != parent) {
		*slash = '\0';
		int ret = mounts_mkdir_p(parent);
		if (ret < 0)
			return err_errno(e, -ret, "can't make '%s'", parent);
	}
	AUTO_CLOSE int fd = open(target, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	return fd < 0 ? err_errno(e, errno, "can't make '%s'", target) : 0;
}

static int mount_view(const Mayfly__View *v, unsigned n, struct err *e)
{
	char source[PATH_BUF];
	if (strchr(v->source, '/') || v->target[0] != '/')
		return err_set(e, EINVAL, "bad view '%.64s'", v->source);
	snprintf(source, sizeof(source), "fs/%s", v->source);
	int ret = make_target(source, v->target, e);
	if (ret < 0)
		return ret;
	if (v->mode == MAYFLY__VIEW__MODE__OVERLAY)
		return overlay(source, "rw", n, v->target, NULL, e);
	struct mount_row bind = {source, v->target, NULL, MS_BIND, NULL};
	struct mount_row flags = {NULL, v->target, NULL,
				  MS_REMOUNT | MS_BIND | MS_NOSUID | MS_NODEV, NULL};
	if (v->mode != MAYFLY__VIEW__MODE__READ_WRITE)
		flags.flags |= MS_RDONLY;
	ret = do_mount(&bind, e);
	return ret < 0 ? ret : do_mount(&flags, e);
}

static int mount_root(const Mayfly__Setup *setup, struct err *e)
{
	char lower[PATH_BUF];
	mkdir("/new", 0755);
	snprintf(lower, sizeof(lower), "%s%s", setup->image[0] ? IMAGE_DIR : "/fs/",
		 setup->image[0] ? "" : setup->root);
	int ret = overlay(lower, "/rw", 0, "/new", setup, e);
	/* The fs process composes the system view's root, which is writable to nobody there. */
	if (ret == 0 && chmod("/new", 0755) < 0)
		ret = err_errno(e, errno, "can't prepare the root directory");
	return ret;
}

static int mount_memory_dirs(bool scratch, struct err *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(memory_dirs); i++) {
		const char *target = memory_dirs[i].target;
		char source[64];
		/* A disk hides the tmpfs. */
		if (scratch && memory_dirs[i].memory)
			snprintf(source, sizeof(source), "/proc/self/fd/%d/%s", memory_fd,
				 memory_dirs[i].name);
		else
			snprintf(source, sizeof(source), "rw/%s", memory_dirs[i].name);
		int ret = mkdir_exact(source, memory_dirs[i].mode);
		if (ret < 0)
			return err_errno(e, -ret, "can't make the directory for '%s'", target);
		mkdir(target, 0755);
		struct mount_row bind = {source, target, NULL, MS_BIND, NULL};
		struct mount_row flags = {NULL, target, NULL,
					  MS_REMOUNT | MS_BIND | MS_NOSUID | MS_NODEV, NULL};
		ret = do_mount(&bind, e);
		if (ret == 0)
			ret = do_mount(&flags, e);
		if (ret < 0)
			return ret;
	}
	return 0;
}

static int mount_system(struct err *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(system_mounts); i++) {
		const struct mount_row *m = &system_mounts[i];
		/* Inside /dev the targets appear with devtmpfs; a custom kernel may lack a type. */
		if (strncmp(m->target, "/dev/", 5) == 0)
			mkdir(m->target, 0755);
		int ret = do_mount(m, e);
		if (ret < 0 && ret != -ENODEV)
			return ret;
	}
	for (size_t i = 0; i < ARRAY_SIZE(dev_links); i++) {
		const char *link = dev_links[i].link;
		int ret = symlink(dev_links[i].target, link);
		if (ret < 0 && errno == EEXIST && unlink(link) == 0)
			ret = symlink(dev_links[i].target, link);
		if (ret < 0)
			return err_errno(e, errno, "can't make '%s'", link);
	}
	return 0;
}

/*
 * Linux reads 128 KiB ahead of a program that reads a file to its end: eight requests a mebibyte,
 * each with a trip to the host. A request of READAHEAD_KIB still fits into a queue of 128.
 */
static int read_ahead(int fs_fd, struct err *e)
{
	struct stat st;
	char path[64];
	if (fstat(fs_fd, &st) < 0)
		return err_errno(e, errno, "can't look at the views");
	snprintf(path, sizeof(path), "/sys/devices/virtual/bdi/%u:%u/read_ahead_kb",
		 major(st.st_dev), minor(st.st_dev));
	AUTO_CLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);
	/* A custom kernel may have no sysfs: slower, nothing worse. */
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0 || write(fd, READAHEAD_KIB, sizeof(READAHEAD_KIB) - 1) < 0)
		return err_errno(e, errno, "can't set '%s'", path);
	return 0;
}

/* Only a machine with a writable share gets a device that it can write to. */
static int make_writable(const Mayfly__Setup *setup, struct err *e)
{
	struct mount_row rw = {NULL, "/fs", "virtiofs", MS_REMOUNT | MS_NOSUID | MS_NODEV, NULL};
	for (size_t i = 0; i < setup->n_view; i++)
		if (setup->view[i]->mode == MAYFLY__VIEW__MODE__READ_WRITE)
			return do_mount(&rw, e);
	return 0;
}

/* It was mounted before the host had said how large it may become. */
static int limit_changes(uint64_t max, struct err *e)
{
	char data[32];
	struct mount_row rw = {NULL, "/rw", "tmpfs", MS_REMOUNT | MS_NOSUID | MS_NODEV, data};
	if (max == 0)
		return 0;
	snprintf(data, sizeof(data), "size=%" PRIu64, max);
	return do_mount(&rw, e);
}

/*
 * A home that is its user's already is left alone: to change it overlayfs would copy it, and where
 * the host's user may not read it, as /root of a tree that is root's, that fails.
 */
static int give_home(const Mayfly__Setup *setup, struct err *e)
{
	struct stat st;
	if (setup->home[0] != '/' || mounts_mkdir_p(setup->home) < 0)
		return 0;
	if (stat(setup->home, &st) == 0 && st.st_uid == setup->uid && st.st_gid == setup->gid)
		return 0;
	if (chown(setup->home, setup->uid, setup->gid) < 0)
		return err_errno(e, errno, "can't give '%s' to its user", setup->home);
	return 0;
}

int mounts_build(const Mayfly__Setup *setup, struct err *e)
{
	memory_fd = open("/rw", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int ret = limit_changes(setup->changes_max, e);
	if (ret == 0)
		ret = mount_disks(setup, e);
	if (ret == 0)
		ret = mount_root(setup, e);
	if (ret == 0)
		ret = make_writable(setup, e);
	if (ret < 0)
		return ret;
	if (setup->scratch[0])
		scratch_fd = open("/rw", O_PATH | O_DIRECTORY | O_CLOEXEC);
	changes_add(memory_fd);
	changes_add(scratch_fd);
	AUTO_CLOSE int fs_fd = open("/fs", O_PATH | O_DIRECTORY | O_CLOEXEC);
	AUTO_CLOSE int initramfs = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fs_fd < 0 || initramfs < 0 || memory_fd < 0)
		return err_errno(e, errno, "can't open the views");
	ret = switch_root("/new", e);
	if (ret == 0)
		ret = mount_system(e);
	if (ret == 0 && fchdir(initramfs) < 0)
		ret = err_errno(e, errno, "can't go back to the initramfs");
	if (ret == 0)
		ret = read_ahead(fs_fd, e);
	if (ret == 0)
		ret = mount_memory_dirs(setup->scratch[0] != '\0', e);
	if (ret == 0)
		ret = give_home(setup, e);
	for (size_t i = 0; ret == 0 && i < setup->n_view; i++)
		ret = mount_view(setup->view[i], (unsigned)i + 1, e);
	if (ret == 0 && chdir("/") < 0)
		ret = err_errno(e, errno, "can't enter the new root");
	return ret;
}
