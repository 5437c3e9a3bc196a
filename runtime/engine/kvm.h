// SPDX-License-Identifier: Apache-2.0
// kvm.h - one virtual machine on the KVM API: memory slots, interrupt controllers, eventfds
#ifndef MAYFLY_ENGINE_KVM_H
#define MAYFLY_ENGINE_KVM_H

#include "base/err.h"
#include "engine/vcpu.h"
#include "vmm/gmem.h"

#include <linux/kvm.h>

#define KVM_CPUID_MAX 128

struct kvm_vcpu {
	int fd;
	struct kvm_run *run;
	size_t run_len;
};

struct kvm_vm {
	int kvm_fd; /* borrowed */
	int fd;
	bool tsc_deadline;
	struct kvm_vcpu vcpu[VCPU_MAX];
	unsigned n;
	size_t run_len;
};

/* What the guest gets beside CPUs and memory. */
struct kvm_options {
	bool pit; /* for kernels that know no better timer */
};

/*
 * kvm_open() - makes the machine: no CPUs, no memory yet, interrupt controllers in the kernel.
 * @kvm_fd: /dev/kvm, opened by who had the right to; stays the caller's
 * Returns 0 or -errno with text; kvm_close() frees what there is in both cases.
 */
int kvm_open(struct kvm_vm *vm, int kvm_fd, const struct kvm_options *opt, struct err *e);
void kvm_close(struct kvm_vm *vm);

/* kvm_set_memory() - a slot for each region of m, which stays mapped while the machine lives. */
int kvm_set_memory(struct kvm_vm *vm, const struct gmem *m, struct err *e);

/* kvm_irqfd() - a write to the eventfd raises this interrupt line once. */
int kvm_irqfd(struct kvm_vm *vm, int event_fd, unsigned gsi, struct err *e);

/* kvm_ioeventfd() - a 4-byte write of value to addr signals the eventfd, with no exit. */
int kvm_ioeventfd(struct kvm_vm *vm, int event_fd, uint64_t addr, uint32_t value, struct err *e);

/* kvm_vcpu.c */

/* How the first CPU enters the kernel. */
struct kvm_entry {
	bool pvh; /* 32-bit entry with the start info in rbx; else 64-bit, zero page in rsi */
	uint64_t rip;
	uint64_t info; /* zero page or start info */
};

/*
 * kvm_add_vcpus() - n CPUs with CPUID, MSRs and registers; the first is to run, the others wait
 * for it to start them. The page tables of the 64-bit entry are in the guest's memory already.
 */
int kvm_add_vcpus(struct kvm_vm *vm, unsigned n, const struct kvm_entry *entry, struct err *e);

/* kvm_vcpus_started() - how many CPUs the guest has ever used; when their threads have ended. */
unsigned kvm_vcpus_started(const struct kvm_vm *vm);

/* The engine for vcpu.h; its CPUs are struct kvm_vcpu. */
extern const struct vcpu_ops kvm_vcpu_ops;

#endif
