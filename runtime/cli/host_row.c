// SPDX-License-Identifier: Apache-2.0
// host_row.c - one row of `mayfly doctor`, and the words it is made of
#include "cli/host_row.h"

#include <stdarg.h>
#include <stdio.h>

void host_row_say(struct host_row *r, enum host_rows_mark mark, const char *fmt, ...)
{
	va_list ap;
	r->mark = mark;
	va_start(ap, fmt);
	vsnprintf(r->text, sizeof(r->text), fmt, ap);
	va_end(ap);
}

void host_row_value(struct host_row *r, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(r->value, sizeof(r->value), fmt, ap);
	va_end(ap);
}

void host_row_fix(struct host_row *r, const struct host_facts *f, const char *fmt, ...)
{
	va_list ap;
	int n = f && f->uid != 0 ? snprintf(r->fix, sizeof(r->fix), "sudo ") : 0;
	va_start(ap, fmt);
	vsnprintf(r->fix + n, sizeof(r->fix) - (size_t)n, fmt, ap);
	va_end(ap);
}
