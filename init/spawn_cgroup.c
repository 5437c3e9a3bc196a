// SPDX-License-Identifier: Apache-2.0
// spawn_cgroup.c - the cgroups of commands
#include "spawn_cgroup.h"

#include "base/cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/mount.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#define PID_BYTES (512u << 10)
#define PIDS_MIN 256
#define PIDS_MAX 32768

#define CGROUP_ROOT "/sys/fs/cgroup"
#define SWEEP_MAX 65536

static int all_fd = -1;

static int write_at(int dir, const char *name, const char *text)
{
	AUTO_CLOSE int fd = openat(dir, name, O_WRONLY | O_CLOEXEC);
	size_t len = strlen(text);
	if (fd < 0)
		return -errno;
	ssize_t n = write(fd, text, len);
	return n < 0 ? -errno : n == (ssize_t)len ? 0 : -EIO;
}

static int limit_pids(int dir, uint32_t max)
{
	char text[16];
	if (max == 0)
		return 0;
	snprintf(text, sizeof(text), "%u", max);
	return write_at(dir, "pids.max", text) < 0 ? -EOPNOTSUPP : 0;
}

/* The number behind a key that begins a line, or the only number of a file with key "". */
static uint64_t number_at(int dir, const char *name, const char *key)
{
	char buf[1024];
	AUTO_CLOSE int fd = dir >= 0 ? openat(dir, name, O_RDONLY | O_CLOEXEC) : -1;
	ssize_t n = fd >= 0 ? read(fd, buf, sizeof(buf) - 1) : 0;
	size_t len = strlen(key);
	buf[n > 0 ? n : 0] = '\0';
	for (const char *line = buf; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, key, len) == 0)
			return strtoull(line + len, NULL, 10);
	}
	return 0;
}

/*
 * A mount of our own, in no tree: guest root can mount nothing over a file in it, a FIFO for one,
 * which would keep us for ever in open(2).
 */
static int open_root(void)
{
	long fd =
		syscall(SYS_open_tree, AT_FDCWD, CGROUP_ROOT, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	return fd < 0 ? open(CGROUP_ROOT, O_PATH | O_DIRECTORY | O_CLOEXEC) : (int)fd;
}

/*
 * Linux' own limit lets a fork bomb take all memory, and then nobody in the guest gets anywhere.
 * This many small processes leave some of it.
 */
static uint32_t default_pids(void)
{
	struct sysinfo si;
	if (sysinfo(&si) < 0)
		return PIDS_MIN;
	uint64_t n = (uint64_t)si.totalram * si.mem_unit / PID_BYTES;
	return (uint32_t)(n < PIDS_MIN ? PIDS_MIN : n > PIDS_MAX ? PIDS_MAX : n);
}

int spawn_cgroup_enable(uint32_t pids_max)
{
	static const char controllers[] = "+memory +pids";
	AUTO_CLOSE int root = open_root();
	/* A custom kernel may lack cgroups, or the controllers: then nothing is counted. */
	if (root >= 0 && faccessat(root, "cgroup.procs", F_OK, 0) == 0) {
		write_at(root, "cgroup.subtree_control", controllers);
		if (mkdirat(root, "mayfly", 0755) == 0 || errno == EEXIST)
			all_fd = openat(root, "mayfly", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	if (all_fd < 0)
		return pids_max ? -EOPNOTSUPP : 0;
	int ret = write_at(all_fd, "cgroup.subtree_control", controllers);
	if (ret == 0)
		ret = limit_pids(all_fd, pids_max ? pids_max : default_pids());
	return ret < 0 && pids_max ? -EOPNOTSUPP : 0;
}

int spawn_cgroup_make(uint64_t session, uint32_t pids_max)
{
	char name[24];
	snprintf(name, sizeof(name), "%" PRIu64, session);
	if (all_fd < 0)
		return pids_max ? -EOPNOTSUPP : -ENOENT;
	if (mkdirat(all_fd, name, 0755) < 0)
		return -errno;
	AUTO_CLOSE int fd = openat(all_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int ret = fd < 0 ? -errno : limit_pids(fd, pids_max);
	if (ret < 0)
		unlinkat(all_fd, name, AT_REMOVEDIR);
	return ret < 0 ? ret : steal_fd(&fd);
}

void spawn_cgroup_kill(int cgroup_fd, pid_t pid, bool all)
{
	bool killed = cgroup_fd >= 0 && write_at(cgroup_fd, "cgroup.kill", "1") == 0;
	/* Guest root may have moved it out of its cgroup. */
	if (pid > 0 && kill(-pid, SIGKILL) < 0)
		/* Just forked: it has no group of its own yet. */
		kill(pid, SIGKILL);
	if (!killed && all && getpid() == 1)
		kill(-1, SIGKILL);
}

unsigned spawn_cgroup_sweep(bool (*live)(void *arg, uint64_t session), void *arg)
{
	unsigned left = 0;
	int fd = all_fd >= 0 ? openat(all_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	if (!d) {
		close_fd(&fd);
		return 0;
	}
	const struct dirent *ent;
	for (unsigned n = 0; n < SWEEP_MAX && (ent = readdir(d)); n++) {
		char *end;
		uint64_t session = strtoull(ent->d_name, &end, 10);
		if (ent->d_type != DT_DIR || end == ent->d_name || *end || live(arg, session))
			continue;
		if (unlinkat(dirfd(d), ent->d_name, AT_REMOVEDIR) < 0)
			left++;
	}
	closedir(d);
	return left;
}

uint64_t spawn_cgroup_oom_count(int cgroup_fd)
{
	return number_at(cgroup_fd, "memory.events", "oom_kill ");
}

uint64_t spawn_cgroup_pids_count(int cgroup_fd)
{
	/* The plain file has what happened below, too; what Linux before 6.11 has not is 0. */
	return cgroup_fd >= 0 ? number_at(cgroup_fd, "pids.events", "max ")
			      : number_at(all_fd, "pids.events.local", "max ");
}

void spawn_cgroup_usage(struct spawn_cgroup_usage *u)
{
	u->cpu_usec = number_at(all_fd, "cpu.stat", "usage_usec ");
	u->oom_kills = number_at(all_fd, "memory.events", "oom_kill ");
	u->processes = (uint32_t)number_at(all_fd, "pids.current", "");
}
