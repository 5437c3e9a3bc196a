// SPDX-License-Identifier: Apache-2.0
// unpack.h - archives and directories into a tree, and their files' data into an image
//
// Twice over the same bytes: the first time for the tree, so that it is known what survives and
// how large it is before anything is written; the second time for the data.
#ifndef MAYFLY_IMAGE_UNPACK_H
#define MAYFLY_IMAGE_UNPACK_H

#include "base/err.h"
#include "image/erofs_write.h"
#include "image/manifest.h"
#include "image/source.h"
#include "image/tree.h"

struct unpack {
	struct source *src;
	const struct manifest *manifest; /* NULL: the source is one layer, without whiteouts */
	struct tree tree;		 /* from tree_init() */
	uint64_t bytes;			 /* of files' data seen, against src->max_bytes */
	unsigned attributes;		 /* that images do not hold */
	uint64_t written;
	/* Called while data is written; may be NULL. */
	void (*progress)(void *arg, uint64_t done, uint64_t total);
	void *arg;
};

/* unpack_scan() - fills the tree; 0 or -errno with text. */
int unpack_scan(struct unpack *u, struct err *e);

/* unpack_write() - the data of all files of the layout; 0 or -errno with text. */
int unpack_write(struct unpack *u, const struct erofs_layout *l, int fd, struct err *e);

/* unpack_charge() - counts a file's data; -EFBIG with text if it is too much. */
int unpack_charge(struct unpack *u, uint64_t size, struct err *e);

/* unpack_keeps() - whether images hold an attribute of this name; counts those they do not. */
bool unpack_keeps(struct unpack *u, const char *name);

#endif
