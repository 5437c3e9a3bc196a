// SPDX-License-Identifier: Apache-2.0
// worker.c - the confined process that reads hostile bytes, and what it may tell its parent
//
// Archives are parsed by libraries that were not written for us. If one of them is taken over, it
// holds the archive, one file to write, and a pipe. What comes out of the pipe is checked here, the
// file by those who read it.
#include "image/worker.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "base/log.h"
#include "jailer/landlock.h"
#include "jailer/seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define TELL_NS 100000000ull
#define POLL_MS 200
#define TEXT_MAX 512
#define NOBODY 65534

/* Less than PIPE_BUF: written and read as a whole. */
struct msg {
	uint32_t failed; /* -errno, and text; else progress */
	uint32_t phase;
	uint64_t done;
	uint64_t total;
	char text[TEXT_MAX];
};

static int limit(int what, rlim_t to)
{
	const struct rlimit r = {.rlim_cur = to, .rlim_max = to};
	return setrlimit(what, &r) < 0 ? -errno : 0;
}

static int set_limits(const struct worker_job *job)
{
	int ret = limit(RLIMIT_CORE, 0);
	if (ret == 0)
		ret = limit(RLIMIT_NOFILE, WORKER_FILES);
	if (ret == 0)
		ret = limit(RLIMIT_NPROC, 0);
	if (ret == 0)
		ret = limit(RLIMIT_FSIZE, (rlim_t)job->file_max);
#ifndef __SANITIZE_ADDRESS__ /* which reserves terabytes */
	if (ret == 0)
		ret = limit(RLIMIT_AS, (rlim_t)WORKER_MEMORY);
#endif
	return ret;
}

/* Root's directories may hold files of any mode, so reading stays, and only that. */
static int drop_capabilities(bool keep_read)
{
	struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct d[2];
	if (syscall(SYS_capget, &h, d) < 0)
		return -errno;
	uint32_t mask = keep_read ? 1u << CAP_DAC_READ_SEARCH : 0;
	d[0].effective &= mask;
	d[0].permitted &= mask;
	d[0].inheritable = 0;
	memset(&d[1], 0, sizeof(d[1]));
	return syscall(SYS_capset, &h, d) < 0 ? -errno : 0;
}

/* What root alone may read is needed for a directory, and nothing else of root's. */
static int leave_root(void)
{
	if (geteuid() != 0)
		return 0;
	if (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
	    setresuid(NOBODY, NOBODY, NOBODY) < 0)
		return -errno;
	return 0;
}

static int restrict_files(int dir)
{
	if (landlock_version() == 0)
		return 0;
	AUTO_CLOSE int rules = landlock_create();
	if (rules < 0)
		return rules;
	int ret = dir >= 0 ? landlock_allow(rules, dir, LANDLOCK_READ) : 0;
	return ret < 0 ? ret : landlock_enter(rules);
}

/* The last step: it has no call for the others. */
static int restrict_calls(const struct worker_job *job, struct err *e)
{
	enum seccomp_table t = job->dir >= 0 ? SECCOMP_IMAGE_DIR : SECCOMP_IMAGE;
	int ret = prctl(PR_SET_NAME, seccomp_table_name(t)) < 0 ? -errno : 0;
#ifndef __SANITIZE_ADDRESS__ /* which makes calls of its own */
	if (ret == 0)
		ret = seccomp_load(t, NULL);
#endif
	return ret < 0 ? err_errno(e, -ret,
				   "can't limit the system calls of the process that "
				   "reads archives")
		       : 0;
}

