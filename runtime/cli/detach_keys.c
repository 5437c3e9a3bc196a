// SPDX-License-Identifier: Apache-2.0
// detach_keys.c - the keys that leave a command without ending it, in what is typed
#include "cli/detach_keys.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

/* One of the words between commas; -1 if it names no key. */
static int key_of(const char *w, size_t len)
{
	if (len == 1 && w[0] > ' ' && w[0] <= '~')
		return w[0];
	if (len != 6 || strncmp(w, "ctrl-", 5) != 0)
		return -1;
	/* As on a keyboard: Control clears the upper bits. */
	if (isalpha((unsigned char)w[5]) || (w[5] && strchr("@[\\]^_", w[5])))
		return w[5] & 0x1f;
	return -1;
}

int detach_keys_parse(struct detach_keys *k, const char *text, struct err *e)
{
	*k = (struct detach_keys){0};
	if (strcmp(text, "none") == 0)
		return 0;
	for (const char *p = text;;) {
		size_t len = strcspn(p, ",");
		int key = key_of(p, len);
		if (key < 0)
			return err_set(e, EINVAL,
				       "'%s' is neither 'none' nor keys like 'ctrl-p,ctrl-q'",
				       text);
		if (k->n == DETACH_KEYS_MAX)
			return err_set(e, EINVAL, "'%s' has more than %d keys", text,
				       DETACH_KEYS_MAX);
		k->key[k->n++] = (uint8_t)key;
		if (!p[len])
			return 0;
		p += len + 1;
	}
}

/* One byte; returns what of the held ones and of it is passed on. */
static size_t take(struct detach_keys *k, uint8_t byte, uint8_t *out)
{
	size_t n = 0;
	/* The longest part of what was typed last that the keys begin with stays held. */
	while (k->at > 0 && k->key[k->at] != byte) {
		size_t shift = 1;
		while (shift < k->at && memcmp(k->key, k->key + shift, k->at - shift) != 0)
			shift++;
		memcpy(out + n, k->key, shift);
		n += shift;
		k->at -= shift;
	}
	if (k->key[k->at] == byte)
		k->at++;
	else
		out[n++] = byte;
	k->hit = k->at == k->n;
	return n;
}

size_t detach_keys_filter(struct detach_keys *k, const uint8_t *in, size_t n, uint8_t *out)
{
	size_t len = 0;
	if (k->n == 0) {
		memcpy(out, in, n);
		return n;
	}
	for (size_t i = 0; i < n && !k->hit; i++)
		len += take(k, in[i], out + len);
	return len;
}

size_t detach_keys_rest(struct detach_keys *k, uint8_t *out)
{
	size_t n = k->hit ? 0 : k->at;
	memcpy(out, k->key, n);
	k->at = 0;
	return n;
}
