// SPDX-License-Identifier: Apache-2.0
// walk.h - walks a file or a tree depth first and sends what it finds
#ifndef MAYFLY_COPY_WALK_H
#define MAYFLY_COPY_WALK_H

#include "base/err.h"
#include "copy/walk_dir.h"
#include "proto/frame.h"

#include <sys/types.h>

/* One walk. Zero-initialise, then set the first part. Large: static or allocated. */
struct walk {
	struct frame_conn *conn; /* over a non-blocking socket */
	/* Waits until conn's socket may take more, 0 or -errno, which ends the walk; NULL: for
	 * ever. */
	int (*wait)(void *arg);
	/* Told of each note that is sent; may be NULL. */
	void (*noted)(void *arg, const char *path, const char *text);
	void *arg;

	/* What came of it. */
	uint64_t sent, bytes; /* entries, and bytes of files */
	uint64_t notes, lost;
	int code; /* errno value in FetchEnd, and its text */
	char text[ERR_TEXT_MAX];

	/* The walk's own. */
	struct walk_dir level[PROTO_TREE_DEPTH_MAX];
	dev_t dev[PROTO_TREE_DEPTH_MAX];
	size_t depth;
	size_t entries;
	uint8_t buf[PROTO_DATA_MAX];
};

/*
 * walk_send() - walks and sends it all, up to FetchEnd. What can't be read is noted and left out.
 * @path: a link at its end is sent, not followed; any other above it is
 * Returns 0 when all is sent, or -errno of the connection or of wait.
 */
int walk_send(struct walk *f, const char *path);

#endif
