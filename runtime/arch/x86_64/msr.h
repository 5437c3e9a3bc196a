// SPDX-License-Identifier: Apache-2.0
// msr.h - the model-specific registers a kernel expects to find set at its entry
#ifndef MAYFLY_ARCH_X86_64_MSR_H
#define MAYFLY_ARCH_X86_64_MSR_H

#include "base/err.h"

/* msr_set_boot() - after the CPU's CPUID is set; 0 or -errno with text that names the MSR. */
int msr_set_boot(int vcpu_fd, struct err *e);

#endif
