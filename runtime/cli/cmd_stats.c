// SPDX-License-Identifier: Apache-2.0
// cmd_stats.c - `mayfly stats`: what machines that live use
#include "cli/cmd_stats.h"

#include "base/checked.h"
#include "base/log.h"
#include "cli/machine_cmd.h"
#include "cli/verdict.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

struct sample {
	char name[RECORD_NAME_MAX + 1];
	Mayfly__ControlReply *reply;
};

struct samples {
	struct sample *list;
	size_t n;
	bool failed;
};

static int set_prometheus(void *ctx, const char *v, struct err *e)
{
	(void)v;
	(void)e;
	((struct machine_args *)ctx)->prometheus = true;
	return 0;
}

static int take(struct samples *s, const struct record *r, struct err *e)
{
	Mayfly__ControlRequest q = MAYFLY__CONTROL_REQUEST__INIT;
	Mayfly__StatsQuery ask = MAYFLY__STATS_QUERY__INIT;
	Mayfly__ControlReply *m = NULL;
	q.body_case = MAYFLY__CONTROL_REQUEST__BODY_STATS;
	q.stats = &ask;
	int ret = machine_cmd_ask(r, &q, &m, e);
	if (ret < 0)
		return ret;
	struct sample *bigger = realloc(s->list, (s->n + 1) * sizeof(*bigger));
	if (!bigger || m->body_case != MAYFLY__CONTROL_REPLY__BODY_STATS) {
		s->list = bigger ? bigger : s->list;
		mayfly__control_reply__free_unpacked(m, NULL);
		return err_set(e, bigger ? EPROTO : ENOMEM, "no numbers of machine '%s'", r->name);
	}
	s->list = bigger;
	snprintf(s->list[s->n].name, sizeof(s->list[0].name), "%s", r->name);
	s->list[s->n++].reply = m;
	return 0;
}

/* Of all machines: those that are about to start or to end have no numbers. */
static void take_any(void *arg, struct record *r)
{
	struct err e = {0};
	if (record_kept(r) && take(arg, r, &e) < 0)
		log_info("%s", e.text);
}

static void take_named(struct samples *s, const char *machine)
{
	struct err e = {0};
	struct record r;
	int ret = record_find(&r, machine, &e);
	if (ret == 0) {
		ret = take(s, &r, &e);
		record_close(&r);
	}
	if (ret < 0) {
		log_error("%s", e.text);
		s->failed = true;
	}
}

/* One row for each number: the same everywhere. */
struct column {
	const char *json, *metric, *type, *help;
	bool guest;
	double scale;
	uint64_t (*get)(const Mayfly__MachineStats *s);
};

#define GETTER(field)                                                                              \
	static uint64_t get_##field(const Mayfly__MachineStats *s)                                 \
	{                                                                                          \
		return s->field;                                                                   \
	}
GETTER(host_cpu_usec)
GETTER(host_memory)
GETTER(memory_max)
GETTER(cpus)
GETTER(memory_total)
GETTER(memory_available)
GETTER(changes_used)
GETTER(processes)
GETTER(uptime_ns)
GETTER(cpu_usec)
GETTER(oom_kills)
GETTER(sessions)

static const struct column columns[] = {
	{"host_cpu_usec", "host_cpu_seconds_total", "counter",
	 "Processor time of the machine's processes on the host", false, 1e-6, get_host_cpu_usec},
	{"host_memory", "host_memory_bytes", "gauge", "Memory that they take of the host", false, 1,
	 get_host_memory},
	{"memory_max", "memory_max_bytes", "gauge", "Memory that the guest was given", false, 1,
	 get_memory_max},
	{"cpus", "cpus", "gauge", "CPUs that the guest was given", false, 1, get_cpus},
	{"memory_total", "guest_memory_total_bytes", "gauge", "Memory as the guest sees it", true,
	 1, get_memory_total},
	{"memory_available", "guest_memory_available_bytes", "gauge",
	 "Of that, what commands could have", true, 1, get_memory_available},
	{"changes_used", "guest_changes_bytes", "gauge", "Files that the guest keeps in memory",
	 true, 1, get_changes_used},
	{"processes", "guest_processes", "gauge", "Processes of commands", true, 1, get_processes},
	{"uptime_ns", "guest_uptime_seconds", "counter", "Since the guest started", true, 1e-9,
	 get_uptime_ns},
	{"cpu_usec", "guest_cpu_seconds_total", "counter", "Processor time of commands", true, 1e-6,
	 get_cpu_usec},
	{"oom_kills", "guest_oom_kills_total", "counter", "Processes killed for lack of memory",
	 true, 1, get_oom_kills},
	{"sessions", "guest_sessions", "gauge", "Commands that have not ended", true, 1,
	 get_sessions},
};

