// SPDX-License-Identifier: Apache-2.0
// cmd_image.c - `mayfly image`: hands over to the program mayfly-image
//
// That one needs libarchive and the libraries behind it, whose start would cost every run.
#include "cli/cmd_image.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "cli/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define PROGRAM "mayfly-image"
#define EXIT_USAGE 125

int cmd_image(int argc, char **argv)
{
	struct err e = {0};
	(void)argc;
	AUTO_CLOSE int fd = paths_program(PROGRAM, &e);
	if (fd < 0) {
		log_error("%s", e.text);
		return EXIT_USAGE;
	}
	execveat(fd, "", argv, environ, AT_EMPTY_PATH);
	log_error("can't start mayfly's own program '" PROGRAM "': %s", strerror(errno));
	return EXIT_USAGE;
}
