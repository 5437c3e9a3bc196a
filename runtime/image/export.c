// SPDX-License-Identifier: Apache-2.0
// export.c - an image file as a tar archive
//
// The image is read by our own reader, which believes nothing in it. A directory that contains
// itself ends at the limits of a path's length and of the number of files.
#include "image/export.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "image/erofs_read.h"
#include "image/tree.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define COPY_SIZE 262144u

struct dir {
	struct dir *next;
	uint64_t nid;
	char path[]; /* "" is the root */
};

struct named { /* the first name of a file that has several */
	uint64_t nid;
	char path[];
};

struct export
{
	struct erofs fs;
	struct archive *a;
	struct archive_entry *entry;
	struct dir *todo;
	const struct dir *at;
	void *links; /* tsearch() of struct named */
	uint32_t count;
	uint64_t done;
	void (*progress)(void *arg, uint64_t done);
	void *arg;
	char *buf;
};

static int failed(struct export *x, struct err *e)
{
	const char *text = archive_error_string(x->a);
	int code = archive_errno(x->a);
	return err_set(e, code > 0 ? code : EIO, "can't write the archive: %.300s",
		       text ? text : "unknown");
}

static int by_nid(const void *a, const void *b)
{
	const struct named *x = a;
	const struct named *y = b;
	return (x->nid > y->nid) - (x->nid < y->nid);
}

static int push(struct export *x, const char *path, uint64_t nid, struct err *e)
{
	size_t len = strlen(path);
	struct dir *d = malloc(sizeof(*d) + len + 1);
	if (!d)
		return err_set(e, ENOMEM, "out of memory");
	d->next = x->todo;
	d->nid = nid;
	memcpy(d->path, path, len + 1);
	x->todo = d;
	return 0;
}

/* The name under which the file is in the archive already; NULL: this is the first. */
static int first_name(struct export *x, const struct erofs_file *f, const char *path,
		      const char **first, struct err *e)
{
	size_t len = strlen(path);
	struct named *n = calloc(1, sizeof(*n) + len + 1);
	void **found = NULL;
	*first = NULL;
	if (n) {
		n->nid = f->nid;
		memcpy(n->path, path, len + 1);
		found = tsearch(n, &x->links, by_nid);
	}
	if (!found) {
		free(n);
		return err_set(e, ENOMEM, "out of memory");
	}
	if (*found != n) {
		*first = ((const struct named *)*found)->path;
		free(n);
	}
	return 0;
}

static int add_xattr(const char *name, const void *value, size_t len, void *arg, struct err *e)
{
	struct export *x = arg;
	(void)e;
	archive_entry_xattr_add_entry(x->entry, name, value, len);
	return 0;
}

static int copy_data(struct export *x, const struct erofs_file *f, struct err *e)
{
	for (uint64_t at = 0; at < f->size;) {
		size_t n = (size_t)MIN(f->size - at, COPY_SIZE);
		int ret = erofs_pread(&x->fs, f, at, x->buf, n, e);
		if (ret < 0)
			return ret;
		if (archive_write_data(x->a, x->buf, n) != (la_ssize_t)n)
			return failed(x, e);
		at += n;
		x->done += n;
		if (x->progress)
			x->progress(x->arg, x->done);
	}
	return 0;
}

static int set_target(struct export *x, const struct erofs_file *f, struct err *e)
{
	char target[TREE_PATH_MAX];
	if (f->size == 0 || f->size >= sizeof(target))
		return err_set(e, EUCLEAN, "the image is damaged: a link's target");
	int ret = erofs_pread(&x->fs, f, 0, target, (size_t)f->size, e);
	target[f->size] = '\0';
	archive_entry_set_symlink(x->entry, target);
	return ret;
}

