// SPDX-License-Identifier: Apache-2.0
// host_qemu.h - is there a QEMU that the tcg engine can use
#ifndef MAYFLY_CLI_HOST_QEMU_H
#define MAYFLY_CLI_HOST_QEMU_H

#include <limits.h>
#include <stdbool.h>

#define HOST_QEMU_MIN_MAJOR 7
#define HOST_QEMU_MIN_MINOR 2

struct host_qemu {
	bool found;
	bool usable;	     /* found, answers, not too old */
	int error;	     /* found but no answer: errno of the attempt, EPROTO for an odd one */
	unsigned version[3]; /* major, minor, micro */
	char path[PATH_MAX];
};

/* host_qemu_look() - finds QEMU in PATH and asks it for its version, with a deadline. */
void host_qemu_look(struct host_qemu *q);

/* host_qemu_parse() - the version in what `--version` printed; false if there is none. */
bool host_qemu_parse(const char *text, unsigned version[3]);

/* host_qemu_new_enough() - at least HOST_QEMU_MIN_MAJOR.HOST_QEMU_MIN_MINOR. */
bool host_qemu_new_enough(const unsigned version[3]);

#endif
