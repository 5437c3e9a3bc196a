// SPDX-License-Identifier: Apache-2.0
// host_cgroup.c - which cgroup hierarchies there are, and whether a machine can be limited in them
#include "cli/host_cgroup.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/io.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define FIELDS_MAX 32
#define LINE_MAX_LEN (2 * PATH_MAX)
#define CONTROLLERS_MAX 4096

struct mount {
	const char *root;
	const char *point;
	const char *fs_type;
	const char *options;
};

static const char *const kind_names[] = {"none", "v1", "v2", "hybrid"};
static const char *const ctl_names[] = {"memory", "pids"};
/* Also a mark of v1, though no limit of ours is set there. */
static const char *const other_ctls[] = {"cpu", "cpuset", "blkio", "devices", "freezer"};

static_assert(ARRAY_SIZE(kind_names) == HOST_CGROUP_KINDS, "a name for each kind");
static_assert(ARRAY_SIZE(ctl_names) == HOST_CGROUP_CTLS, "a name for each controller");

const char *host_cgroup_kind_name(enum host_cgroup_kind kind)
{
	return kind < HOST_CGROUP_KINDS ? kind_names[kind] : "?";
}

const char *host_cgroup_ctl_name(enum host_cgroup_ctl ctl)
{
	return ctl < HOST_CGROUP_CTLS ? ctl_names[ctl] : "?";
}

/* Is word one of the items of a list with these separators? */
static bool has_word(const char *list, const char *separators, const char *word)
{
	size_t len = strlen(word);
	while (*list) {
		size_t n = strcspn(list, separators);
		if (n == len && strncmp(list, word, n) == 0)
			return true;
		list += n;
		list += strspn(list, separators);
	}
	return false;
}

/* mountinfo writes blanks and the like as a backslash and three octal digits. */
static void unescape(char *s)
{
	char *to = s;
	while (*s) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' &&
		    s[3] >= '0' && s[3] <= '7') {
			*to++ = (char)(((s[1] - '0') << 6) | ((s[2] - '0') << 3) | (s[3] - '0'));
			s += 4;
		} else {
			*to++ = *s++;
		}
	}
	*to = '\0';
}

/* Cuts the line into its fields. The number of optional ones before the "-" varies. */
static bool parse_mount(char *line, struct mount *m)
{
	char *field[FIELDS_MAX];
	size_t n = 0;
	char *save = NULL;
	for (char *w = strtok_r(line, " ", &save); w && n < FIELDS_MAX;
	     w = strtok_r(NULL, " ", &save))
		field[n++] = w;
	size_t dash = 6;
	while (dash < n && strcmp(field[dash], "-") != 0)
		dash++;
	if (dash + 3 >= n || field[3][0] != '/' || field[4][0] != '/')
		return false;
	unescape(field[3]);
	unescape(field[4]);
	*m = (struct mount){
		.root = field[3],
		.point = field[4],
		.fs_type = field[dash + 1],
		.options = field[dash + 3],
	};
	return true;
}

/* The next line into buf; returns what follows, NULL at the end. An overlong line is cut. */
static const char *next_line(const char *text, char *buf, size_t size)
{
	if (!*text)
		return NULL;
	size_t n = strcspn(text, "\n");
	size_t keep = MIN(n, size - 1);
	memcpy(buf, text, keep);
	buf[keep] = '\0';
	return text + n + (text[n] == '\n');
}

/* This process's group in the hierarchy of a v1 controller, or in v2 (ctl NULL). */
static bool own_group(const char *self_cgroup, const char *ctl, char *group, size_t size)
{
	char line[LINE_MAX_LEN];
	while ((self_cgroup = next_line(self_cgroup, line, sizeof(line)))) {
		char *list = strchr(line, ':');
		char *path = list ? strchr(list + 1, ':') : NULL;
		if (!path || path[1] != '/')
			continue;
		*path++ = '\0';
		list++;
		if (ctl ? has_word(list, ",", ctl) : *list == '\0') {
			snprintf(group, size, "%s", path);
			return true;
		}
	}
	return false;
}

