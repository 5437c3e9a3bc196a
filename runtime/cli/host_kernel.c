// SPDX-License-Identifier: Apache-2.0
// host_kernel.c - what the host's kernel lets this user do: namespaces, Landlock, seccomp, tun
#include "cli/host_kernel.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "cli/host_exec.h"

#include <assert.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define TRY_TIMEOUT_MS 5000
#define SYSCTL_MAX 64
#define STATUS_MAX 8192
#define NS_OTHERS                                                                                  \
	(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP)

static const char *const step_names[] = {
	"nothing",
	"the user namespace",
	"the id map",
	"mount, PID and the other namespaces",
	"a procfs of its own",
	"private mounts",
	"the trial itself",
};
static_assert(ARRAY_SIZE(step_names) == HOST_KERNEL_NS_UNKNOWN + 1, "a name for each step");

const char *host_kernel_step_name(enum host_kernel_step step)
{
	return step < ARRAY_SIZE(step_names) ? step_names[step] : "?";
}

/* ---- namespaces ---- */

static int put_text(const char *path, const char *text)
{
	AUTO_CLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);
	return fd < 0 ? -errno : io_write_full(fd, text, strlen(text));
}

/* To themselves, as the jailer does. */
static int map_ids(uid_t uid, gid_t gid)
{
	char map[64];
	snprintf(map, sizeof(map), "%u %u 1\n", uid, uid);
	int ret = put_text("/proc/self/uid_map", map);
	if (ret == 0)
		ret = put_text("/proc/self/setgroups", "deny\n");
	snprintf(map, sizeof(map), "%u %u 1\n", gid, gid);
	return ret == 0 ? put_text("/proc/self/gid_map", map) : ret;
}

static struct host_kernel_ns failed(enum host_kernel_step step, int ret)
{
	return (struct host_kernel_ns){.step = step, .error = -ret};
}

static int mount_proc(void)
{
	AUTO_CLOSE int fs = fsopen("proc", FSOPEN_CLOEXEC);
	if (fs < 0 || fsconfig(fs, FSCONFIG_SET_STRING, "subset", "pid", 0) < 0 ||
	    fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	AUTO_CLOSE int fd = fsmount(fs, FSMOUNT_CLOEXEC,
				    MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
					    MOUNT_ATTR_NOEXEC);
	return fd < 0 ? -errno : 0;
}

/*
 * Refused to ordinary users where a container masks parts of /proc. A PID namespace has none
 * before it has a process.
 */
static int own_proc(void)
{
	int status;
	pid_t pid = fork();
	if (pid == 0)
		_exit(-mount_proc());
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return -errno;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -ECHILD;
}

/* Some hosts allow the user namespace and then take the capabilities in it away: go to the end. */
static struct host_kernel_ns enter(bool with_user)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();
	int ret;
	if (with_user) {
		if (unshare(CLONE_NEWUSER) < 0)
			return failed(HOST_KERNEL_NS_USER, -errno);
		ret = map_ids(uid, gid);
		if (ret < 0)
			return failed(HOST_KERNEL_NS_IDS, ret);
	}
	if (unshare(NS_OTHERS) < 0)
		return failed(HOST_KERNEL_NS_OTHERS, -errno);
	ret = own_proc();
	bool masked = with_user && ret == -EPERM;
	if (ret < 0 && !masked)
		return failed(HOST_KERNEL_NS_PROC, ret);
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("mayfly", "/", "tmpfs", MS_NOSUID | MS_NODEV, "size=4k") < 0)
		return failed(HOST_KERNEL_NS_MOUNT, -errno);
	return (struct host_kernel_ns){.step = HOST_KERNEL_NS_DONE, .proc_masked = masked};
}

static int try_in_child(void *arg, int out_fd)
{
	struct host_kernel_ns ns = enter(*(const bool *)arg);
	return io_write_full(out_fd, &ns, sizeof(ns)) < 0;
}