static int confine(const struct worker_job *job, struct err *e)
{
	int ret = 0;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		ret = -errno;
	/* Too much for a file is an error, not an end. */
	signal(SIGXFSZ, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	if (ret == 0)
		ret = set_limits(job);
	if (ret == 0)
		ret = restrict_files(job->dir);
	if (ret == 0 && job->dir < 0)
		ret = leave_root();
	if (ret == 0)
		ret = drop_capabilities(job->dir >= 0);
	if (ret == 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		ret = -errno;
	return ret < 0 ? err_errno(e, -ret, "can't confine the process that reads archives") : 0;
}

void worker_tell(struct worker *w, enum worker_phase phase, uint64_t done, uint64_t total)
{
	uint64_t now = io_now_ns();
	if (now - w->told_at < TELL_NS)
		return;
	const struct msg m = {.phase = phase, .done = done, .total = total};
	w->told_at = now;
	/* A parent that is gone needs no progress, and will end this process. */
	if (io_write_full(w->tell, &m, sizeof(m)) < 0)
		w->told_at = UINT64_MAX;
}

static bool is_kept(const struct worker_job *job, int tell, int fd)
{
	if (fd <= STDERR_FILENO || fd == tell || fd == job->dir)
		return true;
	for (size_t i = 0; i < job->nkeep; i++)
		if (job->keep[i] == fd)
			return true;
	return false;
}

/* Whatever else the parent has open is none of the worker's business. */
static void close_others(const struct worker_job *job, int tell)
{
	int top = MAX(tell, job->dir);
	for (size_t i = 0; i < job->nkeep; i++)
		top = MAX(top, job->keep[i]);
	for (int fd = STDERR_FILENO + 1; fd < top; fd++)
		if (!is_kept(job, tell, fd))
			close(fd);
	close_range((unsigned)top + 1, ~0u, 0);
}

static void __attribute__((noreturn)) child(const struct worker_job *job, int tell, pid_t parent)
{
	struct worker w = {.tell = tell};
	struct err e = {0};
	close_others(job, tell);
	int ret = confine(job, &e);
	/* After the change of ids, which would undo it. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(1);
	if (ret == 0)
		ret = restrict_calls(job, &e);
	if (ret == 0)
		ret = job->run(&w, job->arg, &e);
	if (ret == 0)
		_exit(0);
	struct msg m = {.failed = (uint32_t)-ret};
	snprintf(m.text, sizeof(m.text), "%s", e.text);
	_exit(io_write_full(tell, &m, sizeof(m)) < 0 ? 2 : 1);
}

/* One message, or the end. Returns 1, 0 at the end, -EINTR, -EPROTO. */
static int receive(const struct worker_job *job, int from, struct msg *m)
{
	struct pollfd p = {.fd = from, .events = POLLIN};
	for (;;) {
		if (job->stop && *job->stop)
			return -EINTR;
		int n = poll(&p, 1, POLL_MS);
		if (n > 0)
			break;
		if (n < 0 && errno != EINTR)
			return -errno;
	}
	int ret = io_read_full(from, m, sizeof(*m));
	if (ret == -ENODATA)
		return 0;
	m->text[TEXT_MAX - 1] = '\0';
	return ret < 0 ? ret : m->phase < WORKER_PHASES && m->failed < 4096 ? 1 : -EPROTO;
}

static int listen_to(const struct worker_job *job, int from, struct err *e)
{
	struct msg m = {0};
	int failed = 0;
	int ret;
	while ((ret = receive(job, from, &m)) > 0) {
		if (m.failed && !failed)
			failed = err_set(e, (int)m.failed, "%s", m.text);
		else if (!m.failed && job->progress)
			job->progress(job->progress_arg, (enum worker_phase)m.phase, m.done,
				      m.total);
	}
	if (ret == -EINTR)
		return err_set(e, EINTR, "interrupted");
	return ret < 0 ? err_errno(e, -ret, "the process that reads archives") : failed;
}

int worker_run(const struct worker_job *job, struct err *e)
{
	int pipe_fd[2];
	int status;
	pid_t parent = getpid();
	if (pipe2(pipe_fd, O_CLOEXEC) < 0)
		return err_errno(e, errno, "a pipe");
	AUTO_CLOSE int from = pipe_fd[0];
	pid_t pid = fork();
	if (pid == 0)
		child(job, pipe_fd[1], parent);
	close(pipe_fd[1]);
	if (pid < 0)
		return err_errno(e, errno, "can't start a process");
	int ret = listen_to(job, from, e);
	/* It ends by itself; if not all is well, it has nothing left to say. */
	if (ret < 0)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_errno(e, errno, "waiting for a process");
	if (ret < 0 || (WIFEXITED(status) && WEXITSTATUS(status) == 0))
		return ret;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
		return err_set(e, ECHILD,
			       "the process that reads archives made a forbidden system call and "
			       "was killed: what it read may have taken it over");
	if (WIFSIGNALED(status))
		return err_set(e, ECHILD, "the process that reads archives was ended by signal %d",
			       WTERMSIG(status));
	return err_set(e, ECHILD, "the process that reads archives failed");
}
