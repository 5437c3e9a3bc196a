// SPDX-License-Identifier: Apache-2.0
// cmd_wait.c - `mayfly wait`: until a machine, or a command in it, has ended
#include "cli/cmd_wait.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "cli/machine_cmd.h"
#include "cli/verdict.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static json_t *load_exec(const struct record *r, uint64_t number)
{
	char file[RECORD_FILE_MAX];
	snprintf(file, sizeof(file), "exec-%llu.json", (unsigned long long)number);
	return record_load(r, file);
}

/* What was found; verdict or exec, the caller's. */
static int ask(const struct record *r, uint64_t number, json_t **out, struct err *e)
{
	Mayfly__ControlRequest q = MAYFLY__CONTROL_REQUEST__INIT;
	Mayfly__ControlReply *reply = NULL;
	Mayfly__WaitAsk w = MAYFLY__WAIT_ASK__INIT;
	size_t n = 0;
	AUTO_CLOSE int sock = control_open_record(r, e);
	if (sock < 0)
		return sock;
	w.session = number;
	q.version = CONTROL_VERSION;
	q.body_case = MAYFLY__CONTROL_REQUEST__BODY_WAIT;
	q.wait = &w;
	int ret = control_send(sock, &q, e);
	if (ret == 0)
		ret = control_receive(sock, -1, &reply, NULL, 0, &n, e);
	if (ret < 0 || !reply)
		return ret;
	if (number == 0 && reply->body_case == MAYFLY__CONTROL_REPLY__BODY_VERDICT)
		*out = json_loads(reply->verdict, 0, NULL);
	else if (number && reply->body_case == MAYFLY__CONTROL_REPLY__BODY_EXEC) {
		/* The record says more, unless others have taken its place. */
		*out = load_exec(r, number);
		if (!*out)
			*out = json_pack("{s:I, s:s, s:i}", "exec",
					 (json_int_t)reply->exec->session, "reason",
					 reply->exec->reason, "status", reply->exec->status);
	}
	mayfly__control_reply__free_unpacked(reply, NULL);
	return *out ? 0 : err_set(e, EPROTO, "the machine's keeper answered something else");
}

static int from_record(const struct record *r, uint64_t number, json_t **out, struct err *e)
{
	if (number) {
		*out = load_exec(r, number);
		return *out ? 0
			    : err_set(e, ENOENT, "machine '%s' knows no end of exec %llu", r->name,
				      (unsigned long long)number);
	}
	json_t *machine = record_load(r, RECORD_MACHINE);
	*out = json_incref(json_object_get(machine, "verdict"));
	json_decref(machine);
	return *out ? 0 : err_set(e, ENOENT, "machine '%s' has no verdict", r->name);
}

static int wait_for(const char *machine, uint64_t number, json_t **out, struct err *e)
{
	struct record r;
	int ret = record_find(&r, machine, e);
	if (ret < 0)
		return ret;
	ret = record_kept(&r) ? ask(&r, number, out, e) : -ESRCH;
	if (ret == -ESRCH || ret == -ECONNRESET) {
		char name[RECORD_NAME_MAX + 1];
		snprintf(name, sizeof(name), "%s", r.name);
		record_close(&r);
		/* Looked at again: one whose keeper was killed meanwhile gets its verdict now. */
		ret = record_find(&r, name, e);
		if (ret < 0)
			return ret;
		ret = record_kept(&r) ? -ESRCH : from_record(&r, number, out, e);
	}
	record_close(&r);
	return ret;
}

static int status_of(const json_t *o)
{
	json_t *status = json_object_get(o, "status");
	return json_is_integer(status) ? (int)(json_integer_value(status) & 0xff) : EXIT_MAYFLY;
}

/* As mayfly run and exec would have said it. */
static void say_why(const struct machine_args *a, uint64_t number, const json_t *o)
{
	const char *message = json_string_value(json_object_get(o, "message"));
	const char *reason = json_string_value(json_object_get(o, "reason"));
	/* An end in good order needs no words. */
	if (!message || !message[0] || (reason && strcmp(reason, "stopped") == 0))
		return;
	if (number)
		log_error("%s, exec %llu: %s", a->argv[0], (unsigned long long)number, message);
	else
		log_error("%s: %s", a->argv[0], message);
}

int cmd_wait(int argc, char **argv)
{
	static const struct opt rows[] = {
		{"json", 0, NULL, "print how it ended, one JSON object", machine_set_json},
		MACHINE_ROW_HELP,
	};
	static const struct machine_cmd d = {
		.usage = "wait [options] MACHINE [EXEC]",
		.text = "Waits until a machine, or a command in it, has ended. The exit status is\n"
			"its own, as 'mayfly run' has it; 0 for a machine that was stopped.",
		.rows = rows,
		.n_rows = ARRAY_SIZE(rows),
		.min = 1,
		.max = 2,
	};
	struct machine_args a = {0};
	struct err e = {0};
	uint64_t number = 0;
	json_t *o = NULL;
	int status = machine_cmd_parse(&d, &a, argc, argv);
	if (status >= 0)
		return status;
	int ret = a.argc == 2 ? machine_cmd_number(a.argv[1], &number, &e) : 0;
	if (ret == 0)
		ret = wait_for(a.argv[0], number, &o, &e);
	if (ret < 0) {
		log_error("%s", e.text);
		return EXIT_MAYFLY;
	}
	if (a.json) {
		json_dumpf(o, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6));
		putchar('\n');
	}
	say_why(&a, number, o);
	status = status_of(o);
	json_decref(o);
	return status;
}
