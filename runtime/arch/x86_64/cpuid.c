// SPDX-License-Identifier: Apache-2.0
// cpuid.c - the CPUID filter as a table, and the topology leaves
//
// Starting point is what KVM supports on this host. What is taken away either lets a guest see or
// disturb more of the host than its own share, or would have to be emulated in software.
#include "arch/x86_64/cpuid.h"

#include "base/checked.h"

#include <stddef.h>
#include <stdint.h>

#define BIT(n) (1u << (n))
#define ANY_INDEX UINT32_MAX

/* Bits that are cleared: leaf, subleaf, then masks for eax, ebx, ecx, edx. */
static const struct {
	uint32_t leaf, index;
	uint32_t eax, ebx, ecx, edx;
} clear_bits[] = {
	/* DTES64, MONITOR, DS-CPL, VMX, SMX, EST, TM2, CNXT-ID, SDBG, xTPR, PDCM, DCA; PSN, DS,
	   ACPI, TM, PBE: debug store, nested virtualization, power states, the processor's number
	 */
	{0x1, ANY_INDEX, 0, 0,
	 BIT(2) | BIT(3) | BIT(4) | BIT(5) | BIT(6) | BIT(7) | BIT(8) | BIT(10) | BIT(11) |
		 BIT(14) | BIT(15) | BIT(18),
	 BIT(18) | BIT(21) | BIT(22) | BIT(29) | BIT(31)},
	/* SGX, HLE, RTM, RDT-M, MPX, RDT-A, Intel PT; WAITPKG, TME, KL, CLDEMOTE, ENQCMD, SGX_LC;
	   SGX-KEYS, UINTR, RTM_ALWAYS_ABORT, TSX_FORCE_ABORT, HYBRID, TSXLDTRK, PCONFIG, ARCH_LBR,
	   AMX (BF16, TILE, INT8): the kernel keeps its state only for who asks */
	{0x7, 0, 0, BIT(2) | BIT(4) | BIT(11) | BIT(12) | BIT(14) | BIT(15) | BIT(25),
	 BIT(5) | BIT(13) | BIT(23) | BIT(25) | BIT(29) | BIT(30),
	 BIT(1) | BIT(5) | BIT(11) | BIT(13) | BIT(15) | BIT(16) | BIT(18) | BIT(19) | BIT(22) |
		 BIT(24) | BIT(25)},
	/* ARCH_PERFMON_EXT, AMX-FP16, HRESET; AMX-COMPLEX */
	{0x7, 1, BIT(8) | BIT(21) | BIT(22), 0, 0, BIT(8)},
	/* SVM, extended APIC registers, IBS, SKINIT, WDT, LWP, node id, the counters, MWAITX */
	{0x80000001, ANY_INDEX, 0, 0,
	 BIT(2) | BIT(3) | BIT(10) | BIT(12) | BIT(13) | BIT(15) | BIT(19) | BIT(23) | BIT(24) |
		 BIT(27) | BIT(28) | BIT(29),
	 0},
	/* All of the power leaf but the time stamp counter that never stops. */
	{0x80000007, ANY_INDEX, ~0u, ~0u, ~0u, ~BIT(8)},
	/* Instructions retired, RDPRU, bandwidth enforcement */
	{0x80000008, ANY_INDEX, 0, BIT(1) | BIT(4) | BIT(6), 0, 0},
	/* Of KVM's own features stay: clocks, no I/O delay, stolen time (which the two below need),
	   end of interrupt, halt and wake, remote TLB flush, IPIs, polling, yield. Page faults
	   handled later and migration need state that nothing here keeps. */
	{0x40000001, ANY_INDEX,
	 ~(BIT(0) | BIT(1) | BIT(3) | BIT(5) | BIT(6) | BIT(7) | BIT(9) | BIT(11) | BIT(12) |
	   BIT(13) | BIT(24)),
	 0, 0, 0},
};

/* Leaves that answer zero. */
static const uint32_t clear_leaves[] = {
	0x3,	    /* the processor's number */
	0x5,	    /* MONITOR */
	0x9,	    /* direct cache access */
	0xa,	    /* performance counters, Intel */
	0xf,	    /* resource monitoring */
	0x10,	    /* resource allocation */
	0x12,	    /* enclaves */
	0x14,	    /* processor trace */
	0x18,	    /* the host's TLBs: a guest's are nested */
	0x19,	    /* key locker */
	0x1a,	    /* which kind of core of a hybrid */
	0x1b,	    /* PCONFIG */
	0x1c,	    /* last branch records */
	0x1d,	    /* AMX */
	0x1e,	    /* AMX */
	0x1f,	    /* topology: leaf 0xb says all there is */
	0x20,	    /* HRESET */
	0x23,	    /* performance counters, Intel, extended */
	0x8000000a, /* nested virtualization, AMD */
	0x8000001b, /* instruction-based sampling */
	0x8000001c, /* profiling */
	0x8000001f, /* memory encryption */
	0x80000020, /* resource control, AMD */
	0x80000022, /* performance counters, AMD */
	0x80000023, /* memory encryption with several keys */
	0x80000026, /* topology: as 0x1f */
};

#define LEAF1_ECX_TSC_DEADLINE BIT(24)
#define LEAF1_ECX_HYPERVISOR BIT(31)
#define LEAF1_ECX_X2APIC BIT(21)
#define LEAF1_EDX_HTT BIT(28)
#define LEAF6_EAX_ARAT BIT(2)
#define LEAF_EXT1_ECX_CMP_LEGACY BIT(1)

