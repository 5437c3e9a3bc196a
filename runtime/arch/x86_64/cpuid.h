// SPDX-License-Identifier: Apache-2.0
// cpuid.h - what the guest's CPUs say of themselves
#ifndef MAYFLY_ARCH_X86_64_CPUID_H
#define MAYFLY_ARCH_X86_64_CPUID_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * cpuid_filter() - takes what KVM supports down to what a sandbox should pass on: no nested
 * virtualization, performance counters, debug store, tracing, enclaves, transactional memory,
 * matrix tiles, resource control, power and thermal leaves, no user-mode wait instructions, no
 * topology of the host's; says that there is a hypervisor.
 * @max: how many entries c has room for: one may be added
 * @tsc_deadline: KVM's local APIC has the TSC-deadline timer
 */
void cpuid_filter(struct kvm_cpuid2 *c, uint32_t max, bool tsc_deadline);

/* cpuid_for_vcpu() - APIC id and topology: one package of n cores, one thread each. Repeatable. */
void cpuid_for_vcpu(struct kvm_cpuid2 *c, unsigned id, unsigned n);

#endif
