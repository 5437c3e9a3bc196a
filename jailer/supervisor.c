// SPDX-License-Identifier: Apache-2.0
// supervisor.c - starts the processes of one machine, watches them, cleans up behind them
//
// Theory of operation: each process is watched by its pidfd, the owner (mayfly) by its socket and
// pidfd. When one process ends, the others have GRACE_MS to follow; when one is killed or makes a
// forbidden system call, or the owner goes or closes its side, all are killed at once. Then the
// cgroup and the state directory are removed and the owner told. If this process is killed itself,
// the processes get SIGKILL from the kernel (jail.c) and the owner removes the rest. Once the
// processes run, this one has no capability in effect but CAP_KILL.
#include "supervisor.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/evloop.h"
#include "base/io.h"
#include "base/log.h"
#include "caps.h"
#include "cgroup.h"
#include "idrange.h"
#include "jail.h"
#include "link.h"
#include "notify.h"
#include "proto/config_io.h"
#include "statedir.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_PROCESSES 8
#define MAX_WORDS 512
#define GRACE_MS 1000
/* Of the processes, the one that runs the guest's CPU where mayfly-vmm does not. */
#define ENGINE "qemu"

struct child {
	struct evsource pidfd;
	struct link link;
	struct supervisor *sup;
	const char *name;
	pid_t pid;
};

struct supervisor {
	const Mayfly__JailConfig *cfg;
	struct evloop loop;
	struct statedir dir;
	struct cgroup cgroup;
	struct idrange id; /* lock_fd -1: none taken */
	struct jail jail;
	struct notify notify;
	struct evsource owner;
	struct evsource owner_pidfd;
	struct evsource signals;
	size_t n;
	size_t alive;
	bool owner_gone;
	bool killed;	      /* all that ran were sent SIGKILL */
	uint64_t deadline_ns; /* when the rest is killed; 0: not yet */
	struct child child[MAX_PROCESSES];
};

static bool is_from(int fd)
{
	return fd >= 3 && fd < JAIL_MAX_FROM;
}

/* What it sees of files, and its way to us. */
static int check_view(const Mayfly__JailProcess *p, struct err *e)
{
	bool ok = p->n_tree + p->n_file <= ROOT_MAX_PARTS && p->n_readable <= JAIL_MAX_FDS &&
		  p->n_writable <= JAIL_MAX_FDS && p->proc_to >= 0 && p->proc_to < JAIL_MAX_FD &&
		  (p->link_fd == 0 || is_from(p->link_fd));
	for (size_t i = 0; ok && i < p->n_file; i++)
		ok = is_from(p->file[i]->fd);
	for (size_t i = 0; ok && i < p->n_readable; i++)
		ok = is_from(p->readable[i]);
	for (size_t i = 0; ok && i < p->n_writable; i++)
		ok = is_from(p->writable[i]);
	return ok ? 0 : err_set(e, EINVAL, "process '%.16s': a bad view of files", p->name);
}

static int check_process(const Mayfly__JailProcess *p, struct err *e)
{
	if (p->n_argv == 0 || p->n_argv > MAX_WORDS || p->n_env > MAX_WORDS ||
	    p->n_fd > JAIL_MAX_FDS || p->exec_fd < 3 || p->exec_fd >= JAIL_MAX_FROM ||
	    p->name[0] == '\0')
		return err_set(e, EINVAL, "process '%.16s': too many or too few parts", p->name);
	for (size_t i = 0; i < p->n_fd; i++)
		if (p->fd[i]->from < 3 || p->fd[i]->from >= JAIL_MAX_FROM || p->fd[i]->to < 0 ||
		    p->fd[i]->to >= JAIL_MAX_FD)
			return err_set(e, EINVAL, "process '%.16s': bad descriptor number",
				       p->name);
	return check_view(p, e);
}

