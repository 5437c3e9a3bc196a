// SPDX-License-Identifier: Apache-2.0
// single.c - mayfly-jailer as a command
//
// Builds the description that mayfly would, for one process, and is that process's owner; the
// supervisor runs in a child, as it does below mayfly.
#include "single.h"

#include "base/cleanup.h"
#include "base/fdpass.h"
#include "base/log.h"
#include "base/opt.h"
#include "idrange.h"
#include "jail.h"
#include "proto/config_io.h"
#include "seccomp.h"
#include "statedir.h"
#include "supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXIT_FAILED 125
#define EXIT_SIGNAL_BASE 128
#define WORDS_MAX 512
/* For the supervisor to clean up. */
#define END_MS 5000

struct single {
	Mayfly__JailConfig cfg;
	Mayfly__JailProcess p;
	Mayfly__JailProcess *list[1];
	ProtobufCBinaryData argv[WORDS_MAX], env[WORDS_MAX];
	Mayfly__FdMap map[JAIL_MAX_FDS];
	Mayfly__FdMap *map_ptr[JAIL_MAX_FDS];
	Mayfly__JailFile file[ROOT_MAX_PARTS];
	Mayfly__JailFile *file_ptr[ROOT_MAX_PARTS];
	char *tree[ROOT_MAX_PARTS];
	int32_t readable[JAIL_MAX_FDS];
	char id[STATEDIR_ID_MAX + 1];
	bool help, verbose, done;
	int status;
	int pidfd; /* the program's, -1: it was not started */
};

static int set_jail(void *ctx, const char *v, struct err *e)
{
	struct single *s = ctx;
	if (strcmp(v, "full") != 0 && strcmp(v, "reduced") != 0)
		return err_set(e, EINVAL, "'%s' is neither full nor reduced", v);
	s->cfg.mode = strcmp(v, "full") == 0 ? MAYFLY__JAIL_MODE__JAIL_FULL
					     : MAYFLY__JAIL_MODE__JAIL_REDUCED;
	return 0;
}

static int set_tree(void *ctx, const char *v, struct err *e)
{
	struct single *s = ctx;
	if (v[0] != '/' || strlen(v) >= ROOT_PATH_MAX)
		return err_set(e, EINVAL, "'%.64s' is not an absolute path below %d bytes", v,
			       ROOT_PATH_MAX);
	if (s->p.n_tree + s->p.n_file == ROOT_MAX_PARTS)
		return err_set(e, EINVAL, "more than %d files and directories", ROOT_MAX_PARTS);
	s->tree[s->p.n_tree++] = (char *)(uintptr_t)v;
	return 0;
}

/* Opened here, with the caller's rights, and never looked up again. */
static int set_file(void *ctx, const char *v, struct err *e)
{
	struct single *s = ctx;
	char path[PATH_MAX];
	const char *colon = strrchr(v, ':');
	if (!colon || colon == v || colon[1] == '\0' || (size_t)(colon - v) >= sizeof(path))
		return err_set(e, EINVAL, "expected PATH:NAME");
	if (s->p.n_tree + s->p.n_file == ROOT_MAX_PARTS)
		return err_set(e, EINVAL, "more than %d files and directories", ROOT_MAX_PARTS);
	memcpy(path, v, (size_t)(colon - v));
	path[colon - v] = '\0';
	Mayfly__JailFile *f = &s->file[s->p.n_file];
	mayfly__jail_file__init(f);
	f->fd = open(path, O_RDONLY | O_CLOEXEC);
	f->name = (char *)(uintptr_t)(colon + 1);
	if (f->fd < 0)
		return err_errno(e, errno, "can't open '%s'", path);
	s->file_ptr[s->p.n_file++] = f;
	return 0;
}

static int give(struct single *s, int from, int to, struct err *e)
{
	size_t i = s->p.n_fd;
	if (i == JAIL_MAX_FDS)
		return err_set(e, EINVAL, "more than %d descriptors", JAIL_MAX_FDS);
	mayfly__fd_map__init(&s->map[i]);
	s->map[i].from = from;
	s->map[i].to = to;
	s->map_ptr[i] = &s->map[i];
	s->p.n_fd++;
	return 0;
}

