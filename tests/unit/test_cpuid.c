// SPDX-License-Identifier: Apache-2.0
// test_cpuid.c - the filter and the topology on tables like those of Intel, AMD and of KVM itself
// links: runtime/arch/x86_64/cpuid.c
#include "arch/x86_64/cpuid.h"

#include "base/checked.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define MAX_ROWS 64
#define BIT(n) (1u << (n))
#define CACHE(level, type) ((level) << 5 | (type))

static union {
	struct kvm_cpuid2 c;
	uint8_t room[sizeof(struct kvm_cpuid2) + MAX_ROWS * sizeof(struct kvm_cpuid_entry2)];
} u;

static struct kvm_cpuid2 *const t = &u.c;

static void row(uint32_t leaf, uint32_t index, uint32_t eax, uint32_t ebx, uint32_t ecx,
		uint32_t edx)
{
	assert_true(t->nent < MAX_ROWS);
	t->entries[t->nent++] = (struct kvm_cpuid_entry2){
		.function = leaf, .index = index, .eax = eax, .ebx = ebx, .ecx = ecx, .edx = edx};
}

/* A host that has everything and says all of itself: what must not get through would show. */
static void row_of_ones(uint32_t leaf, uint32_t index)
{
	row(leaf, index, ~0u, ~0u, ~0u, ~0u);
}

static void clear(void)
{
	memset(&u, 0, sizeof(u));
}

static struct kvm_cpuid_entry2 *get(uint32_t leaf, uint32_t index)
{
	struct kvm_cpuid_entry2 *found = NULL;
	for (uint32_t i = 0; i < t->nent; i++)
		if (t->entries[i].function == leaf && t->entries[i].index == index) {
			assert_null(found);
			found = &t->entries[i];
		}
	assert_non_null(found);
	return found;
}

static void vendor_intel(void)
{
	row(0, 0, 0x20, 0x756e6547, 0x6c65746e, 0x49656e69);
}

static void vendor_amd(void)
{
	row(0, 0, 0x10, 0x68747541, 0x444d4163, 0x69746e65);
}

/* The leaves that say something of topology, as a host with 8 cores of 2 threads has them. */
static void intel(void)
{
	clear();
	vendor_intel();
	row(0x1, 0, 0x906ea, 0x07100800, 0xfffaf38b, 0xbfebfbff);
	row(0x4, 0, 0x1c004000 | CACHE(1, 1), 0x01c0003f, 0x3f, 0);
	row(0x4, 1, 0x1c004000 | CACHE(1, 2), 0x01c0003f, 0x3f, 0);
	row(0x4, 2, 0x1c004000 | CACHE(2, 3), 0x00c0003f, 0x3ff, 0);
	row(0x4, 3, 0x1c03c000 | CACHE(3, 3), 0x03c0003f, 0x2fff, 6);
	row(0x4, 4, 0, 0, 0, 0);
	/* KVM: no topology, of both leaves just the first subleaf. */
	row(0xb, 0, 0, 0, 0, 7);
	row(0x1f, 0, 0, 0, 0, 7);
	row(0x80000000, 0, 0x80000008, 0, 0, 0);
	row(0x80000001, 0, 0, 0, 0x121, 0x2c100800);
	row(0x80000008, 0, 0x3027, 0, 0, 0);
}

static void amd(void)
{
	clear();
	vendor_amd();
	row(0x1, 0, 0x00a20f12, 0x0b180800, 0x7ef8320b, 0x178bfbff);
	row(0xb, 0, 0, 0, 0, 11);
	row(0x80000000, 0, 0x80000021, 0, 0, 0);
	row(0x80000001, 0, 0x00a20f12, 0x20000000, 0x75c237ff, 0x2fd3fbff);
	row(0x80000008, 0, 0x3030, 0x111ef657, 0x500f, 0x10000);
	row(0x8000001d, 0, 0x4000 | BIT(8) | CACHE(1, 1), 0x01c0003f, 0x3f, 0);
	row(0x8000001d, 1, 0x4000 | BIT(8) | CACHE(1, 2), 0x01c0003f, 0x3f, 0);
	row(0x8000001d, 2, 0x4000 | BIT(8) | CACHE(2, 3), 0x01c0003f, 0x3ff, 2);
	row(0x8000001d, 3, 0x3c000 | BIT(8) | CACHE(3, 3), 0x03c0003f, 0x7fff, 1);
	row(0x8000001d, 4, 0, 0, 0, 0);
	row(0x8000001e, 0, 11, 0x105, 0x300, 0);
}

