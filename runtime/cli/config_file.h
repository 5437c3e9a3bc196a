// SPDX-License-Identifier: Apache-2.0
// config_file.h - --config: options from a JSON file, before those of the command line
#ifndef MAYFLY_CLI_CONFIG_FILE_H
#define MAYFLY_CLI_CONFIG_FILE_H

#include "base/opt.h"
#include "cli/config.h"

/* The keys are the long options' names. */
#define CONFIG_FILE_MAX (1u << 20)

/*
 * config_file_first() - looks for --config in the arguments and applies what is in the file, so
 * that what the command line says afterwards goes before it. Lists of both are put together.
 * @rows: of the command; --status-fd is set here already, so that a bad file has its verdict
 * Returns 0, or -errno with text that names file and key. The strings belong to c.
 */
int config_file_first(struct vm_config *c, const struct opt *rows, size_t n, int argc, char **argv,
		      struct err *e);

/* config_file_apply() - the same with one file. */
int config_file_apply(struct vm_config *c, const struct opt *rows, size_t n, const char *path,
		      struct err *e);

#endif
