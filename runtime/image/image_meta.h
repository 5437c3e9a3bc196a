// SPDX-License-Identifier: Apache-2.0
// image_meta.h - what is known of an image beside its files: the JSON in the store
#ifndef MAYFLY_IMAGE_IMAGE_META_H
#define MAYFLY_IMAGE_IMAGE_META_H

#include "base/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IMAGE_META_MAX (4u << 20) /* bytes of JSON */
#define IMAGE_WORDS_MAX 1024u	  /* in entrypoint, cmd and env, each */
#define IMAGE_WORD_MAX 131071u	  /* what execve() takes */
#define IMAGE_WORDS_BYTES (1u << 20)
#define IMAGE_GROUPS_MAX 256u
#define IMAGE_HEX 64 /* digits of a digest */

/* How to start what is in the image. */
struct image_config {
	char **entrypoint; /* these three end with NULL and are never NULL themselves */
	char **cmd;
	char **env;	 /* NAME=VALUE */
	char *workdir;	 /* absolute */
	char *user;	 /* as the image has it, may be empty */
	bool user_known; /* the image's passwd and group gave the numbers that follow */
	uint32_t uid, gid;
	uint32_t *gids; /* supplementary */
	size_t ngids;
};

struct image_meta {
	char digest[IMAGE_HEX + 1]; /* sha256 of the image file */
	uint64_t size;
	uint64_t files;
	char *created; /* of the import, UTC */
	char *source;
	char *kind;	/* oci, docker, tar, directory */
	char *platform; /* linux/amd64; empty if the archive does not say */
	struct image_config config;
};

/*
 * image_words() - an array of strings, NULL or JSON's null for none; each without NUL.
 * @env: words without '=' or beginning with it are left out
 * Returns 0 with a list of the caller's, or -EINVAL with text.
 */
int image_words(const json_t *array, const char *what, bool env, char ***out, struct err *e);
void image_words_free(char **words);

/* image_config_init() - nothing to start, "/", root; 0 or -ENOMEM. */
int image_config_init(struct image_config *c);
void image_config_free(struct image_config *c);

/* image_config_json() - NULL without memory. image_config_load() - 0 or -errno with text. */
json_t *image_config_json(const struct image_config *c);
int image_config_load(const json_t *o, struct image_config *c, struct err *e);

/*
 * image_meta_parse() - text as image_meta_json() has made it; hostile all the same.
 * Returns 0 or -errno with text; on failure there is nothing to free.
 */
int image_meta_parse(const char *text, size_t len, struct image_meta *m, struct err *e);
json_t *image_meta_json(const struct image_meta *m);
void image_meta_free(struct image_meta *m);

/* image_hex_ok() - whether text is a digest's 64 lower case digits. */
bool image_hex_ok(const char *text);

#endif
