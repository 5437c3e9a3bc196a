// SPDX-License-Identifier: Apache-2.0
// vmm_tcg.c - QEMU runs the CPUs; the devices are carried to it over vhost-user
//
// vsock and rng are served on the main thread, fs and each disk on a thread of their own. It is
// over when QEMU closes the first of its sockets.
#include "base/err.h"
#include "vmm/confine.h"
#include "vmm/vmm.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define DRAIN_MS 1000

static struct vhost_user vsock_vu, rng_vu;

static void on_engine_gone(struct vhost_user *vu, void *arg)
{
	struct vmm *v = arg;
	(void)vu;
	v->loop.stop = true;
}

static size_t take(struct guest_serial *s, void *buf, size_t max)
{
	ssize_t n = read(s->source.fd, buf, max);
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		s->source_end = true;
	return n > 0 ? (size_t)n : 0;
}

static size_t give(struct guest_serial *s, const void *buf, size_t len)
{
	ssize_t n = write(s->source.fd, buf, len);
	/* QEMU takes typed text as fast as the guest does; what it has no room for is dropped. */
	return n < 0 ? len : (size_t)n;
}

static int carry(struct vmm *v, struct vhost_user *vu, struct virtio_dev *dev, int sock,
		 struct err *e)
{
	vu->sock.fd = -1;
	int ret = dev && sock >= 0 ? vhost_user_start(vu, dev, sock, on_engine_gone, v) : 0;
	return ret < 0 ? err_errno(e, -ret, "can't start the %s device", dev->ops->name) : 0;
}

static int start(struct vmm *v, struct err *e)
{
	v->serial.port = (struct guest_serial_port){.take = take, .give = give};
	int ret = guest_serial_init(&v->serial, &v->loop, v->cfg->serial_fd, v->cfg->console_fd,
				    v->cfg->console_lossless);
	if (ret < 0)
		return err_errno(e, -ret, "can't watch the serial port");
	ret = vmm_make_devices(v, e);
	if (ret == 0)
		ret = carry(v, &vsock_vu, v->vsock, v->cfg->vsock_vhost_fd, e);
	if (ret == 0)
		ret = carry(v, &rng_vu, v->rng, v->cfg->rng_vhost_fd, e);
	if (ret == 0)
		ret = disks_start(&v->disks, v->cfg, SECCOMP_BLK_TCG, e);
	if (ret < 0 || !v->fs)
		return ret;
	confine_expect(1);
	v->fs_thread.table = v->cfg->fs_writable ? SECCOMP_FSDEV_TCG_RW : SECCOMP_FSDEV_TCG;
	ret = dev_thread_start(&v->fs_thread, v->fs, v->cfg->fs_vhost_fd, "fs-device");
	return ret < 0 ? err_errno(e, -ret, "can't start the fs device") : 0;
}

/* The engine's last words may arrive a moment after its other sockets closed. */
static void serial_drain(struct vmm *v)
{
	struct pollfd p = {.fd = v->serial.source.fd, .events = POLLIN};
	while (!v->serial.source_end && poll(&p, 1, DRAIN_MS) > 0)
		guest_serial_drain(&v->serial);
}

static int end(struct vmm *v, Mayfly__VmmReport *r, struct err *e)
{
	if (v->halted)
		r->end = MAYFLY__VMM_REPORT__END__GUEST_HALTED;
	if (v->asked || v->halted) {
		guest_serial_drain(&v->serial);
		return 0;
	}
	r->end = MAYFLY__VMM_REPORT__END__ENGINE_GONE;
	serial_drain(v);
	/* The threads may still be at work; what they say of their end is there if it was first. */
	int why = vsock_vu.why ? vsock_vu.why : v->fs_thread.vu.why;
	if (why == 0)
		why = disks_why(&v->disks);
	return why < 0 ? err_errno(e, -why, "a device can't go on") : 0;
}

static void ready(struct vmm *v)
{
	(void)v;
}

const struct vmm_engine vmm_tcg = {
	.table = SECCOMP_VMM_TCG, .start = start, .ready = ready, .end = end};