int supervisor_check(const Mayfly__JailConfig *cfg, struct err *e)
{
	if (cfg->version != CONFIG_VERSION)
		return err_set(e, EINVAL, "configuration version %u, this program knows %d",
			       cfg->version, CONFIG_VERSION);
	if (cfg->n_process == 0 || cfg->n_process > MAX_PROCESSES)
		return err_set(e, EINVAL, "%zu processes, 1 to %d are possible", cfg->n_process,
			       MAX_PROCESSES);
	if (cfg->mode > MAYFLY__JAIL_MODE__JAIL_NONE)
		return err_set(e, EINVAL, "jail mode %d is unknown", (int)cfg->mode);
	if (!statedir_id_ok(cfg->machine_id))
		return err_set(e, EINVAL, "'%.64s' is not a machine id", cfg->machine_id);
	int ret = 0;
	for (size_t i = 0; ret == 0 && i < cfg->n_process; i++)
		ret = check_process(cfg->process[i], e);
	return ret;
}

static void tell(struct supervisor *s, Mayfly__JailEvent *ev, const int *fds, size_t nfds)
{
	if (s->owner_gone)
		return;
	int ret = config_send(s->cfg->owner_fd, &ev->base, fds, nfds);
	if (ret < 0 && ret != -EPIPE && ret != -ECONNRESET)
		log_error("can't report to the owner: %s", strerror(-ret));
}

static void kill_all(struct supervisor *s)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->child[i].pidfd.fd >= 0)
			syscall(SYS_pidfd_send_signal, s->child[i].pidfd.fd, SIGKILL, NULL, 0);
	s->deadline_ns = 0;
	s->killed = true;
}

static void on_forbidden(void *arg, const struct notify_call *c)
{
	struct supervisor *s = arg;
	Mayfly__JailEvent ev = MAYFLY__JAIL_EVENT__INIT;
	log_warn("%s, thread %s (%d): forbidden system call %s(0x%llx, 0x%llx, 0x%llx)", c->process,
		 c->thread, (int)c->tid, c->name, (unsigned long long)c->args[0],
		 (unsigned long long)c->args[1], (unsigned long long)c->args[2]);
	ev.kind = MAYFLY__JAIL_EVENT__KIND__SECCOMP;
	ev.process = (char *)(uintptr_t)c->process;
	ev.thread = (char *)(uintptr_t)c->thread;
	ev.text = (char *)(uintptr_t)c->name;
	tell(s, &ev, NULL, 0);
	kill_all(s);
}

static void on_child(struct evsource *src, uint32_t events)
{
	struct child *c = src->arg;
	struct supervisor *s = c->sup;
	Mayfly__JailEvent ev = MAYFLY__JAIL_EVENT__INIT;
	struct rusage ru;
	int status = 0;
	(void)events;
	if (wait4(c->pid, &status, WNOHANG, &ru) != c->pid)
		return;
	evloop_del(&s->loop, src);
	close_fd(&src->fd);
	s->alive--;
	ev.kind = MAYFLY__JAIL_EVENT__KIND__EXITED;
	ev.process = (char *)(uintptr_t)c->name;
	ev.status = status;
	ev.max_rss_kib = (uint64_t)ru.ru_maxrss;
	ev.user_usec = (uint64_t)ru.ru_utime.tv_sec * 1000000 + (uint64_t)ru.ru_utime.tv_usec;
	ev.system_usec = (uint64_t)ru.ru_stime.tv_sec * 1000000 + (uint64_t)ru.ru_stime.tv_usec;
	ev.host_oom = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL &&
		      cgroup_oom_kills(&s->cgroup) > 0;
	ev.told_to = s->killed;
	tell(s, &ev, NULL, 0);
	/*
	 * The end of one takes the others with it, and they may be seen to end first: QEMU fails
	 * over the closed socket of a vmm that is still on its way out. Who was killed from outside
	 * can be told from the rest only while nobody was killed from here.
	 */
	if (WIFSIGNALED(status))
		kill_all(s);
	else if (s->deadline_ns == 0 && !s->killed)
		s->deadline_ns = io_now_ns() + GRACE_MS * 1000000ull;
}

