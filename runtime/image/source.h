// SPDX-License-Identifier: Apache-2.0
// source.h - what is imported: its kind, and the byte streams in it
//
// Runs in the confined half of an import: everything read here is hostile.
#ifndef MAYFLY_IMAGE_SOURCE_H
#define MAYFLY_IMAGE_SOURCE_H

#include "base/err.h"

#include <archive.h>
#include <archive_entry.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SOURCE_NAME_MAX 512	   /* of a stream inside of an image archive */
#define SOURCE_JSON_MAX (4u << 20) /* manifests, indexes, configurations */
#define SOURCE_OUTER_MAX 100000u   /* entries of an image archive */

enum source_kind {
	SOURCE_TAR,	  /* the tree itself */
	SOURCE_DIRECTORY, /* likewise */
	SOURCE_OCI,	  /* OCI image layout */
	SOURCE_DOCKER,	  /* docker save, without an OCI layout in it */
};

struct source {
	int fd; /* borrowed: a regular file or a directory */
	bool is_dir;
	enum source_kind kind;
	uint64_t bytes;	    /* of the file */
	uint64_t max_bytes; /* that unpacking may give */
	/* Called now and then with the place in the file; may be NULL. */
	void (*progress)(void *arg, uint64_t at);
	void *arg;
};

/* source_kind_name() - "tar", "directory", "oci", "docker". */
const char *source_kind_name(enum source_kind k);

/* source_recognise() - fills kind; fd, max_bytes, progress are set before. 0 or -errno, text. */
int source_recognise(struct source *s, struct err *e);

/* source_plain_name() - without leading "/" and "./"; points into name. */
const char *source_plain_name(const char *name);

struct blob;

/*
 * blob_open() - a stream of the source; NULL: the file itself. Returns 0 or -errno with text.
 * @hash: for blob_verify()
 */
int blob_open(struct source *s, const char *name, bool hash, struct blob **out, struct err *e);
void blob_close(struct blob *b);

/* blob_archive() - an archive_read of the blob, which must outlive it; NULL with text. */
struct archive *blob_archive(struct blob *b, struct err *e);

/*
 * blob_verify() - reads what is left, then compares the sha256 of all of it with hex.
 * Returns 0, -EBADMSG with text if it is another, or another -errno.
 */
int blob_verify(struct blob *b, const char *hex, struct err *e);

/*
 * blob_load() - a small stream as a whole, with a NUL behind it.
 * @hex: the sha256 that it must have, or NULL
 * Returns 0 or -errno with text; *text is the caller's.
 */
int blob_load(struct source *s, const char *name, const char *hex, char **text, size_t *len,
	      struct err *e);

/* source_next() - the next entry: 1, 0 at the end, -EBADMSG or another -errno with text. */
int source_next(struct archive *a, struct archive_entry **entry, struct err *e);

#endif