static void print_json(const struct samples *s)
{
	json_t *list = json_array();
	for (size_t i = 0; i < s->n; i++) {
		const Mayfly__MachineStats *m = s->list[i].reply->stats;
		json_t *o = json_pack("{s:s}", "name", s->list[i].name);
		for (size_t k = 0; k < ARRAY_SIZE(columns); k++)
			if (!columns[k].guest || m->guest)
				json_object_set_new(o, columns[k].json,
						    json_integer((json_int_t)columns[k].get(m)));
		json_array_append_new(list, o);
	}
	json_dumpf(list, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(list);
}

static void print_prometheus(const struct samples *s)
{
	for (size_t k = 0; k < ARRAY_SIZE(columns); k++) {
		const struct column *c = &columns[k];
		printf("# HELP mayfly_%s %s.\n# TYPE mayfly_%s %s\n", c->metric, c->help, c->metric,
		       c->type);
		for (size_t i = 0; i < s->n; i++) {
			const Mayfly__MachineStats *m = s->list[i].reply->stats;
			if (!c->guest || m->guest)
				printf("mayfly_%s{machine=\"%s\"} %.15g\n", c->metric,
				       s->list[i].name, (double)c->get(m) * c->scale);
		}
	}
}

static void print_table(const struct samples *s)
{
	printf("%-20s %10s %10s %10s %10s %6s %9s %9s\n", "NAME", "CPU TIME", "HOST MEM",
	       "GUEST MEM", "OF", "PROCS", "COMMANDS", "UPTIME");
	for (size_t i = 0; i < s->n; i++) {
		const Mayfly__MachineStats *m = s->list[i].reply->stats;
		printf("%-20s %9.1fs %9lluM ", s->list[i].name, (double)m->host_cpu_usec / 1e6,
		       (unsigned long long)m->host_memory >> 20);
		uint64_t used = m->memory_total > m->memory_available
					? m->memory_total - m->memory_available
					: 0;
		if (m->guest)
			printf("%9lluM %9lluM %6u %9u %8.0fs\n", (unsigned long long)used >> 20,
			       (unsigned long long)m->memory_total >> 20, m->processes, m->sessions,
			       (double)m->uptime_ns / 1e9);
		else
			printf("%10s %9lluM %6s %9s %9s\n", "-",
			       (unsigned long long)m->memory_max >> 20, "-", "-", "-");
	}
}

int cmd_stats(int argc, char **argv)
{
	static const struct opt rows[] = {
		{"json", 0, NULL, "one JSON array instead of a table", machine_set_json},
		{"prometheus", 0, NULL, "the text format that Prometheus reads", set_prometheus},
		MACHINE_ROW_HELP,
	};
	static const struct machine_cmd d = {
		.usage = "stats [options] [MACHINE...]",
		.text = "Shows what machines use of the host, and what their guests say. All that\n"
			"live, unless some are named.",
		.rows = rows,
		.n_rows = ARRAY_SIZE(rows),
		.max = INT_MAX,
	};
	struct machine_args a = {0};
	struct samples s = {0};
	struct err e = {0};
	int status = machine_cmd_parse(&d, &a, argc, argv);
	if (status >= 0)
		return status;
	for (int i = 0; i < a.argc; i++)
		take_named(&s, a.argv[i]);
	if (a.argc == 0 && record_each(take_any, &s, &e) < 0) {
		log_error("%s", e.text);
		s.failed = true;
	}
	if (a.json)
		print_json(&s);
	else if (a.prometheus)
		print_prometheus(&s);
	else
		print_table(&s);
	for (size_t i = 0; i < s.n; i++)
		mayfly__control_reply__free_unpacked(s.list[i].reply, NULL);
	free(s.list);
	return s.failed ? EXIT_MAYFLY : 0;
}
