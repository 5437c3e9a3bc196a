// SPDX-License-Identifier: Apache-2.0
// cmd_doctor.c - `mayfly doctor`: what this host offers, and what mayfly will therefore do
#include "cli/cmd_doctor.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "base/opt.h"
#include "cli/host_facts.h"
#include "cli/host_rows.h"

#include <assert.h>
#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#define EXIT_CANT_RUN 1
#define EXIT_USAGE 125
#define JSON_VERSION 1
#define MARK_WIDTH 9
#define TITLE_WIDTH 14
#define TEXT_COLUMN (MARK_WIDTH + TITLE_WIDTH)
#define WIDTH_DEFAULT 100
#define WIDTH_MIN 60
#define WIDTH_MAX 120

struct doctor {
	bool json;
	bool help;
};

struct paper {
	bool colour;
	size_t width;
};

static int set_json(void *ctx, const char *v, struct err *e)
{
	(void)v;
	(void)e;
	((struct doctor *)ctx)->json = true;
	return 0;
}

static int set_help(void *ctx, const char *v, struct err *e)
{
	(void)v;
	(void)e;
	((struct doctor *)ctx)->help = true;
	return 0;
}

static const struct opt doctor_options[] = {
	{"json", 0, NULL, "one JSON object instead of the table", set_json},
	{"help", 'h', NULL, "show this help", set_help},
};

/* ---- text ---- */

static struct paper paper_of(FILE *out)
{
	const char *no_colour = getenv("NO_COLOR");
	const char *term = getenv("TERM");
	struct winsize ws;
	struct paper p = {.width = WIDTH_DEFAULT};
	if (!isatty(fileno(out)))
		return p;
	p.colour = !(no_colour && *no_colour) && !(term && strcmp(term, "dumb") == 0);
	if (ioctl(fileno(out), TIOCGWINSZ, &ws) == 0 && ws.ws_col)
		p.width = MIN(MAX(ws.ws_col, WIDTH_MIN), WIDTH_MAX);
	return p;
}

/* Words as many as fit on a line, further lines indented. Paths may hold anything: made plain. */
static void print_wrapped(FILE *out, const struct paper *p, const char *text)
{
	size_t column = TEXT_COLUMN;
	while (*text) {
		size_t n = strcspn(text, " ");
		if (column > TEXT_COLUMN && column + 1 + n > p->width) {
			fprintf(out, "\n%*s", TEXT_COLUMN, "");
			column = TEXT_COLUMN;
		} else if (column > TEXT_COLUMN) {
			fputc(' ', out);
			column++;
		}
		for (size_t i = 0; i < n; i++)
			fputc((unsigned char)text[i] < ' ' || text[i] == 0x7f ? '?' : text[i], out);
		column += n;
		text += n;
		text += strspn(text, " ");
	}
	fputc('\n', out);
}

static void print_row(FILE *out, const struct paper *p, const struct host_row *r)
{
	static const char *const colours[] = {"\033[32m", "\033[33m", "\033[31m"};
	static_assert(ARRAY_SIZE(colours) == HOST_ROWS_MARKS, "a colour for each mark");
	fprintf(out, "%s%-*s%s%-*s", p->colour ? colours[r->mark] : "", MARK_WIDTH,
		host_rows_mark_name(r->mark), p->colour ? "\033[0m" : "", TITLE_WIDTH, r->title);
	print_wrapped(out, p, r->text);
	/* Not wrapped: a command is for copying. */
	if (r->fix[0])
		fprintf(out, "%*s$ %s\n", TEXT_COLUMN, "", r->fix);
}

static void print_text(FILE *out, const struct host_rows *rows)
{
	struct paper p = paper_of(out);
	for (size_t i = 0; i < rows->n; i++)
		print_row(out, &p, &rows->row[i]);
	fprintf(out, "\n%-*s", TEXT_COLUMN, "therefore");
	print_wrapped(out, &p, rows->plan);
}