static int set_fd(void *ctx, const char *v, struct err *e)
{
	struct single *s = ctx;
	char text[16];
	uint64_t to = 0;
	uint64_t from = 0;
	const char *colon = strchr(v, ':');
	size_t n = colon ? (size_t)(colon - v) : strlen(v);
	if (n >= sizeof(text))
		return err_set(e, EINVAL, "expected N or N:M");
	memcpy(text, v, n);
	text[n] = '\0';
	int ret = opt_u64(text, 3, JAIL_MAX_FROM - 1, &from, e);
	if (ret == 0)
		ret = opt_u64(colon ? colon + 1 : text, 3, JAIL_MAX_FD - 1, &to, e);
	if (ret == 0 && fcntl((int)from, F_GETFD) < 0)
		ret = err_errno(e, errno, "descriptor %d", (int)from);
	return ret < 0 ? ret : give(s, (int)from, (int)to, e);
}

static int set_readable(void *ctx, const char *v, struct err *e)
{
	struct single *s = ctx;
	uint64_t fd;
	int ret = opt_u64(v, 3, JAIL_MAX_FROM - 1, &fd, e);
	if (ret < 0)
		return ret;
	if (s->p.n_readable == JAIL_MAX_FDS)
		return err_set(e, EINVAL, "more than %d descriptors", JAIL_MAX_FDS);
	s->readable[s->p.n_readable++] = (int32_t)fd;
	return 0;
}

static int set_env(void *ctx, const char *v, struct err *e)
{
	struct single *s = ctx;
	if (!strchr(v, '=') || v[0] == '=')
		return err_set(e, EINVAL, "expected NAME=VALUE");
	if (s->p.n_env == WORDS_MAX)
		return err_set(e, EINVAL, "more than %d variables", WORDS_MAX);
	s->env[s->p.n_env].data = (uint8_t *)(uintptr_t)v;
	s->env[s->p.n_env++].len = strlen(v);
	return 0;
}

static int set_table(void *ctx, const char *v, struct err *e)
{
	for (int t = 0; t < SECCOMP_TABLES; t++)
		if (strcmp(seccomp_table_name((enum seccomp_table)t), v) == 0) {
			((struct single *)ctx)->p.table = (char *)(uintptr_t)v;
			return 0;
		}
	return err_set(e, EINVAL, "there is no table '%s' (jailer/policy has them)", v);
}

static int set_memory(void *ctx, const char *v, struct err *e)
{
	return opt_bytes(v, &((struct single *)ctx)->cfg.memory_max, e);
}

static int set_pids(void *ctx, const char *v, struct err *e)
{
	uint64_t n = 0;
	int ret = opt_u64(v, 1, 1 << 22, &n, e);
	((struct single *)ctx)->cfg.pids_max = (uint32_t)n;
	return ret;
}

static int set_range(void *ctx, const char *v, struct err *e)
{
	struct single *s = ctx;
	return idrange_parse(v, &s->cfg.uid_first, &s->cfg.uid_count, e);
}

static int set_keep_id(void *ctx, const char *v, struct err *e)
{
	(void)v;
	(void)e;
	((struct single *)ctx)->p.own_ids = false;
	return 0;
}

static int set_verbose(void *ctx, const char *v, struct err *e)
{
	(void)v;
	(void)e;
	((struct single *)ctx)->verbose = true;
	return 0;
}

static int set_help(void *ctx, const char *v, struct err *e)
{
	(void)v;
	(void)e;
	((struct single *)ctx)->help = true;
	return 0;
}

static const struct opt options[] = {
	{"jail", 0, "full|reduced", "reduced: without namespaces (default full)", set_jail},
	{"tree", 0, "PATH", "show this file or directory of the host, read-only (repeatable)",
	 set_tree},
	{"file", 0, "PATH:NAME", "show one file as /NAME, whatever its mode (repeatable)",
	 set_file},
	{"fd", 0, "N[:M]", "pass descriptor N on, as M (repeatable)", set_fd},
	{"readable", 0, "N", "files at and below this descriptor may be read (repeatable)",
	 set_readable},
	{"table", 0, "NAME", "load this table of system calls (default: none)", set_table},
	{"memory", 0, "SIZE", "cgroup: memory limit", set_memory},
	{"pids", 0, "N", "cgroup: limit of processes and threads", set_pids},
	{"env", 'e', "NAME=VALUE", "set a variable; there are no others (repeatable)", set_env},
	{"uid-range", 0, "FIRST:COUNT", "as root: where the jail's own uid and gid come from",
	 set_range},
	{"keep-id", 0, NULL, "as root: stay uid 0, without capabilities", set_keep_id},
	{"verbose", 'v', NULL, "say what is done", set_verbose},
	{"help", 'h', NULL, "show this help", set_help},
};

