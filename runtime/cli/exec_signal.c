// SPDX-License-Identifier: Apache-2.0
// exec_signal.c - signals for commands in machines that live, by name
#include "cli/exec_signal.h"

#include "base/cleanup.h"
#include "base/opt.h"
#include "cli/cmd_attach.h"
#include "cli/control_client.h"
#include "cli/cp_conn.h"
#include "cli/exec_main.h"
#include "cli/machine_cmd.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <strings.h>

#define SIGNAL_MAX 64

int exec_signal_number(const char *name, int *number, struct err *e)
{
	const char *bare = strncasecmp(name, "SIG", 3) == 0 ? name + 3 : name;
	uint64_t n = 0;
	if (name[0] >= '0' && name[0] <= '9') {
		int ret = opt_u64(name, 1, SIGNAL_MAX, &n, e);
		*number = (int)n;
		return ret;
	}
	for (int i = 1; i <= SIGNAL_MAX; i++) {
		const char *known = sigabbrev_np(i);
		if (known && strcasecmp(known, bare) == 0) {
			*number = i;
			return 0;
		}
	}
	return err_set(e, EINVAL, "'%.40s' is no signal (TERM, SIGHUP, 15)", name);
}

/* The answer to what was queued. */
static int answer(struct cp_conn *c, const char *machine, uint64_t session, struct err *e)
{
	for (;;) {
		Mayfly__Frame *f = NULL;
		int ret = cp_conn_next(c, &f, e);
		if (ret < 0)
			return err_wrap(e, ret, "%.64s", machine);
		Mayfly__Frame__BodyCase kind = f->body_case;
		mayfly__frame__free_unpacked(f, NULL);
		switch (kind) {
		case MAYFLY__FRAME__BODY_HELLO: break;
		case MAYFLY__FRAME__BODY_EXEC_SIGNALLED: return 0;
		case MAYFLY__FRAME__BODY_FAILED:
			return err_set(e, ESRCH, "no exec %llu runs in %.64s",
				       (unsigned long long)session, machine);
		default:
			return err_set(e, EPROTO, "%.64s: the machine's agent broke the protocol",
				       machine);
		}
	}
}

static int talk(int fd, const char *machine, uint64_t session, int number, struct err *e)
{
	Mayfly__Frame f = MAYFLY__FRAME__INIT;
	Mayfly__ExecSignal m = MAYFLY__EXEC_SIGNAL__INIT;
	struct cp_conn c;
	m.session = session;
	m.number = (uint32_t)number;
	f.body_case = MAYFLY__FRAME__BODY_EXEC_SIGNAL;
	f.exec_signal = &m;
	int ret = cp_conn_init(&c, fd);
	c.quiet = true;
	/* One short answer: a guest that sends a byte now and then must not keep us. */
	c.end_ns = c.start_ns + c.stall_ns;
	if (ret == 0)
		ret = frame_send(&c.frames, &f);
	ret = ret < 0 ? err_errno(e, -ret, "can't talk to the agent in %.64s", machine)
		      : answer(&c, machine, session, e);
	cp_conn_close(&c);
	return ret;
}

int exec_signal_send(const char *machine, const char *exec, int number, struct err *e)
{
	Mayfly__AgentAsk a = MAYFLY__AGENT_ASK__INIT;
	Mayfly__ControlReply *reply = NULL;
	uint64_t session = 0;
	int env_fd = -1;
	if (exec && machine_cmd_number(exec, &session, e) < 0)
		return -EINVAL;
	AUTO_CLOSE int sock = control_open(machine, e);
	if (sock < 0)
		return sock;
	int ret = exec ? 0 : cmd_attach_only_one(sock, machine, &session, e);
	if (ret < 0)
		return ret;
	int fd = exec_ask_agent(sock, &a, &reply, &env_fd, e);
	close_fd(&env_fd);
	if (reply)
		mayfly__control_reply__free_unpacked(reply, NULL);
	return fd < 0 ? fd : talk(fd, machine, session, number, e);
}
