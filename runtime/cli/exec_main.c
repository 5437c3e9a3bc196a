// SPDX-License-Identifier: Apache-2.0
// exec_main.c - what mayfly exec and attach have in common around their session
#include "cli/exec_main.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/log.h"
#include "cli/control_client.h"
#include "proto/limits.h"

#include <errno.h>
#include <string.h>

int exec_ask_agent(int sock, Mayfly__AgentAsk *a, Mayfly__ControlReply **grant, int *env_fd,
		   struct err *e)
{
	int fds[2] = {-1, -1};
	size_t n = 0;
	Mayfly__ControlRequest q = MAYFLY__CONTROL_REQUEST__INIT;
	q.version = CONTROL_VERSION;
	q.body_case = MAYFLY__CONTROL_REQUEST__BODY_AGENT;
	q.agent = a;
	*env_fd = -1;
	*grant = NULL;
	int ret = control_ask(sock, &q, grant, fds, 2, &n, e);
	if (ret < 0)
		return ret;
	bool granted = (*grant)->body_case == MAYFLY__CONTROL_REPLY__BODY_GRANT;
	bool with_file = granted && (*grant)->grant->env_memfd;
	if ((a->exec && !granted) || n != (with_file ? 2 : 1)) {
		close_fd(&fds[0]);
		close_fd(&fds[1]);
		return err_set(e, EPROTO, "the machine's keeper answered something else");
	}
	*env_fd = fds[1];
	return fds[0];
}

static void fail(struct exec_session *s, const struct err *e)
{
	verdict_set(&s->verdict, VERDICT_CONFIG, "%s", e->text);
}

/* Where it did not come to a session. */
static void session_none(struct exec_session *s, const struct exec_config *c, uint64_t start_ns)
{
	*s = (struct exec_session){
		.cfg = c, .term = TERM_NONE, .verdict.t.start = start_ns, .loop.epfd = -1};
	s->signals.fd = s->keeper.fd = -1;
	s->in.done = s->out[0].done = s->out[1].done = true;
	exec_client_init(&s->client, &s->loop, NULL, s, &s->in, s->out);
}

int exec_main(int argc, char **argv, bool attach, exec_begin_fn *begin)
{
	static struct exec_session s;
	struct exec_config c;
	struct err e = {0};
	uint64_t start_ns = io_now_ns();
	AUTO_CLOSE int sock = -1;
	exec_config_defaults(&c);
	c.attach = attach;
	session_none(&s, &c, start_ns);
	int ret = exec_config_parse(&c, argc, argv, &e);
	if (ret < 0)
		err_set(&e, EINVAL, "%s (see 'mayfly %s --help')", strdupa(e.text),
			attach ? "attach" : "exec");
	if (ret == 0 && c.help) {
		exec_config_help(&c);
		exec_config_free(&c);
		return 0;
	}
	if (ret == 0) {
		log_init("mayfly", c.verbose ? LOG_INFO : LOG_WARN);
		ret = sock = control_open(c.machine, &e);
	}
	if (ret >= 0)
		ret = begin(&s, &c, sock, &e);
	if (ret < 0)
		fail(&s, &e);
	else
		exec_session_run(&s);
	int status = exec_session_finish(&s);
	exec_config_free(&c);
	return status;
}
