// SPDX-License-Identifier: Apache-2.0
// jail.c - from a description to a running process, in one order, aborting on any failure
//
// Theory of operation: jail_prepare() does once what all processes share, jail_spawn() clones into
// new namespaces and runs the steps below in their order. The child reports a failure, and the
// listener of a table loaded before the exec, over a socket that the exec closes.
#include "jail.h"

#include "base/cleanup.h"
#include "base/fdpass.h"
#include "caps.h"
#include "jailer/seccomp.h"
#include "landlock.h"
#include "userns.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAMESPACES                                                                                 \
	(CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNS | CLONE_NEWCGROUP)

/* What the child says: a failed step, or (code 0) a listener with a descriptor beside it. */
struct word {
	int code;
	char step[48];
};

/* The child on its way in. */
struct entering {
	const struct jail *j;
	const Mayfly__JailProcess *p;
	int status_fd;
	int exec_fd;
	int proc_fd; /* its own /proc/self/fd, -1: none wanted */
	char **argv, **env;
};

static int say(int fd, int code, const char *step, int passed)
{
	struct word w = {.code = code};
	struct iovec iov = {.iov_base = &w, .iov_len = sizeof(w)};
	snprintf(w.step, sizeof(w.step), "%s", step);
	ssize_t n = fdpass_send(fd, &iov, 1, &passed, passed >= 0 ? 1 : 0, 0);
	return n < 0 ? (int)n : 0;
}

/* ---- the steps; each returns 0 or -errno ---- */

/* The host's name is not the guest's business. */
static int set_name(struct entering *in)
{
	(void)in;
	return sethostname("mayfly", 6) < 0 ? -errno : 0;
}

