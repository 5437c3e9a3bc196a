// SPDX-License-Identifier: Apache-2.0
// launch.h - what the files of the launch share: descriptors and who gets them
#ifndef MAYFLY_CLI_LAUNCH_H
#define MAYFLY_CLI_LAUNCH_H

#include "cli/machine.h"
#include "engine/tcg.h"
#include "jail.h"
#include "proto/config.pb-c.h"

#define LAUNCH_FIRST_FD 3
/* What any kernel of today takes, less room for the devices that the vmm adds. */
#define KERNEL_ARGS_MAX 3072

struct proc {
	Mayfly__JailProcess p;
	Mayfly__FdMap map[JAIL_MAX_FDS];
	Mayfly__FdMap *map_ptr[JAIL_MAX_FDS];
	ProtobufCBinaryData argv[TCG_MAX_ARGS];
	ProtobufCBinaryData env[2];
	Mayfly__JailFile file[2];
	Mayfly__JailFile *file_ptr[2];
	char *tree[TCG_MAX_TREES];
	int32_t readable[JAIL_MAX_FDS];
	int32_t writable[JAIL_MAX_FDS];
	char config_arg[16];
	int next;
};

/* Our ends go into the machine; the others stay here until the supervisor has its copies. */
struct launch {
	struct proc proc[MACHINE_PROCESSES];
	struct tcg_args qemu;
	char cmdline[KERNEL_ARGS_MAX];
	int fd[96];
	size_t n_fd;
	int null_fd;
	int jailer_exec;
	int jail_config;
	int owner_far;
	int owner_pidfd;
	int log_far[MACHINE_LOGS];
	Mayfly__VmmDisk disk[CONFIG_MAX_DISKS];
	Mayfly__VmmDisk *disk_ptr[CONFIG_MAX_DISKS];
};

/* Descriptors of the vmm and QEMU, our numbers; -1: this machine has none. */
struct wires {
	int vsock[2], fs[2], rng[2], serial[2]; /* tcg; [0] vmm, [1] QEMU */
	int disk[CONFIG_MAX_DISKS][2];		/* tcg */
	int kvm, kernel, init;
	int fs_server;
	int control, report, console;
	int listen; /* number only: mayfly-jailer puts the socket there */
};

#define NO_PAIR                                                                                    \
	{                                                                                          \
		-1, -1                                                                             \
	}
#define NO_WIRES                                                                                   \
	((struct wires){                                                                           \
		.vsock = NO_PAIR,                                                                  \
		.fs = NO_PAIR,                                                                     \
		.rng = NO_PAIR,                                                                    \
		.serial = NO_PAIR,                                                                 \
		.disk = {NO_PAIR, NO_PAIR, NO_PAIR},                                               \
		.kvm = -1,                                                                         \
		.kernel = -1,                                                                      \
		.init = -1,                                                                        \
		.fs_server = -1,                                                                   \
		.control = -1,                                                                     \
		.report = -1,                                                                      \
		.console = -1,                                                                     \
		.listen = -1,                                                                      \
	})

/* launch_own() - remembers a descriptor to be closed after the launch; passes errors on. */
int launch_own(struct launch *l, int fd);
/* launch_pair() - near stays ours, far goes into the machine; 0 or -errno with text. */
int launch_pair(struct launch *l, int type, int *near, int *far, struct err *e);
/* launch_give(), _as() - a process gets a descriptor; the number it has there, -1: no room. */
int launch_give(struct proc *p, int fd);
int launch_give_as(struct proc *p, int fd, int as);
/* launch_give_if() - -1 for a descriptor that is not there. */
int launch_give_if(struct proc *p, int fd);
/* launch_proc_init() - stdio and the program; launch_proc_config() - its argument, a sealed memfd.
 */
int launch_proc_init(struct launch *l, unsigned which, int exec_fd);
int launch_proc_config(struct launch *l, unsigned which, const char *program,
		       const ProtobufCMessage *msg, struct err *e);
void launch_proc_word(ProtobufCBinaryData *list, size_t *n, const char *word);
/* launch_link() - a socket between a process and the supervisor; the process's number for it. */
int launch_link(struct launch *l, struct proc *p, struct err *e);
/* launch_jailed() - is there any jail? */
bool launch_jailed(const struct vm_config *c);

/* launch_publish() - QEMU's files, for the reduced jail; 0 or -errno with text. launch_qemu.c */
int launch_publish(struct launch *l, const struct vm_config *c, struct wires *w, struct err *e);

/* launch_qemu() - the process that is the tcg engine's CPU; 0 or -errno with text. launch_qemu.c */
int launch_qemu(struct launch *l, const struct vm_config *c, const struct wires *w, struct err *e);

#endif
