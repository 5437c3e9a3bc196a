// SPDX-License-Identifier: Apache-2.0
// out.h - writes the tree that a hostile peer sends, inside one target and nowhere else
#ifndef MAYFLY_COPY_OUT_H
#define MAYFLY_COPY_OUT_H

#include "copy/out_target.h"
#include "proto/agent.pb-c.h"
#include "proto/limits.h"

#include <time.h>

#define OUT_TEMP_MAX 32

struct out_level {
	int fd;
	bool keep; /* the user's own directory: its mode and time stay */
	uint32_t mode;
	struct timespec mtime;
	char last[NAME_MAX + 1]; /* the entry of it that came last, "": none yet */
};

struct out_file {
	int fd; /* -1: none is being written */
	int dir;
	char name[NAME_MAX + 1];
	char temp[OUT_TEMP_MAX]; /* its name until it is whole, "": it has none */
	uint32_t mode;
	struct timespec mtime;
	uint64_t size, at;
};

/* One copy. */
struct out {
	const struct out_target *target;
	const char *peer;      /* who sends, in messages: "the guest" */
	const char *size_hint; /* how more bytes may be allowed */
	uint32_t max_entries;
	struct out_level level[PROTO_TREE_DEPTH_MAX];
	size_t depth;
	struct out_file file;
	bool complete; /* the top has ended */
	uint64_t entries, bytes;
	uint64_t received; /* bytes of data, holes left out */
};

void out_init(struct out *o, const struct out_target *t);

/*
 * out_entry(), out_data(), out_entry_end() - take the peer's messages in their order.
 * Return 0 or -errno with text; after an error only out_close() may follow. -EPROTO: the peer
 * sent what it must not.
 */
int out_entry(struct out *o, const Mayfly__Entry *m, struct err *e);
int out_data(struct out *o, const Mayfly__EntryData *m, struct err *e);
int out_entry_end(struct out *o, const Mayfly__EntryEnd *m, struct err *e);

/*
 * out_frame() - the same for a frame of any of these, and the peer's Hello; any other is -EPROTO.
 */
int out_frame(struct out *o, const Mayfly__Frame *f, struct err *e);

/*
 * out_end() - what FetchEnd means for the copy: 0 if all is there, or -errno with text.
 */
int out_end(const struct out *o, const Mayfly__FetchEnd *m, struct err *e);

/* out_close() - closes all; a file that is not whole is removed. */
void out_close(struct out *o);

#endif
