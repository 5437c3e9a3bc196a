// SPDX-License-Identifier: Apache-2.0
// unpack_dir.h - a directory of the host into a tree, and its files' data into an image
#ifndef MAYFLY_IMAGE_UNPACK_DIR_H
#define MAYFLY_IMAGE_UNPACK_DIR_H

#include "image/unpack.h"

/* unpack_dir_scan() - everything below the source's directory, without other mounts; 0 or -errno.
 */
int unpack_dir_scan(struct unpack *u, struct err *e);

/* unpack_dir_write() - as unpack_write(); a file that has changed since is an error. */
int unpack_dir_write(struct unpack *u, const struct erofs_layout *l, int fd, struct err *e);

#endif
