// SPDX-License-Identifier: Apache-2.0
// store_change.h - changes to the user's images: adding, removing, sweeping
#ifndef MAYFLY_IMAGE_STORE_CHANGE_H
#define MAYFLY_IMAGE_STORE_CHANGE_H

#include "base/err.h"
#include "image/image_meta.h"
#include "image/image_name.h"

#include <stdbool.h>
#include <stdint.h>

#define STORE_WAIT_NS 10000000000ull /* for others who change the store */
#define STORE_TMP_NAME 40

struct store_temp {
	int fd; /* read and write; locked as long as it is open anywhere; -1: none */
	char name[STORE_TMP_NAME];
};

/*
 * store_temp() - a file for an import, after removing those of imports that are dead: their locks
 * can be taken. Returns 0 or -errno with text.
 */
int store_temp(int store, struct store_temp *t, struct err *e);

/* store_drop() - removes the file, if store_add() did not take it, and closes it. */
void store_drop(int store, struct store_temp *t);

/*
 * store_add() - gives the file, whose digest and size are in m, its place, and the name its new
 * meaning. Both are on the disk when it returns.
 * @replace: also if there is a file with this digest; else that one stays
 * Returns 0 or -errno with text.
 */
int store_add(int store, struct store_temp *t, const struct image_name *n,
	      const struct image_meta *m, bool replace, struct err *e);

struct store_swept {
	unsigned blobs;
	unsigned temps;
	uint64_t bytes; /* that the removed files took on the disk */
	bool dry_run;
};

/*
 * store_remove() - forgets a name, and removes its image file if no other name has it.
 * Returns 0, -ENOENT, or another -errno, with text.
 */
int store_remove(int store, const struct image_name *n, struct err *e);

/*
 * store_gc() - removes image files without a name and what dead imports left. Image files stay if
 * any name's metadata can't be read: it may be theirs. Returns 0 or -errno with text.
 */
int store_gc(int store, struct store_swept *s, struct err *e);

#endif
