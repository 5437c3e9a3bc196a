// SPDX-License-Identifier: Apache-2.0
// config.h - what the user asked for: values only, before anything is opened
#ifndef MAYFLY_CLI_CONFIG_H
#define MAYFLY_CLI_CONFIG_H

#include "base/err.h"
#include "base/opt.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CONFIG_MAX_SHARES 64
/* --disk and --scratch together: what the other devices leave of 8 slots. */
#define CONFIG_MAX_DISKS 3
#define CONFIG_MIN_SCRATCH (16ull << 20)
#define CONFIG_MAX_SCRATCH (16ull << 40)
#define CONFIG_MAX_OUTS 16
#define CONFIG_OUT_BYTES (16ull << 30)
#define CONFIG_MAX_HIDES 16
#define CONFIG_MAX_CPUS 32
#define CONFIG_MIN_MEMORY (64ull << 20)
#define CONFIG_MAX_MEMORY (64ull << 30)
#define CONFIG_DEFAULT_MEMORY (1ull << 30)
#define CONFIG_MIN_PERMILLE 50
#define CONFIG_MIN_DISK_LIMIT (1ull << 20)
#define CONFIG_MIN_PIDS 4
#define CONFIG_MAX_PIDS 4194304

enum engine { ENGINE_AUTO, ENGINE_TCG, ENGINE_KVM };
/* As JailMode of proto/config.proto. */
enum jail_mode { JAIL_MODE_FULL, JAIL_MODE_REDUCED, JAIL_MODE_NONE };

struct share {
	const char *host;
	const char *guest; /* NULL: the same path as on the host */
	bool writable;
	bool uncached;
	uint64_t quota; /* bytes that the machine may add, 0: no limit */
};

struct disk_option {
	const char *path;
	bool read_only;
};

/* What is copied out of the guest when the command has ended. */
struct out_spec {
	const char *guest;
	const char *host;
	uint64_t max_bytes;
};

struct vm_config {
	enum engine engine; /* ENGINE_AUTO until engine_choose() */
	enum jail_mode jail;
	uint32_t uid_first, uid_count; /* as root: where machines get their ids; 0: the default */
	bool boot;		       /* mayfly boot: any kernel, its console on stdio, no agent */
	uint32_t cpus;
	uint32_t cpu_permille; /* --cpus with a fraction: processor time on the host; 0: no limit */
	uint64_t memory;       /* bytes, a multiple of 1 MiB */
	bool force_memory;     /* also if the host has less */
	uint64_t timeout_ns;   /* 0: none */
	uint64_t boot_timeout_ns;
	uint64_t idle_timeout_ns; /* 0: none, as with the following three */
	uint64_t output_limit;	  /* bytes of standard output and error together */
	uint64_t disk_limit;	  /* bytes that changes may take of the guest's memory */
	uint32_t pids;		  /* processes and threads of the command */
	const char **env;	  /* NAME or NAME=VALUE, as given */
	size_t n_env;
	struct share share[CONFIG_MAX_SHARES];
	size_t n_share;
	struct disk_option disk[CONFIG_MAX_DISKS];
	size_t n_disk;
	uint64_t scratch;	 /* bytes, 0: changes are kept in the guest's memory */
	const char *scratch_dir; /* NULL: TMPDIR, else /var/tmp */
	struct out_spec out[CONFIG_MAX_OUTS];
	size_t n_out;
	const char *hide[CONFIG_MAX_HIDES];
	size_t n_hide;
	bool view_none; /* nothing of the host but the shares */
	bool no_cwd;
	const char *workdir;
	const char *rootfs;
	const char *image;	/* name in the store; NULL: none */
	const char *entrypoint; /* instead of the image's; NULL: that; "": none */
	int image_fd;		/* of the image, borrowed, and its environment: run_image.c */
	char *const *image_env;
	const char *kernel;
	const char *init;   /* boot: the initrd, NULL: none */
	const char *append; /* boot: more words for the kernel's command line */
	unsigned protocol;  /* boot: enum boot_protocol */
	const char *hostname;
	uid_t uid;
	gid_t gid;
	bool user_given;
	bool aslr; /* tcg: random addresses for the guest's programs, too */
	bool tty;  /* run: the command has a terminal */
	bool console;
	bool timings;
	const char *timings_svg; /* NULL: no picture */
	bool trace_exits;
	bool verbose;
	bool help;
	int status_fd;	  /* -1: none */
	bool keep;	  /* mayfly start: this machine lives; these three */
	bool remove;	  /* its record goes with it */
	const char *name; /* NULL: one is made up */
	char **kept;	  /* strings of --config */
	size_t n_kept;
	char **argv; /* the command, NULL-terminated */
	int argc;
};

