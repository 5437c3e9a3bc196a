// SPDX-License-Identifier: Apache-2.0
// cmd_export.c - `mayfly image export`
#include "image/cmd_export.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "base/opt.h"
#include "image/exits.h"
#include "image/export.h"
#include "image/image_store.h"
#include "image/progress.h"
#include "image/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define EXPORT_MAX (1ull << 44) /* an image has at most 16 TiB */

struct exporting {
	struct image image;
	int out;
	struct progress bar;
	struct worker *worker; /* in the worker */
};

static volatile sig_atomic_t stopped;

static void on_signal(int sig)
{
	stopped = sig;
}

static void tell(void *arg, uint64_t done)
{
	const struct exporting *x = arg;
	worker_tell(x->worker, WORKER_WRITE, done, x->image.meta.size);
}

static int in_worker(struct worker *w, void *arg, struct err *e)
{
	struct exporting *x = arg;
	x->worker = w;
	return export_tar(x->image.fd, x->out, tell, x, e);
}

static void on_progress(void *arg, enum worker_phase phase, uint64_t done, uint64_t total)
{
	struct exporting *x = arg;
	(void)phase;
	progress_show(&x->bar, "writing", done, total);
}

static int run(struct exporting *x, struct err *e)
{
	const int keep[] = {x->image.fd, x->out};
	const struct worker_job job = {
		.run = in_worker,
		.arg = x,
		.dir = -1,
		.file_max = EXPORT_MAX,
		.keep = keep,
		.nkeep = ARRAY_SIZE(keep),
		.progress = on_progress,
		.progress_arg = x,
		.stop = &stopped,
	};
	return worker_run(&job, e);
}

/* Beside, then renamed: FILE is whole or what it was. */
static int to_file(struct exporting *x, const char *path, struct err *e)
{
	char part[PATH_MAX];
	int n = snprintf(part, sizeof(part), "%s.part-XXXXXX", path);
	if (n < 0 || (size_t)n >= sizeof(part))
		return err_set(e, ENAMETOOLONG, "'%.100s...' is too long", path);
	x->out = mkostemp(part, O_CLOEXEC);
	if (x->out < 0)
		return err_errno(e, errno, "can't make a file beside '%s'", path);
	mode_t mask = umask(0);
	umask(mask);
	int ret = run(x, e);
	if (ret == 0 &&
	    (fchmod(x->out, 0666 & ~mask) < 0 || fsync(x->out) < 0 || rename(part, path) < 0))
		ret = err_errno(e, errno, "can't write '%s'", path);
	if (ret < 0)
		unlink(part);
	close_fd(&x->out);
	return ret;
}

/* A device or a FIFO is written to, never replaced: root could replace /dev/null. */
static bool is_special(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode);
}

static int to_special(struct exporting *x, const char *path, struct err *e)
{
	x->out = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	if (x->out < 0)
		return err_errno(e, errno, "can't open '%s'", path);
	int ret = run(x, e);
	close_fd(&x->out);
	return ret;
}

static int do_export(const char *name, const char *path, struct err *e)
{
	struct exporting x = {.out = -1};
	int ret = image_find(name, &x.image, e);
	if (ret < 0)
		return ret;
	progress_begin(&x.bar, false);
	if (path && is_special(path)) {
		ret = to_special(&x, path, e);
	} else if (path) {
		ret = to_file(&x, path, e);
	} else {
		x.out = STDOUT_FILENO;
		ret = run(&x, e);
	}
	progress_end(&x.bar);
	image_free(&x.image);
	return ret;
}

static int set_help(void *ctx, const char *v, struct err *e)
{
	(void)v;
	(void)e;
	*(bool *)ctx = true;
	return 0;
}

static const struct opt export_options[] = {
	{"help", 'h', NULL, "show this help", set_help},
};

static void print_help(void)
{
	puts("usage: mayfly image export [options] NAME[:TAG] [FILE|-]\n\n"
	     "Writes the image's tree as a tar archive, to standard output without FILE.\n\n"
	     "options:");
	opt_help(stdout, export_options, ARRAY_SIZE(export_options));
}

int cmd_export(int argc, char **argv)
{
	const struct sigaction sa = {.sa_handler = on_signal};
	struct err e = {0};
	bool help = false;
	int rest = 0;
	int ret = opt_parse_mixed(export_options, ARRAY_SIZE(export_options), &help, argc, argv,
				  &rest, &e);
	int n = argc - rest;
	if (ret == 0 && !help && (n < 1 || n > 2))
		ret = err_set(&e, EINVAL, "a name and at most one file are wanted");
	if (ret < 0) {
		log_error("%s (see mayfly image export --help)", e.text);
		return EXIT_USAGE;
	}
	if (help) {
		print_help();
		return 0;
	}
	const char *name = argv[rest];
	const char *path = n == 2 && strcmp(argv[rest + 1], "-") != 0 ? argv[rest + 1] : NULL;
	if (!path && isatty(STDOUT_FILENO)) {
		log_error("a tar archive is nothing for a terminal: name a file");
		return EXIT_USAGE;
	}
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
	ret = do_export(name, path, &e);
	if (ret < 0 && !stopped)
		log_error("%s", e.text);
	return stopped ? 128 + stopped : ret < 0 ? EXIT_FAILED : 0;
}
