// SPDX-License-Identifier: Apache-2.0
// disks.h - the machine's block devices, each with a thread of its own
#ifndef MAYFLY_VMM_DISKS_H
#define MAYFLY_VMM_DISKS_H

#include "base/err.h"
#include "proto/config_io.h"
#include "vmm/dev_thread.h"

/* What the 8 slots of a machine leave (docs/design.md). */
#define DISKS_MAX 3

struct disk {
	struct virtio_dev *dev;
	struct dev_thread thread;
	struct evsource gone;
	char name[16];
};

struct disks {
	unsigned n;
	struct disk disk[DISKS_MAX];
};

/*
 * disks_make() - the devices that cfg names, carried by nothing yet. Before any table of system
 * calls is loaded.
 * @main: its loop is stopped when the CPU side of a disk is gone
 * Returns 0 or -errno with text.
 */
int disks_make(struct disks *d, const Mayfly__VmmConfig *cfg, struct evloop *main, struct err *e);

/* disks_start() - runs their threads under this table; 0 or -errno with text. */
int disks_start(struct disks *d, const Mayfly__VmmConfig *cfg, enum seccomp_table table,
		struct err *e);

/* disks_why() - -errno if a disk's connection ended for a reason, else 0. */
int disks_why(const struct disks *d);

#endif
