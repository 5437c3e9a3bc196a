// SPDX-License-Identifier: Apache-2.0
// machine_end.c - how a machine that lives has ended, as its keeper tells who asked for it before
#include "cli/machine_end.h"

#include "base/fdpass.h"
#include "cli/control_client.h"
#include "proto/control.pb-c.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

int machine_end_ask(int sock)
{
	Mayfly__ControlRequest q = MAYFLY__CONTROL_REQUEST__INIT;
	Mayfly__WaitAsk w = MAYFLY__WAIT_ASK__INIT;
	q.version = CONTROL_VERSION;
	q.body_case = MAYFLY__CONTROL_REQUEST__BODY_WAIT;
	q.wait = &w;
	return control_send(sock, &q, NULL);
}

/* The verdict's own words, where there are some. */
static void describe(const char *verdict, char *text, size_t size)
{
	json_t *o = json_loads(verdict, 0, NULL);
	const char *reason = json_string_value(json_object_get(o, "reason"));
	const char *message = json_string_value(json_object_get(o, "message"));
	if (message && message[0])
		snprintf(text, size, "the machine has ended: %s", message);
	else if (reason)
		snprintf(text, size, "the machine has ended (%s)", reason);
	else
		snprintf(text, size, "the machine has ended");
	json_decref(o);
}

int machine_end_read(int sock, char *text, size_t size)
{
	static uint8_t buf[CONTROL_REPLY_MAX];
	struct iovec iov = {.iov_base = buf, .iov_len = sizeof(buf)};
	ssize_t n = fdpass_recv(sock, &iov, 1, NULL, 0, NULL, MSG_DONTWAIT);
	if (n == -EAGAIN)
		return -EAGAIN;
	Mayfly__ControlReply *r =
		n > 0 ? mayfly__control_reply__unpack(NULL, (size_t)n, buf) : NULL;
	if (r && r->code == 0 && r->body_case == MAYFLY__CONTROL_REPLY__BODY_VERDICT)
		describe(r->verdict, text, size);
	else
		snprintf(text, size, "the machine is gone: its keeper has ended");
	if (r)
		mayfly__control_reply__free_unpacked(r, NULL);
	return 0;
}
