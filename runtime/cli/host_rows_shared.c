// SPDX-License-Identifier: Apache-2.0
// host_rows_shared.c - rows about what no jail parts: cores, merged pages, swap, flaws of the CPU
#include "cli/host_row.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define NX_FILE "/sys/module/kvm/parameters/nx_huge_pages"
#define SLOW_CREATE_NS 5000000ull

void host_row_ksm(struct host_row *r, const struct host_facts *f)
{
	const struct host_shared *s = &f->shared;
	bool none = s->ksm_run == HOST_KERNEL_NO_VALUE;
	if (s->ksm_run != 1) {
		host_row_value(r, "%s", none ? "none" : "off");
		host_row_say(r, HOST_ROWS_OK, "%s: no pages are merged between machines",
			     none ? "not in this kernel" : "off");
		return;
	}
	host_row_value(r, "on");
	host_row_say(r, HOST_ROWS_NOTE,
		     "on: equal pages of processes that ask for it are merged, and by the time a "
		     "write takes one guest finds out what others hold; %s",
		     s->ksm_asked ? "mayfly's processes inherit such a request (MemoryKSM= of "
				    "systemd, PR_SET_MEMORY_MERGE)"
				  : "mayfly's guests don't ask, other programs' may");
	host_row_fix(r, f, "sh -c 'echo 2 > /sys/kernel/mm/ksm/run'");
}

void host_row_smt(struct host_row *r, const struct host_facts *f)
{
	const struct host_shared *s = &f->shared;
	const char *outside = s->hypervisor ? "; this host is a virtual machine, so what shares "
					      "its cores is up to the host around it"
					    : "";
	if (s->smt_active != 1) {
		bool known = s->smt_active == 0;
		host_row_value(r, "%s", known ? "off" : "unknown");
		host_row_say(r, known ? HOST_ROWS_OK : HOST_ROWS_NOTE, "%s%s",
			     known ? "each core runs one thread at a time"
				   : "the kernel doesn't say whether threads share a core",
			     outside);
		return;
	}
	host_row_value(r, "%s", s->core_cookie ? "core-scheduling" : "on");
	if (s->core_cookie) {
		host_row_say(r, HOST_ROWS_OK,
			     "on, with core scheduling: what runs from here shares a core with its "
			     "own kind only%s",
			     outside);
		return;
	}
	if (s->core_sched == 0) {
		host_row_say(r, HOST_ROWS_NOTE,
			     "on: a guest's CPU shares its core with whatever else runs, and each "
			     "can watch the other through caches and buffers; core scheduling "
			     "(coresched is in util-linux 2.40) keeps a run's processes to "
			     "themselves%s",
			     outside);
		host_row_fix(r, NULL, "coresched new -- mayfly run -- COMMAND");
		return;
	}
	host_row_say(
		r, HOST_ROWS_NOTE,
		"on: a guest's CPU shares its core with whatever else runs, and each can watch "
		"the other through caches and buffers; this kernel has no core scheduling%s",
		outside);
	host_row_fix(r, f, "sh -c 'echo off > /sys/devices/system/cpu/smt/control'");
}

void host_row_swap(struct host_row *r, const struct host_facts *f)
{
	const struct host_shared *s = &f->shared;
	host_row_value(r, "%" PRIu64, s->swap_bytes);
	if (!s->swaps) {
		host_row_say(r, HOST_ROWS_OK, "none: guest memory stays in memory");
		return;
	}
	if (s->swaps == s->swaps_zram) {
		host_row_say(r, HOST_ROWS_OK,
			     "%" PRIu64 " MiB of compressed memory (zram); guest memory reaches a "
			     "disk only if that has a backing device",
			     (uint64_t)(s->swap_bytes >> 20));
		return;
	}
	/* v1 bounds memory and swap together only. */
	if (f->cgroup.usable & ~f->cgroup.v1 & (1u << CGROUP_MEMORY)) {
		host_row_say(r, HOST_ROWS_OK,
			     "%" PRIu64 " MiB, which a machine's cgroup keeps guest memory out of",
			     (uint64_t)(s->swap_bytes >> 20));
		return;
	}
	host_row_say(r, HOST_ROWS_NOTE,
		     "%" PRIu64 " MiB: guest memory, and so what a command keeps in it, may be "
		     "written there and outlives the machine; doctor can't tell whether it is "
		     "encrypted",
		     (uint64_t)(s->swap_bytes >> 20));
	host_row_fix(r, f, "swapoff -a");
}

static bool nx_is_on(const struct host_shared *s)
{
	return s->nx_huge_pages[0] == 'Y';
}

