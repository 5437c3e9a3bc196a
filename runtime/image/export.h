// SPDX-License-Identifier: Apache-2.0
// export.h - an image file as a tar archive
#ifndef MAYFLY_IMAGE_EXPORT_H
#define MAYFLY_IMAGE_EXPORT_H

#include "base/err.h"

#include <stdint.h>

/*
 * export_tar() - writes the tree in the image as an uncompressed pax archive: owners, modes, times,
 * links, hard links and extended attributes; holes become zeros.
 * @progress: called with the bytes of files' data written so far; may be NULL
 * Returns 0 or -errno with text.
 */
int export_tar(int image, int out, void (*progress)(void *arg, uint64_t done), void *arg,
	       struct err *e);

#endif
