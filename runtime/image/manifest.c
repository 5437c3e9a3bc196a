// SPDX-License-Identifier: Apache-2.0
// manifest.c - which layers and which configuration an image archive holds
//
// OCI image-spec 1.0: index.json leads to manifests, perhaps through further indexes, each named
// by its digest, which is checked as it is read. docker save of old: manifest.json names files;
// there the configuration's digest is its name, and the layers' are in the configuration.
#include "image/manifest.h"

#include "base/checked.h"
#include "base/cleanup.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

static int load_json(struct source *s, const char *name, const char *hex, json_t **out,
		     struct err *e)
{
	AUTO_FREE char *text = NULL;
	json_error_t je;
	size_t len;
	*out = NULL;
	int ret = blob_load(s, name, hex, &text, &len, e);
	if (ret < 0)
		return ret;
	*out = json_loadb(text, len, 0, &je);
	if (!*out)
		return err_set(e, EINVAL, "'%.100s' is no JSON: %s in line %d", name, je.text,
			       je.line);
	return 0;
}

static const char *text_at(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));
	return s ? s : "";
}

/* "sha256:..." of a descriptor, as digits. */
static int descriptor(const json_t *d, const char *what, char hex[IMAGE_HEX + 1], struct err *e)
{
	const char *digest = text_at(d, "digest");
	if (strncmp(digest, "sha256:", 7) != 0 || !image_hex_ok(digest + 7))
		return err_set(e, EINVAL, "%s has no sha256 digest, but '%.80s'", what, digest);
	memcpy(hex, digest + 7, IMAGE_HEX + 1);
	return 0;
}

static void blob_name(const char *hex, char out[SOURCE_NAME_MAX])
{
	snprintf(out, SOURCE_NAME_MAX, "blobs/sha256/%s", hex);
}

static void platform_text(const json_t *p, char out[MANIFEST_PLATFORM_MAX])
{
	const char *variant = text_at(p, "variant");
	const char *arch = text_at(p, "architecture");
	snprintf(out, MANIFEST_PLATFORM_MAX, "%s%s%s%s%s", text_at(p, "os"), *arch ? "/" : "", arch,
		 *variant ? "/" : "", variant);
}

/* "linux/arm" means any variant. */
static bool platform_fits(const char *have, const char *want)
{
	size_t n = strlen(want);
	return strncmp(have, want, n) == 0 && (have[n] == '\0' || have[n] == '/');
}

/* Signatures and build records, which no machine runs, are of no known platform. */
static bool is_image(const json_t *d)
{
	const json_t *p = json_object_get(d, "platform");
	return !p || strcmp(text_at(p, "os"), "unknown") != 0;
}

static const json_t *choose(const json_t *list, const char *platform, struct err *e)
{
	char have[MANIFEST_PLATFORM_MAX];
	char all[200] = "";
	const json_t *fit = NULL;
	const json_t *only = NULL;
	size_t images = 0;
	size_t fits = 0;
	size_t n = json_array_size(list);
	for (size_t i = 0; i < n && i < MANIFEST_ENTRIES_MAX; i++) {
		const json_t *d = json_array_get(list, i);
		if (!is_image(d))
			continue;
		only = d;
		images++;
		platform_text(json_object_get(d, "platform"), have);
		size_t used = strlen(all);
		snprintf(all + used, sizeof(all) - used, " %.30s", *have ? have : "?");
		if (platform_fits(have, platform)) {
			fit = fits++ ? fit : d;
		}
	}
	if (images == 1)
		return only;
	if (fits == 1)
		return fit;
	if (images == 0)
		err_set(e, ENOENT, "there is no image in it");
	else
		err_set(e, ENOENT, "%zu of its %zu images are for %.60s, one is wanted; it has:%s",
			fits, images, platform, all);
	return NULL;
}

/* What archives call an image; the first of the places that has it. */
static void take_ref(const json_t *d, char ref[MANIFEST_REF_MAX])
{
	static const char *const keys[] = {"io.containerd.image.name",
					   "org.opencontainers.image.ref.name"};
	const json_t *a = json_object_get(d, "annotations");
	for (size_t i = 0; i < ARRAY_SIZE(keys) && !ref[0]; i++)
		snprintf(ref, MANIFEST_REF_MAX, "%s", text_at(a, keys[i]));
}

