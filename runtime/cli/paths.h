// SPDX-License-Identifier: Apache-2.0
// paths.h - where mayfly's own programs and the guest's files are
#ifndef MAYFLY_CLI_PATHS_H
#define MAYFLY_CLI_PATHS_H

#include "base/err.h"

/*
 * paths_program() - opens one of our programs: beside this one (a build tree), else in
 * ../lib/mayfly (an installation). Returns a close-on-exec O_PATH descriptor or -errno with text.
 */
int paths_program(const char *name, struct err *e);

/*
 * paths_guest() - opens a file of the guest for reading: given, if not NULL, else guest/<name>
 * beside this program, else ../lib/mayfly/guest/<name>.
 * @what: "kernel", "init image"
 */
int paths_guest(const char *given, const char *name, const char *what, struct err *e);

/* paths_check_kernel() - that the file can be a kernel at all; 0 or -errno with text. */
int paths_check_kernel(int fd, const char *given, struct err *e);

/* paths_which() - opens a program found in PATH; descriptor or -ENOENT. */
int paths_which(const char *name);

#endif
