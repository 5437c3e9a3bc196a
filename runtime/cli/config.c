// SPDX-License-Identifier: Apache-2.0
// config.c - the option rows of `mayfly run`, defaults and validation
#include "cli/config.h"

#include "base/checked.h"
#include "base/opt.h"
#include "cli/config_file.h"
#include "idrange.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BOOT_TIMEOUT_NS 60000000000ull
#define MIB (1ull << 20)

int config_set_engine(void *ctx, const char *v, struct err *e)
{
	static const char *const names[] = {"auto", "tcg", "kvm"};
	struct vm_config *c = ctx;
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(v, names[i]) == 0) {
			c->engine = (enum engine)i;
			return 0;
		}
	return err_set(e, EINVAL, "'%s' is none of auto, tcg, kvm", v);
}

int config_set_jail(void *ctx, const char *v, struct err *e)
{
	struct vm_config *c = ctx;
	if (strcmp(v, "full") != 0 && strcmp(v, "reduced") != 0)
		return err_set(e, EINVAL,
			       "'%s' is neither full nor reduced (and --no-jail is for "
			       "debugging)",
			       v);
	c->jail = strcmp(v, "full") == 0 ? JAIL_MODE_FULL : JAIL_MODE_REDUCED;
	return 0;
}

int config_set_no_jail(void *ctx, const char *v, struct err *e)
{
	(void)v;
	if (geteuid() == 0)
		return err_set(e, EPERM,
			       "refused as root: nothing would stand between the guest "
			       "and this host");
	((struct vm_config *)ctx)->jail = JAIL_MODE_NONE;
	return 0;
}

int config_set_uid_range(void *ctx, const char *v, struct err *e)
{
	struct vm_config *c = ctx;
	return idrange_parse(v, &c->uid_first, &c->uid_count, e);
}

int config_set_memory(void *ctx, const char *v, struct err *e)
{
	uint64_t n;
	int ret = opt_bytes(v, &n, e);
	if (ret < 0)
		return ret;
	if (n < CONFIG_MIN_MEMORY || n > CONFIG_MAX_MEMORY || n % MIB != 0)
		return err_set(e, EINVAL, "'%s' is not a whole number of MiB from 64M to 64G", v);
	((struct vm_config *)ctx)->memory = n;
	return 0;
}

int config_set_timeout(void *ctx, const char *v, struct err *e)
{
	return opt_duration(v, &((struct vm_config *)ctx)->timeout_ns, e);
}

static int set_boot_timeout(void *ctx, const char *v, struct err *e)
{
	return opt_duration(v, &((struct vm_config *)ctx)->boot_timeout_ns, e);
}

static int set_env(void *ctx, const char *v, struct err *e)
{
	struct vm_config *c = ctx;
	if (v[0] == '=' || v[0] == '\0')
		return err_set(e, EINVAL, "'%s' has no name", v);
	const char **bigger = realloc(c->env, (c->n_env + 1) * sizeof(*bigger));
	if (!bigger)
		return err_errno(e, ENOMEM, "environment");
	c->env = bigger;
	c->env[c->n_env++] = v;
	return 0;
}

/* One block. */
#define SHARE_MIN_QUOTA 4096

/* What stands behind "ro" or "rw". */
static int share_words(char *words, struct share *s, struct err *e)
{
	char *w;
	while ((w = strsep(&words, ","))) {
		if (strncmp(w, "size=", 5) == 0) {
			int ret = opt_bytes(w + 5, &s->quota, e);
			if (ret < 0)
				return ret;
			if (!s->writable || s->quota < SHARE_MIN_QUOTA || s->quota > INT64_MAX)
				return err_set(e, EINVAL, "'%s' is for ':rw' only, and at least 4K",
					       w);
		} else if (strcmp(w, "cache=none") == 0 || strcmp(w, "cache=auto") == 0) {
			s->uncached = strcmp(w, "cache=none") == 0;
		} else {
			return err_set(e, EINVAL,
				       "'%s' is not one of size=SIZE, cache=none, cache=auto", w);
		}
	}
	return 0;
}

/* The words begin at the last colon if "ro" or "rw" is all that stands before the first comma. */
static bool is_words(const char *colon)
{
	return (strncmp(colon, ":ro", 3) == 0 || strncmp(colon, ":rw", 3) == 0) &&
	       (colon[3] == '\0' || colon[3] == ',');
}

