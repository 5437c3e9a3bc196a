// SPDX-License-Identifier: Apache-2.0
// cmd_export.h - `mayfly image export`
#ifndef MAYFLY_IMAGE_CMD_EXPORT_H
#define MAYFLY_IMAGE_CMD_EXPORT_H

/* cmd_export() - argv[0] is "export"; returns the exit status. */
int cmd_export(int argc, char **argv);

#endif
