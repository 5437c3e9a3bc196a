// SPDX-License-Identifier: Apache-2.0
// policy.c - the tables by their numbers
#include "policy.h"

const struct policy *const policies[SECCOMP_TABLES] = {
	[SECCOMP_VMM_KVM] = &policy_vmm_kvm,
	[SECCOMP_VMM_TCG] = &policy_vmm_tcg,
	[SECCOMP_VCPU_KVM] = &policy_vcpu_kvm,
	[SECCOMP_FSDEV_KVM] = &policy_fsdev_kvm,
	[SECCOMP_FSDEV_TCG] = &policy_fsdev_tcg,
	[SECCOMP_FSDEV_KVM_RW] = &policy_fsdev_kvm_rw,
	[SECCOMP_FSDEV_TCG_RW] = &policy_fsdev_tcg_rw,
	[SECCOMP_BLK_KVM] = &policy_blk_kvm,
	[SECCOMP_BLK_TCG] = &policy_blk_tcg,
	[SECCOMP_BLK_IO] = &policy_blk_io,
	[SECCOMP_FS] = &policy_fs,
	[SECCOMP_FS_RW] = &policy_fs_rw,
	[SECCOMP_QEMU] = &policy_qemu,
	[SECCOMP_IMAGE] = &policy_image,
	[SECCOMP_IMAGE_DIR] = &policy_image_dir,
};
