// SPDX-License-Identifier: Apache-2.0
// convert.h - an archive or directory into an image file: all that touches hostile bytes
#ifndef MAYFLY_IMAGE_CONVERT_H
#define MAYFLY_IMAGE_CONVERT_H

#include "base/err.h"
#include "image/image_meta.h"
#include "image/manifest.h"
#include "image/source.h"

#include <jansson.h>

/* What is found out on the way. */
struct converted {
	char kind[16];
	char ref[MANIFEST_REF_MAX];
	char platform[MANIFEST_PLATFORM_MAX];
	uint64_t files;
	unsigned skipped;    /* devices and sockets */
	unsigned attributes; /* extended attributes that images do not hold */
	struct image_config config;
};

struct convert {
	struct source *src; /* fd and max_bytes are set */
	const char *platform;
	int out; /* an empty file */
	/* Called while data is written; may be NULL. */
	void (*progress)(void *arg, uint64_t done, uint64_t total);
	void *arg;
};

/* convert() - recognises, unpacks, writes. Returns 0, and converted_free() is due, or -errno. */
int convert(const struct convert *c, struct converted *r, struct err *e);
void converted_free(struct converted *r);

/* converted_json(), converted_parse() - across the border of the confined process. */
json_t *converted_json(const struct converted *r);
int converted_parse(const char *text, size_t len, struct converted *r, struct err *e);

#endif
