// SPDX-License-Identifier: Apache-2.0
// main.c - mayfly-vmm: the devices of one machine
//
// Under the tcg engine QEMU is the machine's CPU; this process serves its devices over vhost-user:
// vsock on the main thread, fs on a thread of its own because file reads may block. It ends when
// QEMU does, with one report of what the serial port said.
#include "base/cleanup.h"
#include "base/io.h"
#include "base/log.h"
#include "proto/config_io.h"
#include "virtio/fs.h"
#include "virtio/vsock.h"
#include "vmm/dev_thread.h"
#include "vmm/serial_log.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#define EXIT_SETUP 1
#define DRAIN_MS 1000
/* vsock connections and handshakes, vhost-user, and some to spare. */
#define RESERVED_FDS ((rlim_t)400)

struct vmm {
	Mayfly__VmmConfig *cfg;
	struct evloop loop;
	struct vhost_user vsock_vu;
	struct virtio_dev *vsock;
	struct virtio_dev *fs;
	struct dev_thread fs_thread;
	struct evsource fs_gone;
	struct evsource serial;
	int console_fd;
	struct serial_log serial_log;
};

static void on_engine_gone(struct vhost_user *vu, void *arg)
{
	struct vmm *v = arg;
	(void)vu;
	v->loop.stop = true;
}

/* One device less is a machine that hangs: it ends as a whole. */
static void on_fs_gone(struct evsource *src, uint32_t events)
{
	struct vmm *v = src->arg;
	(void)events;
	v->loop.stop = true;
}

/* Returns false at the end of the stream. */
static bool serial_read(struct vmm *v)
{
	char buf[4096];
	ssize_t n = read(v->serial.fd, buf, sizeof(buf));
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n == 0)
		return false;
	serial_log_add(&v->serial_log, buf, (size_t)n);
	if (v->console_fd >= 0) {
		/* A reader that is too slow loses text; the guest is never held up by it. */
		ssize_t w = write(v->console_fd, buf, (size_t)n);
		(void)w;
	}
	return true;
}

static void on_serial(struct evsource *src, uint32_t events)
{
	struct vmm *v = src->arg;
	(void)events;
	if (!serial_read(v)) {
		evloop_del(&v->loop, src);
		close_fd(&src->fd);
	}
}

/* The engine's last words may arrive a moment after its other sockets closed. */
static void serial_drain(struct vmm *v)
{
	struct pollfd p = {.fd = v->serial.fd, .events = POLLIN};
	while (v->serial.fd >= 0 && poll(&p, 1, DRAIN_MS) > 0)
		if (!serial_read(v))
			return;
}

static int send_report(struct vmm *v)
{
	Mayfly__VmmReport r = MAYFLY__VMM_REPORT__INIT;
	char *tail[SERIAL_LOG_LINES];
	const char *line;
	r.end = virtio_fs_server_gone(v->fs) ? MAYFLY__VMM_REPORT__END__FS_GONE
					     : MAYFLY__VMM_REPORT__END__ENGINE_GONE;
	if (v->serial_log.panicked)
		r.panic_line = v->serial_log.panic;
	while ((line = serial_log_get(&v->serial_log, (unsigned)r.n_console_tail)))
		tail[r.n_console_tail++] = (char *)(uintptr_t)line;
	r.console_tail = tail;
	return config_send(v->cfg->report_fd, &r.base, NULL, 0);
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

static int start_fs(struct vmm *v, struct err *e)
{
	uint32_t max_open = raise_open_limit(v->cfg->max_open_files);
	int ret = dev_thread_init(&v->fs_thread);
	if (ret == 0)
		ret = virtio_fs_create(&v->fs, &v->fs_thread.loop, v->cfg->fs_server_fd, "mayfly",
				       max_open);
	v->fs_gone = (struct evsource){.fd = v->fs_thread.gone_fd, .fn = on_fs_gone, .arg = v};
	if (ret == 0)
		ret = evloop_add(&v->loop, &v->fs_gone, EPOLLIN);
	if (ret == 0)
		ret = dev_thread_start(&v->fs_thread, v->fs, v->cfg->fs_vhost_fd, "fs-device");
	return ret < 0 ? err_errno(e, -ret, "can't start the fs device") : 0;
}

static int start_vsock(struct vmm *v, struct err *e)
{
	struct vsock_config vc = {
		.guest_cid = v->cfg->guest_cid,
		.listen_fd = v->cfg->listen_fd,
		.control_fd = v->cfg->control_fd,
	};
	int ret = vsock_create(&v->vsock, &v->loop, &vc);
	if (ret == 0)
		ret = vhost_user_start(&v->vsock_vu, v->vsock, v->cfg->vsock_vhost_fd,
				       on_engine_gone, v);
	return ret < 0 ? err_errno(e, -ret, "can't start the vsock device") : 0;
}

static int start_serial(struct vmm *v, struct err *e)
{
	v->console_fd = v->cfg->console_fd;
	v->serial = (struct evsource){.fd = v->cfg->serial_fd, .fn = on_serial, .arg = v};
	int ret = io_set_nonblock(v->serial.fd, 1);
	if (ret == 0 && v->console_fd >= 0)
		ret = io_set_nonblock(v->console_fd, 1);
	if (ret == 0)
		ret = evloop_add(&v->loop, &v->serial, EPOLLIN);
	return ret < 0 ? err_errno(e, -ret, "can't watch the serial port") : 0;
}

static int serve(struct vmm *v, struct err *e)
{
	int ret = evloop_init(&v->loop);
	if (ret < 0)
		return err_errno(e, -ret, "can't make an event loop");
	ret = start_serial(v, e);
	if (ret == 0)
		ret = start_vsock(v, e);
	if (ret == 0)
		ret = start_fs(v, e);
	if (ret < 0)
		return ret;
	ret = evloop_run(&v->loop);
	if (ret < 0)
		return err_errno(e, -ret, "event loop failed");
	serial_drain(v);
	ret = send_report(v);
	if (ret < 0 && ret != -EPIPE && ret != -ECONNRESET)
		return err_errno(e, -ret, "can't report the end of the machine");
	/* The threads may still be at work; what they say of their end is there if it was first. */
	int why = v->vsock_vu.why ? v->vsock_vu.why : v->fs_thread.vu.why;
	return why < 0 ? err_errno(e, -why, "a device can't go on") : 0;
}

int main(int argc, char **argv)
{
	struct err e = {0};
	struct vmm v = {0};
	ProtobufCMessage *msg;
	log_init("mayfly-vmm", LOG_WARN);
	/* The peer chooses what it passes as an interrupt's descriptor. */
	signal(SIGPIPE, SIG_IGN);
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
	v.cfg = (Mayfly__VmmConfig *)msg;
	if (v.cfg->version != CONFIG_VERSION) {
		log_error("configuration version %u, this program knows %d", v.cfg->version,
			  CONFIG_VERSION);
		return EXIT_SETUP;
	}
	log_init("mayfly-vmm", (enum log_level)v.cfg->log_level);
	if (serve(&v, &e) < 0) {
		log_error("%s", e.text);
		return EXIT_SETUP;
	}
	return 0;
}
