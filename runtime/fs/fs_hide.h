// SPDX-License-Identifier: Apache-2.0
// fs_hide.h - files that no view shows
#ifndef MAYFLY_FS_HIDE_H
#define MAYFLY_FS_HIDE_H

#include "base/err.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

struct fs;
typedef struct Mayfly__FsConfig Mayfly__FsConfig;

#define FS_HIDE_MAX 64u

struct fs_hide_id {
	uint64_t dev, ino;
};

struct fs_hide_row {
	struct fs_hide_id file, dir; /* ino 0: nothing had this name at the start */
	char name[NAME_MAX + 1];
};

struct fs_hides {
	struct fs_hide_row *row;
	unsigned n;
};

/* fs_hide_init() - the configuration's list; 0 or -errno with text. */
int fs_hide_init(struct fs *fs, const Mayfly__FsConfig *cfg, struct err *err);
void fs_hide_destroy(struct fs *fs);

/*
 * fs_hide_hides() - is name in dirfd not to be seen? By the file itself, so also under another name
 * of it, and by directory and name, so also what takes its place.
 * @stx: of the file; NULL: there is none, or only the name counts
 */
bool fs_hide_hides(const struct fs *fs, int dirfd, const char *name, const struct statx *stx);

#endif
