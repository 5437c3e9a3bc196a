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

#define LINE_MAX_LEN (2 * PATH_MAX)
#define CONTROLLERS_MAX 4096
#define ALL_CTLS ((1u << CGROUP_CTLS) - 1)

static const char *const kind_names[] = {"none", "v1", "v2", "hybrid"};
static_assert(ARRAY_SIZE(kind_names) == HOST_CGROUP_KINDS, "a name for each kind");

const char *host_cgroup_kind_name(enum host_cgroup_kind kind)
{
	return kind < HOST_CGROUP_KINDS ? kind_names[kind] : "?";
}

/* ---- which ---- */

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

/* A v1 hierarchy may have a name and no controller, as systemd's own. */
static bool any_controller(const char *options)
{
	static const char *const names[] = {"memory", "pids",	 "cpu",	   "blkio",
					    "cpuset", "devices", "freezer"};
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (has_word(options, ",", names[i]))
			return true;
	return false;
}

enum host_cgroup_kind host_cgroup_kind_of(const char *mountinfo)
{
	char line[LINE_MAX_LEN];
	bool v1 = false;
	bool v2 = false;
	while ((mountinfo = next_line(mountinfo, line, sizeof(line)))) {
		char type[32];
		char options[256];
		/* Behind the dash: type, source, the file system's options. */
		const char *dash = strstr(line, " - ");
		if (!dash || sscanf(dash + 3, "%31s %*s %255s", type, options) != 2)
			continue;
		v2 = v2 || strcmp(type, "cgroup2") == 0;
		v1 = v1 || (strcmp(type, "cgroup") == 0 && any_controller(options));
	}
	if (v1)
		return v2 ? HOST_CGROUP_HYBRID : HOST_CGROUP_V1;
	return v2 ? HOST_CGROUP_V2 : HOST_CGROUP_NONE;
}

/* ---- what for ---- */

static bool allowed(const char *dir, const char *name, int mode)
{
	char path[PATH_MAX + 32];
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return faccessat(AT_FDCWD, path, mode, AT_EACCESS) == 0;
}

static unsigned listed(const char *dir, const char *name)
{
	char path[PATH_MAX + 32];
	AUTO_FREE char *text = NULL;
	size_t len;
	unsigned found = 0;
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || io_read_all(fd, CONTROLLERS_MAX, &text, &len) < 0)
		return 0;
	for (unsigned i = 0; i < CGROUP_CTLS; i++)
		if (has_word(text, " \n", cgroup_ctl_name(i)))
			found |= 1u << i;
	return found;
}

/*
 * What groups below dir can limit. Where processes are no controller can be switched on, but for
 * the hierarchy's root, which is the one group without a type.
 */
static unsigned offered(const char *dir, const char *own)
{
	bool busy = strcmp(dir, own) == 0 && allowed(dir, "cgroup.type", F_OK);
	if (!allowed(dir, ".", W_OK | X_OK))
		return 0;
	bool can_switch = !busy && allowed(dir, "cgroup.subtree_control", W_OK);
	return listed(dir, can_switch ? "cgroup.controllers" : "cgroup.subtree_control");
}

static unsigned more(unsigned a, unsigned b)
{
	return __builtin_popcount(a) > __builtin_popcount(b) ? a : b;
}

unsigned host_cgroup_usable(const struct cgroup_place *place, bool root)
{
	const char *slash = strrchr(place->own, '/');
	if (place->v1)
		return allowed(place->own, ".", W_OK | X_OK) && allowed(place->own, "tasks", W_OK)
			       ? place->ctls
			       : 0;
	unsigned best = offered(place->own, place->own);
	if (slash && strcmp(place->own, place->point) != 0) {
		char parent[PATH_MAX];
		snprintf(parent, sizeof(parent), "%.*s", (int)(slash - place->own), place->own);
		best = more(offered(parent, place->own), best);
	}
	if (root)
		best = more(offered(place->point, place->own), best);
	return best & place->ctls;
}

void host_cgroup_look(struct host_cgroup *cg, const char *mountinfo)
{
	struct cgroup_places p;
	*cg = (struct host_cgroup){.kind = host_cgroup_kind_of(mountinfo)};
	if (cgroup_find(&p, ALL_CTLS) < 0)
		return;
	for (unsigned i = 0; i < p.n; i++) {
		cg->usable |= host_cgroup_usable(&p.place[i], geteuid() == 0);
		cg->v1 |= p.place[i].v1 ? p.place[i].ctls : 0;
	}
}
