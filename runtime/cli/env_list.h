// SPDX-License-Identifier: Apache-2.0
// env_list.h - an environment that is put together: a later value replaces an earlier one
#ifndef MAYFLY_CLI_ENV_LIST_H
#define MAYFLY_CLI_ENV_LIST_H

#include <stddef.h>

/* Zero-initialise. */
struct env_list {
	char **v; /* NULL-terminated NAME=VALUE strings; NULL: none yet */
	size_t n;
};

/* env_list_put() - takes over entry, from malloc(3); NULL is -ENOMEM. 0 or -ENOMEM. */
int env_list_put(struct env_list *l, char *entry);
int env_list_pair(struct env_list *l, const char *name, const char *value);

/* env_list_options() - what --env said: NAME=VALUE, or NAME for the caller's own. 0 or -ENOMEM. */
int env_list_options(struct env_list *l, const char *const *given, size_t n);

/*
 * env_list_strings() - NUL-terminated strings, one behind the other, each with a '=' behind its
 * name; 0, -EINVAL, -ENOMEM.
 */
int env_list_strings(struct env_list *l, const char *data, size_t len);

void env_list_free(struct env_list *l);

#endif
