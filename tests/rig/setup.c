// SPDX-License-Identifier: Apache-2.0
// setup.c - makes the rig look like a Debian host: mounts, device nodes, limits, loopback
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_KEEP 32

static void mount_one(const char *source, const char *target, const char *type, unsigned long flags,
		      const char *data)
{
	if (mount(source, target, type, flags, data) < 0)
		die("cannot mount %s on %s: %m", type ? type : source, target);
}

void setup_early(void)
{
	const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;

	mount_one("proc", "/proc", "proc", flags, NULL);
	mount_one("sysfs", "/sys", "sysfs", flags, NULL);
	mount_one("devtmpfs", "/dev", "devtmpfs", MS_NOSUID, "mode=0755");
}

static void make_dirs(const char *path)
{
	char buf[4096];

	if (snprintf(buf, sizeof(buf), "%s/", path) >= (int)sizeof(buf))
		die("path too long: %s", path);
	for (char *p = buf + 1; (p = strchr(p, '/')); *p++ = '/') {
		*p = '\0';
		if (mkdir(buf, 0755) < 0 && errno != EEXIST && errno != EROFS)
			die("cannot make %s: %m", buf);
	}
}

/* A fresh writable directory over the host's. What the host does not have is made if it can be. */
static void scratch(const char *path)
{
	const int open_to_all = strcmp(path, "/tmp") == 0 || strcmp(path, "/var/tmp") == 0;

	if (access(path, F_OK) < 0)
		make_dirs(path);
	mount_one("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV,
		  open_to_all ? "mode=1777" : "mode=0755");
}

/* The host's directories that a scratch directory would hide come back where they were. */
static void scratch_and_keep(const struct job *j)
{
	int fds[MAX_KEEP];
	struct stat was, is;
	char self[32];

	if (j->keep.n > MAX_KEEP)
		die("more than %d directories to keep", MAX_KEEP);
	for (size_t i = 0; i < j->keep.n; i++) {
		fds[i] = open(j->keep.at[i], O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (fds[i] < 0)
			die("cannot open %s: %m", j->keep.at[i]);
	}
	for (size_t i = 0; i < j->scratch.n; i++)
		scratch(j->scratch.at[i]);
	for (size_t i = 0; i < j->keep.n; i++) {
		if (fstat(fds[i], &was) < 0)
			die("cannot stat %s: %m", j->keep.at[i]);
		if (stat(j->keep.at[i], &is) < 0 || is.st_dev != was.st_dev ||
		    is.st_ino != was.st_ino) {
			make_dirs(j->keep.at[i]);
			snprintf(self, sizeof(self), "/proc/self/fd/%d", fds[i]);
			mount_one(self, j->keep.at[i], NULL, MS_BIND, NULL);
		}
		close(fds[i]);
	}
}

/* Writable shares of the host, where they are there, too. */
static void out_shares(const struct job *j)
{
	char tag[32];

	for (size_t i = 0; i < j->out.n; i++) {
		make_dirs(j->out.at[i]);
		snprintf(tag, sizeof(tag), "out%zu", i);
		mount_one(tag, j->out.at[i], "9p", 0,
			  "trans=virtio,version=9p2000.L,msize=512000,cache=none");
	}
}

static void make_link(const char *to, const char *name)
{
	if (symlink(to, name) < 0 && errno != EEXIST)
		die("cannot make %s: %m", name);
}

static void devices(const struct job *j)
{
	mkdir("/dev/pts", 0755);
	mkdir("/dev/shm", 0755);
	mkdir("/dev/mqueue", 0755);
	mount_one("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC,
		  "gid=5,mode=0620,ptmxmode=0666");
	mount_one("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777");
	mount_one("mqueue", "/dev/mqueue", "mqueue", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
	make_link("/proc/self/fd", "/dev/fd");
	make_link("/proc/self/fd/0", "/dev/stdin");
	make_link("/proc/self/fd/1", "/dev/stdout");
	make_link("/proc/self/fd/2", "/dev/stderr");
	/* As Debian's udev rules do, but for the mode of kvm, which the job decides. */
	if (chmod("/dev/net/tun", 0666) < 0)
		die("/dev/net/tun: %m");
	if (chown("/dev/kvm", 0, (gid_t)atoi(j->kvm_gid)) < 0 ||
	    chmod("/dev/kvm", (mode_t)strtoul(j->kvm_mode, NULL, 8)) < 0)
		die("/dev/kvm: %m (kvm_amd did not load)");
}

static void write_file(const char *path, const char *text)
{
	const int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		die("cannot write %s: %m", path);
	close(fd);
}

/* What systemd and its distribution's files set on a Debian host. */
static void habits(void)
{
	const struct rlimit files = {1024, 524288};

	if (setrlimit(RLIMIT_NOFILE, &files) < 0)
		die("cannot set the limit of descriptors: %m");
	mount_one("cgroup2", "/sys/fs/cgroup", "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
	write_file("/sys/fs/cgroup/cgroup.subtree_control", "+cpu +io +memory +pids");
	write_file("/proc/sys/fs/protected_symlinks", "1");
	write_file("/proc/sys/fs/protected_hardlinks", "1");
	write_file("/proc/sys/fs/protected_fifos", "1");
	write_file("/proc/sys/fs/protected_regular", "2");
	umask(022);
	if (sethostname("rig", 3) < 0)
		die("cannot set the host's name: %m");
}

static void loopback(void)
{
	struct ifreq r = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &r) < 0)
		die("cannot set lo up: %m");
	close(fd);
}

void setup_rest(const struct job *j)
{
	scratch_and_keep(j);
	out_shares(j);
	devices(j);
	habits();
	loopback();
	mkdir("/run/lock", 01777);
	chmod("/run/lock", 01777);
}
