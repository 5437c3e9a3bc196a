// SPDX-License-Identifier: Apache-2.0
// out_file.c - one file that appears whole or not at all
//
// O_TMPFILE leaves nothing behind, however mayfly ends. Where a name is taken already, or the file
// system has no O_TMPFILE, a temporary name stands in the same directory until rename(2).
#include "copy/out_file.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>

#define TEMP_TRIES 8

static int temp_name(char temp[OUT_TEMP_MAX])
{
	uint64_t n;
	if (getrandom(&n, sizeof(n), 0) != sizeof(n))
		return -EIO;
	snprintf(temp, OUT_TEMP_MAX, OUT_TEMP_PREFIX "%016llx", (unsigned long long)n);
	return 0;
}

static int open_named(struct out_file *f)
{
	int ret = -EEXIST;
	for (int i = 0; i < TEMP_TRIES && ret == -EEXIST; i++) {
		ret = temp_name(f->temp);
		if (ret < 0)
			break;
		f->fd = openat(f->dir, f->temp,
			       O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		ret = f->fd < 0 ? -errno : 0;
	}
	if (ret < 0)
		f->temp[0] = '\0';
	return ret;
}

int out_file_open(struct out_file *f)
{
	f->temp[0] = '\0';
	f->fd = openat(f->dir, ".", O_WRONLY | O_TMPFILE | O_CLOEXEC, 0600);
	if (f->fd >= 0)
		return 0;
	if (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT && errno != EINVAL)
		return -errno;
	return open_named(f);
}

/* The second way is for kernels that ask for a capability for the first. */
static int link_fd(const struct out_file *f, const char *name)
{
	char self[32];
	if (linkat(f->fd, "", f->dir, name, AT_EMPTY_PATH) == 0)
		return 0;
	if (errno != ENOENT && errno != EPERM)
		return -errno;
	snprintf(self, sizeof(self), "/proc/self/fd/%d", f->fd);
	return linkat(AT_FDCWD, self, f->dir, name, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
}

static int rename_temp(int dir, char *temp, const char *name)
{
	int ret = renameat(dir, temp, dir, name) < 0 ? -errno : 0;
	if (ret < 0)
		unlinkat(dir, temp, 0);
	temp[0] = '\0';
	return ret;
}

static int give_name(struct out_file *f)
{
	if (f->temp[0])
		return rename_temp(f->dir, f->temp, f->name);
	int ret = link_fd(f, f->name);
	if (ret != -EEXIST)
		return ret;
	/* link(2) replaces nothing: a second name does, by rename(2). */
	for (int i = 0; i < TEMP_TRIES && ret == -EEXIST; i++) {
		ret = temp_name(f->temp);
		if (ret == 0)
			ret = link_fd(f, f->temp);
	}
	if (ret < 0) {
		f->temp[0] = '\0';
		return ret;
	}
	return rename_temp(f->dir, f->temp, f->name);
}

int out_file_place(struct out_file *f)
{
	const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, f->mtime};
	if (ftruncate(f->fd, (off_t)f->size) < 0 || fchmod(f->fd, f->mode) < 0 ||
	    futimens(f->fd, times) < 0)
		return -errno;
	return give_name(f);
}

void out_file_close(struct out_file *f)
{
	if (f->temp[0])
		unlinkat(f->dir, f->temp, 0);
	f->temp[0] = '\0';
	close_fd(&f->fd);
}

int out_file_symlink(const struct out_file *f, const char *target)
{
	const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, f->mtime};
	char temp[OUT_TEMP_MAX];
	int ret = -EEXIST;
	for (int i = 0; i < TEMP_TRIES && ret == -EEXIST; i++) {
		ret = temp_name(temp);
		if (ret == 0)
			ret = symlinkat(target, f->dir, temp) < 0 ? -errno : 0;
	}
	if (ret == 0 && utimensat(f->dir, temp, times, AT_SYMLINK_NOFOLLOW) < 0) {
		ret = -errno;
		unlinkat(f->dir, temp, 0);
	}
	return ret < 0 ? ret : rename_temp(f->dir, temp, f->name);
}