static struct host_kernel_ns try_ns(bool with_user)
{
	struct host_kernel_ns ns;
	char buf[sizeof(ns) + 1];
	ssize_t n = host_exec_call(try_in_child, &with_user, TRY_TIMEOUT_MS, buf, sizeof(buf));
	if (n != (ssize_t)sizeof(ns))
		return failed(HOST_KERNEL_NS_UNKNOWN, n < 0 ? (int)n : -EPROTO);
	memcpy(&ns, buf, sizeof(ns));
	return ns;
}

/* ---- the rest ---- */

int64_t host_kernel_number(const char *text)
{
	char *end;
	errno = 0;
	long long v = strtoll(text, &end, 10);
	if (errno || end == text || (*end && strcmp(end, "\n") != 0))
		return HOST_KERNEL_NO_VALUE;
	return v;
}

static ssize_t read_text(const char *path, char *buf, size_t size)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);
	buf[n < 0 ? 0 : n] = '\0';
	return n;
}

int64_t host_kernel_file(const char *path)
{
	char text[SYSCTL_MAX];
	ssize_t n = read_text(path, text, sizeof(text));
	return n < 0 ? HOST_KERNEL_NO_VALUE : host_kernel_number(text);
}

int64_t host_kernel_status(const char *text, const char *name, int base)
{
	size_t len = strlen(name);
	for (const char *p = text; p; p = strchr(p, '\n'), p = p ? p + 1 : NULL) {
		char *end;
		if (strncmp(p, name, len) != 0 || p[len] != ':')
			continue;
		errno = 0;
		long long v = strtoll(p + len + 1, &end, base);
		return errno || end == p + len + 1 ? HOST_KERNEL_NO_VALUE : v;
	}
	return HOST_KERNEL_NO_VALUE;
}

void host_kernel_profile(char *out, size_t size, const char *label)
{
	size_t n = strcspn(label, " \n");
	bool enforced = strncmp(label + n, " (enforce)", 10) == 0;
	snprintf(out, size, "%.*s", enforced ? (int)MIN(n, size - 1) : 0, label);
}

/* What a container may have put around this process. */
static void look_at_self(struct host_kernel *k)
{
	char text[STATUS_MAX] = "";
	read_text("/proc/self/status", text, sizeof(text));
	int64_t caps = host_kernel_status(text, "CapEff", 16);
	k->filtered = host_kernel_status(text, "Seccomp", 10) == SECCOMP_MODE_FILTER;
	k->sys_admin = caps != HOST_KERNEL_NO_VALUE && ((caps >> CAP_SYS_ADMIN) & 1);
	read_text("/proc/self/attr/current", text, sizeof(text));
	host_kernel_profile(k->confined, sizeof(k->confined), text);
}

static int landlock_abi(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	return abi < 0 ? -errno : (int)abi;
}

static int seccomp_notify(void)
{
	uint32_t action = SECCOMP_RET_USER_NOTIF;
	return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) < 0 ? -errno : 0;
}

/* Opening makes no interface yet, so this is free of traces. */
static void look_at_tun(struct host_kernel *k)
{
	AUTO_CLOSE int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	k->tun_open = fd < 0 ? -errno : 0;
	k->tun_present = fd >= 0 || access("/dev/net/tun", F_OK) == 0;
}

void host_kernel_look(struct host_kernel *k)
{
	*k = (struct host_kernel){0};
	k->user_ns = try_ns(true);
	k->plain_ns = try_ns(false);
	k->max_user_ns = host_kernel_file("/proc/sys/user/max_user_namespaces");
	k->userns_clone = host_kernel_file("/proc/sys/kernel/unprivileged_userns_clone");
	k->apparmor_restrict =
		host_kernel_file("/proc/sys/kernel/apparmor_restrict_unprivileged_userns");
	look_at_self(k);
	k->landlock_abi = landlock_abi();
	k->seccomp_notify = seccomp_notify();
	look_at_tun(k);
}
