// SPDX-License-Identifier: Apache-2.0
// cmd_exec.c - mayfly exec: a command in a machine that lives
#include "cli/cmd_exec.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "cli/env_list.h"
#include "cli/exec_main.h"
#include "cli/verdict.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Of the command, for `ps`. */
#define ARGV_SHOWN 4096
#define ARGV_SHOWN_COUNT 64

/* What the keeper is told of the command: as many whole words as fit. */
static size_t show_argv(char *const *argv, ProtobufCBinaryData *out)
{
	size_t n = 0;
	for (size_t left = ARGV_SHOWN; n < ARGV_SHOWN_COUNT && argv[n]; n++) {
		size_t len = strlen(argv[n]);
		if (len > left)
			break;
		left -= len;
		out[n].data = (uint8_t *)argv[n];
		out[n].len = len;
	}
	return n;
}

/* The machine's environment, the terminal's kind, what --env says. */
static int make_env(struct env_list *env, const struct exec_config *c,
		    const Mayfly__ExecGrant *grant, int env_fd, struct err *e)
{
	AUTO_FREE char *file = NULL;
	size_t len = grant->env.len;
	int ret = 0;
	if (env_fd >= 0)
		ret = io_read_all(env_fd, PROTO_WORDS_MAX, &file, &len);
	if (ret == 0)
		ret = env_list_strings(env, file ? file : (const char *)grant->env.data, len);
	if (ret < 0)
		return err_errno(e, -ret, "the machine's environment");
	if (c->tty && getenv("TERM"))
		ret = env_list_pair(env, "TERM", getenv("TERM"));
	if (ret == 0)
		ret = env_list_options(env, c->env, c->n_env);
	return ret < 0 ? err_errno(e, -ret, "environment") : 0;
}

static int begin(struct exec_session *s, const struct exec_config *c, int sock, struct err *e)
{
	static char *const no_words[] = {NULL};
	ProtobufCBinaryData shown[ARGV_SHOWN_COUNT];
	Mayfly__AgentAsk a = MAYFLY__AGENT_ASK__INIT;
	Mayfly__ControlReply *reply = NULL;
	struct env_list env = {0};
	AUTO_CLOSE int env_fd = -1;
	uint64_t start_ns = s->verdict.t.start;
	if (c->tty && !c->detach && !isatty(STDIN_FILENO))
		return err_set(e, ENOTTY,
			       "a terminal was asked for (-t), but standard input is none");
	a.exec = true;
	a.argv = shown;
	a.n_argv = show_argv(c->argv, shown);
	a.detach = c->detach;
	a.tty = c->tty;
	if (c->user)
		a.user = (char *)(uintptr_t)c->user;
	AUTO_CLOSE int fd = exec_ask_agent(sock, &a, &reply, &env_fd, e);
	int ret = fd < 0 ? fd : make_env(&env, c, reply->grant, env_fd, e);
	if (ret == 0)
		ret = exec_session_open(s, c, sock, start_ns, e);
	if (ret == 0)
		ret = exec_session_start(s, steal_fd(&fd), reply->grant, env.v ? env.v : no_words,
					 e);
	env_list_free(&env);
	if (reply)
		mayfly__control_reply__free_unpacked(reply, NULL);
	return ret;
}

int cmd_exec(int argc, char **argv)
{
	return exec_main(argc, argv, false, begin);
}
