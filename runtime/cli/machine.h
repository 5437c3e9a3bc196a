// SPDX-License-Identifier: Apache-2.0
// machine.h - one machine as mayfly sees it: its supervisor, its sockets, its end
#ifndef MAYFLY_CLI_MACHINE_H
#define MAYFLY_CLI_MACHINE_H

#include "cli/config.h"
#include "cli/disk_files.h"
#include "cli/views.h"

#include <sys/types.h>

/* In the order of their start: QEMU takes longest to come up. kvm has no QEMU, boot no fs. */
enum machine_process { MACHINE_QEMU, MACHINE_VMM, MACHINE_FS, MACHINE_PROCESSES };
/* The supervisor's log comes after those of the processes. */
#define MACHINE_LOGS (MACHINE_PROCESSES + 1)
#define MACHINE_ID_MAX 32

/* Every descriptor is close-on-exec and -1 when not there. */
struct machine {
	char id[MACHINE_ID_MAX];
	pid_t jailer;
	int jailer_pidfd;
	int owner;   /* SOCK_SEQPACKET: JailEvent */
	int control; /* stream: the agent's control connection */
	int report;  /* SOCK_SEQPACKET: VmmReport */
	int console; /* stream of guest text, with --console; and of typed text, for boot */
	int log[MACHINE_LOGS];
	int base_fd; /* directory of machines */
	int dir_fd;  /* this machine's, after STARTED */
	int lock_fd;
	int id_fd; /* lock of the machine's uid and gid, -1: it has none */
	bool has[MACHINE_PROCESSES];
	int pidfd[MACHINE_PROCESSES]; /* after STARTED */
};

/* A machine that does not exist yet. */
#define MACHINE_NONE                                                                               \
	((struct machine){                                                                         \
		.jailer_pidfd = -1,                                                                \
		.owner = -1,                                                                       \
		.control = -1,                                                                     \
		.report = -1,                                                                      \
		.console = -1,                                                                     \
		.log = {-1, -1, -1, -1},                                                           \
		.base_fd = -1,                                                                     \
		.dir_fd = -1,                                                                      \
		.lock_fd = -1,                                                                     \
		.id_fd = -1,                                                                       \
		.pidfd = {-1, -1, -1},                                                             \
	})

/* machine_process_name() - fs, vmm, qemu; "jailer" for MACHINE_PROCESSES. */
const char *machine_process_name(unsigned i);

/*
 * machine_launch() - opens what is missing, starts the supervisor with everything it needs.
 * @c: its engine is decided here
 * @v: not used for mayfly boot
 * @d: the disks
 * Returns 0, or -errno with text; machine_finish() frees what there is in both cases.
 */
int machine_launch(struct machine *m, struct vm_config *c, struct views *v,
		   const struct disk_files *d, struct err *e);

/* machine_connect() - a new non-blocking connection; the handshake is still to be done. */
int machine_connect(const struct machine *m, struct err *e);

/* machine_kill() - asks the supervisor to end everything now; its CLEAN event follows. */
void machine_kill(struct machine *m);

/*
 * machine_finish() - returns when every process of the machine is gone and its directory is
 * removed, also if the supervisor died. Frees all.
 */
void machine_finish(struct machine *m);

#endif
