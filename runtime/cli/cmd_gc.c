// SPDX-License-Identifier: Apache-2.0
// cmd_gc.c - `mayfly gc`: removes what dead machines left behind
//
// A machine is dead when the lock in its directory can be taken: the kernel frees it with the last
// of its owners. What carries no lock of ours is never touched.
#include "cli/cmd_gc.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/log.h"
#include "base/opt.h"
#include "cli/record.h"
#include "idrange.h"
#include "statedir.h"

#include <assert.h>
#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define EXIT_FAILED 1
#define EXIT_USAGE 125
#define JSON_VERSION 1
/* How long makers of machines, and processes on their way out of a cgroup, are waited for. */
#define WAIT_NS 2000000000ull
#define PAUSE_NS 20000000

struct gc {
	bool json;
	bool dry_run;
	bool quiet;
	bool help;
	unsigned removed[SWEEP_KINDS];
	json_t *list;  /* of what was removed */
	json_t *kept;  /* of what the last round had to leave */
	json_t *ended; /* names of machines whose keepers were killed */
};

static const char *const kind_names[] = {"machine", "cgroup", "id"};
static_assert(ARRAY_SIZE(kind_names) == SWEEP_KINDS, "a name for each kind");

static int set_json(void *ctx, const char *v, struct err *e)
{
	(void)v;
	(void)e;
	((struct gc *)ctx)->json = true;
	return 0;
}

static int set_dry_run(void *ctx, const char *v, struct err *e)
{
	(void)v;
	(void)e;
	((struct gc *)ctx)->dry_run = true;
	return 0;
}

static int set_quiet(void *ctx, const char *v, struct err *e)
{
	(void)v;
	(void)e;
	((struct gc *)ctx)->quiet = true;
	return 0;
}

static int set_help(void *ctx, const char *v, struct err *e)
{
	(void)v;
	(void)e;
	((struct gc *)ctx)->help = true;
	return 0;
}

static const struct opt gc_options[] = {
	{"json", 0, NULL, "one JSON object instead of lines", set_json},
	{"dry-run", 'n', NULL, "say what would be removed, remove nothing", set_dry_run},
	{"quiet", 'q', NULL, "say only what can't be removed", set_quiet},
	{"help", 'h', NULL, "show this help", set_help},
};

/* A record may be a hostile process's: its text is made plain for people and for JSON. */
static void plain(char *out, size_t size, const char *text)
{
	snprintf(out, size, "%s", text);
	for (char *c = out; *c; c++)
		if ((unsigned char)*c < ' ' || (unsigned char)*c >= 0x7f)
			*c = '?';
}

static void found(void *arg, enum sweep_kind kind, const char *name, int ret)
{
	struct gc *g = arg;
	char text[PATH_MAX];
	json_t *item;
	plain(text, sizeof(text), name);
	if (ret < 0) {
		item = json_pack("{s:s, s:s, s:s}", "kind", kind_names[kind], "name", text,
				 "reason", strerror(-ret));
		json_array_append_new(g->kept, item);
		return;
	}
	item = json_pack("{s:s, s:s}", "kind", kind_names[kind], "name", text);
	json_array_append_new(g->list, item);
	g->removed[kind]++;
	if (!g->json && !g->quiet)
		printf("%s %s %s\n", g->dry_run ? "would remove" : "removed", kind_names[kind],
		       text);
}

static void swept(void *arg, const char *name, bool removed)
{
	struct gc *g = arg;
	json_array_append_new(g->ended, json_string(name));
	if (!g->json && !g->quiet)
		printf("%s the record of machine %s, whose keeper was killed\n",
		       g->dry_run ? (removed ? "would remove" : "would complete")
				  : (removed ? "removed" : "completed"),
		       name);
}

/* Rounds, because the sweeper itself never waits: makers of machines would wait for it. */
static int sweep(struct gc *g, int base)
{
	const struct sweep s = {.dry_run = g->dry_run, .found = found, .arg = g};
	const struct timespec pause = {.tv_nsec = PAUSE_NS};
	const uint64_t deadline = io_now_ns() + WAIT_NS;
	for (;;) {
		json_array_clear(g->kept);
		int ret = statedir_sweep_report(base, &s);
		bool again = ret == -EAGAIN || json_array_size(g->kept) > 0;
		if (!again || io_now_ns() >= deadline) {
			int ids = ret < 0 ? 0 : idrange_sweep(base, &s);
			return ret < 0 ? ret : ids;
		}
		nanosleep(&pause, NULL);
	}
}

