// SPDX-License-Identifier: Apache-2.0
// image_name.h - names of images, NAME[:TAG]
#ifndef MAYFLY_IMAGE_IMAGE_NAME_H
#define MAYFLY_IMAGE_IMAGE_NAME_H

#include "base/err.h"

#define IMAGE_NAME_MAX 180
#define IMAGE_TAG_MAX 64
#define IMAGE_TEXT_MAX (IMAGE_NAME_MAX + IMAGE_TAG_MAX + 2)
#define IMAGE_FILE_MAX 256 /* of the file that stands for a name */

struct image_name {
	char name[IMAGE_NAME_MAX + 1];
	char tag[IMAGE_TAG_MAX + 1];
};

/*
 * image_name_parse() - "alpine", "alpine:3.19", "docker.io/library/alpine": the last one is
 * the first. Parts of [a-z0-9._-] that begin and end with a letter or digit, with '/' between
 * them; a tag of [A-Za-z0-9._-]. Returns 0 or -EINVAL with text.
 */
int image_name_parse(const char *text, struct image_name *out, struct err *e);

/* image_name_text() - NAME:TAG. */
void image_name_text(const struct image_name *n, char out[IMAGE_TEXT_MAX]);

/* image_name_file() - what the name's file is called; image_name_from_file() is its reverse. */
void image_name_file(const struct image_name *n, char out[IMAGE_FILE_MAX]);
int image_name_from_file(const char *file, struct image_name *out);

/* image_name_from_path() - the name that an archive's own file name suggests; 0 or -EINVAL. */
int image_name_from_path(const char *path, struct image_name *out, struct err *e);

/*
 * image_name_from_ref() - from what an archive calls its image: a full name, with a registry
 * perhaps, or only a tag, which then is one of the name that stem suggests; 0 or -EINVAL.
 */
int image_name_from_ref(const char *ref, const char *stem, struct image_name *out, struct err *e);

#endif
