// SPDX-License-Identifier: Apache-2.0
// engine_choice.h - which engine runs the guest
#ifndef MAYFLY_CLI_ENGINE_CHOICE_H
#define MAYFLY_CLI_ENGINE_CHOICE_H

#include "cli/config.h"

/*
 * engine_choose() - replaces ENGINE_AUTO by what this host can do and opens what that needs.
 * @cache_dir_fd: where the verdict on this host's KVM is kept
 * @kvm_fd: /dev/kvm for ENGINE_KVM, else -1; the caller closes it
 * Returns 0 or -errno with text: KVM was asked for by name and can't be had.
 */
int engine_choose(struct vm_config *c, int cache_dir_fd, int *kvm_fd, struct err *e);

/* engine_kernel_args() - the guest kernel's command line; 0 or -E2BIG. */
int engine_kernel_args(char *buf, size_t len, const struct vm_config *c);

#endif
