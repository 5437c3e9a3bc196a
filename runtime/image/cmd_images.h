// SPDX-License-Identifier: Apache-2.0
// cmd_images.h - `mayfly image ls`, `inspect`, `rm` and `gc`
#ifndef MAYFLY_IMAGE_CMD_IMAGES_H
#define MAYFLY_IMAGE_CMD_IMAGES_H

/* argv[0] is the subcommand; each returns the exit status. */
int image_ls(int argc, char **argv);
int image_inspect(int argc, char **argv);
int image_rm(int argc, char **argv);
int image_gc(int argc, char **argv);

#endif
