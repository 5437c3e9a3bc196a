// SPDX-License-Identifier: Apache-2.0
// agent.c - control connection, command listener, reaping
#include "agent.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "base/log.h"
#include "entropy.h"
#include "guest_stats.h"
#include "mounts.h"
#include "oom_name.h"
#include "power.h"
#include "pty.h"
#include "sessions.h"
#include "setup.h"
#include "spawn.h"
#include "spawn_cgroup.h"
#include "write_back.h"

#include <errno.h>
#include <linux/vm_sockets.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define CONTROL_TIMEOUT_NS 20000000000ull
#define GOODBYE_MS 1000
#define CONNECT_MS 10000
/* The host answers as many questions in all. */
#define CLOCK_TRIES 8
#define CLOCK_SOON_NS 4000000ull
#define ACCEPT_BUDGET 16
/* A connection could not be taken: it is tried again. */
#define DEAF_MS 200
/* Children and signals a turn: those who make them must not keep us from all else. */
#define REAP_BUDGET 256
#define SIGNAL_BUDGET 16
/* To write back: a second less than the host waits for a Goodbye it has asked for
 * (runtime/cli/run.c: SAVE_NS); else it doesn't wait. */
#define WRITE_ASKED_MS 9000
#define WRITE_MS 10000

struct agent {
	struct evloop loop;
	struct frame_conn control;
	struct evsource control_src;
	struct evsource listener;
	struct evsource signals;
	struct evsource initctl;
	bool shutdown; /* the machine is to end, because of */
	Mayfly__Goodbye__Why why;
	bool said_hello;
	bool host_gone;
	bool write_back; /* something of the host's is written to */
	bool more_children;
	struct sessions sessions;
};

static int vsock_socket(void)
{
	int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return fd < 0 ? -errno : fd;
}

/* A source port that only guest root can have: the host accepts no other. */
static int connect_control(struct err *e)
{
	struct sockaddr_vm to = {
		.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_HOST, .svm_port = PROTO_CONTROL_PORT};
	struct sockaddr_vm from = {.svm_family = AF_VSOCK,
				   .svm_cid = VMADDR_CID_ANY,
				   .svm_port = PROTO_CONTROL_SOURCE_PORT};
	AUTO_CLOSE int fd = vsock_socket();
	if (fd < 0)
		return err_errno(e, -fd, "no vsock in this kernel");
	int ret = io_set_nonblock(fd, 1);
	if (ret < 0)
		return err_errno(e, -ret, "control connection");
	if (bind(fd, (struct sockaddr *)&from, sizeof(from)) < 0 ||
	    (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 && errno != EINPROGRESS))
		return err_errno(e, errno, "can't reach the host");
	return steal_fd(&fd);
}

static int wait_connected(int fd, struct err *e)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	int error = 0;
	socklen_t len = sizeof(error);
	if (poll(&p, 1, CONNECT_MS) != 1)
		error = ETIMEDOUT;
	else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	return error ? err_errno(e, error, "can't reach the host") : 0;
}

/* Waits for one frame of the control connection, before the event loop runs. */
static int wait_frame(struct frame_conn *c, Mayfly__Frame **f)
{
	uint64_t deadline = io_now_ns() + CONTROL_TIMEOUT_NS;
	for (;;) {
		int ret = frame_flush(c);
		if (ret >= 0)
			ret = frame_next(c, f);
		if (ret != 0)
			return ret;
		uint64_t now = io_now_ns();
		struct pollfd p = {.fd = c->fd, .events = POLLIN};
		if (now >= deadline)
			return -ETIMEDOUT;
		poll(&p, 1, (int)((deadline - now) / 1000000) + 1);
		ret = frame_fill(c);
		if (ret < 0)
			return ret;
	}
}

static void send_failed(struct agent *a, int code, const char *text)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__Failed failed = MAYFLY__FAILED__INIT;
	failed.code = code;
	failed.text = (char *)(uintptr_t)text;
	f.body_case = MAYFLY__FRAME__BODY_FAILED;
	f.failed = &failed;
	if (frame_send(&a->control, &f) == 0)
		frame_flush(&a->control);
}

/* Once, before anything else that is said. */
static int say_hello(struct agent *a, struct err *e)
{
	if (a->said_hello)
		return 0;
	a->said_hello = true;
	return frame_send_hello(&a->control, "mayfly-init") < 0 ? err_errno(e, ENOMEM, "hello") : 0;
}

/* The next frame of the control connection, which must be of this type; *f is the caller's. */
static int expect(struct agent *a, Mayfly__Frame__BodyCase type, Mayfly__Frame **f, struct err *e)
{
	int ret = wait_frame(&a->control, f);
	if (ret < 0)
		return err_errno(e, -ret, "no setup from the host");
	if ((*f)->body_case == type)
		return 0;
	mayfly__frame__free_unpacked(*f, NULL);
	return err_set(e, EPROTO, "the host sent something else than was its turn");
}

