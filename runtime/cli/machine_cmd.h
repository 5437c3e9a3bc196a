// SPDX-License-Identifier: Apache-2.0
// machine_cmd.h - what the commands for machines that live have in common
#ifndef MAYFLY_CLI_MACHINE_CMD_H
#define MAYFLY_CLI_MACHINE_CMD_H

#include "base/err.h"
#include "base/opt.h"
#include "cli/control_client.h"
#include "cli/record.h"

#include <stdbool.h>

/* The options of all of them; each command's rows have some. */
struct machine_args {
	bool help;
	bool json;
	bool prometheus;
	bool all;
	bool force;
	bool follow;
	bool console;
	bool own;   /* logs: not a command's */
	int signal; /* kill: for a command in place of the machine's end; 0: none */
	uint64_t grace_ns;
	uint64_t tail; /* lines, UINT64_MAX: all */
	int argc;      /* the words behind the options */
	char **argv;
};

int machine_set_help(void *ctx, const char *v, struct err *e);
int machine_set_json(void *ctx, const char *v, struct err *e);

#define MACHINE_ROW_HELP                                                                           \
	{                                                                                          \
		"help", 'h', NULL, "show this help", machine_set_help                              \
	}

struct machine_cmd {
	const char *usage; /* behind "usage: mayfly ", the first word is the command's name */
	const char *text;  /* what it does */
	const struct opt *rows;
	size_t n_rows;
	int min, max; /* words */
};

/*
 * machine_cmd_parse() - options and words.
 * Returns -1 if the command is to go on, else the exit status: help was shown, or a mistake.
 */
int machine_cmd_parse(const struct machine_cmd *d, struct machine_args *a, int argc, char **argv);

/* machine_cmd_each() - calls fn for every word; says what fails. Returns the exit status. */
int machine_cmd_each(const struct machine_args *a,
		     int (*fn)(const struct machine_args *a, const char *machine, struct err *e));

/* machine_cmd_number() - the number of an exec; 0 or -EINVAL with text. */
int machine_cmd_number(const char *text, uint64_t *number, struct err *e);

/*
 * machine_cmd_ask() - one request without descriptors, over a connection of its own.
 * @what: which; the body is q's. Returns 0 with *reply, or -errno with text.
 */
int machine_cmd_ask(const struct record *r, Mayfly__ControlRequest *q, Mayfly__ControlReply **reply,
		    struct err *e);

/* machine_cmd_quiet() - the same, where no answer is an answer: NULL. */
Mayfly__ControlReply *machine_cmd_quiet(const struct record *r, Mayfly__ControlRequest *q);

#endif
