// SPDX-License-Identifier: Apache-2.0
// convert.c - an archive or directory into an image file: all that touches hostile bytes
#include "image/convert.h"

#include "image/erofs_read.h"
#include "image/unpack.h"
#include "image/users.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static bool has_manifest(const struct source *s)
{
	return s->kind == SOURCE_OCI || s->kind == SOURCE_DOCKER;
}

static int write_image(const struct convert *c, struct unpack *u, struct converted *r,
		       struct err *e)
{
	struct erofs_layout l;
	struct erofs fs;
	int ret = erofs_layout(&u->tree, &l, e);
	if (ret < 0)
		return ret;
	ret = erofs_write_meta(&l, c->out, e);
	if (ret == 0)
		ret = unpack_write(u, &l, c->out, e);
	if (ret == 0)
		ret = erofs_open(&fs, c->out, e);
	if (ret == 0 && users_resolve(&fs, &r->config) < 0)
		ret = err_set(e, ENOMEM, "out of memory");
	r->files = l.inodes;
	r->skipped = l.skipped;
	r->attributes = u->attributes;
	erofs_layout_free(&l);
	return ret;
}

static int unpack_and_write(const struct convert *c, const struct manifest *m, struct converted *r,
			    struct err *e)
{
	struct unpack u = {.src = c->src, .manifest = m, .progress = c->progress, .arg = c->arg};
	if (tree_init(&u.tree) < 0)
		return err_set(e, ENOMEM, "out of memory");
	int ret = unpack_scan(&u, e);
	if (ret == 0)
		ret = write_image(c, &u, r, e);
	tree_free(&u.tree);
	return ret;
}

int convert(const struct convert *c, struct converted *r, struct err *e)
{
	struct manifest m = {0};
	memset(r, 0, sizeof(*r));
	int ret = source_recognise(c->src, e);
	if (ret < 0)
		return ret;
	bool layered = has_manifest(c->src);
	snprintf(r->kind, sizeof(r->kind), "%s", source_kind_name(c->src->kind));
	ret = layered ? manifest_read(c->src, c->platform, &m, e) : image_config_init(&m.config);
	if (ret < 0)
		return layered ? ret : err_set(e, ENOMEM, "out of memory");
	r->config = m.config;
	memset(&m.config, 0, sizeof(m.config));
	snprintf(r->ref, sizeof(r->ref), "%s", m.ref);
	snprintf(r->platform, sizeof(r->platform), "%s", m.platform);
	ret = unpack_and_write(c, layered ? &m : NULL, r, e);
	manifest_free(&m);
	if (ret < 0)
		converted_free(r);
	return ret;
}

void converted_free(struct converted *r)
{
	image_config_free(&r->config);
}

json_t *converted_json(const struct converted *r)
{
	return json_pack("{s:s, s:s, s:s, s:I, s:i, s:i, s:o}", "kind", r->kind, "ref", r->ref,
			 "platform", r->platform, "files", (json_int_t)r->files, "skipped",
			 (int)r->skipped, "attributes", (int)r->attributes, "config",
			 image_config_json(&r->config));
}

/* Text for people and for JSON. */
static int text_of(const json_t *o, const char *key, char *out, size_t size)
{
	const char *s = json_string_value(json_object_get(o, key));
	if (!s || strlen(s) >= size)
		return -EINVAL;
	for (const char *c = s; *c; c++)
		*out++ = (unsigned char)*c < ' ' || (unsigned char)*c >= 0x7f ? '?' : *c;
	*out = '\0';
	return 0;
}

int converted_parse(const char *text, size_t len, struct converted *r, struct err *e)
{
	memset(r, 0, sizeof(*r));
	json_t *o = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	json_int_t files = json_integer_value(json_object_get(o, "files"));
	json_int_t skipped = json_integer_value(json_object_get(o, "skipped"));
	json_int_t attributes = json_integer_value(json_object_get(o, "attributes"));
	int ret = 0;
	if (files <= 0 || skipped < 0 || attributes < 0 ||
	    text_of(o, "kind", r->kind, sizeof(r->kind)) < 0 ||
	    text_of(o, "ref", r->ref, sizeof(r->ref)) < 0 ||
	    text_of(o, "platform", r->platform, sizeof(r->platform)) < 0)
		ret = err_set(e, EPROTO, "the process that reads archives has told nonsense");
	r->files = (uint64_t)files;
	r->skipped = (unsigned)skipped;
	r->attributes = (unsigned)attributes;
	if (ret == 0)
		ret = image_config_load(json_object_get(o, "config"), &r->config, e);
	json_decref(o);
	return ret;
}
