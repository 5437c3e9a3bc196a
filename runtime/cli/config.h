// SPDX-License-Identifier: Apache-2.0
// config.h - what the user asked for: values only, before anything is opened
#ifndef MAYFLY_CLI_CONFIG_H
#define MAYFLY_CLI_CONFIG_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CONFIG_MAX_SHARES 64
#define CONFIG_MAX_CPUS 32
#define CONFIG_MIN_MEMORY (64ull << 20)
#define CONFIG_MAX_MEMORY (64ull << 30)
#define CONFIG_DEFAULT_MEMORY (1ull << 30)

enum engine { ENGINE_AUTO, ENGINE_TCG, ENGINE_KVM };

struct share {
	const char *host;
	const char *guest; /* NULL: the same path as on the host */
};

struct vm_config {
	enum engine engine;
	uint32_t cpus;
	uint64_t memory;     /* bytes, a multiple of 1 MiB */
	uint64_t timeout_ns; /* 0: none */
	uint64_t boot_timeout_ns;
	const char **env; /* NAME or NAME=VALUE, as given */
	size_t n_env;
	struct share share[CONFIG_MAX_SHARES];
	size_t n_share;
	bool no_cwd;
	const char *workdir;
	const char *rootfs;
	const char *kernel;
	const char *init;
	const char *hostname;
	uid_t uid;
	gid_t gid;
	bool user_given;
	bool console;
	bool timings;
	bool verbose;
	bool help;
	int status_fd; /* -1: none */
	char **argv;   /* the command, NULL-terminated */
	int argc;
};

/* config_defaults() - the caller's ids, one CPU, 1 GiB. */
void config_defaults(struct vm_config *c);

/* config_parse_run() - the arguments of `mayfly run`; 0 or -EINVAL with text. */
int config_parse_run(struct vm_config *c, int argc, char **argv, struct err *e);

/* config_free() - what config_parse_run() allocated. */
void config_free(struct vm_config *c);

/* config_help_run() - the text of `mayfly run --help` on standard output. */
void config_help_run(void);

/* config_parse_share() - "HOST[:GUEST][:ro]"; changes text, keeps pointers into it. */
int config_parse_share(char *text, struct share *s, struct err *e);

#endif
