// SPDX-License-Identifier: Apache-2.0
// cmd_attach.c - mayfly attach: takes over a command that runs in a machine
#include "cli/cmd_attach.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "cli/control_client.h"
#include "cli/exec_main.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LISTED 8

static bool runs(const Mayfly__ExecInfo *x)
{
	return x->state != MAYFLY__EXEC_INFO__STATE__ENDED;
}

/* "3 (make), 5 (sh)" */
static void list(const Mayfly__ExecList *l, char *out, size_t size)
{
	size_t shown = 0;
	size_t len = 0;
	out[0] = '\0';
	for (size_t i = 0; i < l->n_exec && shown < LISTED; i++) {
		const Mayfly__ExecInfo *x = l->exec[i];
		if (!runs(x))
			continue;
		ProtobufCBinaryData name = {0};
		if (x->n_argv > 0)
			name = x->argv[0];
		int n = snprintf(out + len, size - len, "%s%llu (%.*s)", shown ? ", " : "",
				 (unsigned long long)x->session, (int)MIN(name.len, (size_t)32),
				 name.data ? (char *)name.data : "");
		len = MIN(len + (size_t)n, size - 1);
		shown++;
	}
}

static int choose(const Mayfly__ExecList *l, const char *machine, uint64_t *number, struct err *e)
{
	char names[400];
	size_t n = 0;
	for (size_t i = 0; i < l->n_exec; i++)
		if (runs(l->exec[i])) {
			*number = l->exec[i]->session;
			n++;
		}
	if (n == 1)
		return 0;
	if (n == 0)
		return err_set(e, ESRCH, "no command runs in %.64s", machine);
	list(l, names, sizeof(names));
	return err_set(e, EINVAL, "%zu commands run in %.64s: name one of %s%s", n, machine, names,
		       n > LISTED ? ", ..." : "");
}

int cmd_attach_only_one(int sock, const char *machine, uint64_t *number, struct err *e)
{
	Mayfly__ControlRequest q = MAYFLY__CONTROL_REQUEST__INIT;
	Mayfly__ExecsAsk a = MAYFLY__EXECS_ASK__INIT;
	Mayfly__ControlReply *reply = NULL;
	size_t n = 0;
	q.version = CONTROL_VERSION;
	q.body_case = MAYFLY__CONTROL_REQUEST__BODY_EXECS;
	q.execs = &a;
	int ret = control_ask(sock, &q, &reply, NULL, 0, &n, e);
	if (ret < 0)
		return ret;
	if (reply->body_case == MAYFLY__CONTROL_REPLY__BODY_EXECS)
		ret = choose(reply->execs, machine, number, e);
	else
		ret = err_set(e, EPROTO, "the machine's keeper answered something else");
	mayfly__control_reply__free_unpacked(reply, NULL);
	return ret;
}

static int begin(struct exec_session *s, const struct exec_config *c, int sock, struct err *e)
{
	Mayfly__AgentAsk a = MAYFLY__AGENT_ASK__INIT;
	Mayfly__ControlReply *reply = NULL;
	uint64_t number = c->session;
	uint64_t start_ns = s->verdict.t.start;
	int env_fd;
	int ret = number ? 0 : cmd_attach_only_one(sock, c->machine, &number, e);
	if (ret < 0)
		return ret;
	AUTO_CLOSE int fd = exec_ask_agent(sock, &a, &reply, &env_fd, e);
	close_fd(&env_fd);
	if (reply)
		mayfly__control_reply__free_unpacked(reply, NULL);
	if (fd < 0)
		return fd;
	ret = exec_session_open(s, c, sock, start_ns, e);
	return ret < 0 ? ret : exec_session_attach(s, steal_fd(&fd), number, e);
}

int cmd_attach(int argc, char **argv)
{
	return exec_main(argc, argv, true, begin);
}
