// SPDX-License-Identifier: Apache-2.0
// image_meta.c - what is known of an image beside its files: the JSON in the store
#include "image/image_meta.h"

#include "base/checked.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define META_VERSION 1
#define PATH_BYTES 4096u
#define SOURCE_BYTES 8192u
#define USER_BYTES 256u

bool image_hex_ok(const char *text)
{
	return strlen(text) == IMAGE_HEX && strspn(text, "0123456789abcdef") == IMAGE_HEX;
}

/* jansson refuses NUL in strings unless it is told to take it. */
int image_words(const json_t *array, const char *what, bool env, char ***out, struct err *e)
{
	size_t n = json_is_array(array) ? json_array_size(array) : 0;
	size_t bytes = 0;
	size_t used = 0;
	if (array && !json_is_null(array) && !json_is_array(array))
		return err_set(e, EINVAL, "%s is not a list", what);
	if (n > IMAGE_WORDS_MAX)
		return err_set(e, EINVAL, "%s has more than %u words", what, IMAGE_WORDS_MAX);
	char **list = calloc(n + 1, sizeof(*list));
	if (!list)
		return err_set(e, ENOMEM, "out of memory");
	for (size_t i = 0; i < n; i++) {
		const char *s = json_string_value(json_array_get(array, i));
		if (!s || strlen(s) > IMAGE_WORD_MAX ||
		    (bytes += strlen(s) + 1) > IMAGE_WORDS_BYTES) {
			image_words_free(list);
			return err_set(e, EINVAL, "%s has a word that is no text, or too long",
				       what);
		}
		if (env && (s[0] == '=' || !strchr(s, '=')))
			continue;
		list[used] = strdup(s);
		if (!list[used++]) {
			image_words_free(list);
			return err_set(e, ENOMEM, "out of memory");
		}
	}
	*out = list;
	return 0;
}

void image_words_free(char **words)
{
	for (char **w = words; w && *w; w++)
		free(*w);
	free(words);
}

int image_config_init(struct image_config *c)
{
	memset(c, 0, sizeof(*c));
	c->entrypoint = calloc(1, sizeof(char *));
	c->cmd = calloc(1, sizeof(char *));
	c->env = calloc(1, sizeof(char *));
	c->workdir = strdup("/");
	c->user = strdup("");
	if (c->entrypoint && c->cmd && c->env && c->workdir && c->user)
		return 0;
	image_config_free(c);
	return -ENOMEM;
}

void image_config_free(struct image_config *c)
{
	image_words_free(c->entrypoint);
	image_words_free(c->cmd);
	image_words_free(c->env);
	free(c->workdir);
	free(c->user);
	free(c->gids);
	memset(c, 0, sizeof(*c));
}

static json_t *words_json(char *const *words)
{
	json_t *a = json_array();
	for (; a && *words; words++)
		if (json_array_append_new(a, json_string(*words)) < 0) {
			json_decref(a);
			return NULL;
		}
	return a;
}

json_t *image_config_json(const struct image_config *c)
{
	json_t *gids = json_array();
	for (size_t i = 0; gids && i < c->ngids; i++)
		json_array_append_new(gids, json_integer(c->gids[i]));
	return json_pack("{s:o, s:o, s:o, s:s, s:s, s:b, s:I, s:I, s:o}", "entrypoint",
			 words_json(c->entrypoint), "cmd", words_json(c->cmd), "env",
			 words_json(c->env), "workdir", c->workdir, "user", c->user, "user_known",
			 c->user_known, "uid", (json_int_t)c->uid, "gid", (json_int_t)c->gid,
			 "gids", gids);
}

/* A copy of a string of the object, or NULL. */
static char *text_of(const json_t *o, const char *key, size_t max)
{
	const char *s = json_string_value(json_object_get(o, key));
	return s && strlen(s) < max ? strdup(s) : NULL;
}

/* (uid_t)-1 means "do not change" to the calls that would get it. */
static bool id_of(const json_t *v, uint32_t *out)
{
	json_int_t n = json_is_integer(v) ? json_integer_value(v) : -1;
	*out = (uint32_t)n;
	return n >= 0 && n < UINT32_MAX;
}