int config_parse_share(char *text, struct share *s, struct err *e)
{
	char *colon = strrchr(text, ':');
	*s = (struct share){.host = text};
	if (colon && is_words(colon)) {
		*colon = '\0';
		s->writable = colon[2] == 'w';
		int ret = colon[3] ? share_words(colon + 4, s, e) : 0;
		if (ret < 0)
			return ret;
		colon = strrchr(text, ':');
	}
	if (colon) {
		*colon = '\0';
		s->guest = colon + 1;
	}
	if (text[0] == '\0' || (s->guest && s->guest[0] != '/'))
		return err_set(e, EINVAL, "expected HOST[:GUEST][:rw], GUEST an absolute path");
	return 0;
}

static int set_share(void *ctx, const char *v, struct err *e)
{
	struct vm_config *c = ctx;
	if (c->n_share == CONFIG_MAX_SHARES)
		return err_set(e, EINVAL, "more than %d shares", CONFIG_MAX_SHARES);
	/* argv's strings are ours to cut. */
	return config_parse_share((char *)(uintptr_t)v, &c->share[c->n_share++], e);
}

int config_parse_out(char *text, struct out_spec *s, struct err *e)
{
	static const char size[] = ",size=";
	*s = (struct out_spec){.guest = text, .max_bytes = CONFIG_OUT_BYTES};
	char *colon = strchr(text, ':');
	if (!colon || colon == text || !colon[1])
		return err_set(e, EINVAL, "expected GUEST:HOST[,size=SIZE]");
	*colon = '\0';
	char *host = colon + 1;
	s->host = host;
	for (char *p = strstr(host, size); p; p = strstr(p + 1, size))
		colon = p;
	if (*colon != ',')
		return 0;
	*colon = '\0';
	if (!host[0])
		return err_set(e, EINVAL, "expected GUEST:HOST[,size=SIZE]");
	return opt_bytes(colon + sizeof(size) - 1, &s->max_bytes, e);
}

static int set_out(void *ctx, const char *v, struct err *e)
{
	struct vm_config *c = ctx;
	if (c->n_out == CONFIG_MAX_OUTS)
		return err_set(e, EINVAL, "more than %d of them", CONFIG_MAX_OUTS);
	return config_parse_out((char *)(uintptr_t)v, &c->out[c->n_out++], e);
}

static int set_path(const char **field, const char *v, struct err *e)
{
	if (v[0] == '\0')
		return err_set(e, EINVAL, "the name is empty");
	*field = v;
	return 0;
}

int config_set_disk(void *ctx, const char *v, struct err *e)
{
	struct vm_config *c = ctx;
	size_t n = strlen(v);
	/* argv's strings are ours to cut. */
	char *path = (char *)(uintptr_t)v;
	if (c->n_disk == CONFIG_MAX_DISKS)
		return err_set(e, EINVAL, "a machine has at most %d disks", CONFIG_MAX_DISKS);
	bool ro = n >= 3 && strcmp(v + n - 3, ":ro") == 0;
	if (ro)
		path[n - 3] = '\0';
	if (path[0] == '\0')
		return err_set(e, EINVAL, "expected FILE or FILE:ro");
	c->disk[c->n_disk++] = (struct disk_option){.path = path, .read_only = ro};
	return 0;
}

static int set_scratch(void *ctx, const char *v, struct err *e)
{
	struct vm_config *c = ctx;
	char *text = (char *)(uintptr_t)v;
	char *colon = strchr(text, ':');
	if (colon) {
		*colon = '\0';
		c->scratch_dir = colon + 1;
	}
	int ret = opt_bytes(text, &c->scratch, e);
	if (ret < 0)
		return ret;
	if (c->scratch < CONFIG_MIN_SCRATCH || c->scratch > CONFIG_MAX_SCRATCH ||
	    c->scratch % MIB != 0)
		return err_set(e, EINVAL, "'%s' is not a whole number of MiB from 16M to 16384G",
			       v);
	return colon && colon[1] == '\0' ? err_set(e, EINVAL, "expected SIZE or SIZE:DIR") : 0;
}

static int set_view(void *ctx, const char *v, struct err *e)
{
	if (strcmp(v, "none") != 0 && strcmp(v, "system") != 0)
		return err_set(e, EINVAL, "'%s' is neither none nor system", v);
	((struct vm_config *)ctx)->view_none = strcmp(v, "none") == 0;
	return 0;
}