static void report_kept(const struct gc *g)
{
	size_t i;
	json_t *item;
	json_array_foreach(g->kept, i, item) {
		log_warn("%s %s stays: %s", json_string_value(json_object_get(item, "kind")),
			 json_string_value(json_object_get(item, "name")),
			 json_string_value(json_object_get(item, "reason")));
	}
}

static int report(struct gc *g)
{
	if (g->json) {
		json_t *doc = json_pack("{s:i, s:b, s:O, s:O, s:O}", "version", JSON_VERSION,
					"dry_run", g->dry_run, "removed", g->list, "kept", g->kept,
					"ended", g->ended);
		int ret = doc ? json_dumpf(doc, stdout, JSON_INDENT(2)) : -1;
		json_decref(doc);
		putchar('\n');
		return ret < 0 ? -ENOMEM : 0;
	}
	report_kept(g);
	if (!g->quiet)
		printf("%s: %u machine%s, %u cgroup%s, %u id%s\n",
		       g->dry_run ? "would remove" : "removed", g->removed[SWEEP_MACHINE],
		       g->removed[SWEEP_MACHINE] == 1 ? "" : "s", g->removed[SWEEP_CGROUP],
		       g->removed[SWEEP_CGROUP] == 1 ? "" : "s", g->removed[SWEEP_ID],
		       g->removed[SWEEP_ID] == 1 ? "" : "s");
	return 0;
}

static void print_help(FILE *out)
{
	fprintf(out,
		"usage: mayfly gc [options]\n\n"
		"Removes what machines left behind whose processes were all killed at once:\n"
		"their directories, cgroups and user ids. Records of machines (mayfly ps -a)\n"
		"whose keepers were killed are completed. Running machines are not touched. It\n"
		"is safe at any time; each 'mayfly run' does most of it, too.\n\noptions:\n");
	opt_help(out, gc_options, ARRAY_SIZE(gc_options));
}

static int collect(struct gc *g)
{
	struct err e = {0};
	AUTO_CLOSE int base = statedir_base(&e);
	if (base < 0) {
		log_error("%s", e.text);
		return EXIT_FAILED;
	}
	int ret = record_sweep(base, g->dry_run, swept, g);
	if (ret >= 0)
		ret = sweep(g, base);
	if (ret == -EAGAIN)
		log_error("machines are being started all the time; try again");
	else if (ret < 0)
		log_error("can't read the machines' directory: %s", strerror(-ret));
	int written = report(g);
	if (written == 0 && (fflush(stdout) != 0 || ferror(stdout)))
		written = -EIO;
	if (written < 0)
		log_error("the report can't be written: %s", strerror(-written));
	return ret < 0 || written < 0 || json_array_size(g->kept) > 0 ? EXIT_FAILED : 0;
}

int cmd_gc(int argc, char **argv)
{
	struct gc g = {0};
	struct err e = {0};
	int rest = 0;
	int ret = opt_parse(gc_options, ARRAY_SIZE(gc_options), &g, argc, argv, &rest, &e);
	if (ret == 0 && !g.help && rest < argc)
		ret = err_set(&e, EINVAL, "gc takes no argument '%s'", argv[rest]);
	if (ret < 0) {
		log_error("%s (see mayfly gc --help)", e.text);
		return EXIT_USAGE;
	}
	if (g.help) {
		print_help(stdout);
		return fflush(stdout) == 0 ? 0 : EXIT_FAILED;
	}
	g.list = json_array();
	g.kept = json_array();
	g.ended = json_array();
	int status = EXIT_FAILED;
	if (g.list && g.kept && g.ended)
		status = collect(&g);
	else
		log_error("out of memory");
	json_decref(g.list);
	json_decref(g.kept);
	json_decref(g.ended);
	return status;
}
