// SPDX-License-Identifier: Apache-2.0
// exec_config.c - the option rows of mayfly exec and attach
#include "cli/exec_config.h"

#include "base/checked.h"
#include "base/opt.h"
#include "cli/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define USER_MAX 128

static int set_env(void *ctx, const char *v, struct err *e)
{
	struct exec_config *c = ctx;
	if (v[0] == '=' || v[0] == '\0')
		return err_set(e, EINVAL, "'%s' has no name", v);
	const char **bigger = realloc(c->env, (c->n_env + 1) * sizeof(*bigger));
	if (!bigger)
		return err_errno(e, ENOMEM, "environment");
	c->env = bigger;
	c->env[c->n_env++] = v;
	return 0;
}

static int set_workdir(void *ctx, const char *v, struct err *e)
{
	if (v[0] != '/')
		return err_set(e, EINVAL, "'%s' is not an absolute path", v);
	((struct exec_config *)ctx)->workdir = v;
	return 0;
}

static int set_user(void *ctx, const char *v, struct err *e)
{
	const char *colon = strchr(v, ':');
	if (v[0] == '\0' || v[0] == ':' || strlen(v) > USER_MAX || (colon && !colon[1]))
		return err_set(e, EINVAL, "expected UID|NAME[:GID|GROUP]");
	((struct exec_config *)ctx)->user = v;
	return 0;
}

static int set_timeout(void *ctx, const char *v, struct err *e)
{
	return opt_duration(v, &((struct exec_config *)ctx)->timeout_ns, e);
}

static int set_umask(void *ctx, const char *v, struct err *e)
{
	size_t len = strspn(v, "01234567");
	if (len == 0 || len > 4 || v[len] || strtoul(v, NULL, 8) > 0777)
		return err_set(e, EINVAL, "'%s' is not a mask in octal, 0 to 777", v);
	((struct exec_config *)ctx)->umask = (uint32_t)strtoul(v, NULL, 8) + 1;
	return 0;
}

static int set_pids(void *ctx, const char *v, struct err *e)
{
	uint64_t n = 0;
	int ret = opt_u64(v, 1, 1 << 22, &n, e);
	((struct exec_config *)ctx)->pids_max = (uint32_t)n;
	return ret;
}

static const struct {
	const char *name;
	uint32_t resource;
} limits[] = {
	{"as", RLIMIT_AS},
	{"core", RLIMIT_CORE},
	{"cpu", RLIMIT_CPU},
	{"data", RLIMIT_DATA},
	{"fsize", RLIMIT_FSIZE},
	{"locks", RLIMIT_LOCKS},
	{"memlock", RLIMIT_MEMLOCK},
	{"msgqueue", RLIMIT_MSGQUEUE},
	{"nice", RLIMIT_NICE},
	{"nofile", RLIMIT_NOFILE},
	{"nproc", RLIMIT_NPROC},
	{"rss", RLIMIT_RSS},
	{"rtprio", RLIMIT_RTPRIO},
	{"rttime", RLIMIT_RTTIME},
	{"sigpending", RLIMIT_SIGPENDING},
	{"stack", RLIMIT_STACK},
};

/* One of the two numbers, of so many characters; all ones: unlimited. */
static int limit_value(const char *v, size_t len, uint64_t *out, struct err *e)
{
	char text[32];
	if (len == 0 || len >= sizeof(text))
		return err_set(e, EINVAL, "expected NAME=SOFT[:HARD]");
	memcpy(text, v, len);
	text[len] = '\0';
	*out = UINT64_MAX;
	return strcmp(text, "unlimited") == 0 ? 0 : opt_bytes(text, out, e);
}

static int set_ulimit(void *ctx, const char *v, struct err *e)
{
	struct exec_config *c = ctx;
	struct exec_ulimit u = {.resource = UINT32_MAX};
	size_t n = strcspn(v, "=");
	const char *soft = v + n + 1;
	if (!v[n])
		return err_set(e, EINVAL, "expected NAME=SOFT[:HARD]");
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++)
		if (strlen(limits[i].name) == n && strncmp(limits[i].name, v, n) == 0)
			u.resource = limits[i].resource;
	if (u.resource == UINT32_MAX)
		return err_set(e, EINVAL, "'%.*s' is no limit (examples: nofile, fsize, core)",
			       (int)MIN(n, (size_t)40), v);
	size_t len = strcspn(soft, ":");
	int ret = limit_value(soft, len, &u.soft, e);
	u.hard = u.soft;
	if (ret == 0 && soft[len])
		ret = limit_value(soft + len + 1, strlen(soft + len + 1), &u.hard, e);
	if (ret < 0)
		return ret;
	if (u.soft > u.hard)
		return err_set(e, EINVAL, "the soft limit is above the hard one");
	if (c->n_ulimit == PROTO_RLIMITS_MAX)
		return err_set(e, EINVAL, "more than %d of them", PROTO_RLIMITS_MAX);
	c->ulimit[c->n_ulimit++] = u;
	return 0;
}

static int set_keys(void *ctx, const char *v, struct err *e)
{
	return detach_keys_parse(&((struct exec_config *)ctx)->keys, v, e);
}

static int set_status_fd(void *ctx, const char *v, struct err *e)
{
	return config_parse_status_fd(v, &((struct exec_config *)ctx)->status_fd, e);
}

#define FLAG_SETTER(name, field)                                                                   \
	static int name(void *ctx, const char *v, struct err *e)                                   \
	{                                                                                          \
		(void)v;                                                                           \
		(void)e;                                                                           \
		((struct exec_config *)ctx)->field = true;                                         \
		return 0;                                                                          \
	}

