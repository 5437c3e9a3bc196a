// SPDX-License-Identifier: Apache-2.0
// main.c - mayfly-vmm: the devices of one machine, and under kvm the machine itself
//
// vsock and the small devices are served on the main thread, fs on a thread of its own because
// file reads may block. The process ends when the machine does, with one report of how that was
// and what the serial port said last.
#include "base/cleanup.h"
#include "base/io.h"
#include "base/log.h"
#include "proto/jail_link.h"
#include "virtio/fs.h"
#include "virtio/rng.h"
#include "virtio/vsock.h"
#include "vmm/confine.h"
#include "vmm/vmm.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define EXIT_BROKEN 1 /* a device or this program */
#define EXIT_SETUP 2  /* what it was given; mayfly shows the last line as its own */
/* A kernel that has panicked says the rest, and resets: if not, it is over all the same. */
#define PANIC_NS 1000000000ull
/* vsock connections and handshakes, the transports, 32 CPUs, and some to spare. */
#define RESERVED_FDS ((rlim_t)450)

/* One device less is a machine that hangs: it ends as a whole. */
static void on_fs_gone(struct evsource *src, uint32_t events)
{
	struct vmm *v = src->arg;
	(void)events;
	v->loop.stop = true;
}

/*
 * The guest's open files are descriptors here: as many as the hard limit allows, less what the
 * other devices need. Returns how many the guest may have.
 */
static uint32_t raise_open_limit(uint32_t wanted)
{
	struct rlimit rl;
	if (getrlimit(RLIMIT_NOFILE, &rl) < 0)
		return wanted;
	rl.rlim_cur = rl.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &rl) < 0 && getrlimit(RLIMIT_NOFILE, &rl) < 0)
		return wanted;
	rlim_t room = rl.rlim_cur > 2 * RESERVED_FDS ? rl.rlim_cur - RESERVED_FDS : rl.rlim_cur / 2;
	return room < wanted ? (uint32_t)room : wanted;
}

static int make_fs(struct vmm *v, struct err *e)
{
	uint32_t max_open = raise_open_limit(v->cfg->max_open_files);
	int ret = dev_thread_init(&v->fs_thread);
	if (ret == 0)
		ret = virtio_fs_create(&v->fs, &v->fs_thread.loop, v->cfg->fs_server_fd, "mayfly",
				       max_open, v->cfg->fs_writable);
	v->fs_gone = (struct evsource){.fd = v->fs_thread.gone_fd, .fn = on_fs_gone, .arg = v};
	if (ret == 0)
		ret = evloop_add(&v->loop, &v->fs_gone, EPOLLIN);
	return ret < 0 ? err_errno(e, -ret, "can't make the fs device") : 0;
}

/* The supervisor connects: nothing here can make a socket. One that does not answer is asked no
 * more. */
static int dial(void *arg, uint32_t port)
{
	struct vmm *v = arg;
	int fd = v->link_broken ? -ECONNREFUSED : jail_link_dial(v->cfg->link_fd, port);
	if (fd == -ETIMEDOUT || fd == -EPROTO)
		v->link_broken = true;
	return fd;
}

static int make_vsock(struct vmm *v, struct err *e)
{
	struct vsock_config vc = {
		.guest_cid = v->cfg->guest_cid,
		.listen_fd = v->cfg->listen_fd,
		.control_fd = v->cfg->control_fd,
		.dialer = {dial, v},
	};
	int ret = vsock_create(&v->vsock, &v->loop, &vc);
	return ret < 0 ? err_errno(e, -ret, "can't make the vsock device") : 0;
}

int vmm_make_devices(struct vmm *v, struct err *e)
{
	int ret = virtio_rng_create(&v->rng, &v->loop);
	if (ret < 0)
		return err_errno(e, -ret, "can't make the rng device");
	if (v->cfg->control_fd >= 0)
		ret = make_vsock(v, e);
	if (ret == 0 && v->cfg->fs_server_fd >= 0)
		ret = make_fs(v, e);
	return ret < 0 ? ret : disks_make(&v->disks, v->cfg, &v->loop, e);
}

static int send_report(struct vmm *v, Mayfly__VmmReport *r)
{
	static char *tail[SERIAL_LOG_LINES]; /* r goes on to the caller */
	const char *line;
	if (v->fs && virtio_fs_server_gone(v->fs))
		r->end = MAYFLY__VMM_REPORT__END__FS_GONE;
	const char *panic = guest_serial_panic(&v->serial);
	if (panic)
		r->panic_line = (char *)(uintptr_t)panic;
	while ((line = serial_log_get(&v->serial.log, (unsigned)r->n_console_tail)))
		tail[r->n_console_tail++] = (char *)(uintptr_t)line;
	r->power_off = guest_serial_end(&v->serial) == SERIAL_END_POWER_OFF;
	r->started_ns = v->started_ns;
	r->console_tail = tail;
	return config_send(v->cfg->report_fd, &r->base, NULL, 0);
}

static const struct vmm_engine *engine_of(const Mayfly__VmmConfig *cfg)
{
	return cfg->engine == MAYFLY__VMM_CONFIG__ENGINE__KVM ? &vmm_kvm : &vmm_tcg;
}