static int set_hide(void *ctx, const char *v, struct err *e)
{
	struct vm_config *c = ctx;
	if (c->n_hide == CONFIG_MAX_HIDES)
		return err_set(e, EINVAL, "more than %d of them", CONFIG_MAX_HIDES);
	return set_path(&c->hide[c->n_hide++], v, e);
}

static int set_workdir(void *ctx, const char *v, struct err *e)
{
	if (v[0] != '/')
		return err_set(e, EINVAL, "'%s' is not an absolute path", v);
	return set_path(&((struct vm_config *)ctx)->workdir, v, e);
}

static int set_rootfs(void *ctx, const char *v, struct err *e)
{
	return set_path(&((struct vm_config *)ctx)->rootfs, v, e);
}

static int set_image(void *ctx, const char *v, struct err *e)
{
	return set_path(&((struct vm_config *)ctx)->image, v, e);
}

static int set_entrypoint(void *ctx, const char *v, struct err *e)
{
	(void)e;
	((struct vm_config *)ctx)->entrypoint = v;
	return 0;
}

int config_set_kernel(void *ctx, const char *v, struct err *e)
{
	return set_path(&((struct vm_config *)ctx)->kernel, v, e);
}

static int set_init(void *ctx, const char *v, struct err *e)
{
	return set_path(&((struct vm_config *)ctx)->init, v, e);
}

static int set_hostname(void *ctx, const char *v, struct err *e)
{
	size_t n = strlen(v);
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)v[i]) && v[i] != '-' && v[i] != '.')
			n = 0;
	if (n == 0 || n > 63 || v[0] == '-' || v[0] == '.')
		return err_set(e, EINVAL, "'%s' is not a host name", v);
	((struct vm_config *)ctx)->hostname = v;
	return 0;
}

static int parse_id(const char *v, bool group, uint32_t *id, gid_t *primary, struct err *e)
{
	uint64_t n;
	if (isdigit((unsigned char)v[0])) {
		int ret = opt_u64(v, 0, UINT32_MAX - 1, &n, e);
		*id = (uint32_t)n;
		return ret;
	}
	const struct passwd *pw = group ? NULL : getpwnam(v);
	const struct group *gr = group ? getgrnam(v) : NULL;
	if (!pw && !gr)
		return err_set(e, EINVAL, "no %s '%s' on this host", group ? "group" : "user", v);
	*id = pw ? pw->pw_uid : gr->gr_gid;
	if (pw)
		*primary = pw->pw_gid;
	return 0;
}

int config_set_user(void *ctx, const char *v, struct err *e)
{
	struct vm_config *c = ctx;
	char user[64];
	const char *colon = strchr(v, ':');
	size_t n = colon ? (size_t)(colon - v) : strlen(v);
	if (n == 0 || n >= sizeof(user))
		return err_set(e, EINVAL, "expected UID[:GID]");
	memcpy(user, v, n);
	user[n] = '\0';
	uint32_t gid = 0;
	gid_t primary = UINT32_MAX;
	int ret = parse_id(user, false, &c->uid, &primary, e);
	if (ret < 0)
		return ret;
	if (primary == UINT32_MAX) {
		const struct passwd *pw = getpwuid(c->uid);
		primary = pw ? pw->pw_gid : c->uid;
	}
	c->gid = primary;
	if (colon) {
		ret = parse_id(colon + 1, true, &gid, &primary, e);
		c->gid = gid;
	}
	c->user_given = true;
	return ret;
}

int config_parse_status_fd(const char *v, int *fd, struct err *e)
{
	uint64_t n;
	int ret = opt_u64(v, 1, 1 << 20, &n, e);
	if (ret < 0)
		return ret;
	int fl = fcntl((int)n, F_GETFL);
	if (fl < 0 || (fl & O_ACCMODE) == O_RDONLY)
		return err_set(e, EBADF, "descriptor %s is not open for writing", v);
	*fd = (int)n;
	return 0;
}

int config_set_status_fd(void *ctx, const char *v, struct err *e)
{
	return config_parse_status_fd(v, &((struct vm_config *)ctx)->status_fd, e);
}