static void filter(void)
{
	cpuid_filter(t, MAX_ROWS, true);
}

/* ---- the filter ---- */

struct named {
	unsigned bit;
	const char *name;
};

static void all_clear(uint32_t reg, const struct named *bits, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (reg & BIT(bits[i].bit))
			fail_msg("%s gets through", bits[i].name);
}

static void all_kept(uint32_t reg, const struct named *bits, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!(reg & BIT(bits[i].bit)))
			fail_msg("%s is lost", bits[i].name);
}

#define CLEAR(reg, ...) NAMED(all_clear, reg, __VA_ARGS__)
#define KEPT(reg, ...) NAMED(all_kept, reg, __VA_ARGS__)
#define NAMED(fn, reg, ...)                                                                        \
	fn(reg, (const struct named[]){__VA_ARGS__},                                               \
	   ARRAY_SIZE(((const struct named[]){__VA_ARGS__})))

/* Bit numbers: Intel SDM, volume 2, CPUID; AMD APM, volume 3, appendix E. */
static void test_leaf_1(void **state)
{
	(void)state;
	clear();
	row_of_ones(0x1, 0);
	filter();
	const struct kvm_cpuid_entry2 *r = get(0x1, 0);
	CLEAR(r->ecx, {2, "DTES64"}, {3, "MONITOR"}, {4, "DS-CPL"}, {5, "VMX"}, {6, "SMX"},
	      {7, "EIST"}, {8, "TM2"}, {10, "CNXT-ID"}, {11, "SDBG"}, {14, "xTPR"}, {15, "PDCM"},
	      {18, "DCA"});
	KEPT(r->ecx, {0, "SSE3"}, {1, "PCLMULQDQ"}, {9, "SSSE3"}, {12, "FMA"}, {13, "CX16"},
	     {17, "PCID"}, {19, "SSE4.1"}, {20, "SSE4.2"}, {21, "x2APIC"}, {22, "MOVBE"},
	     {23, "POPCNT"}, {24, "TSC deadline"}, {25, "AES"}, {26, "XSAVE"}, {28, "AVX"},
	     {29, "F16C"}, {30, "RDRAND"}, {31, "hypervisor"});
	CLEAR(r->edx, {18, "PSN"}, {21, "DS"}, {22, "ACPI"}, {29, "TM"}, {31, "PBE"});
	KEPT(r->edx, {0, "FPU"}, {4, "TSC"}, {5, "MSR"}, {6, "PAE"}, {8, "CX8"}, {9, "APIC"},
	     {12, "MTRR"}, {13, "PGE"}, {15, "CMOV"}, {16, "PAT"}, {19, "CLFSH"}, {24, "FXSR"},
	     {25, "SSE"}, {26, "SSE2"});
	assert_true(r->eax == ~0u);
}

/* What a hypervisor has to add: KVM doesn't say these by itself. */
static void test_added_bits(void **state)
{
	(void)state;
	for (int deadline = 0; deadline < 2; deadline++) {
		clear();
		row(0x1, 0, 0, 0, deadline ? 0 : BIT(24), 0);
		cpuid_filter(t, MAX_ROWS, deadline);
		assert_true(get(0x1, 0)->ecx == (BIT(31) | BIT(21) | (deadline ? BIT(24) : 0)));
	}
}

