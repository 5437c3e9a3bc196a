// SPDX-License-Identifier: Apache-2.0
// paths.c - where mayfly's own programs and the guest's files are
#include "cli/paths.h"

#include "base/checked.h"
#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static int own_dir(char buf[PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", buf, PATH_MAX - 1);
	if (n < 0)
		return -errno;
	buf[n] = '\0';
	char *slash = strrchr(buf, '/');
	if (slash)
		*slash = '\0';
	return 0;
}

/* The first place that has it; the last error otherwise. */
static int open_own(const char *name, int flags)
{
	char dir[PATH_MAX];
	char path[2 * PATH_MAX];
	int ret = own_dir(dir);
	if (ret < 0)
		return ret;
	static const char *const places[] = {"", "../lib/mayfly/"};
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		snprintf(path, sizeof(path), "%s/%s%s", dir, places[i], name);
		int fd = open(path, flags | O_CLOEXEC);
		if (fd >= 0)
			return fd;
		ret = -errno;
		if (errno != ENOENT)
			return ret;
	}
	return ret;
}

int paths_program(const char *name, struct err *e)
{
	int fd = open_own(name, O_PATH);
	if (fd < 0)
		return err_errno(e, -fd,
				 "can't open mayfly's own program '%s' (build it with 'make')",
				 name);
	return fd;
}

static int check_regular(int fd, const char *what, const char *shown, struct err *e)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return err_errno(e, errno, "can't look at %s '%s'", what, shown);
	if (!S_ISREG(st.st_mode) || st.st_size == 0)
		return err_set(e, EINVAL, "%s '%s' is not a file with content", what, shown);
	return 0;
}

int paths_check_kernel(int fd, const char *given, struct err *e)
{
	unsigned char head[0x206] = {0};
	const char *shown = given ? given : "guest/vmlinux";
	if (pread(fd, head, sizeof(head), 0) < 0)
		return err_errno(e, errno, "can't read kernel '%s'", shown);
	/* ELF, or the boot protocol's mark in a bzImage (Linux Documentation/arch/x86/boot.rst). */
	if (memcmp(head, "\177ELF", 4) != 0 && memcmp(head + 0x202, "HdrS", 4) != 0)
		return err_set(e, ENOEXEC, "kernel '%s' is neither an ELF vmlinux nor a bzImage",
			       shown);
	return 0;
}

int paths_guest(const char *given, const char *name, const char *what, struct err *e)
{
	char own[64];
	const char *shown = given;
	AUTO_CLOSE int fd = -1;
	if (given) {
		fd = open(given, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		if (fd < 0)
			fd = -errno;
	} else {
		snprintf(own, sizeof(own), "guest/%s", name);
		shown = own;
		fd = open_own(own, O_RDONLY);
	}
	if (fd < 0)
		return err_errno(e, -fd, "can't open %s '%s'%s", what, shown,
				 given ? "" : " (build it with 'make')");
	int ret = check_regular(fd, what, shown, e);
	return ret < 0 ? ret : steal_fd(&fd);
}

int paths_which(const char *name)
{
	const char *path = getenv("PATH");
	char full[PATH_MAX];
	if (!path || !*path)
		path = "/usr/local/bin:/usr/bin:/bin";
	while (*path) {
		size_t n = strcspn(path, ":");
		int len = snprintf(full, sizeof(full), "%.*s/%s", (int)n, path, name);
		struct stat st;
		/* A relative entry would depend on where the user stands. */
		if (path[0] == '/' && len > 0 && (size_t)len < sizeof(full) &&
		    access(full, X_OK) == 0 && stat(full, &st) == 0 && S_ISREG(st.st_mode)) {
			int fd = open(full, O_PATH | O_CLOEXEC);
			if (fd >= 0)
				return fd;
		}
		path += n;
		path += *path == ':';
	}
	return -ENOENT;
}
