// SPDX-License-Identifier: Apache-2.0
// manifest.h - which layers and which configuration an image archive holds
#ifndef MAYFLY_IMAGE_MANIFEST_H
#define MAYFLY_IMAGE_MANIFEST_H

#include "base/err.h"
#include "image/image_meta.h"
#include "image/source.h"

#define MANIFEST_LAYERS_MAX 256u
#define MANIFEST_DEPTH_MAX 4u /* indexes in indexes */
#define MANIFEST_ENTRIES_MAX 1000u
#define MANIFEST_REF_MAX 256
#define MANIFEST_PLATFORM_MAX 128
#define MANIFEST_PLATFORM "linux/amd64"

struct manifest_layer {
	char name[SOURCE_NAME_MAX]; /* of the stream */
	char hex[IMAGE_HEX + 1];    /* its sha256 */
};

struct manifest {
	struct manifest_layer *layers; /* the lowest first */
	size_t n;
	char ref[MANIFEST_REF_MAX];	      /* what the archive calls the image, may be empty */
	char platform[MANIFEST_PLATFORM_MAX]; /* may be empty */
	struct image_config config;	      /* its user not looked up yet */
};

/*
 * manifest_read() - of a source that is SOURCE_OCI or SOURCE_DOCKER.
 * @platform: which one to take if there are several: OS/ARCHITECTURE[/VARIANT]
 * Returns 0, and manifest_free() is due, or -errno with text.
 */
int manifest_read(struct source *s, const char *platform, struct manifest *m, struct err *e);
void manifest_free(struct manifest *m);

#endif