static void test_leaf_7(void **state)
{
	(void)state;
	clear();
	row_of_ones(0x7, 0);
	row_of_ones(0x7, 1);
	row_of_ones(0x7, 2);
	filter();
	const struct kvm_cpuid_entry2 *r = get(0x7, 0);
	CLEAR(r->ebx, {2, "SGX"}, {4, "HLE"}, {11, "RTM"}, {12, "RDT-M"}, {14, "MPX"},
	      {15, "RDT-A"}, {25, "Intel PT"});
	KEPT(r->ebx, {0, "FSGSBASE"}, {1, "TSC_ADJUST"}, {3, "BMI1"}, {5, "AVX2"}, {7, "SMEP"},
	     {8, "BMI2"}, {9, "ERMS"}, {10, "INVPCID"}, {16, "AVX512F"}, {18, "RDSEED"},
	     {19, "ADX"}, {20, "SMAP"}, {23, "CLFLUSHOPT"}, {24, "CLWB"}, {29, "SHA"});
	CLEAR(r->ecx, {5, "WAITPKG"}, {13, "TME"}, {23, "key locker"}, {25, "CLDEMOTE"},
	      {29, "ENQCMD"}, {30, "SGX_LC"});
	KEPT(r->ecx, {2, "UMIP"}, {3, "PKU"}, {8, "GFNI"}, {9, "VAES"}, {16, "LA57"},
	     {22, "RDPID"});
	CLEAR(r->edx, {1, "SGX-KEYS"}, {5, "UINTR"}, {11, "RTM_ALWAYS_ABORT"},
	      {13, "TSX_FORCE_ABORT"}, {15, "HYBRID"}, {16, "TSXLDTRK"}, {18, "PCONFIG"},
	      {19, "ARCH_LBR"}, {22, "AMX-BF16"}, {24, "AMX-TILE"}, {25, "AMX-INT8"});
	/* What a guest defends itself with must not be lost. */
	KEPT(r->edx, {4, "FSRM"}, {10, "MD_CLEAR"}, {26, "IBRS"}, {27, "STIBP"}, {28, "L1D_FLUSH"},
	     {29, "ARCH_CAPABILITIES"}, {31, "SSBD"});
	r = get(0x7, 1);
	CLEAR(r->eax, {8, "ARCH_PERFMON_EXT"}, {21, "AMX-FP16"}, {22, "HRESET"});
	KEPT(r->eax, {4, "AVX-VNNI"}, {5, "AVX512_BF16"}, {23, "AVX-IFMA"});
	CLEAR(r->edx, {8, "AMX-COMPLEX"});
	/* Of mitigations only. */
	assert_true(get(0x7, 2)->edx == ~0u);
}

static void test_extended(void **state)
{
	(void)state;
	clear();
	row_of_ones(0x80000001, 0);
	row_of_ones(0x80000007, 0);
	row_of_ones(0x80000008, 0);
	filter();
	const struct kvm_cpuid_entry2 *r = get(0x80000001, 0);
	CLEAR(r->ecx, {2, "SVM"}, {3, "ExtApicSpace"}, {10, "IBS"}, {12, "SKINIT"}, {13, "WDT"},
	      {15, "LWP"}, {19, "node id"}, {23, "PerfCtrExtCore"}, {24, "PerfCtrExtNB"},
	      {27, "PerfTsc"}, {28, "PerfCtrExtLLC"}, {29, "MWAITX"});
	KEPT(r->ecx, {0, "LAHF"}, {4, "CR8"}, {5, "ABM"}, {6, "SSE4A"}, {8, "3DNowPrefetch"},
	     {22, "TOPOEXT"});
	KEPT(r->edx, {11, "SYSCALL"}, {20, "NX"}, {26, "1 GiB pages"}, {27, "RDTSCP"},
	     {29, "long mode"});
	r = get(0x80000007, 0);
	assert_true((r->eax | r->ebx | r->ecx) == 0 && r->edx == BIT(8));
	r = get(0x80000008, 0);
	CLEAR(r->ebx, {1, "IRPERF"}, {4, "RDPRU"}, {6, "bandwidth"});
	KEPT(r->ebx, {0, "CLZERO"}, {9, "WBNOINVD"}, {12, "IBPB"}, {14, "IBRS"}, {15, "STIBP"},
	     {24, "SSBD"});
	assert_true(r->eax == ~0u);
}

static void test_kvm_features(void **state)
{
	(void)state;
	clear();
	row(0x40000000, 0, 0x40000001, 0x4b4d564b, 0x564b4d56, 0x4d);
	row_of_ones(0x40000001, 0);
	filter();
	uint32_t eax = get(0x40000001, 0)->eax;
	/* 9 and 13 are used only by a guest that has 5. */
	KEPT(eax, {0, "clock"}, {1, "no I/O delay"}, {3, "clock 2"}, {5, "stolen time"},
	     {6, "end of interrupt"}, {7, "halt and wake"}, {9, "TLB flush"}, {11, "IPIs"},
	     {12, "polling"}, {13, "yield"}, {24, "stable clock"});
	CLEAR(eax, {4, "ASYNC_PF"}, {10, "ASYNC_PF_VMEXIT"}, {14, "ASYNC_PF_INT"},
	      {15, "MSI_EXT_DEST_ID"}, {16, "HC_MAP_GPA_RANGE"}, {17, "MIGRATION_CONTROL"});
	/* Who it is stays as it was: Linux looks for these words. */
	assert_true(get(0x40000000, 0)->ebx == 0x4b4d564b);
}

