// SPDX-License-Identifier: Apache-2.0
// image_store.h - the user's images: finding one by its name; reading only
//
//     $XDG_DATA_HOME/mayfly/images (~/.local/share/mayfly/images)
//         sha256/HEX       image files, by what is in them
//         names/X.json     what a name means: image_meta.h
//         tmp/             imports that are under way, each locked by its import
//         lock             who changes the store holds it for a moment
#ifndef MAYFLY_IMAGE_IMAGE_STORE_H
#define MAYFLY_IMAGE_IMAGE_STORE_H

#include "base/err.h"
#include "image/image_meta.h"
#include "image/image_name.h"

#include <stdbool.h>

#define STORE_BLOBS "sha256"
#define STORE_NAMES "names"
#define STORE_TMP "tmp"
#define STORE_LOCK "lock"
#define STORE_NAMES_MAX 10000u

struct image {
	int fd; /* of the EROFS file, read-only, close-on-exec; -1: none */
	struct image_name name;
	struct image_meta meta; /* digest, size, config (entrypoint, cmd, env, workdir, user) */
};

/*
 * image_find() - opens the image that NAME[:TAG] means. The file's length and magic are checked,
 * its digest is not: the store is the user's own.
 * Returns 0, and image_free() is due; or -EINVAL, -ENOENT, another -errno, with text.
 */
int image_find(const char *name, struct image *out, struct err *e);
void image_free(struct image *i);

/*
 * store_open() - the store's directory, O_DIRECTORY | O_CLOEXEC.
 * @create: makes what is missing, for its owner only
 * Returns a descriptor, -ENOENT if there is none, or another -errno, with text.
 */
int store_open(bool create, struct err *e);

/* store_load() - a name's metadata; 0, -ENOENT, or another -errno, with text. */
int store_load(int store, const struct image_name *n, struct image_meta *m, struct err *e);

/* store_blob() - opens an image file, its length and magic checked; descriptor or -errno, text. */
int store_blob(int store, const struct image_meta *m, struct err *e);

/*
 * store_names() - all names, sorted; the caller frees *out.
 * Returns how many there are, or -errno with text.
 */
ssize_t store_names(int store, struct image_name **out, struct err *e);

#endif