/* config_defaults() - the caller's ids, one CPU, 1 GiB. */
void config_defaults(struct vm_config *c);

/* config_parse_run() - the arguments of `mayfly run`; 0 or -EINVAL with text. */
int config_parse_run(struct vm_config *c, int argc, char **argv, struct err *e);

/* config_parse_start() - the arguments of `mayfly start`; 0 or -EINVAL with text. config_start.c */
int config_parse_start(struct vm_config *c, int argc, char **argv, struct err *e);
void config_help_start(void);

/* config_run_options() - the rows of run, some of which are start's; config_check_run() - what
 * excludes each other in both; 0 or -EINVAL with text. */
const struct opt *config_run_options(size_t *n);
int config_check_run(const struct vm_config *c, struct err *e);

/* config_parse_boot() - the arguments of `mayfly boot`; 0 or -EINVAL with text. config_boot.c */
int config_parse_boot(struct vm_config *c, int argc, char **argv, struct err *e);
void config_help_boot(void);

/* Values that both subcommands have; option setters of base/opt.h, ctx is a struct vm_config. */
int config_set_engine(void *ctx, const char *v, struct err *e);
int config_set_jail(void *ctx, const char *v, struct err *e);
int config_set_no_jail(void *ctx, const char *v, struct err *e);
int config_set_uid_range(void *ctx, const char *v, struct err *e);
int config_set_cpus(void *ctx, const char *v, struct err *e);
int config_set_memory(void *ctx, const char *v, struct err *e);
int config_set_timeout(void *ctx, const char *v, struct err *e);
int config_set_disk(void *ctx, const char *v, struct err *e);
int config_set_kernel(void *ctx, const char *v, struct err *e);
int config_set_status_fd(void *ctx, const char *v, struct err *e);
int config_set_timings(void *ctx, const char *v, struct err *e);
int config_set_trace_exits(void *ctx, const char *v, struct err *e);
int config_set_verbose(void *ctx, const char *v, struct err *e);
int config_set_help(void *ctx, const char *v, struct err *e);
int config_set_user(void *ctx, const char *v, struct err *e);
int config_set_config(void *ctx, const char *v, struct err *e);

/* Limits; config_limits.c */
int config_set_pids(void *ctx, const char *v, struct err *e);
int config_set_idle_timeout(void *ctx, const char *v, struct err *e);
int config_set_output_limit(void *ctx, const char *v, struct err *e);
int config_set_disk_limit(void *ctx, const char *v, struct err *e);
int config_set_force_memory(void *ctx, const char *v, struct err *e);
/* config_check_limits() - those that exclude each other; 0 or -EINVAL with text. */
int config_check_limits(const struct vm_config *c, struct err *e);

/* config_free() - what config_parse_run() allocated. */
void config_free(struct vm_config *c);

/* config_help_run() - the text of `mayfly run --help` on standard output. */
void config_help_run(void);

/*
 * config_parse_share() - "HOST[:GUEST][:ro|:rw][,size=SIZE][,cache=none|auto]"; changes text, keeps
 * pointers into it.
 */
int config_parse_share(char *text, struct share *s, struct err *e);

/* config_parse_status_fd() - the number of a descriptor that is open for writing. */
int config_parse_status_fd(const char *v, int *fd, struct err *e);

/* config_parse_out() - "GUEST:HOST[,size=SIZE]"; changes text, keeps pointers into it. */
int config_parse_out(char *text, struct out_spec *s, struct err *e);

#endif
