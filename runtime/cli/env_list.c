// SPDX-License-Identifier: Apache-2.0
// env_list.c - an environment that is put together: a later value replaces an earlier one
#include "cli/env_list.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int env_list_put(struct env_list *l, char *entry)
{
	if (!entry)
		return -ENOMEM;
	size_t len = strcspn(entry, "=") + 1;
	for (size_t i = 0; i < l->n; i++)
		if (strncmp(l->v[i], entry, len) == 0) {
			free(l->v[i]);
			l->v[i] = entry;
			return 0;
		}
	char **bigger = realloc(l->v, (l->n + 2) * sizeof(*bigger));
	if (!bigger) {
		free(entry);
		return -ENOMEM;
	}
	l->v = bigger;
	l->v[l->n++] = entry;
	l->v[l->n] = NULL;
	return 0;
}

int env_list_pair(struct env_list *l, const char *name, const char *value)
{
	char *entry = NULL;
	if (asprintf(&entry, "%s=%s", name, value) < 0)
		return -ENOMEM;
	return env_list_put(l, entry);
}

int env_list_options(struct env_list *l, const char *const *given, size_t n)
{
	int ret = 0;
	for (size_t i = 0; ret == 0 && i < n; i++) {
		if (strchr(given[i], '='))
			ret = env_list_put(l, strdup(given[i]));
		else if (getenv(given[i]))
			ret = env_list_pair(l, given[i], getenv(given[i]));
	}
	return ret;
}

int env_list_strings(struct env_list *l, const char *data, size_t len)
{
	int ret = 0;
	for (size_t at = 0; ret == 0 && at < len;) {
		const char *end = memchr(data + at, '\0', len - at);
		if (!end || !strchr(data + at, '=') || data[at] == '=')
			return -EINVAL;
		ret = env_list_put(l, strdup(data + at));
		at = (size_t)(end - data) + 1;
	}
	return ret;
}

void env_list_free(struct env_list *l)
{
	for (size_t i = 0; l->v && l->v[i]; i++)
		free(l->v[i]);
	free(l->v);
	*l = (struct env_list){0};
}
