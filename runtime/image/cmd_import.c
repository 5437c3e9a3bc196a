// SPDX-License-Identifier: Apache-2.0
// cmd_import.c - `mayfly image import`
//
// This process opens the source and the store; a confined one reads the source and writes the
// image. What it wrote gets its digest here, and its place in the store.
#include "image/cmd_import.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/log.h"
#include "base/opt.h"
#include "image/convert.h"
#include "image/erofs_read.h"
#include "image/exits.h"
#include "image/image_store.h"
#include "image/progress.h"
#include "image/store_change.h"
#include "image/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <nettle/sha2.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#define DEFAULT_MAX_SIZE (16ull << 30)
/* What an image may need beside files' data: inodes, names, the rest of the last blocks. */
#define OVERHEAD (16ull << 30)
#define HASH_BUF (1u << 20)

struct import {
	const char *name_given;
	const char *platform;
	uint64_t max_bytes;
	bool json, quiet, help;
	bool writing; /* the worker has begun to */
	const char *path;
	struct source src;
	int result; /* memfd with what the worker found out */
	int store;
	struct store_temp temp;
	struct progress bar;
	struct worker *worker; /* in the worker */
	struct converted found;
	struct image_name name;
	struct image_meta meta;
};

static int set_name(void *ctx, const char *v, struct err *e)
{
	struct import *im = ctx;
	im->name_given = v;
	return image_name_parse(v, &im->name, e);
}

static int set_max(void *ctx, const char *v, struct err *e)
{
	uint64_t *max = &((struct import *)ctx)->max_bytes;
	int ret = opt_bytes(v, max, e);
	return ret == 0 && (*max == 0 || *max > 1ull << 42)
		       ? err_set(e, EINVAL, "'%s': from 1 byte to 4096G", v)
		       : ret;
}

static int set_platform(void *ctx, const char *v, struct err *e)
{
	(void)e;
	((struct import *)ctx)->platform = v;
	return 0;
}

static int set_json(void *ctx, const char *v, struct err *e)
{
	(void)v;
	(void)e;
	((struct import *)ctx)->json = true;
	return 0;
}

static int set_quiet(void *ctx, const char *v, struct err *e)
{
	(void)v;
	(void)e;
	((struct import *)ctx)->quiet = true;
	return 0;
}

static int set_help(void *ctx, const char *v, struct err *e)
{
	(void)v;
	(void)e;
	((struct import *)ctx)->help = true;
	return 0;
}

static const struct opt import_options[] = {
	{"name", 'n', "NAME[:TAG]",
	 "what the image is called; default: what the archive says,\n"
	 "or its file name",
	 set_name},
	{"max-size", 0, "SIZE", "refuse what unpacks to more (default 16G)", set_max},
	{"platform", 0, "OS/ARCH", "which image of several (default " MANIFEST_PLATFORM ")",
	 set_platform},
	{"json", 0, NULL, "print what 'mayfly image inspect' prints", set_json},
	{"quiet", 'q', NULL, "no progress bar, no line about the result", set_quiet},
	{"help", 'h', NULL, "show this help", set_help},
};

static volatile sig_atomic_t stopped;

static void on_signal(int sig)
{
	stopped = sig;
}

