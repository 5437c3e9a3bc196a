// SPDX-License-Identifier: Apache-2.0
// cgroup_find.c - where this process stands in the cgroup hierarchies, and where those are mounted
//
// Nothing is assumed about paths: hosts mount v1 controllers alone or several together, v2 at
// /sys/fs/cgroup or beside v1, containers see a part of a hierarchy, and what /proc/self/cgroup
// names need not be below any mount. /proc/self/cgroup says which controllers v1 has, so that
// the reading of mountinfo, long on some hosts, can stop when all of them are found.
#include "cgroup_find.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/io.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define FIELDS_MAX 32
#define SELF_CGROUP_MAX ((size_t)256 * 1024)
#define MOUNTINFO_MAX ((size_t)64 * 1024 * 1024)
#define CHUNK ((size_t)32 * 1024)

static const char *const names[] = {"memory", "pids", "cpu", "io"};
static const char *const names_v1[] = {"memory", "pids", "cpu", "blkio"};
static_assert(ARRAY_SIZE(names) == CGROUP_CTLS, "a name for each controller");
static_assert(ARRAY_SIZE(names_v1) == CGROUP_CTLS, "a name for each controller");

const char *cgroup_ctl_name(enum cgroup_ctl ctl)
{
	return ctl < CGROUP_CTLS ? names[ctl] : "?";
}

/* The controllers in a list as v1 writes it, with commas. */
static unsigned list_v1(const char *list)
{
	unsigned found = 0;
	while (*list) {
		size_t n = strcspn(list, ",");
		for (unsigned i = 0; i < CGROUP_CTLS; i++)
			if (strlen(names_v1[i]) == n && memcmp(names_v1[i], list, n) == 0)
				found |= 1u << i;
		list += n + (list[n] == ',');
	}
	return found;
}

static void copy_path(char out[PATH_MAX], const char *from, size_t len)
{
	/* What is cut would be another group. */
	if (len >= PATH_MAX)
		len = 0;
	memcpy(out, from, len);
	out[len] = '\0';
}

void cgroup_find_own(struct cgroup_places *p, const char *self_cgroup, unsigned want)
{
	*p = (struct cgroup_places){.want = want};
	while (*self_cgroup) {
		char list[128] = "";
		size_t len = strcspn(self_cgroup, "\n");
		const char *first = memchr(self_cgroup, ':', len);
		size_t before = first ? (size_t)(first + 1 - self_cgroup) : len;
		const char *path = memchr(self_cgroup + before, ':', len - before);
		size_t list_len = path ? (size_t)(path - first - 1) : 0;
		if (first && path && list_len < sizeof(list)) {
			size_t path_len = len - (size_t)(++path - self_cgroup);
			memcpy(list, first + 1, list_len);
			unsigned ctls = list_v1(list);
			p->v1 |= ctls;
			for (unsigned i = 0; i < CGROUP_CTLS; i++)
				if (ctls & (1u << i))
					copy_path(p->group[i], path, path_len);
			if (list_len == 0)
				copy_path(p->group_v2, path, path_len);
		}
		self_cgroup += len + (self_cgroup[len] == '\n');
	}
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

/* The directory of a group below a mount that may show only a part of the hierarchy. */
static void join(struct cgroup_place *to, const char *root, const char *point, const char *group)
{
	size_t root_len = strcmp(root, "/") == 0 ? 0 : strlen(root);
	const char *below = "";
	if (strncmp(group, root, root_len) == 0 &&
	    (group[root_len] == '/' || group[root_len] == '\0'))
		below = group + root_len;
	/* "/.." is how the kernel shows a group outside of the cgroup namespace. */
	if (strcmp(below, "/") == 0 || strncmp(below, "/..", 3) == 0)
		below = "";
	snprintf(to->point, sizeof(to->point), "%s", point);
	int n = snprintf(to->own, sizeof(to->own), "%s%s", point, below);
	if (n < 0 || (size_t)n >= sizeof(to->own))
		snprintf(to->own, sizeof(to->own), "%s", point);
}

static void take_mount(struct cgroup_places *p, const char *type, const char *options, char *root,
		       char *point)
{
	bool v1 = strcmp(type, "cgroup") == 0;
	unsigned ctls = 0;
	if (v1)
		ctls = list_v1(options) & p->want;
	else if (strcmp(type, "cgroup2") == 0)
		ctls = p->want & ~p->v1;
	unescape(root);
	unescape(point);
	/* Our record of paths has one a line. */
	if (ctls == 0 || p->n == CGROUP_CTLS || root[0] != '/' || point[0] != '/' ||
	    strlen(point) >= PATH_MAX || strchr(point, '\n'))
		return;
	struct cgroup_place *to = &p->place[p->n++];
	to->v1 = v1;
	to->ctls = ctls;
	join(to, root, point, v1 ? p->group[__builtin_ctz(ctls)] : p->group_v2);
	p->want &= ~ctls;
}

bool cgroup_find_mount(struct cgroup_places *p, char *line)
{
	char *field[FIELDS_MAX];
	size_t n = 0;
	char *save = NULL;
	for (char *w = strtok_r(line, " ", &save); w && n < FIELDS_MAX;
	     w = strtok_r(NULL, " ", &save))
		field[n++] = w;
	/* The number of optional fields before the "-" varies. */
	size_t dash = 6;
	while (dash < n && strcmp(field[dash], "-") != 0)
		dash++;
	if (dash + 3 < n)
		take_mount(p, field[dash + 1], field[dash + 3], field[3], field[4]);
	return p->want != 0;
}

/* Whole lines of what is in buf go to the search; the rest moves to the front. */
static bool take_lines(struct cgroup_places *p, char *buf, size_t *used)
{
	bool more = true;
	char *line = buf;
	char *end;
	while (more && (end = memchr(line, '\n', *used - (size_t)(line - buf)))) {
		*end = '\0';
		/* The cheap look first: most lines are about other file systems. */
		if (strstr(line, " - cgroup"))
			more = cgroup_find_mount(p, line);
		line = end + 1;
	}
	*used -= (size_t)(line - buf);
	memmove(buf, line, *used);
	return more;
}

int cgroup_find(struct cgroup_places *p, unsigned want)
{
	AUTO_FREE char *self = NULL;
	AUTO_FREE char *buf = NULL;
	size_t used = 0;
	size_t total = 0;
	ssize_t n = 0;
	AUTO_CLOSE int fd = open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	int ret = io_read_all(fd, SELF_CGROUP_MAX, &self, &used);
	if (ret < 0)
		return ret;
	cgroup_find_own(p, self, want);
	AUTO_CLOSE int mounts = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	buf = malloc(CHUNK);
	if (mounts < 0 || !buf)
		return mounts < 0 ? -errno : -ENOMEM;
	used = 0;
	do {
		/* A line that fills the buffer is of no mount that we could use. */
		if (used == CHUNK)
			used = 0;
		n = read(mounts, buf + used, CHUNK - used);
		if (n < 0)
			return -errno;
		used += (size_t)n;
		total += (size_t)n;
	} while (take_lines(p, buf, &used) && n > 0 && total < MOUNTINFO_MAX);
	return 0;
}
