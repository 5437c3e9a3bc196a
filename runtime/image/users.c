// SPDX-License-Identifier: Apache-2.0
// users.c - an image's user, as numbers, by the image's own passwd and group
//
// The rules are docker's: a name wins over a number; a group that is named leaves no room for
// supplementary ones; without, they are those whose line in group lists the user's name.
#include "image/users.h"

#include "base/checked.h"
#include "base/cleanup.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define FIELDS_MAX 7
#define NAME_BYTES 256

struct line {
	char *field[FIELDS_MAX];
	size_t n;
};

/* The file with a NUL behind it, empty if there is none; links are followed inside of the image. */
static char *load(const struct erofs *fs, const char *path)
{
	struct erofs_file f;
	size_t len = 0;
	if (erofs_find(fs, path, &f) == 0 && S_ISREG(f.mode))
		len = (size_t)MIN(f.size, USERS_FILE_MAX);
	char *text = calloc(1, len + 1);
	if (text && len > 0 && erofs_pread(fs, &f, 0, text, len, NULL) < 0)
		text[0] = '\0';
	return text;
}

/* Cuts the next line out of *text and splits it at ':'; false at the end. */
static bool next_line(char **text, struct line *l)
{
	if (!**text)
		return false;
	char *at = *text;
	size_t len = strcspn(at, "\n");
	*text = at + len + (at[len] != '\0');
	at[len] = '\0';
	for (l->n = 0; at && l->n < FIELDS_MAX; l->n++)
		l->field[l->n] = strsep(&at, ":");
	return true;
}

static bool number(const char *text, uint32_t *out)
{
	uint64_t v = 0;
	size_t n = strspn(text, "0123456789");
	if (n == 0 || n > 10 || text[n])
		return false;
	for (size_t i = 0; i < n; i++)
		v = v * 10 + (uint64_t)(text[i] - '0');
	*out = (uint32_t)v;
	return v < UINT32_MAX;
}

struct user {
	char name[NAME_BYTES]; /* empty: no line in passwd */
	uint32_t uid, gid;
};

/* By name; failing that, by number. */
static bool find_user(const char *passwd, const char *who, struct user *out)
{
	uint32_t wanted;
	bool is_number = number(who, &wanted);
	bool found = is_number;
	AUTO_FREE char *copy = strdup(passwd);
	char *text = copy;
	struct line l;
	*out = (struct user){.uid = is_number ? wanted : 0};
	while (text && next_line(&text, &l)) {
		struct user u = {0};
		if (l.n < 4 || !number(l.field[2], &u.uid) || !number(l.field[3], &u.gid) ||
		    strlen(l.field[0]) >= sizeof(u.name))
			continue;
		snprintf(u.name, sizeof(u.name), "%s", l.field[0]);
		if (strcmp(u.name, who) == 0) {
			*out = u;
			return true;
		}
		if (is_number && u.uid == wanted && !out->name[0])
			*out = u;
	}
	return found;
}

static bool find_group(const char *groups, const char *who, uint32_t *gid)
{
	AUTO_FREE char *copy = strdup(groups);
	char *text = copy;
	struct line l;
	bool found = number(who, gid);
	while (text && next_line(&text, &l)) {
		uint32_t n;
		if (l.n >= 3 && strcmp(l.field[0], who) == 0 && number(l.field[2], &n)) {
			*gid = n;
			return true;
		}
	}
	return found;
}

static bool lists(char *members, const char *name)
{
	char *m;
	while ((m = strsep(&members, ",")))
		if (strcmp(m, name) == 0)
			return true;
	return false;
}

static void add_gid(struct image_config *c, uint32_t gid)
{
	for (size_t i = 0; i < c->ngids; i++)
		if (c->gids[i] == gid)
			return;
	if (c->ngids < IMAGE_GROUPS_MAX)
		c->gids[c->ngids++] = gid;
}

static void find_memberships(char *groups, const char *name, struct image_config *c)
{
	struct line l;
	uint32_t gid;
	while (next_line(&groups, &l))
		if (l.n >= 4 && number(l.field[2], &gid) && lists(l.field[3], name))
			add_gid(c, gid);
}

int users_resolve(const struct erofs *fs, struct image_config *c)
{
	char who[NAME_BYTES];
	struct user u;
	AUTO_FREE char *passwd = load(fs, "etc/passwd");
	AUTO_FREE char *groups = load(fs, "etc/group");
	uint32_t *gids = calloc(IMAGE_GROUPS_MAX, sizeof(*gids));
	if (!passwd || !groups || !gids) {
		free(gids);
		return -ENOMEM;
	}
	free(c->gids);
	c->gids = gids;
	c->ngids = 0;
	snprintf(who, sizeof(who), "%s", c->user);
	char *group = strchr(who, ':');
	if (group)
		*group++ = '\0';
	c->user_known = find_user(passwd, who[0] ? who : "0", &u);
	c->uid = u.uid;
	c->gid = u.gid;
	if (group && *group)
		c->user_known = find_group(groups, group, &c->gid) && c->user_known;
	else if (u.name[0])
		find_memberships(groups, u.name, c);
	if (!c->user_known) {
		c->uid = 0;
		c->gid = 0;
		c->ngids = 0;
	}
	return 0;
}