static void catch_signals(void)
{
	static const int caught[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction sa = {.sa_handler = on_signal};
	for (size_t i = 0; i < ARRAY_SIZE(caught); i++)
		sigaction(caught[i], &sa, NULL);
}

/* --- in the worker --- */

static void tell_reading(void *arg, uint64_t at)
{
	const struct import *im = arg;
	worker_tell(im->worker, WORKER_READ, at, im->src.bytes);
}

static void tell_writing(void *arg, uint64_t done, uint64_t total)
{
	const struct import *im = arg;
	worker_tell(im->worker, WORKER_WRITE, done, total);
}

static int in_worker(struct worker *w, void *arg, struct err *e)
{
	struct import *im = arg;
	struct converted found;
	im->worker = w;
	im->src.progress = tell_reading;
	im->src.arg = im;
	const struct convert c = {
		.src = &im->src,
		.platform = im->platform,
		.out = im->temp.fd,
		.progress = tell_writing,
		.arg = im,
	};
	int ret = convert(&c, &found, e);
	if (ret < 0)
		return ret;
	json_t *o = converted_json(&found);
	AUTO_FREE char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
	json_decref(o);
	converted_free(&found);
	if (!text)
		return err_set(e, ENOMEM, "out of memory");
	ret = io_write_full(im->result, text, strlen(text));
	return ret < 0 ? err_errno(e, -ret, "the result") : 0;
}

/* --- outside --- */

static void on_progress(void *arg, enum worker_phase phase, uint64_t done, uint64_t total)
{
	struct import *im = arg;
	/* Reading goes on while writing; the two would take turns on the line. */
	im->writing |= phase == WORKER_WRITE;
	if (im->writing && phase == WORKER_READ)
		return;
	progress_show(&im->bar, phase == WORKER_READ ? "reading" : "writing", done, total);
}

static int open_source(struct import *im, struct err *e)
{
	struct stat st;
	im->src.fd = open(im->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (im->src.fd < 0 || fstat(im->src.fd, &st) < 0)
		return err_errno(e, errno, "can't open '%s'", im->path);
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return err_set(e, EINVAL, "'%s' is neither a file nor a directory", im->path);
	im->src.is_dir = S_ISDIR(st.st_mode);
	im->src.max_bytes = im->max_bytes;
	return 0;
}

static int run_worker(struct import *im, struct err *e)
{
	AUTO_FREE char *text = NULL;
	size_t len;
	im->result = memfd_create("mayfly-image", MFD_CLOEXEC);
	if (im->result < 0)
		return err_errno(e, errno, "memory for the result");
	const int keep[] = {im->src.fd, im->temp.fd, im->result};
	const struct worker_job job = {
		.run = in_worker,
		.arg = im,
		.dir = im->src.is_dir ? im->src.fd : -1,
		.file_max = im->max_bytes + OVERHEAD,
		.keep = keep,
		.nkeep = ARRAY_SIZE(keep),
		.progress = on_progress,
		.progress_arg = im,
		.stop = &stopped,
	};
	int ret = worker_run(&job, e);
	if (ret < 0)
		return ret == -EINTR ? ret : err_wrap(e, ret, "can't import '%s'", im->path);
	ret = io_read_all(im->result, IMAGE_META_MAX, &text, &len);
	if (ret < 0)
		return err_errno(e, -ret, "reading the result");
	return converted_parse(text, len, &im->found, e);
}

static int hash_file(struct import *im, int fd, uint64_t size, char hex[IMAGE_HEX + 1],
		     struct err *e)
{
	AUTO_FREE uint8_t *buf = malloc(HASH_BUF);
	struct sha256_ctx ctx;
	uint8_t digest[SHA256_DIGEST_SIZE];
	if (!buf)
		return err_set(e, ENOMEM, "out of memory");
	sha256_init(&ctx);
	for (uint64_t at = 0; at < size;) {
		ssize_t n = pread(fd, buf, (size_t)MIN(size - at, HASH_BUF), (off_t)at);
		if (stopped)
			return err_set(e, EINTR, "interrupted");
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_errno(e, n < 0 ? errno : EIO, "reading the image");
		sha256_update(&ctx, (size_t)n, buf);
		at += (uint64_t)n;
		progress_show(&im->bar, "hashing", at, size);
	}
	sha256_digest(&ctx, sizeof(digest), digest);
	for (size_t i = 0; i < sizeof(digest); i++)
		snprintf(hex + 2 * i, 3, "%02x", digest[i]);
	return 0;
}

/* Control bytes and what is no ASCII would be no good in JSON, nor on a terminal. */
static char *plain(const char *text)
{
	char *copy = strdup(text);
	for (char *c = copy; c && *c; c++)
		if ((unsigned char)*c < ' ' || (unsigned char)*c >= 0x7f)
			*c = '?';
	return copy;
}

static int fill_meta(struct import *im, struct err *e)
{
	struct image_meta *m = &im->meta;
	struct erofs fs;
	char now[32];
	time_t t = time(NULL);
	struct tm tm;
	int ret = erofs_open(&fs, im->temp.fd, e);
	if (ret < 0)
		return ret;
	m->size = fs.bytes;
	ret = hash_file(im, im->temp.fd, m->size, m->digest, e);
	if (ret < 0)
		return ret;
	if (!gmtime_r(&t, &tm) || strftime(now, sizeof(now), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		return err_set(e, EOVERFLOW, "the clock is wrong");
	m->created = strdup(now);
	m->source = plain(im->path);
	m->kind = strdup(im->found.kind);
	m->platform = strdup(im->found.platform);
	m->files = im->found.files;
	m->config = im->found.config;
	memset(&im->found.config, 0, sizeof(im->found.config));
	return m->created && m->source && m->kind && m->platform
		       ? 0
		       : err_set(e, ENOMEM, "out of memory");
}

static int choose_name(struct import *im, struct err *e)
{
	char full[PATH_MAX];
	if (im->name_given)
		return 0;
	/* "." has no name of its own. */
	const char *stem = realpath(im->path, full) ? full : im->path;
	if (im->found.ref[0])
		return image_name_from_ref(im->found.ref, stem, &im->name, e);
	return image_name_from_path(stem, &im->name, e);
}

/* An image file of this digest that is there, but damaged, is replaced. */
static bool is_damaged(struct import *im)
{
	char hex[IMAGE_HEX + 1];
	AUTO_CLOSE int fd = store_blob(im->store, &im->meta, NULL);
	if (fd < 0)
		return true;
	return hash_file(im, fd, im->meta.size, hex, NULL) < 0 || strcmp(hex, im->meta.digest) != 0;
}

static void warn(const struct import *im)
{
	const struct converted *f = &im->found;
	if (f->skipped)
		log_warn("left out: %u devices or sockets, which images do not hold", f->skipped);
	if (f->attributes)
		log_warn("left out: %u extended attributes other than user.* and "
			 "security.capability",
			 f->attributes);
	if (f->platform[0] && strncmp(f->platform, MANIFEST_PLATFORM, 11) != 0)
		log_warn("the image is for %s: machines here are " MANIFEST_PLATFORM, f->platform);
	if (!im->meta.config.user_known)
		log_warn("the image's user '%s' is not in its etc/passwd or etc/group",
			 im->meta.config.user);
}

static int report(const struct import *im)
{
	char text[IMAGE_TEXT_MAX];
	char size[32];
	warn(im);
	image_name_text(&im->name, text);
	if (im->json) {
		json_t *o = image_meta_json(&im->meta);
		int ret = !o || json_object_set_new(o, "name", json_string(text)) < 0 ||
					  json_dumpf(o, stdout, JSON_INDENT(2)) < 0
				  ? -ENOMEM
				  : 0;
		json_decref(o);
		putchar('\n');
		return ret;
	}
	progress_bytes(size, sizeof(size), im->meta.size);
	if (!im->quiet)
		printf("%s  sha256:%.12s  %s\n", text, im->meta.digest, size);
	return 0;
}

static int import_all(struct import *im, struct err *e)
{
	int ret = open_source(im, e);
	if (ret < 0)
		return ret;
	im->store = store_open(true, e);
	if (im->store < 0)
		return im->store;
	ret = store_temp(im->store, &im->temp, e);
	if (ret == 0)
		ret = run_worker(im, e);
	if (ret == 0)
		ret = choose_name(im, e);
	if (ret == 0)
		ret = fill_meta(im, e);
	if (ret == 0)
		ret = store_add(im->store, &im->temp, &im->name, &im->meta, is_damaged(im), e);
	return ret;
}

static void print_help(FILE *out)
{
	fprintf(out,
		"usage: mayfly image import [options] FILE|DIRECTORY\n\n"
		"Makes an image of an OCI image layout (a directory or a tar archive), of what\n"
		"'docker save' writes, of a tar archive of a root file system, or of such a\n"
		"directory. Archives may be compressed (gzip, zstd, xz, bzip2). Which of these\n"
		"it is is recognised.\n\noptions:\n");
	opt_help(out, import_options, ARRAY_SIZE(import_options));
}

static int do_import(struct import *im)
{
	struct err e = {0};
	catch_signals();
	progress_begin(&im->bar, im->quiet);
	int ret = import_all(im, &e);
	progress_end(&im->bar);
	store_drop(im->store, &im->temp);
	if (ret == 0)
		ret = report(im);
	else if (!stopped)
		log_error("%s", e.text);
	converted_free(&im->found);
	image_meta_free(&im->meta);
	close_fd(&im->store);
	close_fd(&im->src.fd);
	close_fd(&im->result);
	return stopped ? 128 + stopped : ret < 0 ? EXIT_FAILED : 0;
}

int cmd_import(int argc, char **argv)
{
	struct import im = {.platform = MANIFEST_PLATFORM,
			    .max_bytes = DEFAULT_MAX_SIZE,
			    .result = -1,
			    .store = -1,
			    .temp.fd = -1,
			    .src.fd = -1};
	struct err e = {0};
	int rest = 0;
	int ret = opt_parse_mixed(import_options, ARRAY_SIZE(import_options), &im, argc, argv,
				  &rest, &e);
	if (ret == 0 && !im.help && argc - rest != 1)
		ret = err_set(&e, EINVAL, "one file or directory is wanted, %d are given",
			      argc - rest);
	if (ret < 0) {
		log_error("%s (see mayfly image import --help)", e.text);
		return EXIT_USAGE;
	}
	if (im.help) {
		print_help(stdout);
		return 0;
	}
	im.path = argv[rest];
	return do_import(&im);
}