/* The directory of a group below a mount that may show only a part of the hierarchy. */
static void join(struct host_cgroup_place *place, const struct mount *m, const char *group)
{
	size_t root_len = strcmp(m->root, "/") == 0 ? 0 : strlen(m->root);
	const char *below = "";
	if (strncmp(group, m->root, root_len) == 0 &&
	    (group[root_len] == '/' || group[root_len] == '\0'))
		below = group + root_len;
	/* "/.." is how the kernel shows a group outside of the cgroup namespace. */
	if (strcmp(below, "/") == 0 || strncmp(below, "/..", 3) == 0)
		below = "";
	int n = snprintf(place->dir, sizeof(place->dir), "%s%s", m->point, below);
	if (n < 0 || (size_t)n >= sizeof(place->dir))
		place->dir[0] = '\0';
}

static bool any_controller(const char *options)
{
	for (size_t i = 0; i < ARRAY_SIZE(ctl_names); i++)
		if (has_word(options, ",", ctl_names[i]))
			return true;
	for (size_t i = 0; i < ARRAY_SIZE(other_ctls); i++)
		if (has_word(options, ",", other_ctls[i]))
			return true;
	return false;
}

/* A controller lives in one hierarchy only; where v1 has it, v2 hasn't. */
static void place_all(struct host_cgroup *out, const struct mount *m, const char *self_cgroup)
{
	bool v1 = strcmp(m->fs_type, "cgroup") == 0;
	for (size_t i = 0; i < HOST_CGROUP_CTLS; i++) {
		struct host_cgroup_place *place = &out->place[i];
		char group[PATH_MAX] = "/";
		if (v1 ? !has_word(m->options, ",", ctl_names[i]) : place->v1)
			continue;
		place->v1 = v1;
		own_group(self_cgroup, v1 ? ctl_names[i] : NULL, group, sizeof(group));
		join(place, m, group);
	}
}

void host_cgroup_parse(struct host_cgroup *out, const char *mountinfo, const char *self_cgroup)
{
	char line[LINE_MAX_LEN];
	struct mount m;
	bool v1 = false;
	bool v2 = false;
	*out = (struct host_cgroup){0};
	while ((mountinfo = next_line(mountinfo, line, sizeof(line)))) {
		if (!parse_mount(line, &m))
			continue;
		if (strcmp(m.fs_type, "cgroup2") == 0)
			v2 = true;
		else if (strcmp(m.fs_type, "cgroup") == 0 && any_controller(m.options))
			v1 = true;
		else
			continue;
		place_all(out, &m, self_cgroup);
	}
	if (v1)
		out->kind = v2 ? HOST_CGROUP_HYBRID : HOST_CGROUP_V1;
	else if (v2)
		out->kind = HOST_CGROUP_V2;
}

static bool writable(const char *dir, const char *name)
{
	char path[PATH_MAX + 32];
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) == 0;
}

static bool v2_offers(const char *dir, const char *ctl)
{
	char path[PATH_MAX + 32];
	AUTO_FREE char *text = NULL;
	size_t len;
	snprintf(path, sizeof(path), "%s/cgroup.controllers", dir);
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd >= 0 && io_read_all(fd, CONTROLLERS_MAX, &text, &len) == 0 &&
	       has_word(text, " \n", ctl);
}

void host_cgroup_check(struct host_cgroup *cg)
{
	for (size_t i = 0; i < HOST_CGROUP_CTLS; i++) {
		struct host_cgroup_place *place = &cg->place[i];
		place->usable = place->dir[0] && writable(place->dir, "") &&
				writable(place->dir, "cgroup.procs") &&
				(place->v1 || (writable(place->dir, "cgroup.subtree_control") &&
					       v2_offers(place->dir, ctl_names[i])));
	}
}