static int ask_clock(struct agent *a, struct err *e)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__Clock question = MAYFLY__CLOCK__INIT;
	f.body_case = MAYFLY__FRAME__BODY_CLOCK;
	f.clock = &question;
	int ret = frame_send(&a->control, &f);
	return ret < 0 ? err_errno(e, -ret, "can't ask for the time") : 0;
}

/*
 * The host answers our Hello with the time, so it is said as late as possible, when there is
 * nothing left to do but to wait for the answer. That was made somewhere between asking and hearing
 * it: the middle is taken. On a busy host that may be far off, so it is asked again until an answer
 * comes soon.
 */
static int set_clock(struct agent *a, struct err *e)
{
	uint64_t best_ns = UINT64_MAX;
	Mayfly__Clock now = MAYFLY__CLOCK__INIT;
	for (int i = 0; i < CLOCK_TRIES && best_ns > CLOCK_SOON_NS; i++) {
		Mayfly__Frame *f = NULL;
		uint64_t asked_ns = io_now_ns();
		int ret = i == 0 ? say_hello(a, e) : ask_clock(a, e);
		if (ret == 0)
			ret = expect(a, MAYFLY__FRAME__BODY_CLOCK, &f, e);
		if (ret < 0)
			return ret;
		uint64_t heard_ns = io_now_ns();
		if (heard_ns - asked_ns < best_ns) {
			best_ns = heard_ns - asked_ns;
			/* What the clock would be at the moment when ours was 0. */
			now.realtime_ns = f->clock->realtime_ns + best_ns / 2 - heard_ns;
		}
		mayfly__frame__free_unpacked(f, NULL);
	}
	now.realtime_ns += io_now_ns();
	return setup_clock(&now, e);
}

static bool writes_to_host(const Mayfly__Setup *setup)
{
	for (size_t i = 0; i < setup->n_view; i++)
		if (setup->view[i]->mode == MAYFLY__VIEW__MODE__READ_WRITE)
			return true;
	return setup->own_disks > 0;
}

/* While nobody is in the guest but us: what we need later is held from here on. */
static void hold_files(void)
{
	guest_stats_init();
	oom_name_init();
	pty_init();
}

static int setup_machine(struct agent *a, struct err *e)
{
	Mayfly__Frame *f = NULL;
	int ret = expect(a, MAYFLY__FRAME__BODY_HELLO, &f, e);
	if (ret < 0)
		return ret;
	mayfly__frame__free_unpacked(f, NULL);
	ret = expect(a, MAYFLY__FRAME__BODY_SETUP, &f, e);
	if (ret < 0)
		return ret;
	a->write_back = writes_to_host(f->setup);
	ret = setup_early(f->setup, e);
	if (ret == 0)
		ret = mounts_build(f->setup, e);
	if (ret == 0)
		ret = setup_late(f->setup, a->control.fd, e);
	hold_files();
	if (ret == 0) {
		int limited = spawn_cgroup_enable(f->setup->pids_max);
		if (limited < 0)
			ret = err_set(
				e, EOPNOTSUPP,
				"this kernel can't limit the number of processes (--pids): it "
				"needs CONFIG_CGROUP_PIDS");
	}
	if (ret == 0)
		ret = entropy_ready(e);
	if (ret == 0)
		ret = set_clock(a, e);
	mayfly__frame__free_unpacked(f, NULL);
	return ret;
}

static void stop_if_over(struct agent *a)
{
	a->loop.stop = a->shutdown || a->host_gone;
}

/* The host is to take what we say of sessions: who doesn't for so long is gone. */
static void control_flush(struct agent *a, int ret)
{
	if (ret == 0)
		ret = frame_flush(&a->control);
	if (ret < 0)
		a->host_gone = true;
	else if (a->control_src.fn)
		evloop_mod(&a->loop, &a->control_src, EPOLLIN | (ret > 0 ? EPOLLOUT : 0));
	stop_if_over(a);
}

static void on_session(void *arg, const struct session *s, Mayfly__SessionEvent__Kind kind)
{
	struct agent *a = arg;
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__SessionEvent m = MAYFLY__SESSION_EVENT__INIT;
	Mayfly__Exit exit = s->exit;
	m.kind = kind;
	m.session = s->id;
	if (kind == MAYFLY__SESSION_EVENT__KIND__STARTED)
		m.pid = (uint32_t)s->started_pid;
	if (kind == MAYFLY__SESSION_EVENT__KIND__ENDED)
		m.exit = &exit;
	f.body_case = MAYFLY__FRAME__BODY_SESSION_EVENT;
	f.session_event = &m;
	control_flush(a, frame_send(&a->control, &f));
}