static int put(struct export *x, const char *path, const struct erofs_file *f, struct err *e)
{
	const char *first = NULL;
	int ret = 0;
	if (++x->count > TREE_ENTRIES_MAX)
		return err_set(e, EUCLEAN, "the image has more than %u files", TREE_ENTRIES_MAX);
	archive_entry_clear(x->entry);
	archive_entry_set_pathname(x->entry, path);
	archive_entry_set_mode(x->entry, f->mode);
	archive_entry_set_uid(x->entry, f->uid);
	archive_entry_set_gid(x->entry, f->gid);
	archive_entry_set_mtime(x->entry, f->mtime, (long)f->mtime_nsec);
	archive_entry_set_size(x->entry, S_ISREG(f->mode) ? (la_int64_t)f->size : 0);
	if (S_ISLNK(f->mode))
		ret = set_target(x, f, e);
	if (ret == 0 && f->nlink > 1 && !S_ISDIR(f->mode))
		ret = first_name(x, f, path, &first, e);
	if (ret == 0 && first) {
		archive_entry_set_hardlink(x->entry, first);
		archive_entry_set_size(x->entry, 0);
	}
	if (ret == 0 && !first)
		ret = erofs_xattrs(&x->fs, f, add_xattr, x, e);
	if (ret < 0)
		return ret;
	if (archive_write_header(x->a, x->entry) < ARCHIVE_WARN)
		return failed(x, e);
	return S_ISREG(f->mode) && !first ? copy_data(x, f, e) : 0;
}

static int put_child(const char *name, uint64_t nid, void *arg, struct err *e)
{
	struct export *x = arg;
	struct erofs_file f;
	char path[TREE_PATH_MAX];
	const char *above = x->at->path;
	int n = snprintf(path, sizeof(path), "%s%s%s", above, *above ? "/" : "", name);
	if (n < 0 || (size_t)n >= sizeof(path))
		return err_set(e, EUCLEAN, "the image is damaged: a path that is too long");
	int ret = erofs_stat(&x->fs, nid, &f, e);
	if (ret == 0)
		ret = put(x, path, &f, e);
	if (ret == 0 && S_ISDIR(f.mode))
		ret = push(x, path, nid, e);
	return ret;
}

static int put_all(struct export *x, struct err *e)
{
	struct erofs_file f;
	int ret = erofs_stat(&x->fs, x->fs.root, &f, e);
	if (ret == 0)
		ret = put(x, ".", &f, e);
	if (ret == 0)
		ret = push(x, "", x->fs.root, e);
	while (x->todo && ret == 0) {
		AUTO_FREE struct dir *d = x->todo;
		x->todo = d->next;
		x->at = d;
		ret = erofs_stat(&x->fs, d->nid, &f, e);
		if (ret == 0)
			ret = erofs_dir(&x->fs, &f, put_child, x, e);
	}
	return ret;
}

static int with_archive(struct export *x, int out, struct err *e)
{
	x->a = archive_write_new();
	x->entry = archive_entry_new();
	x->buf = malloc(COPY_SIZE);
	if (!x->a || !x->entry || !x->buf)
		return err_set(e, ENOMEM, "out of memory");
	if (archive_write_set_format_pax(x->a) != ARCHIVE_OK ||
	    archive_write_add_filter_none(x->a) != ARCHIVE_OK ||
	    /* Else a pipe would get more padding than a file. */
	    archive_write_set_bytes_in_last_block(x->a, 1) != ARCHIVE_OK ||
	    archive_write_open_fd(x->a, out) != ARCHIVE_OK)
		return failed(x, e);
	int ret = put_all(x, e);
	if (ret == 0 && archive_write_close(x->a) != ARCHIVE_OK)
		ret = failed(x, e);
	/* A broken archive gets no proper end. */
	if (ret < 0)
		archive_write_fail(x->a);
	return ret;
}

int export_tar(int image, int out, void (*progress)(void *arg, uint64_t done), void *arg,
	       struct err *e)
{
	struct export x = {.progress = progress, .arg = arg};
	int ret = erofs_open(&x.fs, image, e);
	if (ret == 0)
		ret = with_archive(&x, out, e);
	archive_write_free(x.a);
	archive_entry_free(x.entry);
	free(x.buf);
	tdestroy(x.links, free);
	while (x.todo) {
		struct dir *d = x.todo;
		x.todo = d->next;
		free(d);
	}
	return ret;
}
