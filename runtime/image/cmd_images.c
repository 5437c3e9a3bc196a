// SPDX-License-Identifier: Apache-2.0
// cmd_images.c - `mayfly image ls`, `inspect`, `rm` and `gc`
#include "image/cmd_images.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "base/opt.h"
#include "image/exits.h"
#include "image/image_store.h"
#include "image/progress.h"
#include "image/store_change.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define JSON_VERSION 1

struct flags {
	bool json, dry_run, help;
};

static int set_json(void *ctx, const char *v, struct err *e)
{
	(void)v;
	(void)e;
	((struct flags *)ctx)->json = true;
	return 0;
}

static int set_dry_run(void *ctx, const char *v, struct err *e)
{
	(void)v;
	(void)e;
	((struct flags *)ctx)->dry_run = true;
	return 0;
}

static int set_help(void *ctx, const char *v, struct err *e)
{
	(void)v;
	(void)e;
	((struct flags *)ctx)->help = true;
	return 0;
}

static const struct opt json_options[] = {
	{"help", 'h', NULL, "show this help", set_help},
	{"json", 0, NULL, "JSON instead of lines", set_json},
};

static const struct opt gc_options[] = {
	{"help", 'h', NULL, "show this help", set_help},
	{"json", 0, NULL, "JSON instead of lines", set_json},
	{"dry-run", 'n', NULL, "say what would be removed, remove nothing", set_dry_run},
};

struct command {
	const char *usage;
	const char *about;
	const struct opt *options;
	size_t n;
	int min, max; /* words */
};

/* -1: go on; else the exit status. */
static int begin(const struct command *c, struct flags *f, int argc, char **argv, int *rest)
{
	struct err e = {0};
	int ret = opt_parse_mixed(c->options, c->n, f, argc, argv, rest, &e);
	if (ret == 0 && !f->help && (argc - *rest < c->min || argc - *rest > c->max))
		ret = err_set(&e, EINVAL, "usage: mayfly image %s", c->usage);
	if (ret < 0) {
		log_error("%s (see mayfly image %s --help)", e.text, argv[0]);
		return EXIT_USAGE;
	}
	if (!f->help)
		return -1;
	printf("usage: mayfly image %s\n\n%s\n\noptions:\n", c->usage, c->about);
	opt_help(stdout, c->options, c->n);
	return 0;
}

static int print_json(json_t *o)
{
	int ret = o ? json_dumpf(o, stdout, JSON_INDENT(2)) : -1;
	json_decref(o);
	putchar('\n');
	return ret < 0 ? EXIT_FAILED : 0;
}

static json_t *named_json(const struct image_name *n, const struct image_meta *m)
{
	char text[IMAGE_TEXT_MAX];
	json_t *o = image_meta_json(m);
	image_name_text(n, text);
	if (o && json_object_set_new(o, "name", json_string(text)) < 0) {
		json_decref(o);
		return NULL;
	}
	return o;
}

/* The store, or the end of the command: nothing was imported yet is no failure. */
static int open_store(int *status)
{
	struct err e = {0};
	int fd = store_open(false, &e);
	if (fd >= 0)
		return fd;
	if (fd != -ENOENT)
		log_error("%s", e.text);
	*status = fd == -ENOENT ? 0 : EXIT_FAILED;
	return -1;
}

static void print_line(const struct image_name *n, const struct image_meta *m)
{
	char text[IMAGE_TEXT_MAX];
	char size[32];
	image_name_text(n, text);
	progress_bytes(size, sizeof(size), m->size);
	printf("%-32s %.12s  %10s  %s\n", text, m->digest, size, m->created);
}

static int list(int store, const struct image_name *names, ssize_t n, json_t *array)
{
	int status = 0;
	if (!array)
		printf("%-32s %-12s  %10s  %s\n", "NAME", "DIGEST", "SIZE", "IMPORTED");
	for (ssize_t i = 0; i < n; i++) {
		struct image_meta m;
		struct err e = {0};
		if (store_load(store, &names[i], &m, &e) < 0) {
			log_error("%s", e.text);
			status = EXIT_FAILED;
			continue;
		}
		if (!array)
			print_line(&names[i], &m);
		else if (json_array_append_new(array, named_json(&names[i], &m)) < 0)
			status = EXIT_FAILED;
		image_meta_free(&m);
	}
	return status;
}

