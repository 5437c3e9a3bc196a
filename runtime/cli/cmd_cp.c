// SPDX-License-Identifier: Apache-2.0
// cmd_cp.c - `mayfly cp`: files between the host and a machine that lives
#include "cli/cmd_cp.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/opt.h"
#include "cli/config.h"
#include "cli/control_client.h"
#include "cli/cp_fetch.h"
#include "cli/cp_put.h"
#include "proto/control.pb-c.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define EXIT_FAILED 1
#define EXIT_USAGE 125

struct cp {
	bool quiet;
	bool help;
	uint64_t max_bytes;
	const char *user;
	/* MACHINE:PATH, taken apart. */
	char machine[128];
	const char *guest;
	const char *local;
	bool out; /* of the machine */
};

static int set_archive(void *ctx, const char *v, struct err *e)
{
	(void)ctx;
	(void)v;
	(void)e;
	return 0;
}

static int set_max_size(void *ctx, const char *v, struct err *e)
{
	return opt_bytes(v, &((struct cp *)ctx)->max_bytes, e);
}

static int set_quiet(void *ctx, const char *v, struct err *e)
{
	(void)v;
	(void)e;
	((struct cp *)ctx)->quiet = true;
	return 0;
}

static int set_user(void *ctx, const char *v, struct err *e)
{
	if (!v[0])
		return err_set(e, EINVAL, "a user has a name or a number");
	((struct cp *)ctx)->user = v;
	return 0;
}

static int set_help(void *ctx, const char *v, struct err *e)
{
	(void)v;
	(void)e;
	((struct cp *)ctx)->help = true;
	return 0;
}

static const struct opt cp_options[] = {
	{"archive", 'a', NULL, "modes, times and links: they are always kept", set_archive},
	{"user", 'u', "USER", "who writes and owns the copy in the machine", set_user},
	{"max-size", 0, "SIZE", "refuse more than this out of the machine (default 16G)",
	 set_max_size},
	{"quiet", 'q', NULL, "no progress on the terminal", set_quiet},
	{"help", 'h', NULL, "show this help", set_help},
};

static void print_help(FILE *out)
{
	fprintf(out,
		"usage: mayfly cp [options] MACHINE:PATH LOCAL\n"
		"       mayfly cp [options] LOCAL MACHINE:PATH\n\n"
		"Copies a file or a directory out of a machine or into it. If the target is a\n"
		"directory that is there, the copy goes into it under its own name. LOCAL may be\n"
		"'-': the file is written to standard output.\n\noptions:\n");
	opt_help(out, cp_options, ARRAY_SIZE(cp_options));
}

/* Where the colon is that ends a machine's name; a path with a slash before it is none. */
static const char *machine_colon(const char *arg)
{
	const char *colon = strchr(arg, ':');
	const char *slash = strchr(arg, '/');
	if (!colon || colon == arg || (slash && slash < colon) || arg[0] == '.')
		return NULL;
	return colon;
}

static int take_words(struct cp *c, char *const *words, int n, struct err *e)
{
	if (n != 2)
		return err_set(e, EINVAL, "a source and a target are needed, and nothing more");
	const char *from = machine_colon(words[0]);
	const char *to = machine_colon(words[1]);
	if (!from == !to)
		return err_set(e, EINVAL,
			       from ? "one of the two has to be on the host"
				    : "one of the two has to be MACHINE:PATH (a file on the host "
				      "with a colon in its name is ./NAME)");
	c->out = from != NULL;
	const char *remote = words[from ? 0 : 1];
	const char *colon = from ? from : to;
	c->local = words[from ? 1 : 0];
	c->guest = colon + 1;
	size_t len = (size_t)(colon - remote);
	if (len >= sizeof(c->machine))
		return err_set(e, EINVAL, "'%.40s...' is no machine's name", remote);
	memcpy(c->machine, remote, len);
	if (!c->guest[0] || !c->local[0])
		return err_set(e, EINVAL, "a path is empty");
	if (!c->out && strcmp(c->local, "-") == 0)
		return err_set(e, EINVAL,
			       "standard input can't be copied, its size is not known; use 'mayfly "
			       "exec -i %s -- tee PATH'",
			       c->machine);
	return 0;
}

/*
 * Asks the keeper for a connection; returns it, or -errno. *reply is the caller's, and *keeper,
 * which tells the keeper by its end that the copy is over.
 */