/* A procfs that holds the processes of this PID namespace alone, mounted nowhere. */
static int new_proc(void)
{
	AUTO_CLOSE int fs = fsopen("proc", FSOPEN_CLOEXEC);
	if (fs < 0 || fsconfig(fs, FSCONFIG_SET_STRING, "subset", "pid", 0) < 0 ||
	    fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	int fd = fsmount(fs, FSMOUNT_CLOEXEC,
			 MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
				 MOUNT_ATTR_NOEXEC);
	return fd < 0 ? -errno : fd;
}

/*
 * Reopening an O_PATH descriptor needs a path, and the only one is in procfs. Where a container
 * hides parts of its /proc the kernel refuses a new one to ordinary users: then it is a path in the
 * host's, and Landlock is what keeps the process from the rest of that.
 */
static int own_proc(struct entering *in)
{
	if (in->p->proc_to <= 0)
		return 0;
	AUTO_CLOSE int fd = new_proc();
	int at = fd == -EPERM ? in->j->host_proc_fd : fd;
	if (at < 0)
		return at;
	in->proc_fd = openat(at, "self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return in->proc_fd < 0 ? -errno : 0;
}

static int drop_proc(struct entering *in)
{
	(void)in;
	return root_drop_proc();
}

/* Without trees or files of its own it keeps the supervisor's empty root. */
static int own_root(struct entering *in)
{
	return in->p->n_tree + in->p->n_file > 0 ? root_enter(&in->j->tree) : 0;
}

static int leave_directory(struct entering *in)
{
	(void)in;
	return chdir("/") < 0 ? -errno : 0;
}

static int limit(int what, rlim_t max)
{
	struct rlimit rl = {max, max};
	return setrlimit(what, &rl) < 0 ? -errno : 0;
}

/* Guest secrets have no place in a core file. */
static int no_core(struct entering *in)
{
	(void)in;
	return limit(RLIMIT_CORE, 0);
}

/* Nothing here locks memory, queues messages or asks for a better place in the queue. */
static int set_limits(struct entering *in)
{
	(void)in;
	int ret = limit(RLIMIT_MSGQUEUE, 0);
	if (ret == 0)
		ret = limit(RLIMIT_RTPRIO, 0);
	return ret;
}

/* No program can give capabilities back. */
static int close_caps(struct entering *in)
{
	(void)in;
	return caps_close();
}

/*
 * As root: no group of the caller, and for all but fs, which serves the caller's files, ids that
 * no other machine has. In a user namespace there are no others to change to.
 */
static int change_ids(struct entering *in)
{
	uid_t id = in->j->uid;
	if (!in->j->root)
		return 0;
	if (setgroups(0, NULL) < 0)
		return -errno;
	if (!in->p->own_ids)
		return 0;
	return setresgid(id, id, id) < 0 || setresuid(id, id, id) < 0 ? -errno : 0;
}

static int drop_caps(struct entering *in)
{
	(void)in;
	return caps_drop();
}

/*
 * The machine dies with its supervisor, whatever kills that. A change of ids would undo it. A
 * supervisor that died before has closed its end.
 */
static int die_with_parent(struct entering *in)
{
	struct pollfd p = {.fd = in->status_fd};
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return -errno;
	if (poll(&p, 1, 0) > 0)
		_exit(127);
	return 0;
}

/* No set-uid program can give rights back. */
static int no_new_privs(struct entering *in)
{
	(void)in;
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
}

/* The supervisor's mask and dispositions are its own. */
static int reset_signals(struct entering *in)
{
	sigset_t none;
	(void)in;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	return signal(SIGPIPE, SIG_DFL) == SIG_ERR ? -errno : 0;
}

static int allow_path(int ruleset, const char *path)
{
	AUTO_CLOSE int fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	return landlock_allow(ruleset, fd, LANDLOCK_READ_EXEC);
}

/*
 * Files: the program itself, what it is given to read, and its system directories. fs holds
 * directories of the host, from which a path leads up to everything: this is what stops it there.
 */
static int restrict_files(struct entering *in)
{
	const Mayfly__JailProcess *p = in->p;
	bool full = in->j->mode == MAYFLY__JAIL_MODE__JAIL_FULL;
	if (in->j->landlock == 0)
		return full ? 0 : -EOPNOTSUPP;
	AUTO_CLOSE int rules = landlock_create();
	int ret = rules < 0 ? rules : landlock_allow(rules, in->exec_fd, LANDLOCK_READ_EXEC);
	for (size_t i = 0; ret == 0 && i < p->n_readable; i++)
		ret = landlock_allow(rules, p->readable[i], LANDLOCK_READ);
	for (size_t i = 0; ret == 0 && i < p->n_writable; i++)
		ret = landlock_allow(rules, p->writable[i], LANDLOCK_WRITE);
	if (ret == 0 && full && p->n_tree + p->n_file > 0)
		ret = allow_path(rules, "/");
	for (size_t i = 0; ret == 0 && !full && i < p->n_tree; i++)
		ret = allow_path(rules, p->tree[i]);
	for (size_t i = 0; ret == 0 && !full && i < p->n_file; i++)
		ret = landlock_allow(rules, p->file[i]->fd, LANDLOCK_READ);
	return ret < 0 ? ret : landlock_enter(rules);
}

/* As far above all wanted numbers as needed, no further: the limit may be low. */
static int park(int *fd, int base)
{
	int parked = fcntl(*fd, F_DUPFD_CLOEXEC, base);
	if (parked < 0)
		return -errno;
	*fd = parked;
	return 0;
}

/* Moves the wanted descriptors to their numbers; all others are closed by the exec. */
static int place_fds(struct entering *in)
{
	const Mayfly__JailProcess *p = in->p;
	int from[JAIL_MAX_FDS];
	int base = p->proc_to >= 3 ? p->proc_to + 1 : 3;
	for (size_t i = 0; i < p->n_fd; i++)
		base = p->fd[i]->to >= base ? p->fd[i]->to + 1 : base;
	int ret = park(&in->status_fd, base);
	if (ret == 0)
		ret = park(&in->exec_fd, base);
	if (ret == 0 && in->proc_fd >= 0)
		ret = park(&in->proc_fd, base);
	/* Sources may stand where another one is to go: park them all first. */
	for (size_t i = 0; ret == 0 && i < p->n_fd; i++) {
		from[i] = p->fd[i]->from;
		ret = park(&from[i], base);
	}
	for (size_t i = 0; ret == 0 && i < p->n_fd; i++)
		ret = dup2(from[i], p->fd[i]->to) < 0 ? -errno : 0;
	if (ret == 0 && in->proc_fd >= 0)
		ret = dup2(in->proc_fd, p->proc_to) < 0 ? -errno : 0;
	return ret;
}

/* For a program that is not ours; ours load one for each thread themselves. */
static int load_table(struct entering *in)
{
	const char *name = in->p->table;
	int listener = -1;
	if (!name[0])
		return 0;
	for (int t = 0; t < SECCOMP_TABLES; t++) {
		if (strcmp(seccomp_table_name((enum seccomp_table)t), name) != 0)
			continue;
		int ret = seccomp_load((enum seccomp_table)t, &listener);
		return ret < 0 ? ret : say(in->status_fd, 0, name, listener);
	}
	return -ENOENT;
}

#define FULL (1u << MAYFLY__JAIL_MODE__JAIL_FULL)
#define JAILED (FULL | 1u << MAYFLY__JAIL_MODE__JAIL_REDUCED)
#define ALWAYS (JAILED | 1u << MAYFLY__JAIL_MODE__JAIL_NONE)

static const struct step {
	const char *name; /* for the message */
	unsigned modes;
	int (*run)(struct entering *in);
} steps[] = {
	{"host name", FULL, set_name},
	{"procfs", FULL, own_proc},
	{"host's procfs", FULL, drop_proc},
	{"root", FULL, own_root},
	{"directory", ALWAYS, leave_directory},
	{"core limit", ALWAYS, no_core},
	{"limits", JAILED, set_limits},
	{"capability bounds", JAILED, close_caps},
	{"user and group ids", JAILED, change_ids},
	{"capabilities", JAILED, drop_caps},
	{"death signal", ALWAYS, die_with_parent},
	{"no_new_privs", ALWAYS, no_new_privs},
	{"signals", ALWAYS, reset_signals},
	{"Landlock", JAILED, restrict_files},
	{"descriptor limit, see ulimit -n", ALWAYS, place_fds},
	{"system call table", JAILED, load_table},
};

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

static _Noreturn void give_up(const struct entering *in, int code, const char *step)
{
	say(in->status_fd, code, step, -1);
	_exit(127);
}

static _Noreturn void enter(struct entering *in)
{
	in->argv = words(in->p->argv, in->p->n_argv);
	in->env = words(in->p->env, in->p->n_env);
	if (!in->argv || !in->env)
		give_up(in, ENOMEM, "memory");
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		if (!(steps[i].modes & 1u << in->j->mode))
			continue;
		int ret = steps[i].run(in);
		if (ret < 0)
			give_up(in, -ret, steps[i].name);
	}
	syscall(SYS_execveat, in->exec_fd, "", in->argv, in->env, AT_EMPTY_PATH);
	give_up(in, errno, "exec");
}

/*
 * End of file: the exec closed the socket. Anything but a listener is a failure report. A table
 * that lacks what the last steps need stops the child there for good.
 */
static int wait_for_exec(int fd, const char *name, int *listener, struct err *e)
{
	for (;;) {
		struct word w;
		struct iovec iov = {.iov_base = &w, .iov_len = sizeof(w)};
		struct pollfd p[2] = {{.fd = fd, .events = POLLIN},
				      {.fd = *listener, .events = POLLIN}};
		int got = -1;
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return err_errno(e, errno, "can't wait for %s", name);
		if (!p[0].revents && (p[1].revents & POLLIN))
			return err_set(e, EPERM,
				       "can't start %s: its table of system calls does "
				       "not even let it start",
				       name);
		if (!p[0].revents)
			continue;
		ssize_t n = fdpass_recv(fd, &iov, 1, &got, 1, NULL, 0);
		if (n == -EINTR)
			continue;
		if (n == 0)
			return 0;
		if (n == sizeof(w) && w.code == 0 && got >= 0 && *listener < 0) {
			*listener = got;
			continue;
		}
		close_fd(&got);
		if (n != sizeof(w))
			return err_set(e, EIO, "%s: its start failed without a word", name);
		w.step[sizeof(w.step) - 1] = '\0';
		bool hint = w.code == ENOENT && strcmp(w.step, "exec") == 0;
		return err_errno(e, w.code, "can't start %s (%s%s)", name, w.step,
				 hint ? ": a script, or what it is loaded by is not in its root"
				      : "");
	}
}

static pid_t clone_child(const struct jail *j, int *pidfd)
{
	struct clone_args args = {
		.flags = CLONE_PIDFD,
		.pidfd = (uintptr_t)pidfd,
		.exit_signal = SIGCHLD,
	};
	if (j->mode == MAYFLY__JAIL_MODE__JAIL_FULL)
		args.flags |= NAMESPACES;
	if (j->cgroup_fd >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)j->cgroup_fd;
	}
	return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

pid_t jail_spawn(const struct jail *j, const Mayfly__JailProcess *p, int *pidfd, int *listener,
		 struct err *e)
{
	int status[2];
	*listener = -1;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, status) < 0)
		return err_errno(e, errno, "can't make a socket pair");
	AUTO_CLOSE int rd = status[0];
	pid_t pid = clone_child(j, pidfd);
	if (pid == 0) {
		struct entering in = {.j = j,
				      .p = p,
				      .status_fd = status[1],
				      .exec_fd = p->exec_fd,
				      .proc_fd = -1};
		close_fd(&rd);
		enter(&in);
	}
	int code = errno;
	close(status[1]);
	if (pid < 0)
		return err_errno(e, code, "can't start %s%s", p->name,
				 j->mode == MAYFLY__JAIL_MODE__JAIL_FULL
					 ? " in namespaces of its own ('mayfly doctor' says more; "
					   "--jail reduced does without)"
					 : "");
	int ret = wait_for_exec(rd, p->name, listener, e);
	if (ret == 0)
		return pid;
	syscall(SYS_pidfd_send_signal, *pidfd, SIGKILL, NULL, 0);
	waitpid(pid, NULL, 0);
	close_fd(pidfd);
	close_fd(listener);
	return ret;
}

