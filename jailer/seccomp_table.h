// SPDX-License-Identifier: Apache-2.0
// seccomp_table.h - which tables of system calls there are
#ifndef MAYFLY_JAILER_SECCOMP_TABLE_H
#define MAYFLY_JAILER_SECCOMP_TABLE_H

/* One for each kind of thread, one for QEMU as a whole, two that need no machine. */
enum seccomp_table {
	SECCOMP_VMM_KVM, /* main threads */
	SECCOMP_VMM_TCG,
	SECCOMP_VCPU_KVM,
	SECCOMP_FSDEV_KVM,
	SECCOMP_FSDEV_TCG,
	SECCOMP_FSDEV_KVM_RW, /* with a writable share */
	SECCOMP_FSDEV_TCG_RW,
	SECCOMP_BLK_KVM, /* a disk's thread */
	SECCOMP_BLK_TCG,
	SECCOMP_BLK_IO, /* those that block for it, without io_uring */
	SECCOMP_FS,
	SECCOMP_FS_RW,
	SECCOMP_QEMU,
	SECCOMP_IMAGE, /* mayfly-image's process that reads archives */
	SECCOMP_IMAGE_DIR,
	SECCOMP_TABLES,
};

#endif
