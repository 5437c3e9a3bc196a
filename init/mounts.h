// SPDX-License-Identifier: Apache-2.0
// mounts.h - the guest's file tree: overlay root, system mounts, views
#ifndef MAYFLY_INIT_MOUNTS_H
#define MAYFLY_INIT_MOUNTS_H

#include "base/err.h"
#include "proto/agent.pb-c.h"

/* mounts_early() - what needs no word from the host: /proc, the fs device, the tmpfs above it. */
int mounts_early(struct err *e);

/*
 * mounts_build() - from the initramfs to the root that Setup describes, with all its views.
 * Afterwards "/" is the guest's root. Returns 0 or -errno with text.
 */
int mounts_build(const Mayfly__Setup *setup, struct err *e);

/* mounts_memory_fd() - the tmpfs that takes changes, for fstatfs(); -1 before mounts_build(). */
int mounts_memory_fd(void);

/* mounts_mkdir_p() - makes a directory and its parents with mode 0755; 0 or -errno. */
int mounts_mkdir_p(const char *path);

#endif