static void help(void)
{
	printf("usage: mayfly-jailer [options] -- PROGRAM [ARGUMENT...]\n"
	       "       mayfly-jailer --config-fd N   (as mayfly starts it)\n\n"
	       "Runs a program in a jail like those of a virtual machine's processes: namespaces, "
	       "a\n"
	       "read-only root with nothing but what is named here, no capabilities, Landlock. "
	       "Its\n"
	       "exit status is the program's; 125: it could not be started, or made a forbidden\n"
	       "system call, 128+N: killed by signal N.\n\noptions:\n");
	opt_help(stdout, options, sizeof(options) / sizeof(options[0]));
}

static int open_program(const char *name)
{
	char path[PATH_MAX];
	if (strchr(name, '/'))
		return open(name, O_RDONLY | O_CLOEXEC);
	const char *dirs = getenv("PATH");
	for (const char *d = dirs ? dirs : ""; *d;) {
		size_t n = strcspn(d, ":");
		snprintf(path, sizeof(path), "%.*s/%s", (int)n, d, name);
		int fd = n > 0 && access(path, X_OK) == 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
		if (fd >= 0)
			return fd;
		d += n + (d[n] == ':');
	}
	errno = ENOENT;
	return -1;
}

/* Descriptors 0 to 2 go along under other numbers: a description has none below 3. */
static int give_stdio(struct single *s, struct err *e)
{
	for (int i = 0; i < 3; i++) {
		int copy = fcntl(i, F_DUPFD_CLOEXEC, 3);
		int ret = copy < 0 ? err_errno(e, errno, "standard descriptor %d", i)
				   : give(s, copy, i, e);
		if (ret < 0)
			return ret;
	}
	return 0;
}

static int describe(struct single *s, char **argv, int argc, struct err *e)
{
	uint64_t r = 0;
	if (argc == 0 || argc > WORDS_MAX)
		return err_set(e, EINVAL, "no program given (see 'mayfly-jailer --help')");
	for (int i = 0; i < argc; i++) {
		s->argv[i].data = (uint8_t *)argv[i];
		s->argv[i].len = strlen(argv[i]);
	}
	s->p.n_argv = (size_t)argc;
	s->p.exec_fd = open_program(argv[0]);
	if (s->p.exec_fd < 0)
		return err_errno(e, errno, "can't open '%s'", argv[0]);
	if (getrandom(&r, sizeof(r), 0) != sizeof(r))
		return err_errno(e, errno, "no random number");
	snprintf(s->id, sizeof(s->id), "jail-%016llx", (unsigned long long)r);
	s->cfg.machine_id = s->id;
	s->cfg.base_dir_fd = statedir_base(e);
	if (s->cfg.base_dir_fd < 0)
		return s->cfg.base_dir_fd;
	statedir_sweep(s->cfg.base_dir_fd);
	return give_stdio(s, e);
}

static void on_event(struct single *s, const Mayfly__JailEvent *ev)
{
	switch (ev->kind) {
	case MAYFLY__JAIL_EVENT__KIND__EXITED:
		if (!s->done)
			s->status = WIFSIGNALED(ev->status)
					    ? EXIT_SIGNAL_BASE + WTERMSIG(ev->status)
					    : WEXITSTATUS(ev->status);
		s->done = true;
		break;
	case MAYFLY__JAIL_EVENT__KIND__SECCOMP:
		log_error("forbidden system call %s: killed", ev->text);
		s->status = EXIT_FAILED;
		s->done = true;
		break;
	case MAYFLY__JAIL_EVENT__KIND__FAILED:
		log_error("%s", ev->text);
		s->status = EXIT_FAILED;
		s->done = true;
		break;
	default: break;
	}
}

/* A supervisor that was killed left it to the kernel; its cgroup can go when it is gone. */
static void end_program(struct single *s)
{
	struct pollfd p = {.fd = s->pidfd, .events = POLLIN};
	if (s->pidfd < 0)
		return;
	syscall(SYS_pidfd_send_signal, s->pidfd, SIGKILL, NULL, 0);
	poll(&p, 1, END_MS);
	close_fd(&s->pidfd);
}

