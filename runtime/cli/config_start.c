// SPDX-License-Identifier: Apache-2.0
// config_start.c - the options of `mayfly start`: those of run that make a machine, and a name
#include "cli/config.h"

#include "base/checked.h"
#include "cli/config_file.h"
#include "cli/record.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ROWS_MAX 64

/* Of run, for its one command. */
static const char *const not_ours[] = {
	"interactive", "tty",	  "out",	 "output-limit",
	"console",     "timings", "trace-exits", "status-fd",
};

static int refuse(void *ctx, const char *v, struct err *e)
{
	(void)ctx;
	(void)v;
	return err_set(e, EINVAL,
		       "this is for the one command of 'mayfly run'; a machine that lives gets its "
		       "commands from 'mayfly exec', its output from 'mayfly logs'");
}

static int set_name(void *ctx, const char *v, struct err *e)
{
	if (!record_name_ok(v))
		return err_set(
			e, EINVAL,
			"'%.80s' is not 1 to 64 letters, digits, '.', '_' and '-', the first "
			"a letter or a digit",
			v);
	((struct vm_config *)ctx)->name = v;
	return 0;
}

static int set_remove(void *ctx, const char *v, struct err *e)
{
	(void)v;
	(void)e;
	((struct vm_config *)ctx)->remove = true;
	return 0;
}

/* What start does anyway; people type it. */
static int set_detach(void *ctx, const char *v, struct err *e)
{
	(void)ctx;
	(void)v;
	(void)e;
	return 0;
}

static const struct opt own_rows[] = {
	{"name", 0, "NAME", "what the machine is called (default: made up)", set_name},
	{"rm", 0, NULL, "when the machine has ended, forget it at once", set_remove},
	{"detach", 'd', NULL, "run in the background, which start always does", set_detach},
	{"idle-timeout", 0, "TIME", "end the machine if no command or copy has run for so long",
	 config_set_idle_timeout},
};

static bool is_own(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(own_rows); i++)
		if (strcmp(own_rows[i].name, name) == 0)
			return true;
	return false;
}

static bool is_refused(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(not_ours); i++)
		if (strcmp(not_ours[i], name) == 0)
			return true;
	return false;
}

/* @all: with those that are refused, for the parser. Returns how many. */
static size_t make_rows(struct opt rows[ROWS_MAX], bool all)
{
	size_t n_run;
	size_t n = 0;
	const struct opt *run = config_run_options(&n_run);
	for (size_t i = 0; i < ARRAY_SIZE(own_rows); i++)
		rows[n++] = own_rows[i];
	for (size_t i = 0; i < n_run && n < ROWS_MAX; i++) {
		bool refused = is_refused(run[i].name);
		if ((refused && !all) || is_own(run[i].name))
			continue;
		rows[n] = run[i];
		if (refused)
			rows[n].set = refuse;
		n++;
	}
	return n;
}

int config_parse_start(struct vm_config *c, int argc, char **argv, struct err *e)
{
	struct opt rows[ROWS_MAX];
	size_t n = make_rows(rows, true);
	int rest = 0;
	c->keep = true;
	int ret = config_file_first(c, rows, n, argc, argv, e);
	if (ret == 0)
		ret = opt_parse(rows, n, c, argc, argv, &rest, e);
	if (ret < 0 || c->help)
		return ret;
	c->argv = argv + rest;
	c->argc = argc - rest;
	if (c->idle_timeout_ns && c->argc > 0)
		return err_set(
			e, EINVAL,
			"--idle-timeout is for a machine that waits for commands; one with a "
			"command of its own ends with that (see --timeout)");
	return config_check_run(c, e);
}

void config_help_start(void)
{
	struct opt rows[ROWS_MAX];
	size_t n = make_rows(rows, false);
	printf("usage: mayfly start [options] [--name NAME] [--rm] [-- COMMAND [ARGUMENT...]]\n\n"
	       "Starts a machine that lives until 'mayfly stop', waits until it is ready, prints\n"
	       "its name. With a command it lives as long as that does.\n\noptions:\n");
	opt_help(stdout, rows, n);
}
