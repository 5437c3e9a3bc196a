// SPDX-License-Identifier: Apache-2.0
// seccomp_rig.c - children that load a table of system calls and then make one
#include "seccomp_rig.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define WAIT_MS 10000

/* As the thread of that table ends. The sanitizers' own end would make more calls. */
static _Noreturn void end(enum seccomp_table t)
{
	bool thread = t != SECCOMP_VMM_KVM && t != SECCOMP_VMM_TCG && t != SECCOMP_FS &&
		      t != SECCOMP_FS_RW && t != SECCOMP_QEMU && t != SECCOMP_IMAGE &&
		      t != SECCOMP_IMAGE_DIR;
	syscall(thread ? SYS_exit : SYS_exit_group, 0);
	__builtin_unreachable();
}

/*
 * No table has a call that could hand the listener over in all of them, so nothing is called: its
 * number lies in shared memory, and the child spins until it was fetched.
 */
struct shared {
	atomic_int listener; /* -1: not yet */
	atomic_bool fetched;
};

static _Noreturn void child(enum seccomp_table t, void (*act)(void), struct shared *sh)
{
	int listener = -1;
	bool kills = seccomp_table_kills(t);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    seccomp_load(t, kills ? NULL : &listener) < 0)
		_exit(99);
	/* One way to the end: at a second one the sanitizer would make a call of its own. */
	if (!kills)
		atomic_store(&sh->listener, listener);
	while (!kills && !atomic_load(&sh->fetched))
		;
	act();
	end(t);
}

static int fetch(pid_t pid, struct shared *sh)
{
	int number;
	siginfo_t si = {0};
	while ((number = atomic_load(&sh->listener)) < 0) {
		if (waitid(P_PID, (id_t)pid, &si, WEXITED | WNOHANG | WNOWAIT) == 0 && si.si_pid)
			return -1;
		sched_yield();
	}
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	int fd = (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);
	close(pidfd);
	atomic_store(&sh->fetched, true);
	return fd;
}

pid_t seccomp_rig_start(enum seccomp_table t, void (*act)(void), int *listener)
{
	struct shared *sh =
		mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	*listener = -1;
	if (sh == MAP_FAILED)
		return -errno;
	atomic_store(&sh->listener, -1);
	pid_t pid = fork();
	if (pid == 0)
		child(t, act, sh);
	*listener = pid > 0 && !seccomp_table_kills(t) ? fetch(pid, sh) : -1;
	munmap(sh, sizeof(*sh));
	return pid;
}

int seccomp_rig_end(pid_t pid)
{
	int status = 0;
	if (waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int seccomp_rig_try(enum seccomp_table t, void (*act)(void), int *status)
{
	union {
		struct seccomp_notif n;
		char room[512];
	} u;
	int listener;
	int nr = -1;
	pid_t pid = seccomp_rig_start(t, act, &listener);
	struct pollfd p = {.fd = listener, .events = POLLIN};
	memset(&u, 0, sizeof(u));
	if (listener >= 0 && poll(&p, 1, WAIT_MS) > 0 && (p.revents & POLLIN) &&
	    ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &u) == 0) {
		nr = u.n.data.nr;
		kill(pid, SIGKILL);
	}
	close(listener);
	*status = seccomp_rig_end(pid);
	return nr;
}
