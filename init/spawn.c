// SPDX-License-Identifier: Apache-2.0
// spawn.c - starts one command as its user, in a cgroup of its own
#include "spawn.h"

#include "base/cleanup.h"
#include "proc_alone.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PASSWD_MAX (16 << 20)

/* What commands get of open files, as the kernel gave it to us. */
static struct rlimit files = {.rlim_max = RLIM_INFINITY};

struct failure {
	int code;
	int step;
};

enum step { STEP_LIMITS, STEP_USER, STEP_CWD, STEP_STDIO, STEP_TTY, STEP_EXEC };

static _Noreturn void fail(int fd, enum step step)
{
	struct failure f = {.code = errno, .step = (int)step};
	ssize_t n = write(fd, &f, sizeof(f));
	(void)n;
	_exit(127);
}

/* What login(1) would set; the host does not know the users of an image. */
static void find_home(uid_t uid)
{
	AUTO_CLOSE int fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	const struct passwd *pw = NULL;
	struct stat st;
	FILE *f = NULL;
	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size < PASSWD_MAX)
		f = fdopen(fd, "re");
	if (f)
		steal_fd(&fd);
	while (f && (pw = fgetpwent(f)) && pw->pw_uid != uid)
		;
	setenv("HOME", pw && pw->pw_dir[0] == '/' ? pw->pw_dir : "/", 1);
	if (pw && pw->pw_name[0])
		setenv("USER", pw->pw_name, 0);
	if (f)
		fclose(f);
}

void spawn_raise_limits(void)
{
	static struct rlimit ours;
	if (ours.rlim_max == 0) {
		if (getrlimit(RLIMIT_NOFILE, &ours) < 0)
			return;
		files = ours;
		ours.rlim_cur = ours.rlim_max;
	}
	/* Without it fewer commands run at a time; each that can't says so. */
	if (setrlimit(RLIMIT_NOFILE, &ours) < 0)
		files.rlim_cur = 0;
}

static int set_limits(const struct spawn_request *r)
{
	if (files.rlim_cur > 0 && setrlimit(RLIMIT_NOFILE, &files) < 0)
		return -1;
	for (size_t i = 0; i < r->n_rlimits; i++) {
		struct rlimit l = {.rlim_cur = r->rlimit[i].soft, .rlim_max = r->rlimit[i].hard};
		if (setrlimit((__rlimit_resource_t)r->rlimit[i].resource, &l) < 0)
			return -1;
	}
	return 0;
}

static _Noreturn void child(const struct spawn_request *r, int status_fd)
{
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	setsid();
	for (int i = 0; i < 3; i++)
		if (dup2(r->stdio[i], i) < 0)
			fail(status_fd, STEP_STDIO);
	/* Now, not at exec: what comes next may hang in a file system, with everybody's pipes. */
	proc_alone(status_fd);
	if (r->tty && ioctl(0, TIOCSCTTY, 0) < 0)
		fail(status_fd, STEP_TTY);
	if (set_limits(r) < 0)
		fail(status_fd, STEP_LIMITS);
	/* PID 1 is root in all of its ids: for root there is nothing to change. */
	if (setgroups(r->n_groups, r->groups) < 0 || (r->gid != getgid() && setgid(r->gid) < 0) ||
	    (r->uid != getuid() && setuid(r->uid) < 0))
		fail(status_fd, STEP_USER);
	if (chdir(r->cwd) < 0)
		fail(status_fd, STEP_CWD);
	/* execvp() looks PATH up in our own environment, which is to be the command's. */
	environ = r->env;
	if (!getenv("HOME"))
		find_home(r->uid);
	umask((mode_t)r->umask);
	execvp(r->argv[0], r->argv);
	fail(status_fd, STEP_EXEC);
}

static int explain(const struct spawn_request *r, const struct failure *f, struct err *e)
{
	switch ((enum step)f->step) {
	case STEP_LIMITS: err_errno(e, f->code, "can't set the resource limits"); return -ECANCELED;
	case STEP_USER: return err_errno(e, f->code, "can't become user %u", r->uid);
	case STEP_CWD:
		/* A missing directory must not look like a missing program. */
		err_errno(e, f->code, "can't enter the working directory '%.300s'", r->cwd);
		return -ECANCELED;
	case STEP_STDIO: return err_errno(e, f->code, "can't set up stdio");
	case STEP_TTY: return err_errno(e, f->code, "can't take the terminal");
	case STEP_EXEC: break;
	}
	return err_errno(e, f->code, "can't run '%.300s'", r->argv[0]);
}

/* Into the cgroup at birth: moving a process later costs an RCU grace period. */
static pid_t fork_into(int cgroup_fd)
{
	struct clone_args args = {.exit_signal = SIGCHLD};
	if (cgroup_fd >= 0) {
		args.flags = CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)cgroup_fd;
	}
	long pid = syscall(SYS_clone3, &args, sizeof(args));
	return pid < 0 ? -errno : (pid_t)pid;
}

pid_t spawn_start(const struct spawn_request *r, int *status_fd, struct err *e)
{
	int status[2];
	if (pipe2(status, O_CLOEXEC | O_NONBLOCK) < 0)
		return err_errno(e, errno, "can't make a pipe");
	pid_t pid = fork_into(r->cgroup_fd);
	if (pid == 0)
		child(r, status[1]);
	close(status[1]);
	if (pid < 0) {
		close(status[0]);
		return err_errno(e, -pid, "can't start a process");
	}
	*status_fd = status[0];
	return pid;
}

int spawn_result(int status_fd, const struct spawn_request *r, struct err *e)
{
	struct failure f;
	ssize_t n = read(status_fd, &f, sizeof(f));
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? -EAGAIN : -errno;
	if (n == 0)
		return 0;
	if (n != sizeof(f))
		return err_set(e, EIO, "the process ended before its program ran");
	return explain(r, &f, e);
}
