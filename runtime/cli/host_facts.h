// SPDX-License-Identifier: Apache-2.0
// host_facts.h - all that `mayfly doctor` finds out about the host, before any of it is judged
#ifndef MAYFLY_CLI_HOST_FACTS_H
#define MAYFLY_CLI_HOST_FACTS_H

#include "cli/host_cgroup.h"
#include "cli/host_kernel.h"
#include "cli/host_qemu.h"
#include "cli/host_shared.h"
#include "engine/probe.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/utsname.h>

enum host_cpu_virt { HOST_CPU_VIRT_NONE, HOST_CPU_VIRT_SVM, HOST_CPU_VIRT_VMX };

/* A file that mayfly needs: its path, or why it can't be had. */
struct host_file {
	int error; /* 0: there, else errno */
	char path[PATH_MAX];
};

struct host_facts {
	uid_t uid;
	gid_t gid;
	int groups; /* supplementary ones */
	struct utsname uts;
	long cpus;
	enum host_cpu_virt cpu_virt;
	struct probe_result kvm;
	struct host_qemu qemu;
	struct host_kernel kernel;
	struct host_cgroup cgroup;
	struct host_shared shared;
	struct host_file passt;
	struct host_file guest_kernel;
	struct host_file guest_init;
	const char *missing_program; /* the first of mayfly's own that isn't there, NULL: none */
	uint64_t mem_available;	     /* bytes, 0: not known */
	uint64_t nofile_hard;
};

/*
 * host_facts_collect() - looks at everything; no step waits longer than 5 seconds. What can't be
 * found out is told as missing. Starts children (see host_exec.h): for single-threaded callers.
 */
void host_facts_collect(struct host_facts *f);

/* host_facts_meminfo() - a row of /proc/meminfo's text, in bytes; 0 if it isn't there. */
uint64_t host_facts_meminfo(const char *text, const char *name);

/* host_facts_cpu_virt() - from the text of /proc/cpuinfo. */
enum host_cpu_virt host_facts_cpu_virt(const char *text);

#endif