/* ---- JSON ---- */

/* A path need not be UTF-8, JSON must be: what is not is told in plain characters. */
static json_t *json_text(const char *text)
{
	char plain[HOST_ROWS_TEXT_MAX];
	json_t *j = json_string(text);
	if (j)
		return j;
	snprintf(plain, sizeof(plain), "%s", text);
	for (char *c = plain; *c; c++)
		if ((unsigned char)*c < ' ' || (unsigned char)*c >= 0x7f)
			*c = '?';
	return json_string(plain);
}

static json_t *json_optional(const char *text)
{
	return *text ? json_text(text) : json_null();
}

/* json_pack() takes over every "o" and yields NULL if one of them is. */
static json_t *json_row(const struct host_row *r)
{
	return json_pack("{s:s, s:o, s:o, s:o}", "state", host_rows_mark_name(r->mark), "value",
			 json_optional(r->value), "text", json_text(r->text), "fix",
			 json_optional(r->fix));
}

static json_t *json_report(const struct host_rows *rows)
{
	json_t *checks = json_object();
	for (size_t i = 0; i < rows->n; i++)
		if (json_object_set_new(checks, rows->row[i].id, json_row(&rows->row[i])) < 0) {
			json_decref(checks);
			return NULL;
		}
	return json_pack("{s:i, s:b, s:o, s:s, s:o}", "version", JSON_VERSION, "can_run",
			 rows->can_run, "engine",
			 rows->can_run ? json_text(rows->engine) : json_null(), "plan", rows->plan,
			 "checks", checks);
}

static int print_json(FILE *out, const struct host_rows *rows)
{
	json_t *doc = json_report(rows);
	int ret = doc ? json_dumpf(doc, out, JSON_INDENT(2)) : -1;
	json_decref(doc);
	fputc('\n', out);
	return ret < 0 ? -ENOMEM : 0;
}

/* ---- the command ---- */

static void print_help(FILE *out)
{
	fprintf(out,
		"usage: mayfly doctor [options]\n\n"
		"Says what this host offers, what mayfly will therefore do, and for each thing\n"
		"that could be better the command that improves it. Changes nothing.\n"
		"The exit status is 0 if `mayfly run` can work here, else 1.\n\noptions:\n");
	opt_help(out, doctor_options, ARRAY_SIZE(doctor_options));
}

static int report(const struct doctor *d)
{
	struct host_facts *facts = calloc(1, sizeof(*facts));
	struct host_rows *rows = calloc(1, sizeof(*rows));
	int ret = facts && rows ? 0 : -ENOMEM;
	int status = EXIT_CANT_RUN;
	if (ret == 0) {
		host_facts_collect(facts);
		host_rows_build(rows, facts);
		if (d->json)
			ret = print_json(stdout, rows);
		else
			print_text(stdout, rows);
		status = rows->can_run ? 0 : EXIT_CANT_RUN;
	}
	if (ret == 0 && (fflush(stdout) != 0 || ferror(stdout)))
		ret = -EIO;
	if (ret < 0) {
		log_error("the report can't be written: %s", strerror(-ret));
		status = EXIT_CANT_RUN;
	}
	free(facts);
	free(rows);
	return status;
}

int cmd_doctor(int argc, char **argv)
{
	struct doctor d = {0};
	struct err e = {0};
	int rest = 0;
	int ret = opt_parse(doctor_options, ARRAY_SIZE(doctor_options), &d, argc, argv, &rest, &e);
	if (ret == 0 && !d.help && rest < argc)
		ret = err_set(&e, EINVAL, "doctor takes no argument '%s'", argv[rest]);
	if (ret < 0) {
		log_error("%s (see mayfly doctor --help)", e.text);
		return EXIT_USAGE;
	}
	if (d.help) {
		print_help(stdout);
		return fflush(stdout) == 0 ? 0 : EXIT_CANT_RUN;
	}
	return report(&d);
}
