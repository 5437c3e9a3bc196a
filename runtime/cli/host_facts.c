// SPDX-License-Identifier: Apache-2.0
// host_facts.c - all that `mayfly doctor` finds out about the host, before any of it is judged
#include "cli/host_facts.h"

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "cli/paths.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define PROC_FILE_MAX (4u << 20)

/* Files in /proc may be longer than what fits at once; an unreadable one counts as empty. */
static char *slurp(const char *path)
{
	char *text = NULL;
	size_t len;
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && io_read_all(fd, PROC_FILE_MAX, &text, &len) == 0)
		return text;
	return strdup("");
}

/* Takes over fd, or an error as -errno. */
static void set_file(struct host_file *file, int fd)
{
	char link[64];
	*file = (struct host_file){.error = fd < 0 ? -fd : 0};
	if (fd < 0)
		return;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	if (readlink(link, file->path, sizeof(file->path) - 1) < 0)
		file->path[0] = '\0';
	close(fd);
}

uint64_t host_facts_meminfo(const char *text, const char *name)
{
	size_t len = strlen(name);
	for (const char *p = text; p && *p; p = strchr(p, '\n'), p = p ? p + 1 : NULL) {
		char *end;
		uint64_t bytes;
		if (strncmp(p, name, len) != 0 || p[len] != ':')
			continue;
		errno = 0;
		unsigned long long kib = strtoull(p + len + 1, &end, 10);
		if (errno || end == p + len + 1 || strncmp(end, " kB", 3) != 0 ||
		    mul_overflows((uint64_t)kib, (uint64_t)1024, &bytes))
			return 0;
		return bytes;
	}
	return 0;
}

enum host_cpu_virt host_facts_cpu_virt(const char *text)
{
	const char *flags = strncmp(text, "flags", 5) == 0 ? text : strstr(text, "\nflags");
	if (!flags)
		return HOST_CPU_VIRT_NONE;
	flags += *flags == '\n';
	size_t end = strcspn(flags, "\n");
	for (const char *p = flags; p < flags + end; p += strspn(p, " \t")) {
		size_t n = strcspn(p, " \t\n");
		if (n == 3 && strncmp(p, "svm", n) == 0)
			return HOST_CPU_VIRT_SVM;
		if (n == 3 && strncmp(p, "vmx", n) == 0)
			return HOST_CPU_VIRT_VMX;
		p += n;
	}
	return HOST_CPU_VIRT_NONE;
}

static void collect_cgroup(struct host_cgroup *cg)
{
	AUTO_FREE char *mounts = slurp("/proc/self/mountinfo");
	host_cgroup_look(cg, mounts ? mounts : "");
}

static void collect_own_files(struct host_facts *f)
{
	static const char *const programs[] = {"mayfly-jailer", "mayfly-vmm", "mayfly-fs"};
	for (size_t i = 0; i < ARRAY_SIZE(programs) && !f->missing_program; i++) {
		AUTO_CLOSE int fd = paths_program(programs[i], NULL);
		if (fd < 0)
			f->missing_program = programs[i];
	}
	set_file(&f->guest_kernel, paths_guest(NULL, "vmlinux", "kernel", NULL));
	set_file(&f->guest_init, paths_guest(NULL, "init.cpio", "init image", NULL));
	set_file(&f->passt, paths_which("passt"));
}

/* The primary group is often listed among them. */
static int supplementary_groups(void)
{
	gid_t list[256];
	int n = getgroups(ARRAY_SIZE(list), list);
	int others = 0;
	for (int i = 0; i < n; i++)
		others += list[i] != getegid();
	return others;
}

static void collect_machine(struct host_facts *f)
{
	struct rlimit nofile;
	AUTO_FREE char *cpuinfo = slurp("/proc/cpuinfo");
	AUTO_FREE char *meminfo = slurp("/proc/meminfo");
	f->uid = geteuid();
	f->gid = getegid();
	f->groups = supplementary_groups();
	f->cpus = sysconf(_SC_NPROCESSORS_ONLN);
	f->cpu_virt = host_facts_cpu_virt(cpuinfo ? cpuinfo : "");
	host_shared_look(&f->shared, cpuinfo ? cpuinfo : "");
	f->mem_available = host_facts_meminfo(meminfo ? meminfo : "", "MemAvailable");
	if (uname(&f->uts) < 0)
		f->uts = (struct utsname){0};
	if (getrlimit(RLIMIT_NOFILE, &nofile) == 0)
		f->nofile_hard = nofile.rlim_max;
}

void host_facts_collect(struct host_facts *f)
{
	*f = (struct host_facts){0};
	collect_machine(f);
	/* Always measured: a doctor that repeats yesterday's verdict is none. */
	(void)probe_kvm(&f->kvm, false, -1);
	host_qemu_look(&f->qemu);
	host_kernel_look(&f->kernel);
	collect_cgroup(&f->cgroup);
	collect_own_files(f);
}