static void pause_engine(struct vmm *v, bool on)
{
	const struct vmm_engine *engine = engine_of(v->cfg);
	Mayfly__VmmReport r = MAYFLY__VMM_REPORT__INIT;
	int ret = engine->pause ? engine->pause(on) : -ENOTSUP;
	if (ret < 0)
		log_warn("the CPUs can't be paused: %s", strerror(-ret));
	r.note = on && ret == 0 ? MAYFLY__VMM_REPORT__NOTE__NOTE_PAUSED
				: MAYFLY__VMM_REPORT__NOTE__NOTE_RUNNING;
	config_send(v->cfg->report_fd, &r.base, NULL, 0);
}

static void on_request(struct evsource *src, uint32_t events)
{
	struct vmm *v = src->arg;
	ProtobufCMessage *msg = NULL;
	(void)events;
	int ret = config_recv(src->fd, &mayfly__vmm_request__descriptor, &msg, NULL, 0, NULL);
	if (ret == -EAGAIN)
		return;
	if (ret <= 0) {
		/* mayfly is gone or confused; the supervisor knows what to do about that. */
		evloop_del(&v->loop, src);
		return;
	}
	const Mayfly__VmmRequest *q = (const Mayfly__VmmRequest *)msg;
	if (q->ready)
		engine_of(v->cfg)->ready(v);
	if (q->pause != q->resume)
		pause_engine(v, q->pause);
	if (q->end)
		v->asked = v->loop.stop = true;
	protobuf_c_message_free_unpacked(msg, NULL);
}

static int watch_requests(struct vmm *v)
{
	v->request = (struct evsource){.fd = v->cfg->report_fd, .fn = on_request, .arg = v};
	int ret = io_set_nonblock(v->cfg->report_fd, 1);
	return ret < 0 ? ret : evloop_add(&v->loop, &v->request, EPOLLIN);
}

static int start(struct vmm *v, struct err *e)
{
	int ret = evloop_init(&v->loop);
	if (ret == 0)
		ret = watch_requests(v);
	if (ret < 0)
		return err_errno(e, -ret, "can't make an event loop");
	return engine_of(v->cfg)->start(v, e);
}

static int confine(struct vmm *v, struct err *e)
{
	return confine_main(engine_of(v->cfg)->table, e);
}

/* A kernel that stopped its CPUs sets no reset line: what it says last is all there is to see. */
static void look_for_halt(struct vmm *v)
{
	if (guest_serial_end(&v->serial) != SERIAL_END_NONE)
		v->halted = v->loop.stop = true;
	/* A console that is the user's own may show a text about a panic. */
	if (v->cfg->control_fd < 0 || !guest_serial_panic(&v->serial))
		return;
	if (v->panic_deadline_ns == 0)
		v->panic_deadline_ns = io_now_ns() + PANIC_NS;
	else if (io_now_ns() >= v->panic_deadline_ns)
		v->halted = v->loop.stop = true;
}

static int next_wait(const struct vmm *v)
{
	uint64_t now = v->panic_deadline_ns ? io_now_ns() : 0;
	if (v->panic_deadline_ns == 0)
		return -1;
	return now < v->panic_deadline_ns ? (int)((v->panic_deadline_ns - now) / 1000000) + 1 : 0;
}

static int loop_until_over(struct vmm *v)
{
	while (!v->loop.stop) {
		int n = evloop_once(&v->loop, next_wait(v));
		if (n < 0)
			return n;
		look_for_halt(v);
	}
	return 0;
}

static int serve(struct vmm *v, struct err *e)
{
	const struct vmm_engine *engine = engine_of(v->cfg);
	Mayfly__VmmReport r = MAYFLY__VMM_REPORT__INIT;
	int ret = loop_until_over(v);
	if (ret < 0)
		return err_errno(e, -ret, "event loop failed");
	int failed = engine->end(v, &r, e);
	ret = send_report(v, &r);
	if (ret < 0 && ret != -EPIPE && ret != -ECONNRESET)
		return err_errno(e, -ret, "can't report the end of the machine");
	return failed;
}

int main(int argc, char **argv)
{
	static struct vmm v;
	struct err e = {0};
	ProtobufCMessage *msg;
	v.started_ns = io_now_ns();
	log_init("mayfly-vmm", LOG_WARN);
	/* The peer chooses what it passes as an interrupt's descriptor. */
	signal(SIGPIPE, SIG_IGN);
	/* A file too large for a limit of the user is EFBIG in the guest. */
	signal(SIGXFSZ, SIG_IGN);
	int fd = config_fd_arg(argc, argv);
	if (fd < 0) {
		log_error("usage: mayfly-vmm --config-fd N (mayfly-jailer starts it)");
		return EXIT_SETUP;
	}
	if (config_load(fd, &mayfly__vmm_config__descriptor, &msg, &e) < 0) {
		log_error("%s", e.text);
		return EXIT_SETUP;
	}
	close(fd);
	v.cfg = (const Mayfly__VmmConfig *)msg;
	if (v.cfg->version != CONFIG_VERSION) {
		log_error("configuration version %u, this program knows %d", v.cfg->version,
			  CONFIG_VERSION);
		return EXIT_SETUP;
	}
	log_init("mayfly-vmm", (enum log_level)v.cfg->log_level);
	confine_init(v.cfg->link_fd, v.cfg->seccomp);
	if (start(&v, &e) < 0 || confine(&v, &e) < 0) {
		log_error("%s", e.text);
		return EXIT_SETUP;
	}
	if (serve(&v, &e) < 0) {
		log_error("%s", e.text);
		return EXIT_BROKEN;
	}
	return 0;
}
