// SPDX-License-Identifier: Apache-2.0
// main.c - mayfly-image: what `mayfly image` runs
//
// A program of its own, so that `mayfly run` starts without libarchive and what that needs.
#include "base/checked.h"
#include "base/log.h"
#include "image/cmd_export.h"
#include "image/cmd_images.h"
#include "image/cmd_import.h"
#include "image/exits.h"

#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *name;
	const char *help;
	int (*run)(int argc, char **argv);
} commands[] = {
	{"import", "make an image of an archive or a directory", cmd_import},
	{"ls", "list the images", image_ls},
	{"inspect", "print what is known of an image, as JSON", image_inspect},
	{"rm", "remove images", image_rm},
	{"export", "write an image's tree as a tar archive", cmd_export},
	{"gc", "remove image files without a name, and leftovers", image_gc},
};

static void usage(FILE *out)
{
	fprintf(out, "usage: mayfly image COMMAND [options]\n\n"
		     "Images: root file systems for machines, in a store of the user's own.\n\n"
		     "commands:\n");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].help);
	fprintf(out, "\n'mayfly image COMMAND --help' says more about one.\n"
		     "example: mayfly image import alpine.tar\n");
}

/* Text that was asked for and could not be written is a failure. */
static int flush_stdout(int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	log_error("can't write standard output: %s", strerror(errno));
	return status ? status : EXIT_FAILED;
}

int main(int argc, char **argv)
{
	log_init("mayfly", LOG_WARN);
	/* libarchive would translate names; in this one they stay the bytes that they are. */
	if (!setlocale(LC_CTYPE, "C.UTF-8"))
		log_warn("the locale C.UTF-8 is missing: names that are not ASCII may fail");
	if (argc < 2) {
		usage(stderr);
		return EXIT_USAGE;
	}
	const char *name = argv[1];
	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
		usage(stdout);
		return flush_stdout(0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (strcmp(name, commands[i].name) == 0)
			return flush_stdout(commands[i].run(argc - 1, argv + 1));
	log_error("unknown command 'image %s' (see 'mayfly image --help')", name);
	return EXIT_USAGE;
}
