// SPDX-License-Identifier: Apache-2.0
// userns.c - a user namespace in which an ordinary user may make the other namespaces
#include "userns.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int write_file(const char *path, const char *text)
{
	AUTO_CLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);
	size_t len = strlen(text);
	if (fd < 0)
		return -errno;
	return write(fd, text, len) == (ssize_t)len ? 0 : -errno;
}

static int map_own(const char *path, unsigned id)
{
	char line[64];
	snprintf(line, sizeof(line), "%u %u 1\n", id, id);
	return write_file(path, line);
}

int userns_enter(struct err *e)
{
	unsigned uid = geteuid();
	unsigned gid = getegid();
	if (unshare(CLONE_NEWUSER) < 0)
		return err_errno(
			e, errno,
			"this host forbids user namespaces to uid %u ('mayfly doctor' says "
			"how to allow them; --jail reduced does without)",
			uid);
	int ret = map_own("/proc/self/uid_map", uid);
	/* The kernel's condition for mapping a gid without privilege. */
	if (ret == 0)
		ret = write_file("/proc/self/setgroups", "deny");
	if (ret == 0)
		ret = map_own("/proc/self/gid_map", gid);
	return ret < 0 ? err_errno(e, -ret,
				   "can't use a user namespace as uid %u ('mayfly doctor' says "
				   "more; --jail reduced does without)",
				   uid)
		       : 0;
}