/* Each VM gets a kernel thread for it unless it is switched off for good. */
static void nx_slow(struct host_row *r, const struct host_facts *f, const char *state)
{
	bool never = strcmp(f->shared.nx_huge_pages, "never") == 0;
	host_row_say(
		r, HOST_ROWS_NOTE, "%s; making a VM took %.0f ms%s", state,
		(double)f->kvm.create_ns / 1e6,
		never ? ", which cgroups without favordynmods can cause"
		      : ", of which \"never\" (settable while no VM runs) saves the start of a "
			"kernel thread");
	if (!never)
		host_row_fix(r, f, "sh -c 'echo never > " NX_FILE "'");
	else if (f->cgroup.kind == HOST_CGROUP_V2)
		host_row_fix(r, f, "mount -o remount,favordynmods /sys/fs/cgroup");
}

void host_row_nx_huge_pages(struct host_row *r, const struct host_facts *f)
{
	const struct host_shared *s = &f->shared;
	const char *flaw = host_shared_flaw(s, "itlb_multihit");
	bool immune = strcmp(flaw, "Not affected") == 0;
	bool slow = f->kvm.create_ns > SLOW_CREATE_NS;
	host_row_value(r, "%s", s->nx_huge_pages[0] ? s->nx_huge_pages : "absent");
	if (!s->nx_huge_pages[0]) {
		host_row_say(r, HOST_ROWS_OK, "KVM isn't loaded, or doesn't tell");
	} else if (!nx_is_on(s) && strstr(flaw, "ulnerable")) {
		host_row_say(r, HOST_ROWS_NOTE,
			     "off, and this CPU has the flaw it is for (iTLB multihit): a guest's "
			     "kernel can bring the whole host to a halt");
		host_row_fix(r, f, "sh -c 'echo force > " NX_FILE "'");
	} else if (nx_is_on(s) && immune) {
		host_row_say(r, HOST_ROWS_NOTE,
			     "on, though this CPU lacks the flaw it is for: guests' code runs from "
			     "small pages, and each VM starts a kernel thread");
		host_row_fix(r, f, "sh -c 'echo never > " NX_FILE "'");
	} else if (nx_is_on(s)) {
		host_row_say(
			r, HOST_ROWS_OK,
			"on, as this CPU needs it (iTLB multihit): guests' code runs from small "
			"pages, and making a VM takes longer (%.0f ms here)",
			(double)f->kvm.create_ns / 1e6);
	} else if (slow) {
		nx_slow(r, f, "off, and not needed here");
	} else {
		host_row_say(r, HOST_ROWS_OK, "off%s",
			     immune ? ", and not needed on this CPU" : "");
	}
}

/* The names of the open ones, as many as fit. */
static size_t open_flaws(const struct host_shared *s, char *names, size_t size)
{
	size_t n = 0;
	size_t used = 0;
	names[0] = '\0';
	for (size_t i = 0; i < s->flaws; i++) {
		const char *name = s->flaw[i].name;
		if (!host_flaw_is_open(&s->flaw[i]))
			continue;
		if (used + strlen(name) + 3 < size)
			used += (size_t)snprintf(names + used, size - used, "%s%s", n ? ", " : "",
						 name);
		n++;
	}
	return n;
}

void host_row_cpu_flaws(struct host_row *r, const struct host_facts *f)
{
	const struct host_shared *s = &f->shared;
	char names[256];
	size_t n = open_flaws(s, names, sizeof(names));
	if (!s->flaws) {
		host_row_value(r, "unknown");
		host_row_say(r, HOST_ROWS_NOTE, "the kernel doesn't tell its CPU's known flaws");
		return;
	}
	host_row_value(r, "%zu", n);
	if (!n) {
		host_row_say(r, HOST_ROWS_OK,
			     "all %zu that the kernel knows are absent or mitigated", s->flaws);
		return;
	}
	host_row_say(
		r, HOST_ROWS_NOTE,
		"%zu not or only partly mitigated (%s): a guest may read memory of the host and "
		"of other machines; %s",
		n, names,
		s->mitigations_off ? "mitigations=off is on the host kernel's command line"
		: s->hypervisor	   ? "this host is a virtual machine: microcode is up to the host "
				     "around it"
				   : "a newer kernel and microcode may close them");
	if (s->mitigations_off || s->hypervisor || s->vendor == HOST_CPU_OTHER)
		return;
	host_row_fix(r, f, "apt-get install %s",
		     s->vendor == HOST_CPU_AMD ? "amd64-microcode" : "intel-microcode");
}