/* QEMU stands still, or goes on. It has no thread that could be asked to. */
static void pause_engine(struct supervisor *s, bool pause)
{
	Mayfly__JailEvent ev = MAYFLY__JAIL_EVENT__INIT;
	for (size_t i = 0; i < s->n; i++)
		if (strcmp(s->child[i].name, ENGINE) == 0 && s->child[i].pidfd.fd >= 0)
			syscall(SYS_pidfd_send_signal, s->child[i].pidfd.fd,
				pause ? SIGSTOP : SIGCONT, NULL, 0);
	ev.kind = pause ? MAYFLY__JAIL_EVENT__KIND__PAUSED : MAYFLY__JAIL_EVENT__KIND__RUNNING;
	tell(s, &ev, NULL, 0);
}

/* Returns false if the owner closed its side, or broke the rules. */
static bool take_request(struct supervisor *s)
{
	ProtobufCMessage *msg = NULL;
	int ret = config_recv(s->owner.fd, &mayfly__jail_request__descriptor, &msg, NULL, 0, NULL);
	if (ret == -EAGAIN)
		return true;
	if (ret <= 0)
		return false;
	const Mayfly__JailRequest *q = (const Mayfly__JailRequest *)msg;
	bool known = q->pause != q->resume;
	if (known)
		pause_engine(s, q->pause);
	protobuf_c_message_free_unpacked(msg, NULL);
	return known;
}

static void on_owner(struct evsource *src, uint32_t events)
{
	struct supervisor *s = src->arg;
	bool ended = events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);
	if (src == &s->owner && !ended && take_request(s))
		return;
	evloop_del(&s->loop, src);
	if (src == &s->owner_pidfd)
		s->owner_gone = true;
	kill_all(s);
}

static void on_signal(struct evsource *src, uint32_t events)
{
	struct supervisor *s = src->arg;
	struct signalfd_siginfo si;
	(void)events;
	if (read(src->fd, &si, sizeof(si)) == sizeof(si))
		kill_all(s);
}

/* Being asked to end is a reason to clean up, not to vanish. SIGCHLD comes by pidfd. */
static int watch_signals(struct supervisor *s)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	s->signals = (struct evsource){
		.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK), .fn = on_signal, .arg = s};
	return s->signals.fd < 0 ? -errno : evloop_add(&s->loop, &s->signals, EPOLLIN);
}

static int watch_owner(struct supervisor *s)
{
	s->owner = (struct evsource){.fd = s->cfg->owner_fd, .fn = on_owner, .arg = s};
	s->owner_pidfd = (struct evsource){.fd = s->cfg->owner_pidfd, .fn = on_owner, .arg = s};
	int ret = evloop_add(&s->loop, &s->owner, EPOLLIN | EPOLLRDHUP);
	return ret < 0 ? ret : evloop_add(&s->loop, &s->owner_pidfd, EPOLLIN);
}

static int watch_child(struct supervisor *s, struct child *c, int listener, struct err *e)
{
	const Mayfly__JailProcess *p = s->cfg->process[s->n - 1];
	int ret = evloop_add(&s->loop, &c->pidfd, EPOLLIN);
	if (listener >= 0 && ret == 0)
		ret = notify_add(&s->notify, listener, p->name, "any");
	else if (listener >= 0)
		close(listener);
	if (ret == 0 && p->link_fd > 0)
		ret = link_start(&c->link, &s->loop, p->link_fd, p->name, p->dials, &s->notify);
	return ret < 0 ? err_errno(e, -ret, "can't watch %s", p->name) : 0;
}

static int start_process(struct supervisor *s, const Mayfly__JailProcess *p, struct err *e)
{
	struct child *c = &s->child[s->n];
	int listener = -1;
	*c = (struct child){.sup = s, .name = p->name};
	c->link.src.fd = -1;
	c->pidfd = (struct evsource){.fd = -1, .fn = on_child, .arg = c};
	c->pid = jail_spawn(&s->jail, p, &c->pidfd.fd, &listener, e);
	if (c->pid < 0)
		return (int)c->pid;
	s->n++;
	s->alive++;
	return watch_child(s, c, listener, e);
}

