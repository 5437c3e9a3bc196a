// SPDX-License-Identifier: Apache-2.0
// tcg.h - QEMU as nothing but the guest's CPU, memory and interrupt controllers
#ifndef MAYFLY_ENGINE_TCG_H
#define MAYFLY_ENGINE_TCG_H

#include "base/err.h"
#include "cli/config.h"

#define TCG_QEMU "qemu-system-x86_64"
#define TCG_MAX_ARGS 80
#define TCG_MAX_TREES 16
#define TCG_PATH_MAX 32
/* Its table of system calls (jailer/policy). */
#define TCG_SECCOMP_TABLE "qemu"

/* Descriptors by their number inside the QEMU process. */
struct tcg_fds {
	const char *kernel; /* path in its root */
	const char *init;   /* NULL: the machine has none */
	int serial;
	/* these: -1 if the machine has none */
	int vsock;
	int fs;
	int rng;
	int disk[CONFIG_MAX_DISKS];
	unsigned n_disk;
};

struct tcg_args {
	char *argv[TCG_MAX_ARGS];
	size_t n;
};

/* tcg_find_qemu() - QEMU's binary as a descriptor, or -errno with the package to install. */
int tcg_find_qemu(struct err *e);

/* tcg_build_args() - QEMU's whole command line; 0 or -errno. tcg_free_args() frees it. */
int tcg_build_args(struct tcg_args *a, const struct vm_config *c, const struct tcg_fds *fds,
		   const char *cmdline);
void tcg_free_args(struct tcg_args *a);

/* tcg_trees() - the host's directories and files that QEMU needs to run; how many. */
size_t tcg_trees(char *tree[TCG_MAX_TREES]);

/* tcg_tsc_begin() - first reading of the time stamp counter; call it when the program starts. */
void tcg_tsc_begin(void);

/* tcg_tsc_khz() - what the guest is to take the time stamp counter for; waits up to 2 ms. */
unsigned long tcg_tsc_khz(void);

/* tcg_kernel_args() - the guest kernel's command line for this machine. */
int tcg_kernel_args(char *buf, size_t len, const struct vm_config *c);

#endif