static void test_silent_leaves(void **state)
{
	(void)state;
	static const uint32_t silent[] = {
		0x3,	    0x5,	0x9,	    0xa,	0xf,	    0x10,	0x12,
		0x14,	    0x18,	0x19,	    0x1a,	0x1b,	    0x1c,	0x1d,
		0x1e,	    0x1f,	0x20,	    0x23,	0x8000000a, 0x8000001b, 0x8000001c,
		0x8000001f, 0x80000020, 0x80000022, 0x80000023, 0x80000026};
	static const uint32_t loud[] = {0x0, 0x2, 0xd, 0x80000000, 0x80000002, 0x80000006};
	clear();
	for (size_t i = 0; i < ARRAY_SIZE(silent); i++)
		row_of_ones(silent[i], 0);
	for (size_t i = 0; i < ARRAY_SIZE(loud); i++)
		row_of_ones(loud[i], 0);
	/* Each subleaf of it. */
	row_of_ones(0x14, 1);
	row_of_ones(0x10, 3);
	row_of_ones(0x6, 0);
	filter();
	for (int vcpu = 0; vcpu < 2; vcpu++) {
		for (size_t i = 0; i < ARRAY_SIZE(silent); i++) {
			const struct kvm_cpuid_entry2 *r = get(silent[i], 0);
			if (r->eax | r->ebx | r->ecx | r->edx)
				fail_msg("leaf 0x%x speaks", silent[i]);
		}
		for (size_t i = 0; i < ARRAY_SIZE(loud); i++)
			assert_true(get(loud[i], 0)->ebx == ~0u);
		assert_true(get(0x14, 1)->eax == 0 && get(0x10, 3)->edx == 0);
		assert_true(get(0x6, 0)->eax == BIT(2)); /* the APIC's timer never stops */
		assert_true((get(0x6, 0)->ebx | get(0x6, 0)->ecx | get(0x6, 0)->edx) == 0);
		/* Nothing of it comes back with a CPU's own values. */
		cpuid_for_vcpu(t, 1, 4);
	}
}

/* ---- topology ---- */

static unsigned bits_for(unsigned n)
{
	return n <= 1 ? 0 : n <= 2 ? 1 : n <= 4 ? 2 : n <= 8 ? 3 : n <= 16 ? 4 : 5;
}

static void check_leaf_1(unsigned id, unsigned n)
{
	const struct kvm_cpuid_entry2 *r = get(0x1, 0);
	assert_int_equal(r->ebx >> 24, id);
	assert_int_equal(r->ebx >> 16 & 0xff, n);
	assert_int_equal(r->ebx & 0xffff, 0x0800); /* cache line size, brand */
	assert_int_equal(r->edx >> 28 & 1, n > 1);
}

static void check_leaf_b(unsigned id, unsigned n)
{
	const struct kvm_cpuid_entry2 *threads = get(0xb, 0);
	const struct kvm_cpuid_entry2 *cores = get(0xb, 1);
	assert_true(threads->eax == 0 && threads->ebx == 1);
	assert_true(threads->ecx == 0x100 && threads->edx == id);
	assert_true(cores->eax == bits_for(n) && cores->ebx == n);
	assert_true(cores->ecx == 0x201 && cores->edx == id);
	/* KVM looks at this flag to tell the subleaves apart. */
	assert_true(cores->flags == KVM_CPUID_FLAG_SIGNIFCANT_INDEX);
}

static unsigned sharing(uint32_t leaf, uint32_t index)
{
	return (get(leaf, index)->eax >> 14 & 0xfff) + 1;
}

static void check_caches(uint32_t leaf, unsigned n)
{
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(sharing(leaf, i), 1);
	assert_int_equal(sharing(leaf, 3), n);
	assert_int_equal(get(leaf, 3)->eax & 0x1ff, (leaf == 4 ? 0 : BIT(8)) | CACHE(3, 3));
	assert_true(get(leaf, 3)->ebx == 0x03c0003f);
	assert_true(get(leaf, 4)->eax == 0);
}

static const unsigned machines[] = {1, 2, 3, 4, 5, 8, 31, 32};

/* In a row on the same table, as the engine does it. */
static void test_intel_topology(void **state)
{
	(void)state;
	intel();
	filter();
	for (unsigned m = 0; m < ARRAY_SIZE(machines); m++) {
		unsigned n = machines[m];
		for (unsigned id = 0; id < n; id++) {
			cpuid_for_vcpu(t, id, n);
			check_leaf_1(id, n);
			check_leaf_b(id, n);
			check_caches(0x4, n);
			/* As many ids as a package has bits for. */
			for (unsigned i = 0; i < 4; i++)
				assert_int_equal(get(0x4, i)->eax >> 26, (1u << bits_for(n)) - 1);
			/* Leaf 0x1f has no level, so that nobody believes it before 0xb. */
			assert_true(get(0x1f, 0)->ebx == 0);
			/* AMD's; reserved here. */
			assert_true(get(0x80000008, 0)->ecx == 0);
			assert_true(get(0x80000001, 0)->ecx == 0x121);
		}
	}
}

