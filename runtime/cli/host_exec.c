// SPDX-License-Identifier: Apache-2.0
// host_exec.c - a short-lived child with a deadline, for what only trying can tell
#include "cli/host_exec.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define NS_PER_MS 1000000u
#define EXEC_FAILED 127

struct program {
	int fd;
	char *const *argv;
};

/* Takes what is there without waiting. False at the end of the pipe. */
static bool collect(int fd, char *buf, size_t size, size_t *used)
{
	char spill[4096];
	for (;;) {
		bool full = *used + 1 >= size;
		ssize_t n = full ? read(fd, spill, sizeof(spill))
				 : read(fd, buf + *used, size - 1 - *used);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		if (n == 0)
			return false;
		if (!full)
			*used += (size_t)n;
	}
}

/* Until the child has ended: 0 or -ETIMEDOUT. A pipe that its children hold open doesn't count. */
static int wait_end(int pidfd, int out, unsigned timeout_ms, char *buf, size_t size, size_t *used)
{
	uint64_t deadline = io_now_ns() + (uint64_t)timeout_ms * NS_PER_MS;
	struct pollfd p[2] = {{.fd = pidfd, .events = POLLIN}, {.fd = out, .events = POLLIN}};
	for (;;) {
		uint64_t now = io_now_ns();
		if (now >= deadline)
			return -ETIMEDOUT;
		/* Rounded up, so that the last wait is not a spin. */
		int n = poll(p, ARRAY_SIZE(p), (int)((deadline - now) / NS_PER_MS) + 1);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n <= 0)
			continue;
		if (p[1].revents && !collect(out, buf, size, used))
			p[1].fd = -1;
		if (p[0].revents) {
			collect(out, buf, size, used);
			return 0;
		}
	}
}

/* 0 if the child ended well. Before it is reaped its group's number can't belong to others. */
static int end_child(pid_t pid)
{
	siginfo_t info = {0};
	kill(-pid, SIGKILL);
	while (waitid(P_PID, (id_t)pid, &info, WEXITED) < 0)
		if (errno != EINTR)
			return 0; /* somebody ignores SIGCHLD: the child is gone, unasked */
	return info.si_code == CLD_EXITED && info.si_status == 0 ? 0 : -ECANCELED;
}

ssize_t host_exec_call(host_exec_fn *fn, void *arg, unsigned timeout_ms, char *buf, size_t size)
{
	int pipe_fd[2];
	size_t used = 0;
	pid_t parent = getpid();
	if (pipe2(pipe_fd, O_CLOEXEC) < 0)
		return -errno;
	AUTO_CLOSE int out = pipe_fd[0];
	AUTO_CLOSE int in = pipe_fd[1];
	pid_t pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0) {
		setpgid(0, 0);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(getppid() == parent ? fn(arg, in) : EXEC_FAILED);
	}
	setpgid(pid, pid);
	close_fd(&in);
	AUTO_CLOSE int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	int ret = pidfd < 0 ? -errno : io_set_nonblock(out, 1);
	if (ret == 0)
		ret = wait_end(pidfd, out, timeout_ms, buf, size, &used);
	int end = end_child(pid);
	buf[used] = '\0';
	if (ret == 0)
		ret = end;
	return ret < 0 ? ret : (ssize_t)used;
}

static int run_program(void *arg, int out_fd)
{
	const struct program *p = arg;
	/* Without colours, translations and whatever else a caller's environment could bring. */
	char *const env[] = {(char *)(uintptr_t) "LC_ALL=C", NULL};
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0 || dup2(null, 0) < 0 || dup2(out_fd, 1) < 0 || dup2(null, 2) < 0)
		return EXEC_FAILED;
	syscall(SYS_execveat, p->fd, "", p->argv, env, AT_EMPTY_PATH);
	return EXEC_FAILED;
}

ssize_t host_exec_output(int exec_fd, char *const argv[], unsigned timeout_ms, char *buf,
			 size_t size)
{
	struct program p = {.fd = exec_fd, .argv = argv};
	return host_exec_call(run_program, &p, timeout_ms, buf, size);
}
