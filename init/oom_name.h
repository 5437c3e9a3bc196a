// SPDX-License-Identifier: Apache-2.0
// oom_name.h - which process the kernel has killed for lack of memory
#ifndef MAYFLY_INIT_OOM_NAME_H
#define MAYFLY_INIT_OOM_NAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OOM_NAME_MAX 32

/*
 * oom_name_init() - opens the kernel's log, before there is anybody in the guest who could mount
 * something over it.
 */
void oom_name_init(void);

/*
 * oom_name_record() - is this record of /dev/kmsg the kernel's word that it kills a process of this
 * session? Then name is set to the process's, printable.
 */
bool oom_name_record(const char *record, uint64_t session, char name[OOM_NAME_MAX]);

/* oom_name_find() - the last one that the kernel's log still knows; "" if none. Never waits. */
void oom_name_find(uint64_t session, char name[OOM_NAME_MAX]);

#endif