static int send_stats(struct agent *a)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__GuestStats m = MAYFLY__GUEST_STATS__INIT;
	guest_stats(&m, mounts_memory_fd());
	m.sessions = sessions_running(&a->sessions);
	f.body_case = MAYFLY__FRAME__BODY_GUEST_STATS;
	f.guest_stats = &m;
	return frame_send(&a->control, &f);
}

static int handle_control(struct agent *a, const Mayfly__Frame *f)
{
	struct err e = {0};
	switch (f->body_case) {
	case MAYFLY__FRAME__BODY_SHUTDOWN: a->shutdown = true; return 0;
	case MAYFLY__FRAME__BODY_STATS_ASK: return send_stats(a);
	case MAYFLY__FRAME__BODY_SIGNAL: return sessions_signal(&a->sessions, f);
	case MAYFLY__FRAME__BODY_CLOCK:
		/* A time that can't be is the host's mistake, not the end of the machine. */
		if (setup_clock(f->clock, &e) < 0)
			log_warn("%s", e.text);
		return 0;
	default: return -EPROTO;
	}
}

static void on_control(struct evsource *src, uint32_t events)
{
	struct agent *a = src->arg;
	int ret = (events & ~(uint32_t)EPOLLOUT) ? frame_fill(&a->control) : 0;
	while (ret >= 0 && !a->shutdown) {
		Mayfly__Frame *f = NULL;
		ret = frame_next(&a->control, &f);
		if (ret <= 0)
			break;
		ret = handle_control(a, f);
		mayfly__frame__free_unpacked(f, NULL);
	}
	control_flush(a, MIN(ret, 0));
}

static void on_listener(struct evsource *src, uint32_t events)
{
	struct agent *a = src->arg;
	struct sockaddr_vm peer = {0};
	socklen_t len = sizeof(peer);
	(void)events;
	/* Many may have come at once. */
	for (int i = 0; i < ACCEPT_BUDGET; i++) {
		int fd = accept4(src->fd, (struct sockaddr *)&peer, &len,
				 SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd < 0) {
			if (errno == EAGAIN)
				return;
			/* Guest root can have lowered what we may open. */
			if (errno == EMFILE)
				spawn_raise_limits();
			/* In a while: not all the time again. */
			evloop_mod(&a->loop, src, 0);
			return;
		}
		if (peer.svm_cid != VMADDR_CID_HOST || sessions_accept(&a->sessions, fd) < 0)
			close(fd);
		len = sizeof(peer);
	}
}

static int listen_commands(struct agent *a, struct err *e)
{
	struct sockaddr_vm at = {
		.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = PROTO_AGENT_PORT};
	AUTO_CLOSE int fd = vsock_socket();
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 ||
	    listen(fd, SESSIONS_CONNS_MAX) < 0)
		return err_errno(e, errno, "can't listen for commands");
	int ret = io_set_nonblock(fd, 1);
	if (ret < 0)
		return err_errno(e, -ret, "can't listen for commands");
	a->listener = (struct evsource){.fd = steal_fd(&fd), .fn = on_listener, .arg = a};
	ret = evloop_add(&a->loop, &a->listener, EPOLLIN);
	return ret < 0 ? err_errno(e, -ret, "can't watch the listener") : 0;
}

static void reap_all(struct agent *a)
{
	struct rusage ru;
	int status;
	pid_t pid;
	a->more_children = false;
	for (int i = 0; (pid = wait4(-1, &status, WNOHANG, &ru)) > 0; i++) {
		sessions_reaped(&a->sessions, pid, status, &ru);
		if (i == REAP_BUDGET) {
			a->more_children = true;
			return;
		}
	}
}

static void on_signal(struct evsource *src, uint32_t events)
{
	struct agent *a = src->arg;
	struct signalfd_siginfo si;
	(void)events;
	for (int i = 0; i < SIGNAL_BUDGET && read(src->fd, &si, sizeof(si)) == sizeof(si); i++)
		if (!a->shutdown && power_signal_why((int)si.ssi_signo, &a->why))
			a->shutdown = true;
	reap_all(a);
	stop_if_over(a);
}

static void on_initctl(struct evsource *src, uint32_t events)
{
	struct agent *a = src->arg;
	char request[POWER_REQUEST_SIZE];
	(void)events;
	/* Writes of this size don't mix; what has another one is nobody's request. */
	ssize_t n = read(src->fd, request, sizeof(request));
	if (n > 0 && !a->shutdown && power_request_why(request, (size_t)n, &a->why))
		a->shutdown = true;
	stop_if_over(a);
}

static int watch_signals(struct agent *a)
{
	sigset_t all;
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	sigemptyset(&all);
	sigaddset(&all, SIGCHLD);
	power_signals(&all);
	a->signals = (struct evsource){
		.fd = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK), .fn = on_signal, .arg = a};
	return a->signals.fd < 0 ? -errno : evloop_add(&a->loop, &a->signals, EPOLLIN);
}

