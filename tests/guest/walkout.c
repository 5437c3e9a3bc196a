// SPDX-License-Identifier: Apache-2.0
// walkout.c - tries to change a share or leave it by system calls the shell has no tool for
//
// walkout DIR FILE: prints NAME=ok or NAME=<error> for each attempt; "ok" is a hole (but for
// read=ok, the control).
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/xattr.h>
#include <unistd.h>

static void say(const char *name, long ret)
{
	printf("%s=%s\n", name, ret >= 0 ? "ok" : strerrorname_np(errno));
}

static char path[4200];

static const char *in(const char *dir, const char *name)
{
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

/* A handle of DIR, then handles with other inode numbers on the same mount. */
static void handles(const char *dir)
{
	struct {
		struct file_handle h;
		unsigned char bytes[MAX_HANDLE_SZ];
	} f = {.h.handle_bytes = MAX_HANDLE_SZ};
	int mount_id;
	int dfd = open(dir, O_RDONLY | O_DIRECTORY);
	if (name_to_handle_at(AT_FDCWD, dir, &f.h, &mount_id, 0) < 0) {
		say("name_to_handle", -1);
		/* Made up: a 32-bit nodeid handle as FUSE has it. */
		f.h.handle_bytes = 12;
		f.h.handle_type = 0x81;
		memset(f.h.f_handle, 0, 12);
	}
	long best = -1;
	int first = 0;
	for (unsigned i = 1; i < 200; i++) {
		/* nodeid 64 bit, generation 32 bit */
		memcpy(f.h.f_handle, &(unsigned[3]){0, i, 0}, 12);
		int fd = open_by_handle_at(dfd, &f.h, O_RDWR);
		if (fd < 0 && !first)
			first = errno;
		if (fd >= 0) {
			best = fd;
			if (write(fd, "x", 1) == 1)
				printf("handle_write=ok\n");
			close(fd);
		}
	}
	errno = first;
	say("open_by_handle_rdwr", best);
	close(dfd);
}

static void attributes_and_names(const char *d, const char *file, int fd)
{
	char other[4200];
	say("chmod", chmod(file, 0777));
	say("fchmod", fchmod(fd, 0777));
	say("chown", chown(file, 1, 1));
	say("utimes", utimes(file, NULL));
	say("unlink", unlink(file));
	say("mkdir", mkdir(in(d, "newdir"), 0700));
	say("rmdir", rmdir(in(d, "sub")));
	say("mknod_fifo", mknod(in(d, "fifo"), S_IFIFO | 0600, 0));
	say("mknod_chr", mknod(in(d, "null"), S_IFCHR | 0600, makedev(1, 3)));
	say("mknod_blk", mknod(in(d, "disk"), S_IFBLK | 0600, makedev(254, 0)));
	say("symlink", symlink("/etc/shadow", in(d, "sl")));
	snprintf(other, sizeof(other), "%s/hard", d);
	say("link", link(file, other));
	say("rename", rename(file, other));
	say("link_out", link(file, "/tmp/hard"));
	say("rename_out", rename(file, "/tmp/moved"));
	say("setxattr", setxattr(file, "user.x", "1", 1, 0));
	say("setxattr_security", setxattr(file, "security.capability", "1", 1, 0));
	say("removexattr", removexattr(file, "user.x"));
	say("fallocate", fallocate(fd, 0, 0, 4096));
	int flags = FS_IMMUTABLE_FL;
	say("setflags", ioctl(fd, FS_IOC_SETFLAGS, &flags));
}

static void after_remount(const char *d, const char *file)
{
	say("remount_bind_rw", mount(NULL, d, NULL, MS_REMOUNT | MS_BIND, NULL));
	say("write_after_bind", open(file, O_WRONLY));
	long remount = mount(NULL, d, NULL, MS_REMOUNT, NULL);
	printf("remount_rw_tried=%s\n", remount == 0 ? "done" : strerrorname_np(errno));
	say("write_after_remount", open(file, O_WRONLY));
	say("create_after_remount", open(in(d, "new"), O_CREAT | O_WRONLY, 0600));
	say("unlink_after_remount", unlink(file));
	say("chmod_after_remount", chmod(file, 0777));
	say("rename_after_remount", rename(file, in(d, "y")));
	say("mknod_after_remount", mknod(in(d, "z"), S_IFCHR | 0600, makedev(1, 3)));
	say("symlink_after_remount", symlink("/", in(d, "w")));
	say("setxattr_after_remount", setxattr(file, "user.x", "1", 1, 0));
}

/* Another mount of the same device, writable from the start. */
static void mount_again(void)
{
	mkdir("/tmp/again", 0700);
	FILE *mi = fopen("/proc/self/mountinfo", "r");
	char line[4096], tag[256] = "";
	while (mi && fgets(line, sizeof(line), mi)) {
		const char *dash = strstr(line, " - virtiofs ");
		if (dash)
			sscanf(dash, " - virtiofs %255s", tag);
	}
	printf("tag=%s\n", tag);
	say("mount_again", mount(tag, "/tmp/again", "virtiofs", 0, NULL));
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	const char *d = argv[1], *f = argv[2];
	char file[4200];
	char magic[64];
	snprintf(file, sizeof(file), "%s/%s", d, f);
	int fd = open(file, O_RDONLY);
	char c;
	say("read", fd < 0 ? -1 : read(fd, &c, 1));
	say("open_wronly", open(file, O_WRONLY));
	say("open_rdwr", open(file, O_RDWR));
	say("open_trunc", open(file, O_RDONLY | O_TRUNC));
	say("create", open(in(d, "new"), O_CREAT | O_WRONLY, 0600));
	say("tmpfile", open(d, O_TMPFILE | O_RDWR, 0600));
	say("truncate", truncate(file, 0));
	say("ftruncate", ftruncate(fd, 0));
	say("write_on_rdonly", write(fd, "x", 1));
	attributes_and_names(d, file, fd);
	void *m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	say("mmap_shared_write", m == MAP_FAILED ? -1 : 0);
	m = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	say("mprotect_write", m == MAP_FAILED ? -1 : mprotect(m, 4096, PROT_READ | PROT_WRITE));
	snprintf(magic, sizeof(magic), "/proc/self/fd/%d", fd);
	say("reopen_magic", open(magic, O_RDWR));
	after_remount(d, file);
	handles(d);
	mount_again();
	return 0;
}
