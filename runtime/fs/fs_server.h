// SPDX-License-Identifier: Apache-2.0
// fs_server.h - the loop between the device's socket and the operations
#ifndef MAYFLY_FS_SERVER_H
#define MAYFLY_FS_SERVER_H

#include "fs/fs.h"

/*
 * fs_server_run() - serves requests until the device closes its end.
 * @sock: SOCK_SEQPACKET, blocking
 * Returns 0 at the end of the socket, or -errno if the socket failed.
 */
int fs_server_run(struct fs *fs, int sock);

#endif
