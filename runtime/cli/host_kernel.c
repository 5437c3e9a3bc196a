// SPDX-License-Identifier: Apache-2.0
// host_kernel.c - what the host's kernel lets this user do: namespaces, Landlock, seccomp, tun
#include "cli/host_kernel.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "cli/host_exec.h"

#include <assert.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TRY_TIMEOUT_MS 5000
#define SYSCTL_MAX 64
#define NS_OTHERS                                                                                  \
	(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP)

static const char *const step_names[] = {
	"nothing",	  "the user namespace", "the id map", "namespaces inside a user namespace",
	"private mounts", "the trial itself",
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

static int map_ids(uid_t uid, gid_t gid)
{
	char map[64];
	snprintf(map, sizeof(map), "0 %u 1\n", uid);
	int ret = put_text("/proc/self/uid_map", map);
	if (ret == 0)
		ret = put_text("/proc/self/setgroups", "deny\n");
	snprintf(map, sizeof(map), "0 %u 1\n", gid);
	return ret == 0 ? put_text("/proc/self/gid_map", map) : ret;
}

static struct host_kernel_ns failed(enum host_kernel_step step, int ret)
{
	return (struct host_kernel_ns){.step = step, .error = -ret};
}

/* Some hosts allow the user namespace and then take the capabilities in it away: go to the end. */
static struct host_kernel_ns enter(bool with_user)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();
	if (with_user) {
		if (unshare(CLONE_NEWUSER) < 0)
			return failed(HOST_KERNEL_NS_USER, -errno);
		int ret = map_ids(uid, gid);
		if (ret < 0)
			return failed(HOST_KERNEL_NS_IDS, ret);
	}
	if (unshare(NS_OTHERS) < 0)
		return failed(HOST_KERNEL_NS_OTHERS, -errno);
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("mayfly", "/", "tmpfs", MS_NOSUID | MS_NODEV, "size=4k") < 0)
		return failed(HOST_KERNEL_NS_MOUNT, -errno);
	return failed(HOST_KERNEL_NS_DONE, 0);
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

static int64_t sysctl(const char *path)
{
	char text[SYSCTL_MAX];
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n < 0)
		return HOST_KERNEL_NO_VALUE;
	text[n] = '\0';
	return host_kernel_number(text);
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
	k->max_user_ns = sysctl("/proc/sys/user/max_user_namespaces");
	k->userns_clone = sysctl("/proc/sys/kernel/unprivileged_userns_clone");
	k->apparmor_restrict = sysctl("/proc/sys/kernel/apparmor_restrict_unprivileged_userns");
	k->landlock_abi = landlock_abi();
	k->seccomp_notify = seccomp_notify();
	look_at_tun(k);
}
