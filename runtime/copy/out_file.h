// SPDX-License-Identifier: Apache-2.0
// out_file.h - one file that appears whole or not at all
#ifndef MAYFLY_COPY_OUT_FILE_H
#define MAYFLY_COPY_OUT_FILE_H

#include "copy/out.h"

/* Names that a killed mayfly may leave behind begin so; at most one, and seldom. */
#define OUT_TEMP_PREFIX ".mayfly-out-"

/*
 * out_file_open() - an empty file in f->dir for f->name, still without a name where the file
 * system can do that. Sets fd and temp. 0 or -errno.
 */
int out_file_open(struct out_file *f);

/* out_file_place() - sets size, mode and time, and gives it its name; an old file is replaced. */
int out_file_place(struct out_file *f);

/* out_file_close() - closes it; what was not placed is removed. */
void out_file_close(struct out_file *f);

/* out_file_symlink() - makes f->name a link with f->mtime; replaces a file or link. 0, -errno. */
int out_file_symlink(const struct out_file *f, const char *target);

#endif
