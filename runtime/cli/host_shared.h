// SPDX-License-Identifier: Apache-2.0
// host_shared.h - what machines share on this host although no jail parts it: cores, pages, swap
#ifndef MAYFLY_CLI_HOST_SHARED_H
#define MAYFLY_CLI_HOST_SHARED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HOST_SHARED_FLAWS_MAX 48

enum host_cpu_vendor { HOST_CPU_OTHER, HOST_CPU_AMD, HOST_CPU_INTEL };

/* A flaw of CPUs that the kernel knows, and its word on this one. */
struct host_flaw {
	char name[40];
	char state[160];
};

struct host_shared {
	int64_t ksm_run;    /* HOST_KERNEL_NO_VALUE: no KSM in this kernel */
	bool ksm_asked;	    /* this process, and so its children, offers its pages to KSM */
	int64_t smt_active; /* 1: two threads of a core are in use; HOST_KERNEL_NO_VALUE: unknown */
	int core_sched;	    /* core scheduling: 0 can be had, else -errno */
	bool core_cookie;   /* this process has a cookie already */
	unsigned swaps;	    /* areas in use */
	unsigned swaps_zram;   /* of these in compressed memory */
	uint64_t swap_bytes;   /* size of all */
	char nx_huge_pages[8]; /* Y, N or never; empty: KVM isn't there */
	struct host_flaw flaw[HOST_SHARED_FLAWS_MAX];
	size_t flaws;
	bool mitigations_off; /* on the kernel's command line */
	bool hypervisor;      /* this host is itself a virtual machine */
	enum host_cpu_vendor vendor;
};

/* host_shared_look() - reads it all, changes nothing. @cpuinfo: the text of /proc/cpuinfo */
void host_shared_look(struct host_shared *s, const char *cpuinfo);

/* host_shared_swaps() - from the text of /proc/swaps. */
void host_shared_swaps(struct host_shared *s, const char *text);

/* host_shared_cpu() - vendor and hypervisor, from the text of /proc/cpuinfo. */
void host_shared_cpu(struct host_shared *s, const char *text);

/* host_shared_mitigations_off() - does the kernel's command line say so? */
bool host_shared_mitigations_off(const char *cmdline);

/* host_shared_flaw() - the kernel's word on one flaw, "" if it doesn't know that name. */
const char *host_shared_flaw(const struct host_shared *s, const char *name);

/* host_flaw_is_open() - nothing is done about it, or not all that could be. */
bool host_flaw_is_open(const struct host_flaw *flaw);

#endif
