// SPDX-License-Identifier: Apache-2.0
// cmd_import.h - `mayfly image import`
#ifndef MAYFLY_IMAGE_CMD_IMPORT_H
#define MAYFLY_IMAGE_CMD_IMPORT_H

/* cmd_import() - argv[0] is "import"; returns the exit status. */
int cmd_import(int argc, char **argv);

#endif