FLAG_SETTER(set_interactive, interactive)
FLAG_SETTER(set_tty, tty)
FLAG_SETTER(set_detach, detach)
FLAG_SETTER(set_no_stdin, no_stdin)
FLAG_SETTER(set_verbose, verbose)
FLAG_SETTER(set_help, help)

static const struct opt exec_options[] = {
	{"interactive", 'i', NULL, "pass standard input on also if it is a terminal",
	 set_interactive},
	{"tty", 't', NULL, "give the command a terminal; standard input must be one", set_tty},
	{"detach", 'd', NULL, "print the exec's number and leave as soon as the command runs",
	 set_detach},
	{"no-stdin", 0, NULL, "give the command an empty standard input", set_no_stdin},
	{"env", 'e', "NAME[=VALUE]", "pass a variable on, or set it (repeatable)", set_env},
	{"workdir", 'w', "DIR", "where the command starts, a path in the guest", set_workdir},
	{"user", 'u', "UID|NAME[:GROUP]", "who runs the command (default: the machine's user)",
	 set_user},
	{"timeout", 0, "TIME", "kill the command and all that it started: status 124", set_timeout},
	{"umask", 0, "MASK", "file mode creation mask, in octal (default 022)", set_umask},
	{"ulimit", 0, "NAME=SOFT[:HARD]",
	 "a limit as of setrlimit(2): nofile, fsize, core... (repeatable)", set_ulimit},
	{"pids", 0, "N", "processes and threads of this command", set_pids},
	{"detach-keys", 0, "KEYS", "with -t: keys that leave (default ctrl-p,ctrl-q; none: off)",
	 set_keys},
	{"status-fd", 0, "N", "write the verdict as one JSON object to this descriptor",
	 set_status_fd},
	{"verbose", 'v', NULL, "say what is done", set_verbose},
	{"help", 'h', NULL, "show this help", set_help},
};

static const struct opt attach_options[] = {
	{"no-stdin", 0, NULL, "pass nothing on, watch only", set_no_stdin},
	{"detach-keys", 0, "KEYS",
	 "in a terminal: keys that leave (default ctrl-p,ctrl-q; none: off)", set_keys},
	{"status-fd", 0, "N", "write the verdict as one JSON object to this descriptor",
	 set_status_fd},
	{"verbose", 'v', NULL, "say what is done", set_verbose},
	{"help", 'h', NULL, "show this help", set_help},
};

void exec_config_defaults(struct exec_config *c)
{
	*c = (struct exec_config){.status_fd = -1};
	detach_keys_parse(&c->keys, DETACH_KEYS_DEFAULT, NULL);
}

static int check_exec(struct exec_config *c, int argc, char **argv, int rest, struct err *e)
{
	if (rest < argc && strcmp(argv[rest], "--") == 0)
		rest++;
	c->argv = argv + rest;
	c->argc = argc - rest;
	if (c->argc == 0)
		return err_set(e, EINVAL,
			       "no command given (example: mayfly exec %.64s -- uname -a)",
			       c->machine);
	if (c->argv[0][0] == '\0')
		return err_set(e, EINVAL, "the command's name is empty");
	if (c->no_stdin && (c->interactive || (c->tty && !c->detach)))
		return err_set(e, EINVAL, "--no-stdin excludes -i and -t");
	return 0;
}

static int check_attach(struct exec_config *c, int argc, char **argv, int rest, struct err *e)
{
	if (rest < argc && opt_u64(argv[rest], 1, UINT64_MAX, &c->session, NULL) < 0)
		return err_set(e, EINVAL, "'%s' is not the number of an exec", argv[rest]);
	if (rest + 1 < argc)
		return err_set(e, EINVAL, "'%s': attach takes a machine and the number of an exec",
			       argv[rest + 1]);
	return 0;
}

int exec_config_parse(struct exec_config *c, int argc, char **argv, struct err *e)
{
	int rest = 0;
	int ret = c->attach ? opt_parse_mixed(attach_options, ARRAY_SIZE(attach_options), c, argc,
					      argv, &rest, e)
			    : opt_parse(exec_options, ARRAY_SIZE(exec_options), c, argc, argv,
					&rest, e);
	if (ret < 0 || c->help)
		return ret;
	if (rest >= argc || argv[rest][0] == '\0')
		return err_set(e, EINVAL, "no machine given");
	c->machine = argv[rest++];
	return c->attach ? check_attach(c, argc, argv, rest, e)
			 : check_exec(c, argc, argv, rest, e);
}

void exec_config_help(const struct exec_config *c)
{
	if (c->attach) {
		printf("usage: mayfly attach [options] MACHINE [EXEC]\n\n"
		       "Takes over a command that runs in a machine: its output, its input, its\n"
		       "signals, its exit status. EXEC is its number, as mayfly exec --detach\n"
		       "prints it; without, the only one that runs. Leaving does not end it.\n\n"
		       "options:\n");
		opt_help(stdout, attach_options, ARRAY_SIZE(attach_options));
		return;
	}
	printf("usage: mayfly exec [options] MACHINE [--] COMMAND [ARGUMENT...]\n\n"
	       "Runs a command in a machine that mayfly start has made. Standard input is passed\n"
	       "on if it is no terminal, or with -i or -t. The exit status is the command's own;\n"
	       "124: timeout, 125: mayfly or the machine failed, 126: not executable, 127: not\n"
	       "found, 128+N: killed by signal N.\n\noptions:\n");
	opt_help(stdout, exec_options, ARRAY_SIZE(exec_options));
}

void exec_config_free(struct exec_config *c)
{
	free(c->env);
	c->env = NULL;
	c->n_env = 0;
}
