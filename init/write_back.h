// SPDX-License-Identifier: Apache-2.0
// write_back.h - what waits in memory for a disk or a share goes there before the machine ends
#ifndef MAYFLY_INIT_WRITE_BACK_H
#define MAYFLY_INIT_WRITE_BACK_H

/*
 * write_back() - sync(2), for at most so long: guest root may have mounted something that never
 * answers. Returns 0, -ETIMEDOUT or another -errno.
 */
int write_back(int max_ms);

#endif
