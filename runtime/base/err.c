// SPDX-License-Identifier: Apache-2.0
// err.c - error object: text beside the errno value
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Cut at the end of the room, which snprintf() would call an overflow. */
static void append(struct err *e, size_t at, const char *what)
{
	size_t room = sizeof(e->text) - at;
	if (room > 2) {
		e->text[at++] = ':';
		e->text[at++] = ' ';
		size_t len = strnlen(what, room - 3);
		memcpy(e->text + at, what, len);
		e->text[at + len] = '\0';
	}
}

int err_set(struct err *e, int code, const char *fmt, ...)
{
	if (e) {
		va_list ap;
		va_start(ap, fmt);
		vsnprintf(e->text, sizeof(e->text), fmt, ap);
		va_end(ap);
	}
	return -code;
}

int err_errno(struct err *e, int code, const char *fmt, ...)
{
	if (e) {
		va_list ap;
		va_start(ap, fmt);
		int n = vsnprintf(e->text, sizeof(e->text), fmt, ap);
		va_end(ap);
		if (n >= 0 && (size_t)n < sizeof(e->text))
			append(e, (size_t)n, strerror(code));
	}
	return -code;
}

int err_wrap(struct err *e, int ret, const char *fmt, ...)
{
	if (e) {
		struct err inner = *e;
		va_list ap;
		va_start(ap, fmt);
		int n = vsnprintf(e->text, sizeof(e->text), fmt, ap);
		va_end(ap);
		if (n >= 0 && (size_t)n < sizeof(e->text))
			append(e, (size_t)n, inner.text);
	}
	return ret;
}