static int collect(struct jail *j, const Mayfly__JailConfig *cfg, struct err *e)
{
	int ret = 0;
	for (size_t i = 0; i < cfg->n_process; i++) {
		const Mayfly__JailProcess *p = cfg->process[i];
		for (size_t k = 0; ret == 0 && k < p->n_tree; k++)
			ret = root_add_tree(&j->tree, p->tree[k], e);
		for (size_t k = 0; ret == 0 && k < p->n_file; k++)
			ret = root_add_file(&j->tree, p->file[k]->fd, p->file[k]->name, e);
	}
	return ret;
}

int jail_prepare(struct jail *j, const Mayfly__JailConfig *cfg, uid_t uid, struct err *e)
{
	memset(j, 0, sizeof(*j));
	j->mode = cfg->mode;
	j->root = geteuid() == 0;
	j->uid = uid;
	j->cgroup_fd = j->host_proc_fd = -1;
	j->landlock = landlock_version();
	if (j->mode == MAYFLY__JAIL_MODE__JAIL_REDUCED && j->landlock == 0)
		return err_set(e, EOPNOTSUPP,
			       "the reduced jail needs Landlock, which this kernel lacks or has "
			       "switched off ('mayfly doctor' says more)");
	if (j->mode != MAYFLY__JAIL_MODE__JAIL_FULL)
		return 0;
	j->host_proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (j->host_proc_fd < 0)
		return err_errno(e, errno, "can't open /proc");
	int ret = j->root ? 0 : userns_enter(e);
	if (ret == 0)
		ret = root_own_mounts(e);
	if (ret == 0)
		ret = collect(j, cfg, e);
	return ret < 0 ? ret : root_leave_host(e);
}

void jail_free(struct jail *j)
{
	root_free(&j->tree);
	close_fd(&j->host_proc_fd);
}

int jail_seal(struct jail *j)
{
	jail_free(j);
	if (j->mode == MAYFLY__JAIL_MODE__JAIL_NONE)
		return 0;
	int ret = j->mode == MAYFLY__JAIL_MODE__JAIL_FULL ? root_drop_proc() : 0;
	return ret < 0 ? ret : caps_supervise();
}
