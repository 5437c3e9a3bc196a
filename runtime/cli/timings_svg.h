// SPDX-License-Identifier: Apache-2.0
// timings_svg.h - the parts of a run's time as a picture
#ifndef MAYFLY_CLI_TIMINGS_SVG_H
#define MAYFLY_CLI_TIMINGS_SVG_H

#include "base/err.h"
#include "cli/verdict.h"

/*
 * timings_svg_open() - makes or empties the file the picture will go to. Called before there is a
 * guest: one that may write to the file's directory can't have it lead elsewhere later.
 * @fd: the caller's to close
 * Returns 0, or -errno with text: links and all but regular files are refused.
 */
int timings_svg_open(const char *path, int *fd, struct err *e);

/*
 * timings_svg_write() - one bar for each part of the run, under a scale of time.
 * @argv: what was run, NULL-terminated, or NULL; any bytes
 * Returns 0 or -errno.
 */
int timings_svg_write(const struct verdict *v, char *const *argv, int fd);

#endif