#define FLAG_SETTER(linkage, name, field)                                                          \
	linkage int name(void *ctx, const char *v, struct err *e)                                  \
	{                                                                                          \
		(void)v;                                                                           \
		(void)e;                                                                           \
		((struct vm_config *)ctx)->field = true;                                           \
		return 0;                                                                          \
	}

FLAG_SETTER(static, set_no_cwd, no_cwd)
FLAG_SETTER(static, set_console, console)
FLAG_SETTER(static, set_tty, tty)
FLAG_SETTER(static, set_aslr, aslr)
FLAG_SETTER(, config_set_trace_exits, trace_exits)
FLAG_SETTER(, config_set_verbose, verbose)
FLAG_SETTER(, config_set_help, help)

int config_set_timings(void *ctx, const char *v, struct err *e)
{
	struct vm_config *c = ctx;
	if (!v)
		c->timings = true;
	else if (strcmp(v, "svg") == 0)
		c->timings_svg = "mayfly-timings.svg";
	else if (strncmp(v, "svg:", 4) == 0 && v[4])
		c->timings_svg = v + 4;
	else
		return err_set(e, EINVAL, "'%s' is not svg or svg:FILE", v);
	return 0;
}

/* What run does anyway; people type -it. */
static int set_interactive(void *ctx, const char *v, struct err *e)
{
	(void)ctx;
	(void)v;
	(void)e;
	return 0;
}

static const struct opt run_options[] = {
	{"engine", 0, "auto|tcg|kvm", "what runs the guest's CPU (default auto)",
	 config_set_engine},
	{"cpus", 0, "N", "virtual CPUs, 1 to 32 (default 1); 0.5: one, and half of a CPU's time",
	 config_set_cpus},
	{"memory", 'm', "SIZE", "guest memory, 64M to 64G (default 1G)", config_set_memory},
	{"interactive", 'i', NULL, "pass standard input on, which run always does",
	 set_interactive},
	{"tty", 't', NULL, "give the command a terminal; standard input must be one", set_tty},
	{"force-memory", 0, NULL, "start also if the host has less memory than that",
	 config_set_force_memory},
	{"pids", 0, "N", "how many processes and threads the command may have", config_set_pids},
	{"disk-limit", 0, "SIZE", "how much the command may write (default: half the memory)",
	 config_set_disk_limit},
	{"output-limit", 0, "SIZE",
	 "end the command when it has written more than this: status 137", config_set_output_limit},
	{"idle-timeout", 0, "TIME", "end the machine if nothing goes in or out for so long: 124",
	 config_set_idle_timeout},
	{"timeout", 0, "TIME", "end the machine after this time (10s, 5m, 2h): status 124",
	 config_set_timeout},
	{"boot-timeout", 0, "TIME", "give up if the guest is not ready by then (default 60s)",
	 set_boot_timeout},
	{"env", 'e', "NAME[=VALUE]", "pass a variable on, or set it (repeatable)", set_env},
	{"workdir", 'w', "DIR", "where the command starts, a path in the guest", set_workdir},
	{"share", 0, "HOST[:GUEST][:rw]",
	 "show a host file or directory, writable with :rw[,size=SIZE] (repeatable)", set_share},
	{"disk", 0, "FILE[:ro]", "a raw disk, /dev/vda and so on (repeatable)", config_set_disk},
	{"scratch", 0, "SIZE[:DIR]", "keep what the guest writes in a file, not in its memory",
	 set_scratch},
	{"out", 0, "GUEST:HOST[,size=SIZE]",
	 "copy this file or directory out when the command has ended (repeatable)", set_out},
	{"view", 0, "none|system", "what else the guest sees of the host (default system)",
	 set_view},
	{"hide", 0, "PATH", "a host file or directory that nothing shows (repeatable)", set_hide},
	{"no-cwd", 0, NULL, "do not share the current directory", set_no_cwd},
	{"rootfs", 0, "DIR", "root file system instead of the host's system directories",
	 set_rootfs},
	{"image", 0, "NAME[:TAG]", "an imported image as root file system (see mayfly image)",
	 set_image},
	{"entrypoint", 0, "PROGRAM", "with --image: instead of the image's; '': none",
	 set_entrypoint},
	{"kernel", 0, "FILE", "guest kernel (ELF vmlinux or bzImage)", config_set_kernel},
	{"init", 0, "FILE", "guest init image (cpio)", set_init},
	{"hostname", 0, "NAME", "the guest's host name (default mayfly)", set_hostname},
	{"user", 'u', "UID[:GID]", "who runs the command in the guest (default: you)",
	 config_set_user},
	{"console", 0, NULL, "show the guest's serial console on standard error", set_console},
	{"aslr", 0, NULL, "tcg: random addresses for the guest's programs, too, which start slower",
	 set_aslr},
	{"jail", 0, "full|reduced", "reduced: without namespaces, where the host forbids them",
	 config_set_jail},
	{"no-jail", 0, NULL, "for debugging only: no jail at all; never as root",
	 config_set_no_jail},
	{"uid-range", 0, "FIRST:COUNT", "as root: the ids that machines run under",
	 config_set_uid_range},
	{"timings", 0, "=svg[:FILE]",
	 "say at the end where the time went, on standard error, or as a picture",
	 config_set_timings},
	{"trace-exits", 0, NULL, "kvm: count at the end why the guest's CPUs came back",
	 config_set_trace_exits},
	{"verbose", 'v', NULL, "say what is done and what the machine's parts report",
	 config_set_verbose},
	{"status-fd", 0, "N", "write the verdict as one JSON object to this descriptor",
	 config_set_status_fd},
	{"config", 0, "FILE", "options from a JSON object; those given here win",
	 config_set_config},
	{"help", 'h', NULL, "show this help", config_set_help},
};