/* Until the supervisor has removed everything and is gone; a signal makes it end the program. */
static int own(struct single *s, int sock, int signals, pid_t supervisor)
{
	struct pollfd p[2] = {{.fd = sock, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
	s->status = EXIT_FAILED;
	for (;;) {
		ProtobufCMessage *msg = NULL;
		int fds[FDPASS_MAX];
		size_t n = 0;
		int ready = poll(p, 2, s->done ? END_MS : -1);
		if (ready < 0 && errno != EINTR)
			break;
		if (ready == 0) {
			kill(supervisor, SIGKILL);
			break;
		}
		if (p[1].revents & POLLIN) {
			struct signalfd_siginfo si;
			if (read(signals, &si, sizeof(si)) == sizeof(si) && !s->done) {
				s->status = EXIT_SIGNAL_BASE + (int)si.ssi_signo;
				s->done = true;
			}
			shutdown(sock, SHUT_WR);
		}
		if (!(p[0].revents & (POLLIN | POLLHUP)))
			continue;
		int ret = config_recv(sock, &mayfly__jail_event__descriptor, &msg, fds, FDPASS_MAX,
				      &n);
		if (ret == -EAGAIN)
			continue;
		if (ret <= 0)
			break;
		on_event(s, (const Mayfly__JailEvent *)msg);
		/* The last one that comes with STARTED is the program's. */
		if (n > 0 && s->pidfd < 0)
			s->pidfd = steal_fd(&fds[n - 1]);
		for (size_t i = 0; i < n; i++)
			close_fd(&fds[i]);
		protobuf_c_message_free_unpacked(msg, NULL);
	}
	waitpid(supervisor, NULL, 0);
	end_program(s);
	statedir_sweep(s->cfg.base_dir_fd);
	return s->status;
}

static _Noreturn void become_supervisor(struct single *s, int near)
{
	struct err e = {0};
	close(near);
	setsid();
	int ret = supervisor_check(&s->cfg, &e);
	if (ret < 0)
		log_error("%s", e.text);
	else
		ret = supervisor_run(&s->cfg, &e);
	_exit(ret < 0 ? EXIT_FAILED : 0);
}

static int run(struct single *s, struct err *e)
{
	int sv[2];
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0)
		return err_errno(e, errno, "can't make a socket pair");
	s->cfg.owner_fd = sv[1];
	s->cfg.owner_pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	sigprocmask(SIG_BLOCK, &set, NULL);
	int signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->cfg.owner_pidfd < 0 || signals < 0)
		return err_errno(e, errno, "can't watch");
	pid_t pid = fork();
	if (pid == 0)
		become_supervisor(s, sv[0]);
	close(sv[1]);
	return pid < 0 ? err_errno(e, errno, "can't start the supervisor")
		       : own(s, sv[0], signals, pid);
}

int single_main(int argc, char **argv)
{
	static struct single s;
	struct err e = {0};
	int rest = 0;
	mayfly__jail_config__init(&s.cfg);
	mayfly__jail_process__init(&s.p);
	s.pidfd = -1;
	s.list[0] = &s.p;
	s.cfg.version = CONFIG_VERSION;
	s.cfg.process = s.list;
	s.cfg.n_process = 1;
	s.p.name = (char *)(uintptr_t) "program";
	s.p.argv = s.argv;
	s.p.env = s.env;
	s.p.fd = s.map_ptr;
	s.p.file = s.file_ptr;
	s.p.tree = s.tree;
	s.p.readable = s.readable;
	s.p.own_ids = true;
	int ret =
		opt_parse(options, sizeof(options) / sizeof(options[0]), &s, argc, argv, &rest, &e);
	if (ret == 0 && s.help) {
		help();
		return 0;
	}
	if (ret == 0)
		ret = describe(&s, argv + rest, argc - rest, &e);
	log_init("mayfly-jailer", s.verbose ? LOG_INFO : LOG_WARN);
	s.cfg.log_level = s.verbose ? LOG_INFO : LOG_WARN;
	if (ret == 0)
		ret = run(&s, &e);
	if (ret < 0)
		log_error("%s", e.text);
	return ret < 0 ? EXIT_FAILED : ret;
}
