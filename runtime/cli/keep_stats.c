// SPDX-License-Identifier: Apache-2.0
// keep_stats.c - what a machine's processes take of the host, from /proc
#include "base/cleanup.h"
#include "base/io.h"
#include "cli/keep.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX 8192
#define STAT_UTIME 14

static bool read_text(const char *path, char text[TEXT_MAX])
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, TEXT_MAX - 1);
	text[n > 0 ? n : 0] = '\0';
	return n > 0;
}

static uint64_t number_behind(const char *text, const char *key)
{
	const char *p = strstr(text, key);
	return p ? strtoull(p + strlen(key), NULL, 10) : 0;
}

static uint64_t pid_of(int pidfd)
{
	char path[64];
	char text[TEXT_MAX];
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
	return read_text(path, text) ? number_behind(text, "\nPid:") : 0;
}

/* Of a process that has ended the number may be somebody else's. */
static bool lives(int pidfd)
{
	struct pollfd p = {.fd = pidfd, .events = POLLIN};
	return poll(&p, 1, 0) == 0;
}

/* utime and stime: behind the name, which may hold anything. */
static uint64_t cpu_ticks(const char *stat)
{
	const char *p = strrchr(stat, ')');
	char *end;
	for (int field = 2; p && field < STAT_UTIME; field++)
		p = strchr(p + 1, ' ');
	if (!p)
		return 0;
	uint64_t utime = strtoull(p, &end, 10);
	return utime + strtoull(end, NULL, 10);
}

void keep_stats_host(const struct machine *m, Mayfly__MachineStats *s)
{
	uint64_t shared = 0;
	uint64_t own = 0;
	uint64_t ticks = 0;
	for (unsigned i = 0; i < MACHINE_PROCESSES; i++) {
		char path[64];
		char stat[TEXT_MAX];
		char status[TEXT_MAX];
		uint64_t pid = m->pidfd[i] >= 0 ? pid_of(m->pidfd[i]) : 0;
		if (pid == 0)
			continue;
		snprintf(path, sizeof(path), "/proc/%" PRIu64 "/stat", pid);
		bool got = read_text(path, stat);
		snprintf(path, sizeof(path), "/proc/%" PRIu64 "/status", pid);
		if (!got || !read_text(path, status) || !lives(m->pidfd[i]))
			continue;
		ticks += cpu_ticks(stat);
		own += number_behind(status, "\nRssAnon:") * 1024;
		/* The guest's memory, which QEMU and the vmm both map: counted once. */
		uint64_t shmem = number_behind(status, "\nRssShmem:") * 1024;
		if (shmem > shared)
			shared = shmem;
	}
	long hz = sysconf(_SC_CLK_TCK);
	s->host_cpu_usec = ticks * 1000000 / (uint64_t)(hz > 0 ? hz : 100);
	s->host_memory = own + shared;
}