static int ask_keeper(const struct cp *c, int *keeper, Mayfly__ControlReply **reply, struct err *e)
{
	Mayfly__ControlRequest q = MAYFLY__CONTROL_REQUEST__INIT;
	Mayfly__AgentAsk ask = MAYFLY__AGENT_ASK__INIT;
	int fds[2] = {-1, -1};
	size_t n = 0;
	int sock = *keeper = control_open(c->machine, e);
	if (sock < 0)
		return sock;
	if (c->user)
		ask.user = (char *)(uintptr_t)c->user;
	q.version = CONTROL_VERSION;
	q.body_case = MAYFLY__CONTROL_REQUEST__BODY_AGENT;
	q.agent = &ask;
	int ret = control_ask(sock, &q, reply, fds, ARRAY_SIZE(fds), &n, e);
	if (ret == 0 && (n == 0 || (*reply)->body_case != MAYFLY__CONTROL_REPLY__BODY_GRANT))
		ret = err_set(e, EPROTO, "the machine's keeper gave no connection");
	for (size_t i = ret < 0 ? 0 : 1; i < n; i++)
		close_fd(&fds[i]);
	return ret < 0 ? ret : fds[0];
}

/* What PATH means in the machine: relative to where its commands start. */
static int guest_path(const struct cp *c, const Mayfly__ExecGrant *g, char out[PATH_MAX],
		      struct err *e)
{
	bool absolute = c->guest[0] == '/';
	int n = snprintf(out, PATH_MAX, "%s%s%s", absolute ? "" : g->cwd, absolute ? "" : "/",
			 c->guest);
	if (n >= PATH_MAX || out[0] != '/')
		return err_errno(e, ENAMETOOLONG, "the path in the machine");
	return 0;
}

static int copy_out(const struct cp *c, struct cp_conn *conn, const char *path, struct err *e)
{
	struct out_target t = OUT_TARGET_NONE;
	if (strcmp(c->local, "-") == 0)
		return cp_fetch_stdout(conn, path, STDOUT_FILENO, c->max_bytes, e);
	int ret = out_target_open(&t, c->local, c->max_bytes, e);
	if (ret == 0)
		ret = out_target_source(&t, path, "", e);
	out_target_into(&t);
	if (ret == 0)
		ret = cp_fetch(conn, &t, e);
	out_target_close(&t);
	return ret;
}

static int copy(const struct cp *c, struct err *e)
{
	char path[PATH_MAX];
	struct cp_conn conn;
	Mayfly__ControlReply *reply = NULL;
	int ret = c->out ? 0 : cp_put_check(c->local, e);
	if (ret < 0)
		return ret;
	AUTO_CLOSE int keeper = -1;
	int fd = ask_keeper(c, &keeper, &reply, e);
	if (fd < 0) {
		if (reply)
			mayfly__control_reply__free_unpacked(reply, NULL);
		return fd;
	}
	const Mayfly__ExecGrant *g = reply->grant;
	ret = cp_conn_init(&conn, fd);
	conn.quiet = c->quiet;
	if (ret < 0)
		err_errno(e, -ret, "can't talk to the machine's agent");
	if (ret == 0)
		ret = guest_path(c, g, path, e);
	if (ret == 0 && c->out) {
		ret = copy_out(c, &conn, path, e);
	} else if (ret == 0) {
		const struct cp_put_to to = {.path = path,
					     .uid = g->uid,
					     .gid = g->gid,
					     .group = g->group,
					     .n_group = g->n_group};
		ret = cp_put(&conn, c->local, &to, e);
	}
	cp_conn_close(&conn);
	mayfly__control_reply__free_unpacked(reply, NULL);
	return ret;
}

int cmd_cp(int argc, char **argv)
{
	struct cp c = {.max_bytes = CONFIG_OUT_BYTES};
	struct err e = {0};
	int rest = 0;
	int ret = opt_parse_mixed(cp_options, ARRAY_SIZE(cp_options), &c, argc, argv, &rest, &e);
	if (ret == 0 && c.help) {
		print_help(stdout);
		return 0;
	}
	if (ret == 0)
		ret = take_words(&c, argv + rest, argc - rest, &e);
	if (ret < 0) {
		log_error("%s (see 'mayfly cp --help')", e.text);
		return EXIT_USAGE;
	}
	cp_conn_signals();
	ret = copy(&c, &e);
	if (ret == 0)
		return 0;
	log_error("cp %.200s%s%.200s: %s", c.machine, ":", c.guest, e.text);
	return cp_conn_stopped() ? 128 + cp_conn_stopped() : EXIT_FAILED;
}
