// SPDX-License-Identifier: Apache-2.0
// exec_config.h - what the user asked of mayfly exec or attach: values only
#ifndef MAYFLY_CLI_EXEC_CONFIG_H
#define MAYFLY_CLI_EXEC_CONFIG_H

#include "base/err.h"
#include "cli/detach_keys.h"
#include "proto/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct exec_ulimit {
	uint32_t resource;
	uint64_t soft, hard; /* all ones: unlimited */
};

struct exec_config {
	bool attach;
	const char *machine; /* name, id, or the beginning of one */
	uint64_t session;    /* attach: 0: the only one that runs */
	char **argv;	     /* exec: the command, NULL-terminated */
	int argc;
	bool interactive;
	bool tty;
	bool detach;
	bool no_stdin;
	const char **env; /* NAME or NAME=VALUE, as given */
	size_t n_env;
	const char *workdir;
	const char *user; /* "NAME|UID[:GROUP|GID]", the keeper knows them */
	uint64_t timeout_ns;
	uint32_t umask; /* plus one; 0: not given */
	struct exec_ulimit ulimit[PROTO_RLIMITS_MAX];
	size_t n_ulimit;
	uint32_t pids_max;
	struct detach_keys keys;
	int status_fd; /* -1: none */
	bool verbose;
	bool help;
};

void exec_config_defaults(struct exec_config *c);

/* exec_config_parse() - the arguments of mayfly exec, or attach if c says so; 0 or -EINVAL. */
int exec_config_parse(struct exec_config *c, int argc, char **argv, struct err *e);

/* exec_config_help() - the text of --help on standard output. */
void exec_config_help(const struct exec_config *c);

/* exec_config_free() - what exec_config_parse() allocated. */
void exec_config_free(struct exec_config *c);

#endif
