// SPDX-License-Identifier: Apache-2.0
// vmm.h - one machine's devices, whichever engine runs its CPUs
#ifndef MAYFLY_VMM_VMM_H
#define MAYFLY_VMM_VMM_H

#include "proto/config_io.h"
#include "virtio/virtio.h"
#include "vmm/dev_thread.h"
#include "vmm/disks.h"
#include "vmm/guest_serial.h"

struct vmm {
	const Mayfly__VmmConfig *cfg;
	uint64_t started_ns;
	struct evloop loop; /* the main thread's: everything but fs */
	struct virtio_dev *vsock, *fs, *rng;
	struct dev_thread fs_thread; /* file reads may block */
	struct evsource fs_gone;
	struct disks disks;
	struct evsource request;
	struct guest_serial serial;
	bool asked;  /* mayfly wants the machine's end, and the report */
	bool halted; /* the guest's kernel runs no more, but has not reset the machine */
	uint64_t panic_deadline_ns; /* for the reset that follows a panic; 0: there was none */
	bool link_broken;	    /* the supervisor did not answer in time */
};

/*
 * vmm_make_devices() - the devices that cfg names, on their loops, carried by nothing yet.
 * Returns 0 or -errno with text.
 */
int vmm_make_devices(struct vmm *v, struct err *e);

/* What an engine is to the VMM's main. All on the main thread. */
struct vmm_engine {
	enum seccomp_table table; /* the main thread's */
	/* start: brings the machine up; 0 or -errno with text. It ends v->loop when it is over. */
	int (*start)(struct vmm *v, struct err *e);
	/* pause: the CPUs stand still, or go on; 0 or -errno. NULL: not this process's to do. */
	int (*pause)(bool on);
	/* ready: the agent is. */
	void (*ready)(struct vmm *v);
	/* end: the loop is over; fills what it knows of the report, whose texts live until exit.
	 * Returns 0, or -errno with text if this process failed. */
	int (*end)(struct vmm *v, Mayfly__VmmReport *r, struct err *e);
};

extern const struct vmm_engine vmm_tcg; /* vmm_tcg.c: QEMU, over vhost-user */
extern const struct vmm_engine vmm_kvm; /* vmm_kvm.c */

#endif
