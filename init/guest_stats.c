// SPDX-License-Identifier: Apache-2.0
// guest_stats.c - what the guest uses: memory, files in memory, processes, CPU time
#include "guest_stats.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "spawn_cgroup.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#define MEMINFO_MAX 8192

static int meminfo_fd = -1;

void guest_stats_init(void)
{
	close_fd(&meminfo_fd);
	meminfo_fd = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
}

uint64_t guest_stats_meminfo(const char *text, const char *row)
{
	size_t len = strlen(row);
	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, row, len) == 0 && line[len] == ':')
			return strtoull(line + len + 1, NULL, 10) * 1024;
	}
	return 0;
}

void guest_stats(Mayfly__GuestStats *m, int changes_fd)
{
	char text[MEMINFO_MAX] = "";
	struct statfs fs;
	struct spawn_cgroup_usage usage = {0};
	ssize_t n = meminfo_fd >= 0 ? pread(meminfo_fd, text, sizeof(text) - 1, 0) : 0;
	text[n > 0 ? n : 0] = '\0';
	m->memory_total = guest_stats_meminfo(text, "MemTotal");
	m->memory_available = guest_stats_meminfo(text, "MemAvailable");
	if (changes_fd >= 0 && fstatfs(changes_fd, &fs) == 0)
		m->changes_used = (uint64_t)(fs.f_blocks - fs.f_bfree) * (uint64_t)fs.f_bsize;
	spawn_cgroup_usage(&usage);
	m->cpu_usec = usage.cpu_usec;
	m->oom_kills = usage.oom_kills;
	m->processes = usage.processes;
	m->uptime_ns = io_now_ns();
}
