// SPDX-License-Identifier: Apache-2.0
// machine_cmd.c - what the commands for machines that live have in common
#include "cli/machine_cmd.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "cli/verdict.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int machine_set_help(void *ctx, const char *v, struct err *e)
{
	(void)v;
	(void)e;
	((struct machine_args *)ctx)->help = true;
	return 0;
}

int machine_set_json(void *ctx, const char *v, struct err *e)
{
	(void)v;
	(void)e;
	((struct machine_args *)ctx)->json = true;
	return 0;
}

int machine_cmd_parse(const struct machine_cmd *d, struct machine_args *a, int argc, char **argv)
{
	struct err e = {0};
	int rest = 0;
	int ret = opt_parse_mixed(d->rows, d->n_rows, a, argc, argv, &rest, &e);
	a->argc = argc - rest;
	a->argv = argv + rest;
	if (ret == 0 && a->help) {
		printf("usage: mayfly %s\n\n%s\n\noptions:\n", d->usage, d->text);
		opt_help(stdout, d->rows, d->n_rows);
		return 0;
	}
	if (ret == 0 && a->argc < d->min)
		ret = err_set(&e, EINVAL, "no machine named: usage: mayfly %s", d->usage);
	if (ret == 0 && a->argc > d->max)
		ret = err_set(&e, EINVAL, "'%s' is one word too much", a->argv[d->max]);
	if (ret == 0)
		return -1;
	log_error("%s (see 'mayfly %s --help')", e.text, argv[0]);
	return EXIT_MAYFLY;
}

int machine_cmd_each(const struct machine_args *a,
		     int (*fn)(const struct machine_args *a, const char *machine, struct err *e))
{
	int status = 0;
	for (int i = 0; i < a->argc; i++) {
		struct err e = {0};
		if (fn(a, a->argv[i], &e) < 0) {
			log_error("%s", e.text);
			status = EXIT_MAYFLY;
		}
	}
	return status;
}

int machine_cmd_number(const char *text, uint64_t *number, struct err *e)
{
	int ret = opt_u64(text, 1, INT64_MAX, number, e);
	return ret < 0 ? err_set(e, EINVAL, "'%.40s' is not the number of an exec", text) : 0;
}

int machine_cmd_ask(const struct record *r, Mayfly__ControlRequest *q, Mayfly__ControlReply **reply,
		    struct err *e)
{
	size_t n = 0;
	AUTO_CLOSE int sock = control_open_record(r, e);
	if (sock < 0)
		return sock;
	q->version = CONTROL_VERSION;
	return control_ask(sock, q, reply, NULL, 0, &n, e);
}

Mayfly__ControlReply *machine_cmd_quiet(const struct record *r, Mayfly__ControlRequest *q)
{
	struct err e = {0};
	Mayfly__ControlReply *reply = NULL;
	return machine_cmd_ask(r, q, &reply, &e) < 0 ? NULL : reply;
}