static void clear_row(struct kvm_cpuid_entry2 *r)
{
	for (size_t i = 0; i < ARRAY_SIZE(clear_bits); i++) {
		if (clear_bits[i].leaf != r->function ||
		    (clear_bits[i].index != ANY_INDEX && clear_bits[i].index != r->index))
			continue;
		r->eax &= ~clear_bits[i].eax;
		r->ebx &= ~clear_bits[i].ebx;
		r->ecx &= ~clear_bits[i].ecx;
		r->edx &= ~clear_bits[i].edx;
	}
	for (size_t i = 0; i < ARRAY_SIZE(clear_leaves); i++)
		if (clear_leaves[i] == r->function)
			r->eax = r->ebx = r->ecx = r->edx = 0;
}

static struct kvm_cpuid_entry2 *find(struct kvm_cpuid2 *c, uint32_t leaf, uint32_t index)
{
	for (uint32_t i = 0; i < c->nent; i++)
		if (c->entries[i].function == leaf && c->entries[i].index == index)
			return &c->entries[i];
	return NULL;
}

/* KVM says nothing of the host's topology: of leaf 0xb it gives subleaf 0 only. */
static void add_core_level(struct kvm_cpuid2 *c, uint32_t max)
{
	if (find(c, 0xb, 0) && !find(c, 0xb, 1) && c->nent < max)
		c->entries[c->nent++] = (struct kvm_cpuid_entry2){
			.function = 0xb, .index = 1, .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX};
}

void cpuid_filter(struct kvm_cpuid2 *c, uint32_t max, bool tsc_deadline)
{
	add_core_level(c, max);
	for (uint32_t i = 0; i < c->nent; i++) {
		struct kvm_cpuid_entry2 *r = &c->entries[i];
		clear_row(r);
		if (r->function == 0x1) {
			/* Without the hypervisor bit Linux does not look for kvm-clock. */
			r->ecx |= LEAF1_ECX_HYPERVISOR | LEAF1_ECX_X2APIC;
			r->ecx &= ~LEAF1_ECX_TSC_DEADLINE;
			if (tsc_deadline)
				r->ecx |= LEAF1_ECX_TSC_DEADLINE;
		}
		/* The local APIC's timer runs in every state; all other power states are hidden. */
		if (r->function == 0x6) {
			r->eax = LEAF6_EAX_ARAT;
			r->ebx = r->ecx = r->edx = 0;
		}
	}
}

/* Bits that hold n different ids. */
static unsigned id_bits(unsigned n)
{
	unsigned bits = 0;
	while ((1u << bits) < n)
		bits++;
	return bits;
}

/* Leaf 0xb: a level a subleaf, first threads of a core, then cores of the package. */
static void set_topology(struct kvm_cpuid_entry2 *r, unsigned id, unsigned n)
{
	r->eax = r->ebx = 0;
	r->ecx = r->index;
	r->edx = id;
	if (r->index == 0) {
		r->ebx = 1;
		r->ecx |= 1u << 8;
	} else if (r->index == 1) {
		r->eax = id_bits(n);
		r->ebx = n;
		r->ecx |= 2u << 8;
	}
}

/* Who shares a cache: the last level all cores, the others nobody. Bits 5-7 are the level. */
static void set_cache(struct kvm_cpuid_entry2 *r, unsigned n)
{
	unsigned level = r->eax >> 5 & 7;
	unsigned sharing = level >= 3 ? n - 1 : 0;
	if ((r->eax & 0x1f) == 0)
		return;
	r->eax &= ~(0xfffu << 14);
	r->eax |= sharing << 14;
	if (r->function == 0x4) {
		r->eax &= ~(0x3fu << 26);
		r->eax |= ((1u << id_bits(n)) - 1) << 26;
	}
}

static void set_leaf1(struct kvm_cpuid_entry2 *r, unsigned id, unsigned n)
{
	r->ebx &= 0x0000ffff;
	r->ebx |= id << 24 | n << 16;
	r->edx &= ~LEAF1_EDX_HTT;
	if (n > 1)
		r->edx |= LEAF1_EDX_HTT;
}

/* AMD's and Hygon's vendor strings, as the first leaf has them in ecx. */
static bool is_amd(struct kvm_cpuid2 *c)
{
	const struct kvm_cpuid_entry2 *r = find(c, 0, 0);
	return r && (r->ecx == 0x444d4163 || r->ecx == 0x656e6975);
}

/* What Intel calls reserved. */
static void set_amd(struct kvm_cpuid_entry2 *r, unsigned id, unsigned n)
{
	switch (r->function) {
	case 0x80000001:
		r->ecx &= ~LEAF_EXT1_ECX_CMP_LEGACY;
		if (n > 1)
			r->ecx |= LEAF_EXT1_ECX_CMP_LEGACY;
		break;
	case 0x80000008: r->ecx = id_bits(n) << 12 | (n - 1); break;
	case 0x8000001e:
		r->eax = id;
		r->ebx = id;
		r->ecx = 0;
		break;
	default: break;
	}
}

void cpuid_for_vcpu(struct kvm_cpuid2 *c, unsigned id, unsigned n)
{
	bool amd = is_amd(c);
	for (uint32_t i = 0; i < c->nent; i++) {
		struct kvm_cpuid_entry2 *r = &c->entries[i];
		switch (r->function) {
		case 0x1: set_leaf1(r, id, n); break;
		case 0x4:
		case 0x8000001d: set_cache(r, n); break;
		case 0xb: set_topology(r, id, n); break;
		default: break;
		}
		if (amd)
			set_amd(r, id, n);
	}
}
