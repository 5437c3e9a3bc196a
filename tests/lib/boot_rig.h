// SPDX-License-Identifier: Apache-2.0
// boot_rig.h - guest RAM and kernel files for the tests of the loaders
#ifndef MAYFLY_TESTS_BOOT_RIG_H
#define MAYFLY_TESTS_BOOT_RIG_H

#include "boot/boot.h"
#include "vmm/gmem.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MIB (1ull << 20)
#define GIB (1ull << 30)

/* boot_rig_ram() - regions as the kvm engine has them: address space only until it is touched. */
void boot_rig_ram(struct gmem *m, uint64_t size);

/* boot_rig_touched() - pages of [from, to) that are there; whole pages of one region. */
size_t boot_rig_touched(const struct gmem *m, uint64_t from, uint64_t to);

/* boot_rig_zero() - true if all of [from, from + len) is 0. */
bool boot_rig_zero(const struct gmem *m, uint64_t from, size_t len);

/* boot_rig_file() - a file with this content; the caller closes it. */
int boot_rig_file(const void *data, size_t len);

/* boot_rig_open() - a file of the build by its name in the tree; -1 if it is not there. */
int boot_rig_open(const char *path, uint64_t *size);

/*
 * boot_rig_verdict() - what is wrong with a loaded kernel, NULL if nothing is.
 * Fresh memory: but for [start, end) of the kernel none may be touched.
 */
const char *boot_rig_verdict(const struct gmem *m, const struct boot_kernel *k);

#endif