/* A share may stand where it would be: signals and reboot(2) work all the same. */
static void watch_initctl(struct agent *a)
{
	a->initctl = (struct evsource){.fd = power_fifo(), .fn = on_initctl, .arg = a};
	int ret = a->initctl.fd;
	if (ret >= 0)
		ret = evloop_add(&a->loop, &a->initctl, EPOLLIN);
	if (ret < 0)
		log_info("no initctl for poweroff(8): %s", strerror(-ret));
}

static int send_ready(struct agent *a, uint64_t init_ns, uint64_t hello_ns)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__Ready r = MAYFLY__READY__INIT;
	r.init_ns = init_ns;
	r.hello_ns = hello_ns;
	r.ready_ns = io_now_ns();
	f.body_case = MAYFLY__FRAME__BODY_READY;
	f.ready = &r;
	int ret = frame_send(&a->control, &f);
	return ret < 0 ? ret : frame_flush(&a->control);
}

static void serve(struct agent *a)
{
	while (!a->loop.stop) {
		int due_ms = sessions_sweep(&a->sessions);
		bool deaf = a->listener.events == 0;
		if (deaf)
			due_ms = due_ms < 0 ? DEAF_MS : MIN(due_ms, DEAF_MS);
		if (evloop_once(&a->loop, a->more_children ? 0 : due_ms) < 0)
			break;
		if (a->more_children)
			reap_all(a);
		if (deaf)
			evloop_mod(&a->loop, &a->listener, EPOLLIN);
	}
}

/* The host closes when it has read all of it: then it is safe to pull the plug. */
static int see_off(struct frame_conn *c)
{
	uint64_t deadline = io_now_ns() + GOODBYE_MS * 1000000ull;
	for (;;) {
		int left = frame_flush(c);
		uint64_t now = io_now_ns();
		if (left < 0 || now >= deadline)
			return MIN(left, 0);
		struct pollfd p = {.fd = c->fd, .events = (short)(POLLIN | (left ? POLLOUT : 0))};
		if (poll(&p, 1, (int)((deadline - now) / 1000000) + 1) < 0)
			return -errno;
		/* What it had said before is of no interest any more. */
		c->in_pos = c->in_len = 0;
		if ((p.revents & ~POLLOUT) && frame_fill(c) < 0)
			return 0;
	}
}

static int say_goodbye(struct agent *a)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__Goodbye bye = MAYFLY__GOODBYE__INIT;
	/* Before the host hears of it, for then it ends the machine. */
	if (a->write_back) {
		bool asked = a->why == MAYFLY__GOODBYE__WHY__ASKED;
		int written = write_back(asked ? WRITE_ASKED_MS : WRITE_MS);
		if (written < 0)
			log_warn("not all could be written back: %s", strerror(-written));
	}
	bye.why = a->why;
	f.body_case = MAYFLY__FRAME__BODY_GOODBYE;
	f.goodbye = &bye;
	int ret = frame_send(&a->control, &f);
	return ret < 0 ? ret : see_off(&a->control);
}

int agent_run(uint64_t init_ns, struct err *e)
{
	struct agent a = {.control.fd = -1};
	a.sessions.loop = &a.loop;
	a.sessions.event = on_session;
	a.sessions.event_arg = &a;
	spawn_raise_limits();
	int ret = evloop_init(&a.loop);
	if (ret == 0)
		ret = watch_signals(&a);
	if (ret < 0)
		return err_errno(e, -ret, "can't set up the agent");
	a.control.fd = connect_control(e);
	if (a.control.fd < 0)
		return a.control.fd;
	/* The host's answer comes while the first mounts are made. */
	ret = mounts_early(e);
	int connected = wait_connected(a.control.fd, ret < 0 ? NULL : e);
	if (connected < 0)
		return connected;
	uint64_t hello_ns = io_now_ns();
	if (ret == 0)
		ret = setup_machine(&a, e);
	if (ret == 0)
		ret = listen_commands(&a, e);
	if (ret < 0) {
		say_hello(&a, NULL);
		send_failed(&a, -ret, e->text);
		return ret;
	}
	a.control_src = (struct evsource){.fd = a.control.fd, .fn = on_control, .arg = &a};
	ret = evloop_add(&a.loop, &a.control_src, EPOLLIN);
	if (ret == 0)
		ret = send_ready(&a, init_ns, hello_ns);
	if (ret < 0)
		return err_errno(e, -ret, "can't tell the host that the machine is ready");
	watch_initctl(&a);
	/* Children may have come and gone before. */
	reap_all(&a);
	serve(&a);
	if (a.host_gone)
		return err_set(e, EPIPE, "the host is gone");
	return say_goodbye(&a);
}
