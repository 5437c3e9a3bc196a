// SPDX-License-Identifier: Apache-2.0
// main.c - mayfly: picks the subcommand, nothing else
#include "base/checked.h"
#include "base/io.h"
#include "base/log.h"
#include "cli/cmd_attach.h"
#include "cli/cmd_cp.h"
#include "cli/cmd_doctor.h"
#include "cli/cmd_exec.h"
#include "cli/cmd_gc.h"
#include "cli/cmd_image.h"
#include "cli/cmd_logs.h"
#include "cli/cmd_ps.h"
#include "cli/cmd_start.h"
#include "cli/cmd_stats.h"
#include "cli/cmd_stop.h"
#include "cli/cmd_wait.h"
#include "cli/config.h"
#include "cli/run.h"
#include "cli/verdict.h"
#include "engine/tcg.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static uint64_t start_ns;

/* The verdict is wanted also where nothing was started: a script asked for it. */
static int config_failed(const struct vm_config *c, const struct err *e)
{
	struct verdict v = {.t = {.start = start_ns}};
	log_error("%s (see 'mayfly %s --help')", e->text, c->boot ? "boot" : "run");
	verdict_set(&v, VERDICT_CONFIG, "%s", e->text);
	v.t.end = io_now_ns();
	if (c->status_fd >= 0 && verdict_write(&v, c->status_fd) < 0)
		log_error("can't write the verdict to descriptor %d", c->status_fd);
	return verdict_status(&v);
}

static int cmd_run(int argc, char **argv)
{
	struct vm_config c;
	struct err e = {0};
	int status = 0;
	config_defaults(&c);
	if (config_parse_run(&c, argc, argv, &e) < 0) {
		status = config_failed(&c, &e);
	} else if (c.help) {
		config_help_run();
	} else {
		log_init("mayfly", c.verbose ? LOG_INFO : LOG_WARN);
		status = run_main(&c, start_ns);
	}
	config_free(&c);
	return status;
}

static int start(int argc, char **argv)
{
	return cmd_start(argc, argv, start_ns);
}

static int cmd_boot(int argc, char **argv)
{
	struct vm_config c;
	struct err e = {0};
	int status = 0;
	config_defaults(&c);
	if (config_parse_boot(&c, argc, argv, &e) < 0) {
		status = config_failed(&c, &e);
	} else if (c.help) {
		config_help_boot();
	} else {
		log_init("mayfly", c.verbose ? LOG_INFO : LOG_WARN);
		status = run_main(&c, start_ns);
	}
	config_free(&c);
	return status;
}

static int cmd_version(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	printf("mayfly %s\n", MAYFLY_VERSION);
	return 0;
}

static int cmd_help(int argc, char **argv);

static const struct {
	const char *name;
	const char *help;
	int (*run)(int argc, char **argv);
} commands[] = {
	{"run", "run a command in a throwaway virtual machine", cmd_run},
	{"start", "start a machine that stays", start},
	{"exec", "run a command in a machine that was started", cmd_exec},
	{"attach", "take over a command that runs in a machine", cmd_attach},
	{"ps", "list machines", cmd_ps},
	{"logs", "show what a machine or a command in it said", cmd_logs},
	{"stop", "end a machine in good order", cmd_stop},
	{"kill", "end a machine at once", cmd_kill},
	{"wait", "wait until a machine or a command in it has ended", cmd_wait},
	{"rm", "forget a machine that has ended", cmd_rm},
	{"pause", "stop a machine's CPUs", cmd_pause},
	{"resume", "let them go on", cmd_resume},
	{"inspect", "print all that is known of a machine", cmd_inspect},
	{"stats", "show what machines use", cmd_stats},
	{"boot", "boot a kernel, its serial console on standard input and output", cmd_boot},
	{"cp", "copy files between the host and a machine", cmd_cp},
	{"doctor", "say what this host offers and what would improve it", cmd_doctor},
	{"image", "import, list, remove and export images", cmd_image},
	{"gc", "remove what dead machines left behind", cmd_gc},
	{"version", "print the version", cmd_version},
	{"help", "print this text", cmd_help},
};

static void usage(FILE *out)
{
	fprintf(out, "usage: mayfly COMMAND [options]\n\n"
		     "Sandboxes for untrusted programs: each runs in a virtual machine of its "
		     "own.\n\ncommands:\n");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].help);
	fprintf(out, "\n'mayfly COMMAND --help' says more about one.\n"
		     "example: mayfly run -- uname -a\n");
}

static int cmd_help(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	usage(stdout);
	return 0;
}

/* Text that was asked for and could not be written is a failure. */
static int flush_stdout(int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	log_error("can't write standard output: %s", strerror(errno));
	return status ? status : EXIT_MAYFLY;
}

/* With one of 0, 1, 2 closed, the next file opened would become somebody's stdout. */
static void fill_stdio(void)
{
	int fd;
	do {
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

int main(int argc, char **argv)
{
	start_ns = io_now_ns();
	tcg_tsc_begin();
	fill_stdio();
	log_init("mayfly", LOG_WARN);
	if (argc < 2) {
		usage(stderr);
		return EXIT_MAYFLY;
	}
	const char *name = argv[1];
	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
		name = "help";
	if (strcmp(name, "--version") == 0)
		name = "version";
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (strcmp(name, commands[i].name) == 0)
			return flush_stdout(commands[i].run(argc - 1, argv + 1));
	log_error("unknown command '%s' (see 'mayfly help')", name);
	return EXIT_MAYFLY;
}
