// SPDX-License-Identifier: Apache-2.0
// host_shared.c - what machines share on this host although no jail parts it: cores, pages, swap
#include "cli/host_shared.h"

#include "base/cleanup.h"
#include "cli/host_kernel.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define FLAWS_DIR "/sys/devices/system/cpu/vulnerabilities"
#define SMALL_FILE_MAX 4096
/* linux/prctl.h of Debian 12 is older than some kernels it runs on. */
#ifndef PR_GET_MEMORY_MERGE
#define PR_GET_MEMORY_MERGE 68
#endif

/* A small file's text without its last line feed; empty if it can't be read. */
static void read_text(int dir, const char *path, char *buf, size_t size)
{
	AUTO_CLOSE int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);
	n = n < 0 ? 0 : n;
	if (n > 0 && buf[n - 1] == '\n')
		n--;
	buf[n] = '\0';
}

static bool starts_with(const char *text, const char *start)
{
	return strncmp(text, start, strlen(start)) == 0;
}

/* ---- texts ---- */

static const char *third_word(const char *line)
{
	for (int i = 0; i < 2; i++) {
		line += strcspn(line, " \t\n");
		line += strspn(line, " \t");
	}
	return line;
}

void host_shared_swaps(struct host_shared *s, const char *text)
{
	s->swaps = 0;
	s->swaps_zram = 0;
	s->swap_bytes = 0;
	/* The first line is a heading. */
	for (const char *p = strchr(text, '\n'); p && p[1]; p = strchr(p + 1, '\n')) {
		char *end;
		const char *size = third_word(p + 1);
		errno = 0;
		unsigned long long kib = strtoull(size, &end, 10);
		if (errno || end == size || *size == '-' || kib > UINT64_MAX / 1024)
			continue;
		s->swaps++;
		s->swaps_zram += starts_with(p + 1, "/dev/zram");
		if (kib * 1024 <= UINT64_MAX - s->swap_bytes)
			s->swap_bytes += kib * 1024;
	}
}

/* The value behind "name : " in the first CPU's part, NULL if it isn't there. */
static const char *cpu_line(const char *text, const char *name)
{
	for (const char *p = text; p && *p && *p != '\n'; p = strchr(p, '\n'), p = p ? p + 1 : p) {
		size_t n = strlen(name);
		if (strncmp(p, name, n) != 0 || !strchr(" \t:", p[n]))
			continue;
		p += n;
		return p + strspn(p, " \t:");
	}
	return NULL;
}

void host_shared_cpu(struct host_shared *s, const char *text)
{
	const char *vendor = cpu_line(text, "vendor_id");
	const char *flags = cpu_line(text, "flags");
	s->vendor = HOST_CPU_OTHER;
	if (vendor && starts_with(vendor, "AuthenticAMD"))
		s->vendor = HOST_CPU_AMD;
	else if (vendor && starts_with(vendor, "GenuineIntel"))
		s->vendor = HOST_CPU_INTEL;
	s->hypervisor = false;
	for (const char *p = flags; p && *p && *p != '\n'; p += strspn(p, " \t")) {
		size_t n = strcspn(p, " \t\n");
		s->hypervisor = s->hypervisor || (n == 10 && strncmp(p, "hypervisor", n) == 0);
		p += n;
	}
}

bool host_shared_mitigations_off(const char *cmdline)
{
	/* The kernel goes by the last one, and takes further words behind a comma. */
	bool off = false;
	for (const char *p = cmdline; *p; p += strspn(p, " \n")) {
		if (starts_with(p, "mitigations="))
			off = starts_with(p, "mitigations=off");
		p += strcspn(p, " \n");
	}
	return off;
}

const char *host_shared_flaw(const struct host_shared *s, const char *name)
{
	for (size_t i = 0; i < s->flaws; i++)
		if (strcmp(s->flaw[i].name, name) == 0)
			return s->flaw[i].state;
	return "";
}

bool host_flaw_is_open(const struct host_flaw *flaw)
{
	/* Also "KVM: Vulnerable", "Processor vulnerable" and "Mitigation: ...; SMT vulnerable". */
	return strstr(flaw->state, "ulnerable") != NULL;
}

/* ---- the host ---- */

static void look_at_flaws(struct host_shared *s)
{
	DIR *dir = opendir(FLAWS_DIR);
	if (!dir)
		return;
	for (struct dirent *d; s->flaws < HOST_SHARED_FLAWS_MAX && (d = readdir(dir));) {
		struct host_flaw *flaw = &s->flaw[s->flaws];
		if (d->d_name[0] == '.' || strlen(d->d_name) >= sizeof(flaw->name))
			continue;
		snprintf(flaw->name, sizeof(flaw->name), "%s", d->d_name);
		read_text(dirfd(dir), d->d_name, flaw->state, sizeof(flaw->state));
		s->flaws++;
	}
	closedir(dir);
}

static void look_at_cores(struct host_shared *s)
{
	unsigned long long cookie = 0;
	s->smt_active = host_kernel_file("/sys/devices/system/cpu/smt/active");
	/* Asks for nothing but this thread's own cookie. */
	int ret = prctl(PR_SCHED_CORE, PR_SCHED_CORE_GET, 0, PR_SCHED_CORE_SCOPE_THREAD, &cookie);
	s->core_sched = ret < 0 ? -errno : 0;
	s->core_cookie = ret == 0 && cookie != 0;
}

void host_shared_look(struct host_shared *s, const char *cpuinfo)
{
	char text[SMALL_FILE_MAX];
	*s = (struct host_shared){0};
	s->ksm_run = host_kernel_file("/sys/kernel/mm/ksm/run");
	s->ksm_asked = prctl(PR_GET_MEMORY_MERGE, 0, 0, 0, 0) == 1;
	look_at_cores(s);
	read_text(AT_FDCWD, "/proc/swaps", text, sizeof(text));
	host_shared_swaps(s, text);
	read_text(AT_FDCWD, "/sys/module/kvm/parameters/nx_huge_pages", s->nx_huge_pages,
		  sizeof(s->nx_huge_pages));
	look_at_flaws(s);
	read_text(AT_FDCWD, "/proc/cmdline", text, sizeof(text));
	s->mitigations_off = host_shared_mitigations_off(text);
	host_shared_cpu(s, cpuinfo);
}
