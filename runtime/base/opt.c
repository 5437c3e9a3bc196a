// SPDX-License-Identifier: Apache-2.0
// opt.c - option rows: parsing and help, number formats that users type
#include "base/opt.h"

#include "base/checked.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HELP_COLUMN 28

static const struct opt *find_long(const struct opt *rows, size_t n, const char *name, size_t len)
{
	for (size_t i = 0; i < n; i++)
		if (strlen(rows[i].name) == len && strncmp(rows[i].name, name, len) == 0)
			return &rows[i];
	return NULL;
}

static const struct opt *find_short(const struct opt *rows, size_t n, char letter)
{
	for (size_t i = 0; i < n; i++)
		if (rows[i].letter && rows[i].letter == letter)
			return &rows[i];
	return NULL;
}

static int apply(const struct opt *o, void *ctx, const char *value, struct err *e)
{
	int ret = o->set(ctx, value, e);
	return ret < 0 ? err_wrap(e, ret, "option --%s", o->name) : 0;
}

/* Does the next argument belong to it? */
static bool needs_value(const struct opt *o)
{
	return o->arg && o->arg[0] != '=';
}

static int one_long(const struct opt *rows, size_t n, void *ctx, char **argv, int argc, int *i,
		    struct err *e)
{
	const char *name = argv[*i] + 2;
	const char *eq = strchr(name, '=');
	size_t len = eq ? (size_t)(eq - name) : strlen(name);
	const struct opt *o = find_long(rows, n, name, len);
	if (!o)
		return err_set(e, EINVAL, "unknown option '--%.*s'", (int)len, name);
	if (!o->arg && eq)
		return err_set(e, EINVAL, "option --%s takes no value", o->name);
	const char *value = eq ? eq + 1 : NULL;
	if (needs_value(o) && !value) {
		if (*i + 1 >= argc)
			return err_set(e, EINVAL, "option --%s needs a value: %s", o->name, o->arg);
		value = argv[++*i];
	}
	return apply(o, ctx, value, e);
}

static int one_short(const struct opt *rows, size_t n, void *ctx, char **argv, int argc, int *i,
		     struct err *e)
{
	const char *p = argv[*i] + 1;
	for (; *p; p++) {
		const struct opt *o = find_short(rows, n, *p);
		if (!o)
			return err_set(e, EINVAL, "unknown option '-%c'", *p);
		if (!needs_value(o)) {
			int ret = apply(o, ctx, NULL, e);
			if (ret < 0)
				return ret;
			continue;
		}
		const char *value = p[1] ? p + 1 : NULL;
		if (!value && *i + 1 >= argc)
			return err_set(e, EINVAL, "option -%c needs a value: %s", *p, o->arg);
		return apply(o, ctx, value ? value : argv[++*i], e);
	}
	return 0;
}

/* Options from *i on, until a word, or behind "--": then ended. */
static int some(const struct opt *rows, size_t n, void *ctx, int argc, char **argv, int *i,
		bool *ended, struct err *e)
{
	for (; *i < argc; ++*i) {
		const char *a = argv[*i];
		int ret;
		if (a[0] != '-' || a[1] == '\0')
			return 0;
		if (strcmp(a, "--") == 0) {
			++*i;
			*ended = true;
			return 0;
		}
		if (a[1] == '-')
			ret = one_long(rows, n, ctx, argv, argc, i, e);
		else
			ret = one_short(rows, n, ctx, argv, argc, i, e);
		if (ret < 0)
			return ret;
	}
	return 0;
}

int opt_parse(const struct opt *rows, size_t n, void *ctx, int argc, char **argv, int *rest,
	      struct err *e)
{
	bool ended;
	int i = 1;
	int ret = some(rows, n, ctx, argc, argv, &i, &ended, e);
	if (ret == 0)
		*rest = i;
	return ret;
}