int image_ls(int argc, char **argv)
{
	static const struct command c = {"ls [--json]",
					 "Lists the images of this user.",
					 json_options,
					 ARRAY_SIZE(json_options),
					 0,
					 0};
	struct flags f = {0};
	int rest;
	int status = begin(&c, &f, argc, argv, &rest);
	if (status >= 0)
		return status;
	AUTO_FREE struct image_name *names = NULL;
	AUTO_CLOSE int store = open_store(&status);
	struct err e = {0};
	ssize_t n = store >= 0 ? store_names(store, &names, &e) : 0;
	if (n < 0) {
		log_error("%s", e.text);
		return EXIT_FAILED;
	}
	if (store < 0 && status != 0)
		return status;
	json_t *array = f.json ? json_array() : NULL;
	if (f.json && !array)
		return EXIT_FAILED;
	status = list(store, names, n, array);
	int printed = array ? print_json(array) : 0;
	return status ? status : printed;
}

int image_inspect(int argc, char **argv)
{
	static const struct command c = {"inspect NAME[:TAG]",
					 "Prints what is known of an image, as JSON.",
					 json_options,
					 ARRAY_SIZE(json_options),
					 1,
					 1};
	struct flags f = {0};
	struct image i;
	struct err e = {0};
	int rest;
	int status = begin(&c, &f, argc, argv, &rest);
	if (status >= 0)
		return status;
	if (image_find(argv[rest], &i, &e) < 0) {
		log_error("%s", e.text);
		return EXIT_FAILED;
	}
	status = print_json(named_json(&i.name, &i.meta));
	image_free(&i);
	return status;
}

int image_rm(int argc, char **argv)
{
	static const struct command c = {
		"rm NAME[:TAG]...",
		"Removes names, and the files of images that have no other name. Machines that\n"
		"use an image go on.",
		json_options,
		1,
		1,
		1000};
	struct flags f = {0};
	int rest;
	int status = begin(&c, &f, argc, argv, &rest);
	if (status >= 0)
		return status;
	struct err e = {0};
	AUTO_CLOSE int store = store_open(false, &e);
	status = 0;
	for (int k = rest; k < argc; k++) {
		struct image_name n;
		int ret = image_name_parse(argv[k], &n, &e);
		if (ret == 0)
			ret = store == -ENOENT
				      ? err_set(&e, ENOENT, "there is no image '%s'", argv[k])
			      : store < 0 ? store
					  : store_remove(store, &n, &e);
		if (ret == 0)
			continue;
		log_error("%s", e.text);
		status = EXIT_FAILED;
	}
	return status;
}

static int print_swept(const struct flags *f, const struct store_swept *s)
{
	char size[32];
	if (f->json)
		return print_json(json_pack("{s:i, s:b, s:i, s:i, s:I}", "version", JSON_VERSION,
					    "dry_run", f->dry_run, "images", (int)s->blobs,
					    "temporary", (int)s->temps, "bytes",
					    (json_int_t)s->bytes));
	progress_bytes(size, sizeof(size), s->bytes);
	printf("%s: %u image file%s, %u temporary file%s, %s\n",
	       f->dry_run ? "would remove" : "removed", s->blobs, s->blobs == 1 ? "" : "s",
	       s->temps, s->temps == 1 ? "" : "s", size);
	return 0;
}

int image_gc(int argc, char **argv)
{
	static const struct command c = {
		"gc [--dry-run] [--json]",
		"Removes image files that have no name, and what killed imports left behind.",
		gc_options,
		ARRAY_SIZE(gc_options),
		0,
		0};
	struct flags f = {0};
	struct store_swept s = {0};
	struct err e = {0};
	int rest;
	int status = begin(&c, &f, argc, argv, &rest);
	if (status >= 0)
		return status;
	AUTO_CLOSE int store = open_store(&status);
	if (store < 0 && status != 0)
		return status;
	s.dry_run = f.dry_run;
	int ret = store >= 0 ? store_gc(store, &s, &e) : 0;
	if (ret < 0)
		log_error("%s", e.text);
	status = print_swept(&f, &s);
	return ret < 0 ? EXIT_FAILED : status;
}
