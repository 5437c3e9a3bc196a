// SPDX-License-Identifier: Apache-2.0
// spawn.c - starts one command as its user, in a cgroup of its own
#include "spawn.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <linux/sched.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PASSWD_MAX (16 << 20)
#define CGROUP_PATH "/sys/fs/cgroup/mayfly-%" PRIu64

struct failure {
	int code;
	int step;
};

enum step { STEP_USER, STEP_CWD, STEP_STDIO, STEP_EXEC };

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
	if (setgroups(r->n_groups, r->groups) < 0 || setgid(r->gid) < 0 || setuid(r->uid) < 0)
		fail(status_fd, STEP_USER);
	if (chdir(r->cwd) < 0)
		fail(status_fd, STEP_CWD);
	/* execvp() looks PATH up in our own environment, which is to be the command's. */
	environ = r->env;
	if (!getenv("HOME"))
		find_home(r->uid);
	umask(022);
	execvp(r->argv[0], r->argv);
	fail(status_fd, STEP_EXEC);
}

static int explain(const struct spawn_request *r, const struct failure *f, struct err *e)
{
	switch ((enum step)f->step) {
	case STEP_USER: return err_errno(e, f->code, "can't become user %u", r->uid);
	case STEP_CWD:
		/* A missing directory must not look like a missing program. */
		err_errno(e, f->code, "can't enter the working directory '%.300s'", r->cwd);
		return -ECANCELED;
	case STEP_STDIO: return err_errno(e, f->code, "can't set up stdio");
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

int spawn_cgroup_make(uint64_t session)
{
	char path[64];
	snprintf(path, sizeof(path), CGROUP_PATH, session);
	if (mkdir(path, 0755) < 0)
		return -errno;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

void spawn_cgroup_kill(int cgroup_fd)
{
	AUTO_CLOSE int fd = -1;
	if (cgroup_fd >= 0)
		fd = openat(cgroup_fd, "cgroup.kill", O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "1", 1) != 1)
		kill(-1, SIGKILL);
}

int spawn_cgroup_remove(uint64_t session)
{
	char path[64];
	snprintf(path, sizeof(path), CGROUP_PATH, session);
	return rmdir(path) < 0 ? -errno : 0;
}

uint64_t spawn_oom_count(int cgroup_fd)
{
	static const char key[] = "oom_kill ";
	char buf[512];
	AUTO_CLOSE int fd = -1;
	if (cgroup_fd >= 0)
		fd = openat(cgroup_fd, "memory.events", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, buf, sizeof(buf) - 1) : 0;
	buf[n > 0 ? n : 0] = '\0';
	const char *at = strstr(buf, key);
	return at ? strtoull(at + sizeof(key) - 1, NULL, 10) : 0;
}

void spawn_cgroup_enable(void)
{
	static const char want[] = "+memory +pids";
	AUTO_CLOSE int fd = open("/sys/fs/cgroup/cgroup.subtree_control", O_WRONLY | O_CLOEXEC);
	/* A custom kernel may lack the controllers: then an OOM kill looks like any SIGKILL. */
	if (fd >= 0 && write(fd, want, sizeof(want) - 1) < 0)
		return;
}
