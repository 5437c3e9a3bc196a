// SPDX-License-Identifier: Apache-2.0
// cmd_ps.c - mayfly ps, inspect: machines that live, and those that did
#include "cli/cmd_ps.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "cli/keep_control.h"
#include "cli/machine_cmd.h"
#include "cli/verdict.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define COMMAND_MAX 40
#define EXECS_MAX 64

static int set_all(void *ctx, const char *v, struct err *e)
{
	(void)v;
	(void)e;
	((struct machine_args *)ctx)->all = true;
	return 0;
}

static const char *text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));
	return s ? s : "-";
}

static json_int_t number(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

/* ---- ps ---- */

struct list {
	bool all;
	json_t *machines;
};

/* What the keeper says goes before what it wrote. */
static void add_status(const struct record *r, json_t *o)
{
	Mayfly__ControlRequest q = MAYFLY__CONTROL_REQUEST__INIT;
	Mayfly__StatusAsk ask = MAYFLY__STATUS_ASK__INIT;
	q.body_case = MAYFLY__CONTROL_REQUEST__BODY_STATUS;
	q.status = &ask;
	Mayfly__ControlReply *m = machine_cmd_quiet(r, &q);
	if (!m || m->body_case != MAYFLY__CONTROL_REPLY__BODY_STATUS) {
		json_object_set_new(o, "answers", json_false());
	} else {
		json_object_set_new(o, "state",
				    json_string(keep_control_state_name(m->status->state)));
		json_object_set_new(o, "execs", json_integer(m->status->execs));
	}
	if (m)
		mayfly__control_reply__free_unpacked(m, NULL);
}

static void add_machine(void *arg, struct record *r)
{
	struct list *l = arg;
	bool kept = record_kept(r);
	if (!kept && !l->all)
		return;
	json_t *o = record_load(r, RECORD_MACHINE);
	if (!o)
		o = json_object();
	json_object_set_new(o, "name", json_string(r->name));
	if (kept)
		add_status(r, o);
	json_array_append_new(l->machines, o);
}

static void age(char *out, size_t size, json_int_t created_ns)
{
	json_int_t s = (json_int_t)time(NULL) - created_ns / 1000000000;
	if (s < 0 || created_ns <= 0)
		snprintf(out, size, "-");
	else if (s < 120)
		snprintf(out, size, "%llds", (long long)s);
	else if (s < 7200)
		snprintf(out, size, "%lldm", (long long)s / 60);
	else if (s < 172800)
		snprintf(out, size, "%lldh", (long long)s / 3600);
	else
		snprintf(out, size, "%lldd", (long long)s / 86400);
}

/* Words of the user's, made plain; cut. */
static void command(char out[COMMAND_MAX], const json_t *o)
{
	size_t i;
	json_t *word;
	size_t n = 0;
	out[0] = '\0';
	json_array_foreach(json_object_get(o, "command"), i, word) {
		const char *s = json_string_value(word);
		for (const char *p = i ? " " : ""; *p && n < COMMAND_MAX - 1; p++)
			out[n++] = *p;
		for (; s && *s && n < COMMAND_MAX - 1; s++)
			out[n++] = (unsigned char)*s < ' ' || *s == 0x7f ? '?' : *s;
	}
	out[n] = '\0';
	if (n == 0)
		snprintf(out, COMMAND_MAX, "-");
}

static void print_row(const json_t *o)
{
	char state[48];
	char old[24];
	char words[COMMAND_MAX];
	char execs[24] = "-";
	const json_t *v = json_object_get(o, "verdict");
	if (v)
		snprintf(state, sizeof(state), "%s (%s, %lld)", text(o, "state"), text(v, "reason"),
			 (long long)number(v, "status"));
	else
		snprintf(state, sizeof(state), "%s%s", text(o, "state"),
			 json_object_get(o, "answers") ? "?" : "");
	if (json_object_get(o, "execs"))
		snprintf(execs, sizeof(execs), "%lld", (long long)number(o, "execs"));
	age(old, sizeof(old), number(o, "created_ns"));
	command(words, o);
	printf("%-20s %-22s %-24s %-6s %6lldM %4lld %5s %5s  %s\n", text(o, "name"), text(o, "id"),
	       state, text(o, "engine"), (long long)number(o, "memory") >> 20,
	       (long long)number(o, "cpus"), execs, old, words);
}

int cmd_ps(int argc, char **argv)
{
	static const struct opt rows[] = {
		{"all", 'a', NULL, "also machines that have ended", set_all},
		{"json", 0, NULL, "one JSON array instead of a table", machine_set_json},
		MACHINE_ROW_HELP,
	};
	static const struct machine_cmd d = {
		.usage = "ps [options]",
		.text = "Lists your machines that live.",
		.rows = rows,
		.n_rows = ARRAY_SIZE(rows),
	};
	struct machine_args a = {0};
	struct err e = {0};
	size_t i;
	json_t *o;
	int status = machine_cmd_parse(&d, &a, argc, argv);
	if (status >= 0)
		return status;
	struct list l = {.all = a.all, .machines = json_array()};
	int ret = l.machines ? record_each(add_machine, &l, &e) : err_errno(&e, ENOMEM, "machines");
	if (ret < 0) {
		log_error("%s", e.text);
	} else if (a.json) {
		json_dumpf(l.machines, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
		putchar('\n');
	} else {
		printf("%-20s %-22s %-24s %-6s %7s %4s %5s %5s  %s\n", "NAME", "ID", "STATE",
		       "ENGINE", "MEMORY", "CPUS", "EXECS", "AGE", "COMMAND");
		json_array_foreach(l.machines, i, o) {
			print_row(o);
		}
	}
	json_decref(l.machines);
	return ret < 0 ? EXIT_MAYFLY : 0;
}

/* ---- inspect ---- */

static const char *exec_state(Mayfly__ExecInfo__State state)
{
	static const char *const names[] = {"starting", "running", "detached", "ended"};
	return (unsigned)state < ARRAY_SIZE(names) ? names[state] : "unknown";
}

static json_t *exec_json(const Mayfly__ExecInfo *x)
{
	json_t *words = json_array();
	for (size_t i = 0; i < x->n_argv; i++) {
		json_t *word = json_stringn((const char *)x->argv[i].data, x->argv[i].len);
		json_array_append_new(words, word ? word : json_string("(not UTF-8)"));
	}
	json_t *o = json_pack("{s:I, s:s, s:o, s:b, s:I, s:I}", "exec", (json_int_t)x->session,
			      "state", exec_state(x->state), "command", words, "tty", x->tty, "pid",
			      (json_int_t)x->pid, "started_ns", (json_int_t)x->started_ns);
	if (o && x->state == MAYFLY__EXEC_INFO__STATE__ENDED) {
		json_object_set_new(o, "ended_ns", json_integer((json_int_t)x->ended_ns));
		json_object_set_new(o, "reason", json_string(x->reason));
		json_object_set_new(o, "status", json_integer(x->status));
	}
	return o;
}

static json_t *execs_of_keeper(const struct record *r)
{
	Mayfly__ControlRequest q = MAYFLY__CONTROL_REQUEST__INIT;
	Mayfly__ExecsAsk ask = MAYFLY__EXECS_ASK__INIT;
	json_t *list = json_array();
	q.body_case = MAYFLY__CONTROL_REQUEST__BODY_EXECS;
	q.execs = &ask;
	Mayfly__ControlReply *m = machine_cmd_quiet(r, &q);
	if (m && m->body_case == MAYFLY__CONTROL_REPLY__BODY_EXECS)
		for (size_t i = m->execs->n_exec; i > 0; i--)
			json_array_append_new(list, exec_json(m->execs->exec[i - 1]));
	if (m)
		mayfly__control_reply__free_unpacked(m, NULL);
	return list;
}

static int by_number(const struct dirent **a, const struct dirent **b)
{
	return strverscmp((*a)->d_name, (*b)->d_name);
}

static int is_exec(const struct dirent *de)
{
	size_t n = strlen(de->d_name);
	return strncmp(de->d_name, "exec-", 5) == 0 && n > 10 && n < RECORD_FILE_MAX &&
	       strcmp(de->d_name + n - 5, ".json") == 0;
}

static json_t *execs_of_record(const struct record *r)
{
	struct dirent **names = NULL;
	json_t *list = json_array();
	int n = scandirat(r->dir_fd, ".", &names, is_exec, by_number);
	for (int i = 0; i < n; i++) {
		json_t *o = i >= n - EXECS_MAX ? record_load(r, names[i]->d_name) : NULL;
		if (o)
			json_array_append_new(list, o);
		free(names[i]);
	}
	free(names);
	return list;
}

int cmd_inspect(int argc, char **argv)
{
	static const struct opt rows[] = {
		{"json", 0, NULL, "what it does anyway", machine_set_json},
		MACHINE_ROW_HELP,
	};
	static const struct machine_cmd d = {
		.usage = "inspect MACHINE",
		.text = "Prints all that is known of a machine and its newest commands, as JSON.",
		.rows = rows,
		.n_rows = ARRAY_SIZE(rows),
		.min = 1,
		.max = 1,
	};
	struct machine_args a = {0};
	struct err e = {0};
	struct record r;
	int status = machine_cmd_parse(&d, &a, argc, argv);
	if (status >= 0)
		return status;
	if (record_find(&r, a.argv[0], &e) < 0) {
		log_error("%s", e.text);
		return EXIT_MAYFLY;
	}
	bool kept = record_kept(&r);
	json_t *o = record_load(&r, RECORD_MACHINE);
	if (!o)
		o = json_object();
	if (kept)
		add_status(&r, o);
	json_object_set_new(o, "exec_list", kept ? execs_of_keeper(&r) : execs_of_record(&r));
	json_dumpf(o, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
	putchar('\n');
	json_decref(o);
	record_close(&r);
	return 0;
}
