// SPDX-License-Identifier: Apache-2.0
// erofs_write.h - lays a tree out as an EROFS image and writes it; the same tree, the same bytes
#ifndef MAYFLY_IMAGE_EROFS_WRITE_H
#define MAYFLY_IMAGE_EROFS_WRITE_H

#include "base/err.h"
#include "image/tree.h"

struct erofs_layout {
	struct tree_node **order; /* parents before children, children by name, without devices */
	size_t n;
	struct tree_inode **files; /* regular files with data, by layer and entry */
	size_t nfiles;
	uint64_t inodes;
	uint64_t data_bytes; /* of all regular files */
	uint64_t bytes;	     /* of the image */
	unsigned skipped;    /* devices and sockets, which images do not hold */
};

/*
 * erofs_layout() - decides where everything goes; all sizes must be known. Sets pos, data, nlink
 * and node of each inode, first and count of each node.
 * The tree must outlive the layout and not change. Returns 0 or -errno with text.
 */
int erofs_layout(struct tree *t, struct erofs_layout *l, struct err *e);
void erofs_layout_free(struct erofs_layout *l);

/*
 * erofs_write_meta() - makes fd, an empty file, as long as the image and writes all but the files'
 * data. What is not written is a hole. Returns 0 or -errno with text.
 */
int erofs_write_meta(const struct erofs_layout *l, int fd, struct err *e);

/*
 * erofs_write_data() - a piece of a file's data; blocks of zeros become holes.
 * Returns 0, -EFBIG with text if it lies outside of the file, or -errno with text.
 */
int erofs_write_data(int fd, const struct tree_inode *i, uint64_t at, const void *data, size_t len,
		     struct err *e);

#endif
