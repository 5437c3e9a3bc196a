// SPDX-License-Identifier: Apache-2.0
// session_words.c - argument and environment strings that arrive in pieces
#include "session_words.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int words_add(struct words *w, const uint8_t *data, size_t len)
{
	if (len == 0)
		return 0;
	if (len > PROTO_WORDS_MAX || w->len + len > PROTO_WORDS_MAX)
		return -E2BIG;
	if (w->len + len > w->cap) {
		size_t cap = w->cap ? w->cap : 4096;
		while (cap < w->len + len)
			cap *= 2;
		char *bigger = realloc(w->buf, cap);
		if (!bigger)
			return -ENOMEM;
		w->buf = bigger;
		w->cap = cap;
	}
	memcpy(w->buf + w->len, data, len);
	w->len += len;
	for (size_t i = 0; i < len; i++)
		w->count += data[i] == '\0';
	w->open = data[len - 1] != '\0';
	return w->count > PROTO_WORDS_COUNT_MAX ? -E2BIG : 0;
}

char **words_vector(const struct words *w)
{
	if (w->open)
		return NULL;
	char **v = calloc(w->count + 1, sizeof(*v));
	char *p = w->buf;
	for (size_t i = 0; v && i < w->count; i++) {
		v[i] = p;
		p += strlen(p) + 1;
	}
	return v;
}

void words_free(struct words *w)
{
	free(w->buf);
	*w = (struct words){0};
}
