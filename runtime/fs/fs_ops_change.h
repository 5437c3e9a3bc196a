// SPDX-License-Identifier: Apache-2.0
// fs_ops_change.h - the operations that change something, in writable views
#ifndef MAYFLY_FS_OPS_CHANGE_H
#define MAYFLY_FS_OPS_CHANGE_H

#include "fs/fs_call.h"

/*
 * fs_ops_change() - the function of an opcode that changes something, NULL for every other. It is
 * called with a node of a writable view, for RELEASE with none, and its room has been checked.
 */
op_fn *fs_ops_change(uint32_t opcode);

#endif
