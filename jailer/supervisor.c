// SPDX-License-Identifier: Apache-2.0
// supervisor.c - starts the processes of one machine, watches them, cleans up behind them
//
// Theory of operation: each process is watched by its pidfd, the owner (mayfly) by its socket and
// pidfd. When one process ends, the others have GRACE_MS to follow; when the vmm or fs ends while
// QEMU runs, or the owner goes or closes its side, all are killed at once. Then the state
// directory is removed and the owner told. If this process is killed itself, the processes get
// SIGKILL from the kernel (jail.c) and the owner removes the directory.
#include "supervisor.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/evloop.h"
#include "base/io.h"
#include "base/log.h"
#include "jail.h"
#include "proto/config_io.h"
#include "statedir.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define MAX_PROCESSES 8
#define MAX_WORDS 512
#define GRACE_MS 1000

struct child {
	struct evsource pidfd;
	struct supervisor *sup;
	const char *name;
	pid_t pid;
};

struct supervisor {
	const Mayfly__JailConfig *cfg;
	struct evloop loop;
	struct statedir dir;
	struct evsource owner;
	struct evsource owner_pidfd;
	struct evsource signals;
	size_t n;
	size_t alive;
	bool owner_gone;
	uint64_t deadline_ns; /* when the rest is killed; 0: not yet */
	struct child child[MAX_PROCESSES];
};

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
	return 0;
}

int supervisor_check(const Mayfly__JailConfig *cfg, struct err *e)
{
	if (cfg->version != CONFIG_VERSION)
		return err_set(e, EINVAL, "configuration version %u, this program knows %d",
			       cfg->version, CONFIG_VERSION);
	if (cfg->n_process == 0 || cfg->n_process > MAX_PROCESSES)
		return err_set(e, EINVAL, "%zu processes, 1 to %d are possible", cfg->n_process,
			       MAX_PROCESSES);
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
	tell(s, &ev, NULL, 0);
	/*
	 * The engine's end takes the others with it in good order, and they may be seen to end
	 * first. One that fails leaves a machine that is of no use.
	 */
	if (status != 0)
		kill_all(s);
	else if (s->deadline_ns == 0)
		s->deadline_ns = io_now_ns() + GRACE_MS * 1000000ull;
}

static void on_owner(struct evsource *src, uint32_t events)
{
	struct supervisor *s = src->arg;
	(void)events;
	/* It never writes: readable means that it closed its side, or broke the rules. */
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

static int start_process(struct supervisor *s, const Mayfly__JailProcess *p, struct err *e)
{
	struct child *c = &s->child[s->n];
	*c = (struct child){.sup = s, .name = p->name};
	c->pidfd = (struct evsource){.fd = -1, .fn = on_child, .arg = c};
	c->pid = jail_spawn(p, s->dir.dir_fd, &c->pidfd.fd, e);
	if (c->pid < 0)
		return (int)c->pid;
	s->n++;
	s->alive++;
	int ret = evloop_add(&s->loop, &c->pidfd, EPOLLIN);
	return ret < 0 ? err_errno(e, -ret, "can't watch %s", p->name) : 0;
}

static int start_all(struct supervisor *s, struct err *e)
{
	int ret = statedir_create(&s->dir, s->cfg->base_dir_fd, s->cfg->machine_id, e);
	if (ret < 0)
		return ret;
	AUTO_CLOSE int listener = statedir_listen(&s->dir, "vsock.sock");
	if (listener < 0)
		return err_errno(e, -listener, "can't make vsock.sock");
	/* mayfly named the number under which the listener is to be found here. */
	if (s->cfg->listen_to > 0 && dup3(listener, s->cfg->listen_to, O_CLOEXEC) < 0)
		return err_errno(e, errno, "can't place vsock.sock");
	for (size_t i = 0; ret == 0 && i < s->cfg->n_process; i++)
		ret = start_process(s, s->cfg->process[i], e);
	return ret;
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
	int fds[MAX_PROCESSES + 2];
	size_t n = 0;
	fds[n++] = s->dir.dir_fd;
	fds[n++] = s->dir.lock_fd;
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
	struct supervisor s = {.cfg = cfg, .dir = {.dir_fd = -1, .lock_fd = -1}};
	Mayfly__JailEvent ev = MAYFLY__JAIL_EVENT__INIT;
	int ret = evloop_init(&s.loop);
	if (ret == 0)
		ret = watch_signals(&s);
	if (ret == 0)
		ret = watch_owner(&s);
	if (ret < 0)
		return err_errno(e, -ret, "can't set up the supervisor");
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
	statedir_remove(&s.dir);
	ev = (Mayfly__JailEvent)MAYFLY__JAIL_EVENT__INIT;
	ev.kind = MAYFLY__JAIL_EVENT__KIND__CLEAN;
	tell(&s, &ev, NULL, 0);
	evloop_close(&s.loop);
	return ret;
}
