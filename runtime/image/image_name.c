// SPDX-License-Identifier: Apache-2.0
// image_name.c - names of images, NAME[:TAG]
#include "image/image_name.h"

#include "base/checked.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define DEFAULT_TAG "latest"
#define SUFFIX ".json"

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool good_part(const char *p, size_t n)
{
	if (n == 0 || !is_alnum(p[0]) || !is_alnum(p[n - 1]))
		return false;
	for (size_t i = 0; i < n; i++)
		if ((!is_alnum(p[i]) && !strchr("._-", p[i])) || (p[i] == '.' && p[i + 1] == '.'))
			return false;
	return true;
}

static bool good_name(const char *p, size_t n)
{
	const char *end = p + n;
	while (p < end) {
		const char *slash = memchr(p, '/', (size_t)(end - p));
		size_t part = (size_t)((slash ? slash : end) - p);
		if (!good_part(p, part) || (slash && slash + 1 == end))
			return false;
		p += part + (slash != NULL);
	}
	return n > 0;
}

static bool good_tag(const char *p)
{
	for (const char *c = p; *c; c++)
		if (!is_alnum(*c) && !(*c >= 'A' && *c <= 'Z') && *c != '_' &&
		    (c == p || !strchr(".-", *c)))
			return false;
	return *p != '\0';
}

/* What docker leaves out when it shows a name. */
static const char *without_default_registry(const char *text)
{
	static const char *const prefix[] = {"docker.io/library/", "docker.io/"};
	for (size_t i = 0; i < ARRAY_SIZE(prefix); i++)
		if (strncmp(text, prefix[i], strlen(prefix[i])) == 0)
			return text + strlen(prefix[i]);
	return text;
}

int image_name_parse(const char *text, struct image_name *out, struct err *e)
{
	const char *bare = without_default_registry(text);
	size_t n = strcspn(bare, ":");
	const char *tag = bare[n] ? bare + n + 1 : DEFAULT_TAG;
	if (n > IMAGE_NAME_MAX || !good_name(bare, n))
		return err_set(e, EINVAL,
			       "'%.200s' is no name of an image: up to %d of a-z 0-9 . _ - /, "
			       "each part beginning and ending with a letter or digit",
			       text, IMAGE_NAME_MAX);
	if (strlen(tag) > IMAGE_TAG_MAX || !good_tag(tag))
		return err_set(e, EINVAL, "'%.200s': a tag has up to %d of A-Z a-z 0-9 . _ -", text,
			       IMAGE_TAG_MAX);
	snprintf(out->name, sizeof(out->name), "%.*s", (int)n, bare);
	snprintf(out->tag, sizeof(out->tag), "%s", tag);
	return 0;
}

void image_name_text(const struct image_name *n, char out[IMAGE_TEXT_MAX])
{
	snprintf(out, IMAGE_TEXT_MAX, "%s:%s", n->name, n->tag);
}

void image_name_file(const struct image_name *n, char out[IMAGE_FILE_MAX])
{
	snprintf(out, IMAGE_FILE_MAX, "%s:%s" SUFFIX, n->name, n->tag);
	for (char *c = out; *c; c++)
		if (*c == '/')
			*c = '%';
}

int image_name_from_file(const char *file, struct image_name *out)
{
	char text[IMAGE_FILE_MAX];
	char again[IMAGE_FILE_MAX];
	size_t n = strlen(file);
	if (n >= sizeof(text) || n <= strlen(SUFFIX))
		return -EINVAL;
	snprintf(text, sizeof(text), "%.*s", (int)(n - strlen(SUFFIX)), file);
	for (char *c = text; *c; c++)
		if (*c == '%')
			*c = '/';
	int ret = image_name_parse(text, out, NULL);
	if (ret < 0)
		return ret;
	image_name_file(out, again);
	return strcmp(again, file) == 0 ? 0 : -EINVAL;
}

int image_name_from_path(const char *path, struct image_name *out, struct err *e)
{
	static const char *const suffixes[] = {".gz",  ".zst", ".xz",  ".bz2", ".tgz",
					       ".txz", ".tbz", ".tar", ".oci", ".docker"};
	char text[IMAGE_NAME_MAX + 1];
	size_t n = strlen(path);
	while (n > 1 && path[n - 1] == '/')
		n--;
	size_t from = n;
	while (from > 0 && path[from - 1] != '/')
		from--;
	snprintf(text, sizeof(text), "%.*s", (int)MIN(n - from, sizeof(text) - 1), path + from);
	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		size_t len = strlen(text);
		size_t cut = strlen(suffixes[i]);
		if (len > cut && strcmp(text + len - cut, suffixes[i]) == 0)
			text[len - cut] = '\0';
	}
	for (char *c = text; *c; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c - 'A' + 'a');
	if (!good_part(text, strlen(text)))
		return err_set(e, EINVAL, "no name can be made of '%.200s': give one with --name",
			       path);
	return image_name_parse(text, out, e);
}

int image_name_from_ref(const char *ref, const char *stem, struct image_name *out, struct err *e)
{
	const char *slash = strchr(ref, '/');
	if (!slash && !strchr(ref, ':')) {
		int ret = image_name_from_path(stem, out, e);
		if (ret == 0 && (strlen(ref) > IMAGE_TAG_MAX || !good_tag(ref)))
			ret = err_set(e, EINVAL, "'%.100s' is no tag: give a name with --name",
				      ref);
		if (ret == 0)
			snprintf(out->tag, sizeof(out->tag), "%s", ref);
		return ret;
	}
	/* A registry's port: names here have no place for it. */
	const char *colon = strchr(ref, ':');
	return image_name_parse(slash && colon && colon < slash ? slash + 1 : ref, out, e);
}
