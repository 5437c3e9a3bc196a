// SPDX-License-Identifier: Apache-2.0
// landlock.c - which files a process can still open
#include "landlock.h"

#include <errno.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Headers may be older than the kernel. */
#define ACCESS_FS_V1 ((1ull << 13) - 1)
#define ACCESS_FS_REFER (1ull << 13)	 /* version 2 */
#define ACCESS_FS_TRUNCATE (1ull << 14)	 /* 3 */
#define ACCESS_FS_IOCTL_DEV (1ull << 15) /* 5 */
#define ACCESS_NET_ALL 3ull		 /* 4: bind and connect TCP */
#define ACCESS_FS_CHANGE                                                                           \
	(LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |                           \
	 LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR |                            \
	 LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |                              \
	 LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_SYM)
/* What a rule for something else than a directory may name. */
#define ACCESS_FS_OF_FILE                                                                          \
	(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE |                              \
	 LANDLOCK_ACCESS_FS_READ_FILE | ACCESS_FS_TRUNCATE)
#define SCOPE_ALL 3ull /* 6: abstract sockets, signals */

struct attr {
	uint64_t fs;
	uint64_t net;
	uint64_t scoped;
};

int landlock_version(void)
{
	long v = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	return v < 0 ? 0 : (int)v;
}

int landlock_create(void)
{
	int v = landlock_version();
	struct attr a = {.fs = ACCESS_FS_V1};
	size_t size = v >= 6 ? sizeof(a) : v >= 4 ? 2 * sizeof(uint64_t) : sizeof(uint64_t);
	if (v >= 2)
		a.fs |= ACCESS_FS_REFER;
	if (v >= 3)
		a.fs |= ACCESS_FS_TRUNCATE;
	if (v >= 4)
		a.net = ACCESS_NET_ALL;
	if (v >= 5)
		a.fs |= ACCESS_FS_IOCTL_DEV;
	if (v >= 6)
		a.scoped = SCOPE_ALL;
	long fd = syscall(SYS_landlock_create_ruleset, &a, size, 0);
	return fd < 0 ? -errno : (int)fd;
}

int landlock_allow(int ruleset, int fd, enum landlock_right right)
{
	struct landlock_path_beneath_attr rule = {
		.allowed_access = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR,
		.parent_fd = fd,
	};
	struct stat st;
	int v = landlock_version();
	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISLNK(st.st_mode))
		return 0;
	if (right == LANDLOCK_READ_EXEC)
		rule.allowed_access |= LANDLOCK_ACCESS_FS_EXECUTE;
	if (right == LANDLOCK_WRITE)
		rule.allowed_access |= ACCESS_FS_CHANGE | (v >= 2 ? ACCESS_FS_REFER : 0) |
				       (v >= 3 ? ACCESS_FS_TRUNCATE : 0);
	if (!S_ISDIR(st.st_mode))
		rule.allowed_access &= ACCESS_FS_OF_FILE;
	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
		return -errno;
	return 0;
}

int landlock_enter(int ruleset)
{
	return syscall(SYS_landlock_restrict_self, ruleset, 0) < 0 ? -errno : 0;
}
