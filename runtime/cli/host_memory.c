// SPDX-License-Identifier: Apache-2.0
// host_memory.c - has the host the memory that a machine may take?
#include "cli/host_memory.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "cgroup_find.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MEMINFO_MAX ((size_t)64 << 10)
#define FILE_MAX ((size_t)16 << 10)
/* Groups may be nested deeper; nobody does that. */
#define LEVELS_MAX 64
/* v1 says "no limit" with a number near 2^63. */
#define NO_LIMIT (1ull << 60)
#define MIB_SHIFT 20

/* The number behind a key at the beginning of a line, UNKNOWN if there is none. */
static uint64_t line_value(const char *text, const char *key)
{
	size_t n = strlen(key);
	for (const char *l = text; l && *l; l = strchr(l, '\n')) {
		l += *l == '\n';
		if (strncmp(l, key, n) != 0)
			continue;
		char *end;
		unsigned long long v = strtoull(l + n, &end, 10);
		return end == l + n ? HOST_MEMORY_UNKNOWN : v;
	}
	return HOST_MEMORY_UNKNOWN;
}

static uint64_t kib_value(const char *text, const char *key)
{
	uint64_t v = line_value(text, key);
	uint64_t bytes;
	return v == HOST_MEMORY_UNKNOWN || mul_overflows(v, (uint64_t)1024, &bytes)
		       ? HOST_MEMORY_UNKNOWN
		       : bytes;
}

void host_memory_meminfo(struct host_memory *m, const char *text)
{
	m->available = kib_value(text, "MemAvailable:");
	m->swap = kib_value(text, "SwapFree:");
	if (m->swap == HOST_MEMORY_UNKNOWN)
		m->swap = 0;
}

static char *group_file(const char *dir, const char *name)
{
	char path[PATH_MAX + 32];
	char *text = NULL;
	size_t len;
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd >= 0 && io_read_all(fd, FILE_MAX, &text, &len) == 0 ? text : NULL;
}

/* One number, UNKNOWN for "max" and for a file that is not there. */
static uint64_t group_value(const char *dir, const char *name)
{
	AUTO_FREE char *text = group_file(dir, name);
	return text ? line_value(text, "") : HOST_MEMORY_UNKNOWN;
}

static uint64_t group_left(const char *dir, bool v1)
{
	uint64_t limit = group_value(dir, v1 ? "memory.limit_in_bytes" : "memory.max");
	uint64_t used = group_value(dir, v1 ? "memory.usage_in_bytes" : "memory.current");
	if (limit >= NO_LIMIT || used == HOST_MEMORY_UNKNOWN)
		return HOST_MEMORY_UNKNOWN;
	AUTO_FREE char *stat = group_file(dir, "memory.stat");
	uint64_t cache =
		stat ? line_value(stat, v1 ? "total_inactive_file " : "inactive_file ") : 0;
	if (cache != HOST_MEMORY_UNKNOWN)
		used -= MIN(cache, used);
	return limit > used ? limit - used : 0;
}

void host_memory_group(struct host_memory *m, const char *point, const char *own, bool v1)
{
	char dir[PATH_MAX];
	size_t top = strlen(point);
	snprintf(dir, sizeof(dir), "%s", own);
	m->group = HOST_MEMORY_UNKNOWN;
	for (int i = 0; i < LEVELS_MAX; i++) {
		m->group = MIN(m->group, group_left(dir, v1));
		char *slash = strrchr(dir, '/');
		if (strlen(dir) <= top || !slash || slash == dir)
			return;
		*slash = '\0';
	}
}

void host_memory_look(struct host_memory *m)
{
	struct cgroup_places p;
	AUTO_FREE char *text = NULL;
	size_t len;
	*m = (struct host_memory){HOST_MEMORY_UNKNOWN, 0, HOST_MEMORY_UNKNOWN};
	AUTO_CLOSE int fd = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && io_read_all(fd, MEMINFO_MAX, &text, &len) == 0)
		host_memory_meminfo(m, text);
	if (cgroup_find(&p, 1u << CGROUP_MEMORY) == 0 && p.n == 1)
		host_memory_group(m, p.place[0].point, p.place[0].own, p.place[0].v1);
}

int host_memory_enough(const struct host_memory *m, uint64_t bytes, struct err *e)
{
	uint64_t host = m->available;
	if (host != HOST_MEMORY_UNKNOWN && add_overflows(host, m->swap, &host))
		host = HOST_MEMORY_UNKNOWN;
	if (bytes <= MIN(host, m->group))
		return 0;
	if (m->group < host)
		return err_set(
			e, ENOMEM,
			"a guest with %llu MiB of memory: the cgroup that mayfly runs in has "
			"%llu MiB left (a smaller --memory, or --force-memory to try it)",
			(unsigned long long)(bytes >> MIB_SHIFT),
			(unsigned long long)(m->group >> MIB_SHIFT));
	return err_set(e, ENOMEM,
		       "a guest with %llu MiB of memory: this host has %llu MiB available%s (a "
		       "smaller --memory, or --force-memory to try it)",
		       (unsigned long long)(bytes >> MIB_SHIFT),
		       (unsigned long long)(host >> MIB_SHIFT), m->swap ? ", swap included" : "");
}
