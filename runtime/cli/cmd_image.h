// SPDX-License-Identifier: Apache-2.0
// cmd_image.h - `mayfly image`: hands over to the program mayfly-image
#ifndef MAYFLY_CLI_CMD_IMAGE_H
#define MAYFLY_CLI_CMD_IMAGE_H

/* cmd_image() - argv[0] is "image"; returns only on failure, with the exit status. */
int cmd_image(int argc, char **argv);

#endif