/* vsock.sock, under the number that mayfly named. */
static int make_listener(struct supervisor *s, struct err *e)
{
	AUTO_CLOSE int listener = statedir_listen(&s->dir, "vsock.sock");
	if (listener < 0)
		return err_errno(e, -listener, "can't make vsock.sock");
	if (s->cfg->listen_to > 0 && dup3(listener, s->cfg->listen_to, O_CLOEXEC) < 0)
		return err_errno(e, errno, "can't place vsock.sock");
	return 0;
}

/* Somebody has asked for this one: no machine without it. why: what cgroup_create() said, or "" */
static int no_cpu_limit(const struct supervisor *s, const char *why, struct err *e)
{
	char text[ERR_TEXT_MAX];
	snprintf(text, sizeof(text), "%s", why);
	return err_set(e, EACCES,
		       "can't limit the machine to %g CPUs: %s (or give a whole number of CPUs)",
		       (double)s->cfg->cpu_permille / 1000,
		       text[0] ? text
			       : "its cgroup has no cpu controller; 'mayfly doctor' says what "
				 "can be limited here");
}

/* Where there is no cgroup to be had the machine runs without, and says so to who listens. */
static int make_cgroup(struct supervisor *s, struct err *e)
{
	struct cgroup_limits lim = {.memory_bytes = s->cfg->memory_max,
				    .pids = s->cfg->pids_max,
				    .cpu_permille = s->cfg->cpu_permille};
	int ret = cgroup_create(&s->cgroup, s->cfg->machine_id, s->dir.dir_fd, &lim, e);
	if (ret < 0 && lim.cpu_permille)
		return no_cpu_limit(s, e->text, e);
	if (ret == 0 && (s->cgroup.missing & (1u << CGROUP_CPU)))
		return no_cpu_limit(s, "", e);
	if (ret == -ENOENT || ret == -EACCES) {
		log_info("no cgroup: %s", e->text);
		return 0;
	}
	if (ret == 0 && s->cgroup.missing)
		log_info("no cgroup for some limits: 'mayfly doctor' says more");
	return ret;
}

static int make_id(struct supervisor *s, struct err *e)
{
	uint32_t first = s->cfg->uid_first;
	uint32_t count = s->cfg->uid_count;
	if (geteuid() != 0 || s->cfg->mode == MAYFLY__JAIL_MODE__JAIL_NONE)
		return 0;
	int ret = count ? idrange_usable(first, count, e) : idrange_default(&first, &count, e);
	return ret < 0 ? ret : idrange_take(&s->id, s->cfg->base_dir_fd, first, count, e);
}

static int start_jailed(struct supervisor *s, struct err *e)
{
	int ret = jail_prepare(&s->jail, s->cfg, (uid_t)s->id.id, e);
	if (ret < 0)
		return ret;
	s->jail.cgroup_fd = cgroup_clone_fd(&s->cgroup);
	ret = cgroup_enter(&s->cgroup);
	if (ret < 0)
		return err_errno(e, -ret, "can't enter the machine's cgroup");
	for (size_t i = 0; ret == 0 && i < s->cfg->n_process; i++)
		ret = start_process(s, s->cfg->process[i], e);
	int left = cgroup_leave(&s->cgroup);
	if (ret == 0 && left < 0)
		ret = err_errno(e, -left, "can't leave the machine's cgroup");
	return ret;
}