static int take_words(const json_t *o, const char *key, bool env, char ***out, struct err *e)
{
	char **words;
	int ret = image_words(json_object_get(o, key), key, env, &words, e);
	if (ret < 0)
		return ret;
	image_words_free(*out);
	*out = words;
	return 0;
}

static int take_text(const json_t *o, const char *key, const char *prefix, size_t max, char **out,
		     struct err *e)
{
	const char *s = text_at(o, key);
	char *copy;
	if (!*s)
		return 0;
	if (strlen(s) >= max)
		return err_set(e, EINVAL, "%s is longer than %zu bytes", key, max - 1);
	if (asprintf(&copy, "%s%s", prefix && s[0] != prefix[0] ? prefix : "", s) < 0)
		return err_set(e, ENOMEM, "out of memory");
	free(*out);
	*out = copy;
	return 0;
}

static int take_config(const json_t *doc, struct manifest *m, struct err *e)
{
	const json_t *o = json_object_get(doc, "config");
	struct image_config *c = &m->config;
	platform_text(doc, m->platform);
	int ret = take_words(o, "Entrypoint", false, &c->entrypoint, e);
	if (ret == 0)
		ret = take_words(o, "Cmd", false, &c->cmd, e);
	if (ret == 0)
		ret = take_words(o, "Env", true, &c->env, e);
	if (ret == 0)
		ret = take_text(o, "WorkingDir", "/", 4000, &c->workdir, e);
	if (ret == 0)
		ret = take_text(o, "User", NULL, 256, &c->user, e);
	return ret < 0 ? err_wrap(e, ret, "the image's configuration") : 0;
}

static int room_for_layers(const json_t *list, struct manifest *m, struct err *e)
{
	size_t n = json_array_size(list);
	if (!json_is_array(list) || n > MANIFEST_LAYERS_MAX)
		return err_set(e, EINVAL, "the manifest has no list of up to %u layers",
			       MANIFEST_LAYERS_MAX);
	m->layers = calloc(n + 1, sizeof(*m->layers));
	m->n = n;
	return m->layers ? 0 : err_set(e, ENOMEM, "out of memory");
}

static int take_manifest(struct source *s, const json_t *doc, struct manifest *m, struct err *e)
{
	const json_t *list = json_object_get(doc, "layers");
	char name[SOURCE_NAME_MAX];
	char hex[IMAGE_HEX + 1];
	json_t *config = NULL;
	int ret = room_for_layers(list, m, e);
	for (size_t i = 0; i < m->n && ret == 0; i++) {
		ret = descriptor(json_array_get(list, i), "a layer", m->layers[i].hex, e);
		blob_name(m->layers[i].hex, m->layers[i].name);
	}
	if (ret == 0)
		ret = descriptor(json_object_get(doc, "config"), "the configuration", hex, e);
	if (ret < 0)
		return ret;
	blob_name(hex, name);
	ret = load_json(s, name, hex, &config, e);
	if (ret == 0) {
		ret = take_config(config, m, e);
		json_decref(config);
	}
	return ret;
}

static int read_oci(struct source *s, const char *platform, struct manifest *m, struct err *e)
{
	char name[SOURCE_NAME_MAX];
	char hex[IMAGE_HEX + 1];
	json_t *doc = NULL;
	int ret = load_json(s, "index.json", NULL, &doc, e);
	for (unsigned depth = 0; ret == 0; depth++) {
		const json_t *list = json_object_get(doc, "manifests");
		if (!list)
			break;
		const json_t *d = NULL;
		if (depth == MANIFEST_DEPTH_MAX)
			ret = err_set(e, ELOOP, "indexes in indexes, more than %u deep",
				      MANIFEST_DEPTH_MAX);
		else if (!(d = choose(list, platform, e)))
			ret = -ENOENT;
		else
			ret = descriptor(d, "a manifest", hex, e);
		if (ret == 0)
			take_ref(d, m->ref);
		json_decref(doc);
		doc = NULL;
		if (ret < 0)
			break;
		blob_name(hex, name);
		ret = load_json(s, name, hex, &doc, e);
	}
	if (ret == 0)
		ret = take_manifest(s, doc, m, e);
	json_decref(doc);
	return ret;
}