static int load_gids(const json_t *a, struct image_config *c)
{
	size_t n = json_array_size(a);
	if (!json_is_array(a) || n > IMAGE_GROUPS_MAX)
		return -EINVAL;
	c->gids = calloc(n + 1, sizeof(*c->gids));
	if (!c->gids)
		return -ENOMEM;
	for (c->ngids = 0; c->ngids < n; c->ngids++)
		if (!id_of(json_array_get(a, c->ngids), &c->gids[c->ngids]))
			return -EINVAL;
	return 0;
}

int image_config_load(const json_t *o, struct image_config *c, struct err *e)
{
	memset(c, 0, sizeof(*c));
	int ret = image_words(json_object_get(o, "entrypoint"), "entrypoint", false, &c->entrypoint,
			      e);
	if (ret == 0)
		ret = image_words(json_object_get(o, "cmd"), "cmd", false, &c->cmd, e);
	if (ret == 0)
		ret = image_words(json_object_get(o, "env"), "env", true, &c->env, e);
	if (ret < 0) {
		image_config_free(c);
		return ret;
	}
	c->workdir = text_of(o, "workdir", PATH_BYTES);
	c->user = text_of(o, "user", USER_BYTES);
	c->user_known = json_is_true(json_object_get(o, "user_known"));
	if (!c->workdir || c->workdir[0] != '/' || !c->user ||
	    !id_of(json_object_get(o, "uid"), &c->uid) ||
	    !id_of(json_object_get(o, "gid"), &c->gid) ||
	    load_gids(json_object_get(o, "gids"), c) < 0) {
		image_config_free(c);
		return err_set(e, EINVAL, "workdir, user or groups are missing or wrong");
	}
	return 0;
}

static int load_meta(const json_t *o, struct image_meta *m, struct err *e)
{
	static const char algorithm[] = "sha256:";
	const char *digest = json_string_value(json_object_get(o, "digest"));
	json_int_t size = json_integer_value(json_object_get(o, "size"));
	json_int_t files = json_integer_value(json_object_get(o, "files"));
	if (json_integer_value(json_object_get(o, "version")) != META_VERSION)
		return err_set(e, EINVAL, "of another version of mayfly");
	if (!digest || strncmp(digest, algorithm, strlen(algorithm)) != 0 ||
	    !image_hex_ok(digest + strlen(algorithm)) || size <= 0 || files <= 0)
		return err_set(e, EINVAL, "digest or size are missing or wrong");
	memcpy(m->digest, digest + strlen(algorithm), IMAGE_HEX + 1);
	m->size = (uint64_t)size;
	m->files = (uint64_t)files;
	m->created = text_of(o, "created", 64);
	m->source = text_of(o, "source", SOURCE_BYTES);
	m->kind = text_of(o, "kind", 32);
	m->platform = text_of(o, "platform", 128);
	if (!m->created || !m->source || !m->kind || !m->platform)
		return err_set(e, EINVAL, "its description is incomplete");
	return image_config_load(json_object_get(o, "config"), &m->config, e);
}

int image_meta_parse(const char *text, size_t len, struct image_meta *m, struct err *e)
{
	json_error_t je;
	memset(m, 0, sizeof(*m));
	if (len > IMAGE_META_MAX)
		return err_set(e, EFBIG, "more than %u bytes", IMAGE_META_MAX);
	json_t *o = json_loadb(text, len, JSON_REJECT_DUPLICATES, &je);
	if (!o)
		return err_set(e, EINVAL, "no JSON: %s in line %d", je.text, je.line);
	int ret = load_meta(o, m, e);
	json_decref(o);
	if (ret < 0)
		image_meta_free(m);
	return ret;
}

json_t *image_meta_json(const struct image_meta *m)
{
	json_t *digest = json_sprintf("sha256:%s", m->digest);
	return json_pack("{s:i, s:o, s:I, s:I, s:s, s:s, s:s, s:s, s:o}", "version", META_VERSION,
			 "digest", digest, "size", (json_int_t)m->size, "files",
			 (json_int_t)m->files, "created", m->created, "source", m->source, "kind",
			 m->kind, "platform", m->platform, "config", image_config_json(&m->config));
}

void image_meta_free(struct image_meta *m)
{
	free(m->created);
	free(m->source);
	free(m->kind);
	free(m->platform);
	image_config_free(&m->config);
	memset(m, 0, sizeof(*m));
}