int opt_parse_mixed(const struct opt *rows, size_t n, void *ctx, int argc, char **argv, int *rest,
		    struct err *e)
{
	bool ended = false;
	int words = 0;
	int i = 1;
	while (i < argc) {
		int ret = ended ? 0 : some(rows, n, ctx, argc, argv, &i, &ended, e);
		if (ret < 0)
			return ret;
		/* The places of what has been read are free. */
		if (i < argc)
			argv[1 + words++] = argv[i++];
	}
	memmove(&argv[argc - words], &argv[1], (size_t)words * sizeof(*argv));
	*rest = argc - words;
	return 0;
}

void opt_help(FILE *out, const struct opt *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct opt *o = &rows[i];
		char left[64];
		char letter[8] = "    ";
		if (o->letter)
			snprintf(letter, sizeof(letter), "-%c, ", o->letter);
		bool may = o->arg && !needs_value(o);
		const char *before = may ? "[" : o->arg ? " " : "";
		int w = snprintf(left, sizeof(left), "  %s--%s%s%s%s", letter, o->name, before,
				 o->arg ? o->arg : "", may ? "]" : "");
		fprintf(out, "%-*s", HELP_COLUMN, left);
		if (w >= HELP_COLUMN)
			fprintf(out, "\n%*s", HELP_COLUMN, "");
		for (const char *p = o->help; *p; p++) {
			fputc(*p, out);
			if (*p == '\n')
				fprintf(out, "%*s", HELP_COLUMN, "");
		}
		fputc('\n', out);
	}
}

int opt_u64(const char *value, uint64_t min, uint64_t max, uint64_t *out, struct err *e)
{
	char *end;
	errno = 0;
	unsigned long long v = strtoull(value, &end, 10);
	if (value[0] < '0' || value[0] > '9' || *end || errno || v < min || v > max)
		return err_set(e, EINVAL, "'%s' is not a whole number from %llu to %llu", value,
			       (unsigned long long)min, (unsigned long long)max);
	*out = v;
	return 0;
}

int opt_bytes(const char *value, uint64_t *out, struct err *e)
{
	char *end;
	errno = 0;
	unsigned long long v = strtoull(value, &end, 10);
	unsigned shift = 0;
	bool ok = value[0] >= '0' && value[0] <= '9' && !errno;
	if (*end == 'K' || *end == 'k')
		shift = 10;
	else if (*end == 'M' || *end == 'm')
		shift = 20;
	else if (*end == 'G' || *end == 'g')
		shift = 30;
	else if (*end)
		ok = false;
	if (shift)
		end++;
	/* "512MiB" and "512MB" are meant the same way as "512M". */
	if (shift && (strcmp(end, "iB") == 0 || strcmp(end, "B") == 0))
		end += strlen(end);
	uint64_t scaled;
	if (!ok || *end || mul_overflows((uint64_t)v, (uint64_t)1 << shift, &scaled))
		return err_set(e, EINVAL, "'%s' is not a size (examples: 512M, 2G)", value);
	*out = scaled;
	return 0;
}

int opt_duration(const char *value, uint64_t *ns, struct err *e)
{
	static const struct {
		const char *unit;
		double seconds;
	} units[] = {{"", 1}, {"s", 1}, {"ms", 0.001}, {"m", 60}, {"h", 3600}, {"d", 86400}};
	char *end;
	errno = 0;
	double v = strtod(value, &end);
	/* strtod() also takes 0x10, 1e3 and nan, which nobody means here. */
	bool ok = value[0] >= '0' && value[0] <= '9' && !errno &&
		  strspn(value, "0123456789.") == (size_t)(end - value);
	for (size_t i = 0; ok && i < ARRAY_SIZE(units); i++)
		if (strcmp(end, units[i].unit) == 0) {
			double s = v * units[i].seconds;
			if (!(s >= 1e-9 && s < 1e9))
				break;
			*ns = (uint64_t)(s * 1e9);
			return 0;
		}
	return err_set(e, EINVAL, "'%s' is not a duration (examples: 10s, 1.5s, 5m, 2h)", value);
}