/* A file in the archive that docker's manifest names. */
static int plain_file(const json_t *v, const char *what, char out[SOURCE_NAME_MAX], struct err *e)
{
	const char *text = json_string_value(v);
	if (!text || !*text || strlen(text) >= SOURCE_NAME_MAX)
		return err_set(e, EINVAL, "the manifest has no good name for %s", what);
	snprintf(out, SOURCE_NAME_MAX, "%s", source_plain_name(text));
	return 0;
}

/* The digest that a file's name is, if it is one: HEX, HEX.json, blobs/sha256/HEX. */
static const char *hex_in_name(const char *name, char hex[IMAGE_HEX + 1])
{
	const char *slash = strrchr(name, '/');
	snprintf(hex, IMAGE_HEX + 1, "%s", slash ? slash + 1 : name);
	size_t end = strlen(slash ? slash + 1 : name);
	bool whole = end == IMAGE_HEX || (end == IMAGE_HEX + 5 && strstr(name, ".json"));
	return whole && image_hex_ok(hex) ? hex : NULL;
}

/* Layers are not compressed in such archives: a layer's digest is that of its content. */
static int docker_layers(const json_t *list, const json_t *config, struct manifest *m,
			 struct err *e)
{
	const json_t *ids = json_object_get(json_object_get(config, "rootfs"), "diff_ids");
	char digest[IMAGE_HEX + 8];
	int ret = room_for_layers(list, m, e);
	if (ret == 0 && json_array_size(ids) != m->n)
		ret = err_set(e, EINVAL, "%zu layers, but %zu digests of layers", m->n,
			      json_array_size(ids));
	for (size_t i = 0; i < m->n && ret == 0; i++) {
		const char *id = json_string_value(json_array_get(ids, i));
		ret = plain_file(json_array_get(list, i), "a layer", m->layers[i].name, e);
		snprintf(digest, sizeof(digest), "%s", id ? id : "");
		if (ret == 0 && (strncmp(digest, "sha256:", 7) != 0 || !image_hex_ok(digest + 7)))
			ret = err_set(e, EINVAL, "a layer has no sha256 digest");
		if (ret == 0)
			memcpy(m->layers[i].hex, digest + 7, IMAGE_HEX + 1);
	}
	return ret;
}

static int take_docker(struct source *s, const json_t *image, struct manifest *m, struct err *e)
{
	const json_t *tags = json_object_get(image, "RepoTags");
	const char *tag = json_string_value(json_array_get(tags, 0));
	char name[SOURCE_NAME_MAX];
	json_t *config = NULL;
	snprintf(m->ref, sizeof(m->ref), "%s", tag ? tag : "");
	int ret = plain_file(json_object_get(image, "Config"), "the configuration", name, e);
	if (ret == 0) {
		char hex[IMAGE_HEX + 1];
		ret = load_json(s, name, hex_in_name(name, hex), &config, e);
	}
	if (ret < 0)
		return ret;
	ret = docker_layers(json_object_get(image, "Layers"), config, m, e);
	if (ret == 0)
		ret = take_config(config, m, e);
	json_decref(config);
	return ret;
}

static int read_docker(struct source *s, struct manifest *m, struct err *e)
{
	json_t *doc = NULL;
	int ret = load_json(s, "manifest.json", NULL, &doc, e);
	if (ret < 0)
		return ret;
	size_t n = json_array_size(doc);
	if (n != 1)
		ret = err_set(e, EINVAL, "it holds %zu images, one is wanted: save one", n);
	else
		ret = take_docker(s, json_array_get(doc, 0), m, e);
	json_decref(doc);
	return ret;
}

int manifest_read(struct source *s, const char *platform, struct manifest *m, struct err *e)
{
	memset(m, 0, sizeof(*m));
	if (image_config_init(&m->config) < 0)
		return err_set(e, ENOMEM, "out of memory");
	int ret = s->kind == SOURCE_OCI ? read_oci(s, platform, m, e) : read_docker(s, m, e);
	if (ret < 0)
		manifest_free(m);
	return ret;
}

void manifest_free(struct manifest *m)
{
	free(m->layers);
	image_config_free(&m->config);
	memset(m, 0, sizeof(*m));
}
