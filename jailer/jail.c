// SPDX-License-Identifier: Apache-2.0
// jail.c - from a description to a running process, in one order, aborting on any failure
#include "jail.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct failure {
	int code;
	char step[48];
};

/* The half-entered jail can't go back: it says why on the pipe and ends. */
static _Noreturn void give_up(int status_fd, const char *step)
{
	struct failure f = {.code = errno};
	snprintf(f.step, sizeof(f.step), "%s", step);
	ssize_t n = write(status_fd, &f, sizeof(f));
	(void)n;
	_exit(127);
}

/* As far above all wanted numbers as needed, no further: the limit may be low. */
static int park(int fd, int base, int status_fd)
{
	int parked = fcntl(fd, F_DUPFD_CLOEXEC, base);
	if (parked < 0)
		give_up(status_fd, "descriptor limit, see ulimit -n");
	return parked;
}

/* Moves the wanted descriptors to their numbers; all others are closed by the exec. */
static void place_fds(const Mayfly__JailProcess *p, int *exec_fd, int *status_fd)
{
	int parked[JAIL_MAX_FDS];
	int base = 3;
	for (size_t i = 0; i < p->n_fd; i++)
		base = p->fd[i]->to >= base ? p->fd[i]->to + 1 : base;
	*status_fd = park(*status_fd, base, *status_fd);
	*exec_fd = park(*exec_fd, base, *status_fd);
	/* Sources may stand where another one is to go: park them all first. */
	for (size_t i = 0; i < p->n_fd; i++)
		parked[i] = park(p->fd[i]->from, base, *status_fd);
	for (size_t i = 0; i < p->n_fd; i++)
		if (dup2(parked[i], p->fd[i]->to) < 0)
			give_up(*status_fd, "dup2");
}

static char **words(ProtobufCBinaryData *in, size_t n)
{
	char **out = calloc(n + 1, sizeof(*out));
	for (size_t i = 0; out && i < n; i++) {
		out[i] = strndup((char *)in[i].data, in[i].len);
		if (!out[i])
			return NULL;
	}
	return out;
}

static _Noreturn void enter(const Mayfly__JailProcess *p, int cwd_fd, int status_fd, pid_t parent)
{
	int exec_fd = p->exec_fd;
	char **argv = words(p->argv, p->n_argv);
	char **env = words(p->env, p->n_env);
	if (!argv || !env)
		give_up(status_fd, "memory");

	/* The machine dies with its supervisor, whatever kills that. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		give_up(status_fd, "pdeathsig");
	if (getppid() != parent)
		_exit(127);

	/* Guest secrets have no place in a core file. */
	struct rlimit no_core = {0, 0};
	if (setrlimit(RLIMIT_CORE, &no_core) < 0)
		give_up(status_fd, "rlimit");

	/* No set-uid program can give rights back. */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		give_up(status_fd, "no_new_privs");

	if (fchdir(cwd_fd) < 0)
		give_up(status_fd, "chdir");

	/* The supervisor's mask and dispositions are its own. */
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);

	place_fds(p, &exec_fd, &status_fd);
	syscall(SYS_execveat, exec_fd, "", argv, env, AT_EMPTY_PATH);
	give_up(status_fd, "exec");
}

/* End of file: the exec closed the pipe. Anything else is a failure report. */
static int wait_for_exec(int fd, const char *name, struct err *e)
{
	struct failure f;
	ssize_t n;
	do {
		n = read(fd, &f, sizeof(f));
	} while (n < 0 && errno == EINTR);
	if (n == 0)
		return 0;
	if (n != sizeof(f))
		return err_set(e, EIO, "%s: its start failed without a word", name);
	f.step[sizeof(f.step) - 1] = '\0';
	return err_errno(e, f.code, "can't start %s (%s)", name, f.step);
}

pid_t jail_spawn(const Mayfly__JailProcess *p, int cwd_fd, int *pidfd, struct err *e)
{
	int status[2];
	if (pipe2(status, O_CLOEXEC) < 0)
		return err_errno(e, errno, "can't make a pipe");
	AUTO_CLOSE int rd = status[0];
	pid_t parent = getpid();
	pid_t pid = fork();
	if (pid == 0)
		enter(p, cwd_fd, status[1], parent);
	close(status[1]);
	if (pid < 0)
		return err_errno(e, errno, "can't start %s", p->name);
	int ret = wait_for_exec(rd, p->name, e);
	if (ret == 0) {
		*pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
		if (*pidfd >= 0)
			return pid;
		ret = err_errno(e, errno, "can't watch %s", p->name);
		kill(pid, SIGKILL);
	}
	waitpid(pid, NULL, 0);
	return ret;
}