static void test_amd_topology(void **state)
{
	(void)state;
	amd();
	filter();
	for (unsigned m = 0; m < ARRAY_SIZE(machines); m++) {
		unsigned n = machines[m];
		for (unsigned id = 0; id < n; id++) {
			cpuid_for_vcpu(t, id, n);
			check_leaf_1(id, n);
			check_leaf_b(id, n);
			check_caches(0x8000001d, n);
			assert_int_equal(get(0x8000001d, 3)->eax >> 26, 0);
			const struct kvm_cpuid_entry2 *r = get(0x80000008, 0);
			assert_int_equal(r->ecx, bits_for(n) << 12 | (n - 1));
			assert_int_equal(r->eax, 0x3030);
			r = get(0x8000001e, 0);
			assert_int_equal(r->eax, id);
			assert_int_equal(r->ebx, id); /* core id; one thread a core */
			assert_int_equal(r->ecx, 0);  /* node 0 of one */
			assert_int_equal(get(0x80000001, 0)->ecx >> 1 & 1, n > 1);
		}
	}
}

/* The order of the CPUs, and whether another machine was made from the table, doesn't matter. */
static void test_repeatable(void **state)
{
	(void)state;
	static uint8_t first[sizeof(u)];
	void (*const hosts[])(void) = {intel, amd};
	for (unsigned h = 0; h < 2; h++) {
		hosts[h]();
		filter();
		cpuid_for_vcpu(t, 2, 4);
		memcpy(first, &u, sizeof(u));
		for (unsigned id = 0; id < 32; id++)
			cpuid_for_vcpu(t, id, 32);
		cpuid_for_vcpu(t, 0, 1);
		cpuid_for_vcpu(t, 2, 4);
		assert_memory_equal(first, &u, sizeof(u));
		filter();
		cpuid_for_vcpu(t, 2, 4);
		assert_memory_equal(first, &u, sizeof(u));
	}
}

/* An older KVM hands on the host's own levels. */
static void test_host_topology(void **state)
{
	(void)state;
	clear();
	vendor_intel();
	row(0xb, 0, 1, 2, 0x100, 7);
	row(0xb, 1, 4, 16, 0x201, 7);
	row(0xb, 2, 0, 0, 2, 7);
	row(0x1f, 0, 1, 2, 0x100, 7);
	row(0x1f, 1, 4, 16, 0x201, 7);
	filter();
	assert_int_equal(t->nent, 6);
	t->entries[2].flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
	cpuid_for_vcpu(t, 1, 3);
	check_leaf_b(1, 3);
	assert_true(get(0xb, 2)->eax == 0 && get(0xb, 2)->ebx == 0);
	assert_true(get(0xb, 2)->ecx == 2 && get(0xb, 2)->edx == 1);
	for (uint32_t i = 0; i < 2; i++)
		assert_true((get(0x1f, i)->eax | get(0x1f, i)->ebx | get(0x1f, i)->edx) == 0);
}

/* The added row: not without leaf 0xb, not twice, not beyond the room. */
static void test_added_row(void **state)
{
	(void)state;
	clear();
	vendor_amd();
	filter();
	assert_int_equal(t->nent, 1);
	row(0xb, 0, 0, 0, 0, 0);
	cpuid_filter(t, 2, true);
	assert_int_equal(t->nent, 2);
	cpuid_filter(t, 3, true);
	assert_int_equal(t->nent, 3);
	filter();
	assert_int_equal(t->nent, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_leaf_1),	       cmocka_unit_test(test_added_bits),
		cmocka_unit_test(test_leaf_7),	       cmocka_unit_test(test_extended),
		cmocka_unit_test(test_kvm_features),   cmocka_unit_test(test_silent_leaves),
		cmocka_unit_test(test_intel_topology), cmocka_unit_test(test_amd_topology),
		cmocka_unit_test(test_repeatable),     cmocka_unit_test(test_host_topology),
		cmocka_unit_test(test_added_row),
	};
	alarm(30);
	return cmocka_run_group_tests_name("cpuid", tests, NULL, NULL);
}