static int start_all(struct supervisor *s, struct err *e)
{
	int ret = statedir_create(&s->dir, s->cfg->base_dir_fd, s->cfg->machine_id, e);
	if (ret == 0)
		ret = make_listener(s, e);
	if (ret == 0)
		ret = make_id(s, e);
	if (ret == 0 && s->cfg->mode != MAYFLY__JAIL_MODE__JAIL_NONE)
		ret = make_cgroup(s, e);
	if (ret == 0)
		ret = start_jailed(s, e);
	if (ret < 0)
		return ret;
	ret = jail_seal(&s->jail);
	if (ret == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		ret = -errno;
	/* Connections to the host's programs are made from here (link.c). */
	if (ret == 0 && fchdir(s->dir.dir_fd) < 0)
		ret = -errno;
	return ret < 0 ? err_errno(e, -ret, "the supervisor can't give up its rights") : 0;
}

/* Our copies of the processes' sockets would keep their ends from ever coming. */
static void close_passed(const Mayfly__JailConfig *cfg)
{
	bool closed[JAIL_MAX_FROM] = {false};
	for (size_t i = 0; i < cfg->n_process; i++) {
		const Mayfly__JailProcess *p = cfg->process[i];
		for (size_t k = 0; k <= p->n_fd; k++) {
			int fd = k < p->n_fd ? p->fd[k]->from : p->exec_fd;
			if (!closed[fd])
				close(fd);
			closed[fd] = true;
		}
	}
}

static void tell_started(struct supervisor *s)
{
	Mayfly__JailEvent ev = MAYFLY__JAIL_EVENT__INIT;
	int fds[MAX_PROCESSES + 3];
	size_t n = 0;
	fds[n++] = s->dir.dir_fd;
	fds[n++] = s->dir.lock_fd;
	if (s->id.lock_fd >= 0)
		fds[n++] = s->id.lock_fd;
	for (size_t i = 0; i < s->n; i++)
		fds[n++] = s->child[i].pidfd.fd;
	ev.kind = MAYFLY__JAIL_EVENT__KIND__STARTED;
	tell(s, &ev, fds, n);
}

static void supervise(struct supervisor *s)
{
	while (s->alive > 0) {
		int wait_ms = -1;
		if (s->deadline_ns) {
			uint64_t now = io_now_ns();
			if (now >= s->deadline_ns)
				kill_all(s);
			else
				wait_ms = (int)((s->deadline_ns - now) / 1000000) + 1;
		}
		int ret = evloop_once(&s->loop, wait_ms);
		if (ret < 0) {
			log_error("event loop: %s", strerror(-ret));
			kill_all(s);
			return;
		}
	}
}

int supervisor_run(const Mayfly__JailConfig *cfg, struct err *e)
{
	struct supervisor s = {.cfg = cfg,
			       .dir = {.dir_fd = -1, .lock_fd = -1},
			       .id = {.lock_fd = -1, .dir_fd = -1}};
	Mayfly__JailEvent ev = MAYFLY__JAIL_EVENT__INIT;
	int ret = evloop_init(&s.loop);
	if (ret == 0)
		ret = watch_signals(&s);
	if (ret == 0)
		ret = watch_owner(&s);
	if (ret < 0)
		return err_errno(e, -ret, "can't set up the supervisor");
	notify_init(&s.notify, &s.loop, on_forbidden, &s);
	ret = start_all(&s, e);
	if (ret < 0) {
		kill_all(&s);
		ev.kind = MAYFLY__JAIL_EVENT__KIND__FAILED;
		ev.text = e->text;
		tell(&s, &ev, NULL, 0);
	} else {
		tell_started(&s);
	}
	close_passed(cfg);
	supervise(&s);
	for (size_t i = 0; i < s.n; i++)
		link_close(&s.child[i].link);
	notify_close(&s.notify);
	if (caps_clean_up() < 0 || cgroup_remove(&s.cgroup) < 0)
		log_warn("can't remove the machine's cgroup; 'mayfly gc' will");
	cgroup_close(&s.cgroup);
	idrange_release(&s.id);
	jail_free(&s.jail);
	statedir_remove(&s.dir);
	ev = (Mayfly__JailEvent)MAYFLY__JAIL_EVENT__INIT;
	ev.kind = MAYFLY__JAIL_EVENT__KIND__CLEAN;
	tell(&s, &ev, NULL, 0);
	evloop_close(&s.loop);
	return ret;
}
