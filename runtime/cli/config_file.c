// SPDX-License-Identifier: Apache-2.0
// config_file.c - a JSON object as options: each value goes to its option's own setter, as text
#include "cli/config_file.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROWS_MAX 64
#define LIST_MAX 1024
#define NUMBER_MAX 40

/* What may be given more than once. */
static const char *const lists[] = {"env", "share", "disk", "out", "hide"};

/* Where the first reading of the command line leaves the file's name. */
struct first {
	struct vm_config *c;
	const char *path;
};

static int note_path(void *ctx, const char *v, struct err *e)
{
	struct first *f = ctx;
	if (f->path)
		return err_set(e, EINVAL, "a second file; one is possible");
	f->path = v;
	return 0;
}

static int note_status_fd(void *ctx, const char *v, struct err *e)
{
	return config_set_status_fd(((struct first *)ctx)->c, v, e);
}

static int pass_over(void *ctx, const char *v, struct err *e)
{
	(void)ctx;
	(void)v;
	(void)e;
	return 0;
}

/* Its work is done when the table comes to it. */
int config_set_config(void *ctx, const char *v, struct err *e)
{
	return pass_over(ctx, v, e);
}

/* Setters keep pointers into what they get, and cut it up. */
static int keep(struct vm_config *c, const char *text, const char **kept)
{
	char **bigger = realloc(c->kept, (c->n_kept + 1) * sizeof(*bigger));
	if (!bigger)
		return -ENOMEM;
	c->kept = bigger;
	char *copy = strdup(text);
	if (!copy)
		return -ENOMEM;
	c->kept[c->n_kept++] = copy;
	*kept = copy;
	return 0;
}

static int set_one(struct vm_config *c, const struct opt *o, const json_t *v, struct err *e)
{
	char number[NUMBER_MAX];
	const char *text = json_string_value(v);
	if (json_is_integer(v))
		snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(v));
	else if (json_is_real(v))
		snprintf(number, sizeof(number), "%.15g", json_real_value(v));
	else if (!text)
		return err_set(e, EINVAL, "expected a string or a number: %s", o->arg);
	const char *kept = NULL;
	int ret = keep(c, text ? text : number, &kept);
	return ret < 0 ? err_errno(e, -ret, "can't keep it") : o->set(c, kept, e);
}

static int set_list(struct vm_config *c, const struct opt *o, const json_t *list, struct err *e)
{
	size_t n = json_array_size(list);
	bool many = false;
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		many = many || strcmp(lists[i], o->name) == 0;
	if (!many)
		return err_set(e, EINVAL, "takes one value, not a list");
	if (n > LIST_MAX)
		return err_set(e, EINVAL, "more than %d values", LIST_MAX);
	for (size_t i = 0; i < n; i++) {
		int ret = set_one(c, o, json_array_get(list, i), e);
		if (ret < 0)
			return ret;
	}
	return 0;
}

static int set_flag(struct vm_config *c, const struct opt *o, const json_t *v, struct err *e)
{
	if (!json_is_boolean(v))
		return err_set(e, EINVAL, "expected true or false");
	return json_is_true(v) ? o->set(c, NULL, e) : 0;
}

static int set_key(struct vm_config *c, const struct opt *rows, size_t n, const char *key,
		   const json_t *v, struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		const struct opt *o = &rows[i];
		if (strcmp(o->name, key) != 0)
			continue;
		if (o->set == config_set_config || o->set == config_set_help)
			return err_set(e, EINVAL, "is for the command line only");
		if (!o->arg || (o->arg[0] == '=' && json_is_boolean(v)))
			return set_flag(c, o, v, e);
		return json_is_array(v) ? set_list(c, o, v, e) : set_one(c, o, v, e);
	}
	return err_set(e, EINVAL, "is no option (the keys are the long options' names)");
}

static int load(const char *path, json_t **o, struct err *e)
{
	AUTO_FREE char *text = NULL;
	size_t len = 0;
	json_error_t je;
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return err_errno(e, errno, "can't open '%s'", path);
	int ret = io_read_all(fd, CONFIG_FILE_MAX, &text, &len);
	if (ret < 0)
		return err_errno(e, -ret, "can't read '%s'", path);
	*o = json_loadb(text, len, JSON_REJECT_DUPLICATES, &je);
	if (!*o)
		return err_set(e, EINVAL, "'%s', line %d: %s", path, je.line, je.text);
	if (json_is_object(*o))
		return 0;
	json_decref(*o);
	*o = NULL;
	return err_set(e, EINVAL, "'%s' is not a JSON object", path);
}

int config_file_apply(struct vm_config *c, const struct opt *rows, size_t n, const char *path,
		      struct err *e)
{
	json_t *o = NULL;
	int ret = load(path, &o, e);
	if (ret < 0)
		return ret;
	for (void *it = json_object_iter(o); ret == 0 && it; it = json_object_iter_next(o, it)) {
		const char *key = json_object_iter_key(it);
		ret = set_key(c, rows, n, key, json_object_iter_value(it), e);
		if (ret < 0)
			ret = err_wrap(e, ret, "'%s', key '%.64s'", path, key);
	}
	json_decref(o);
	return ret;
}

/* What the file says, quoted in a message, may hold line ends and worse. */
static void make_one_line(char *text)
{
	for (char *p = text; *p; p++)
		if ((unsigned char)*p < ' ' || *p == '\x7f')
			*p = '?';
}

int config_file_first(struct vm_config *c, const struct opt *rows, size_t n, int argc, char **argv,
		      struct err *e)
{
	struct opt first[ROWS_MAX];
	struct first f = {.c = c};
	int rest = 0;
	if (n > ROWS_MAX)
		return err_set(e, E2BIG, "more than %d options", ROWS_MAX);
	for (size_t i = 0; i < n; i++) {
		first[i] = rows[i];
		if (rows[i].set == config_set_config)
			first[i].set = note_path;
		else if (rows[i].set == config_set_status_fd)
			first[i].set = note_status_fd;
		else
			first[i].set = pass_over;
	}
	int ret = opt_parse(first, n, &f, argc, argv, &rest, e);
	if (ret < 0 || !f.path)
		return ret;
	ret = config_file_apply(c, rows, n, f.path, e);
	if (ret < 0)
		make_one_line(e->text);
	return ret < 0 ? err_wrap(e, ret, "option --config") : 0;
}