void config_defaults(struct vm_config *c)
{
	*c = (struct vm_config){
		.cpus = 1,
		.memory = CONFIG_DEFAULT_MEMORY,
		.boot_timeout_ns = BOOT_TIMEOUT_NS,
		.hostname = "mayfly",
		.uid = geteuid(),
		.gid = getegid(),
		.status_fd = -1,
		.image_fd = -1,
	};
}

const struct opt *config_run_options(size_t *n)
{
	*n = ARRAY_SIZE(run_options);
	return run_options;
}

int config_check_run(const struct vm_config *c, struct err *e)
{
	if (c->view_none && c->rootfs)
		return err_set(e, EINVAL, "--view none and --rootfs exclude each other");
	if (c->image && c->rootfs)
		return err_set(e, EINVAL, "--image and --rootfs are two root file systems");
	if (c->entrypoint && !c->image)
		return err_set(e, EINVAL, "--entrypoint is for --image");
	if (c->argc > 0 && c->argv[0][0] == '\0')
		return err_set(e, EINVAL, "the command's name is empty");
	if (c->n_disk + (c->scratch > 0) + (c->image != NULL) > CONFIG_MAX_DISKS)
		return err_set(
			e, EINVAL,
			"a machine has at most %d disks; --scratch and --image take one each",
			CONFIG_MAX_DISKS);
	return config_check_limits(c, e);
}

int config_parse_run(struct vm_config *c, int argc, char **argv, struct err *e)
{
	int rest = 0;
	int ret = config_file_first(c, run_options, ARRAY_SIZE(run_options), argc, argv, e);
	if (ret == 0)
		ret = opt_parse(run_options, ARRAY_SIZE(run_options), c, argc, argv, &rest, e);
	if (ret < 0 || c->help)
		return ret;
	c->argv = argv + rest;
	c->argc = argc - rest;
	ret = config_check_run(c, e);
	if (ret == 0 && c->argc == 0 && !c->image)
		return err_set(e, EINVAL, "no command given (example: mayfly run -- uname -a)");
	return ret;
}

void config_free(struct vm_config *c)
{
	free(c->env);
	c->env = NULL;
	c->n_env = 0;
	for (size_t i = 0; i < c->n_kept; i++)
		free(c->kept[i]);
	free(c->kept);
	c->kept = NULL;
	c->n_kept = 0;
}

void config_help_run(void)
{
	printf("usage: mayfly run [options] [--] COMMAND [ARGUMENT...]\n"
	       "       mayfly run [options] --image NAME[:TAG] [--] [COMMAND] [ARGUMENT...]\n\n"
	       "Runs a command in a throwaway virtual machine. It sees the host's system\n"
	       "directories and the current directory, can change neither, and has no network.\n"
	       "The exit status is the command's own; 124: timeout, 125: mayfly failed, 126: not\n"
	       "executable, 127: not found, 128+N: killed by signal N.\n\noptions:\n");
	opt_help(stdout, run_options, ARRAY_SIZE(run_options));
}
