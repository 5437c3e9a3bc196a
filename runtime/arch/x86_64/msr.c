// SPDX-License-Identifier: Apache-2.0
// msr.c - boot values of model-specific registers
#include "arch/x86_64/msr.h"

#include "base/checked.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>

/*
 * KVM resets the others (SYSENTER, SYSCALL, KERNEL_GS_BASE) to 0, which is what firmware leaves.
 * Fast strings on. Memory types: write-back everywhere, MTRRs enabled: with them off Linux would
 * take memory for uncached.
 */
static const struct kvm_msr_entry boot_msrs[] = {
	{.index = 0x1a0, .data = 0x1801}, /* MISC_ENABLE: fast strings, no BTS, no PEBS */
	{.index = 0x2ff, .data = 0x806},  /* MTRRdefType: enabled, write-back */
};

int msr_set_boot(int vcpu_fd, struct err *e)
{
	union {
		struct kvm_msrs m;
		uint8_t room[sizeof(struct kvm_msrs) + sizeof(boot_msrs)];
	} u = {0};
	u.m.nmsrs = ARRAY_SIZE(boot_msrs);
	memcpy(u.m.entries, boot_msrs, sizeof(boot_msrs));
	int n = ioctl(vcpu_fd, KVM_SET_MSRS, &u);
	if (n < 0)
		return err_errno(e, errno, "can't set a CPU's registers (MSR)");
	if (n < (int)ARRAY_SIZE(boot_msrs))
		return err_set(e, ENOTSUP, "this host's KVM refuses MSR 0x%x", boot_msrs[n].index);
	return 0;
}
