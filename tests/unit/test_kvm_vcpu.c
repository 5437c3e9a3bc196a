// SPDX-License-Identifier: Apache-2.0
// test_kvm_vcpu.c - how CPUs are set up, in which order, and what KVM_RUN says in vcpu.h's words
// links: runtime/engine/kvm_vcpu.c runtime/engine/kvm.c runtime/arch/x86_64/cpuid.c runtime/arch/x86_64/msr.c runtime/arch/x86_64/regs.c runtime/vmm/gmem.c
#include "engine/kvm.h"

#include "base/checked.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define KVM_FD 1000
#define VM_FD 1001
#define RUN_LEN 12288
#define MAX_CALLS 512

/* A KVM of the test's own. */
static struct {
	unsigned n;
	unsigned long call[MAX_CALLS];
	int fd[MAX_CALLS];
	unsigned long fail; /* this request fails */
	int code;
	unsigned fails; /* so many times */
	unsigned runs;
	unsigned max_cpus;
	unsigned created;
	unsigned apic_id[VCPU_MAX]; /* of leaf 1 and of leaf 0xb, one of each CPU */
	unsigned x2apic_id[VCPU_MAX];
	unsigned n_cpuid;
	int msrs_taken; /* -1: all */
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_fpu fpu;
	unsigned mp_state[VCPU_MAX];
} k;

static struct kvm_vm vm;
static struct err e;
static struct vcpu_exit x;

static void supported_cpuid(struct kvm_cpuid2 *c)
{
	assert_true(c->nent == KVM_CPUID_MAX);
	c->nent = 3;
	c->entries[0] = (struct kvm_cpuid_entry2){.function = 0, .eax = 0xb};
	c->entries[1] = (struct kvm_cpuid_entry2){.function = 1, .ecx = 1u << 5 /* VMX */};
	c->entries[2] = (struct kvm_cpuid_entry2){.function = 0xb};
}

static int set_cpuid(const struct kvm_cpuid2 *c)
{
	unsigned i = k.n_cpuid++;
	assert_true(i < VCPU_MAX);
	/* What KVM supports has gone through the filter. */
	assert_int_equal(c->nent, 4);
	assert_true(c->entries[1].ecx >> 31 == 1 && !(c->entries[1].ecx & 1u << 5));
	k.apic_id[i] = c->entries[1].ebx >> 24;
	k.x2apic_id[i] = c->entries[2].edx;
	return 0;
}

static int create_cpu(unsigned long id)
{
	if (id >= k.max_cpus) {
		errno = EINVAL;
		return -1;
	}
	assert_int_equal(id, k.created);
	k.created++;
	int fd = memfd_create("vcpu", MFD_CLOEXEC);
	assert_int_equal(ftruncate(fd, RUN_LEN), 0);
	return fd;
}

static int answer(int fd, unsigned long request, unsigned long arg)
{
	void *p = (void *)(uintptr_t)arg;
	switch (request) {
	case KVM_GET_API_VERSION: return 12;
	case KVM_CHECK_EXTENSION: return arg == KVM_CAP_MAX_VCPUS ? (int)k.max_cpus : 1;
	case KVM_GET_SUPPORTED_CPUID: supported_cpuid(p); return 0;
	case KVM_CREATE_VCPU: return create_cpu(arg);
	case KVM_SET_CPUID2: return set_cpuid(p);
	case KVM_SET_MSRS:
		return k.msrs_taken < 0 ? (int)((struct kvm_msrs *)p)->nmsrs : k.msrs_taken;
	case KVM_GET_SREGS: memset(p, 0, sizeof(k.sregs)); return 0;
	case KVM_SET_SREGS: memcpy(&k.sregs, p, sizeof(k.sregs)); return 0;
	case KVM_SET_REGS: memcpy(&k.regs, p, sizeof(k.regs)); return 0;
	case KVM_SET_FPU: memcpy(&k.fpu, p, sizeof(k.fpu)); return 0;
	case KVM_GET_REGS: memcpy(p, &k.regs, sizeof(k.regs)); return 0;
	case KVM_GET_MP_STATE:
		for (unsigned i = 0; i < vm.n; i++)
			if (vm.vcpu[i].fd == fd)
				((struct kvm_mp_state *)p)->mp_state = k.mp_state[i];
		return 0;
	case KVM_RUN: k.runs++; return 0;
	default: fail_msg("unknown request 0x%lx", request); return -1;
	}
}

/* The programs under test are linked against this one. */
int ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	va_start(ap, request);
	unsigned long arg = va_arg(ap, unsigned long);
	va_end(ap);
	assert_true(k.n < MAX_CALLS);
	k.call[k.n] = request;
	k.fd[k.n++] = fd;
	if (request == k.fail && k.fails > 0) {
		k.fails--;
		errno = k.code;
		return -1;
	}
	return answer(fd, request, arg);
}

static int setup(void **state)
{
	(void)state;
	memset(&k, 0, sizeof(k));
	k.max_cpus = 4096;
	k.msrs_taken = -1;
	memset(&vm, 0, sizeof(vm));
	vm.kvm_fd = KVM_FD;
	vm.fd = VM_FD;
	vm.run_len = RUN_LEN;
	vm.tsc_deadline = true;
	e.text[0] = '\0';
	memset(&x, 0x5a, sizeof(x));
	return 0;
}

/* Everything of the CPUs is given back; VM_FD is nobody's. */
static int teardown(void **state)
{
	int fd[VCPU_MAX];
	unsigned n = vm.n;
	(void)state;
	for (unsigned i = 0; i < n; i++)
		fd[i] = vm.vcpu[i].fd;
	vm.fd = -1;
	kvm_close(&vm);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(fcntl(fd[i], F_GETFD), -1);
	return 0;
}

static const struct kvm_entry linux64 = {.rip = 0x1000200, .info = 0x7000};

static unsigned count(unsigned long request)
{
	unsigned n = 0;
	for (unsigned i = 0; i < k.n; i++)
		n += k.call[i] == request;
	return n;
}

/* When this was asked of the i-th CPU. */
static unsigned when(unsigned i, unsigned long request)
{
	for (unsigned c = 0; c < k.n; c++)
		if (k.call[c] == request && k.fd[c] == vm.vcpu[i].fd)
			return c;
	fail_msg("request 0x%lx is not made of CPU %u", request, i);
	return 0;
}

/* ---- set-up ---- */

static void test_add(void **state)
{
	(void)state;
	assert_int_equal(kvm_add_vcpus(&vm, 3, &linux64, &e), 0);
	assert_int_equal(vm.n, 3);
	for (unsigned i = 0; i < 3; i++) {
		assert_non_null(vm.vcpu[i].run);
		assert_int_equal(k.apic_id[i], i);
		assert_int_equal(k.x2apic_id[i], i);
		/* Some hosts answer 0 for MSRs that depend on what the CPU is said to be. */
		assert_true(when(i, KVM_SET_CPUID2) < when(i, KVM_SET_MSRS));
	}
	/* The first is to run; the others wait for it as they came out of reset. */
	assert_int_equal(count(KVM_SET_REGS), 1);
	assert_int_equal(count(KVM_SET_SREGS), 1);
	assert_true(when(0, KVM_SET_CPUID2) < when(0, KVM_SET_SREGS));
	assert_true(k.regs.rip == 0x1000200 && k.regs.rsi == 0x7000);
	assert_true(k.sregs.cs.l && k.sregs.efer == 0x500);
	assert_true(k.fpu.fcw == 0x37f);
}

static void test_add_pvh(void **state)
{
	(void)state;
	const struct kvm_entry pvh = {.pvh = true, .rip = 0x1000550, .info = 0x6000};
	assert_int_equal(kvm_add_vcpus(&vm, 1, &pvh, &e), 0);
	assert_true(k.regs.rip == 0x1000550 && k.regs.rbx == 0x6000 && k.regs.rsi == 0);
	assert_true(!k.sregs.cs.l && k.sregs.efer == 0);
}

static void test_how_many(void **state)
{
	(void)state;
	assert_int_equal(kvm_add_vcpus(&vm, 0, &linux64, &e), -EINVAL);
	assert_int_equal(kvm_add_vcpus(&vm, VCPU_MAX + 1, &linux64, &e), -EINVAL);
	assert_non_null(strstr(e.text, "33 CPUs"));
	assert_int_equal(k.n, 0);
	k.max_cpus = 2;
	assert_int_equal(kvm_add_vcpus(&vm, 3, &linux64, &e), -EINVAL);
	assert_non_null(strstr(e.text, "2 CPUs at most"));
	assert_non_null(strstr(e.text, "--cpus"));
	teardown(NULL);
	setup(NULL);
	assert_int_equal(kvm_add_vcpus(&vm, VCPU_MAX, &linux64, &e), 0);
	assert_int_equal(k.apic_id[31], 31);
}

static void test_failures(void **state)
{
	(void)state;
	static const unsigned long requests[] = {
		KVM_GET_SUPPORTED_CPUID, KVM_CREATE_VCPU, KVM_SET_CPUID2, KVM_SET_MSRS,
		KVM_GET_SREGS,		 KVM_SET_SREGS,	  KVM_SET_REGS,	  KVM_SET_FPU};
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		k.fail = requests[i];
		k.code = EIO;
		k.fails = 1;
		assert_int_equal(kvm_add_vcpus(&vm, 2, &linux64, &e), -EIO);
		assert_non_null(strstr(e.text, "CPU"));
		assert_non_null(strstr(e.text, strerror(EIO)));
		teardown(NULL);
		setup(NULL);
	}
	/* The page that a CPU shares is shorter than KVM said. */
	vm.run_len = 0;
	assert_int_equal(kvm_add_vcpus(&vm, 1, &linux64, &e), -EINVAL);
	assert_non_null(strstr(e.text, "shared page"));
}

static void test_refused_msr(void **state)
{
	(void)state;
	k.msrs_taken = 1;
	assert_int_equal(kvm_add_vcpus(&vm, 1, &linux64, &e), -ENOTSUP);
	assert_non_null(strstr(e.text, "MSR 0x2ff"));
}

static void test_started(void **state)
{
	(void)state;
	assert_int_equal(kvm_add_vcpus(&vm, 3, &linux64, &e), 0);
	k.mp_state[0] = KVM_MP_STATE_RUNNABLE;
	k.mp_state[1] = KVM_MP_STATE_UNINITIALIZED;
	k.mp_state[2] = KVM_MP_STATE_HALTED;
	assert_int_equal(kvm_vcpus_started(&vm), 2);
}

/* ---- running ---- */

static struct kvm_run *one_cpu(void)
{
	assert_int_equal(kvm_add_vcpus(&vm, 1, &linux64, &e), 0);
	return vm.vcpu[0].run;
}

static void run(void)
{
	memset(&x, 0x5a, sizeof(x));
	kvm_vcpu_ops.run(&vm.vcpu[0], &x);
}

static void test_ports(void **state)
{
	(void)state;
	struct kvm_run *r = one_cpu();
	r->exit_reason = KVM_EXIT_IO;
	r->io.direction = KVM_EXIT_IO_OUT;
	r->io.size = 2;
	r->io.count = 5;
	r->io.port = 0xfff0;
	r->io.data_offset = 4096;
	run();
	assert_int_equal(x.kind, VCPU_EXIT_PORT);
	assert_true(x.write && x.len == 2 && x.count == 5 && x.addr == 0xfff0);
	assert_ptr_equal(x.data, (uint8_t *)r + 4096);
	r->io.direction = KVM_EXIT_IO_IN;
	run();
	assert_false(x.write);
	/* Up to the last byte of what is mapped. */
	r->io.data_offset = RUN_LEN - 10;
	run();
	assert_int_equal(x.kind, VCPU_EXIT_PORT);
}

static void test_wild_port_data(void **state)
{
	(void)state;
	static const struct {
		uint64_t offset;
		unsigned size, n;
	} rows[] = {{RUN_LEN - 9, 2, 5}, {RUN_LEN, 1, 1},	{~0ull, 1, 1},
		    {~0ull - 3, 4, 1},	 {4096, 4, 0xffffffff}, {0, 255, 0xffffffff}};
	struct kvm_run *r = one_cpu();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		r->exit_reason = KVM_EXIT_IO;
		r->io.data_offset = rows[i].offset;
		r->io.size = (uint8_t)rows[i].size;
		r->io.count = rows[i].n;
		run();
		assert_int_equal(x.kind, VCPU_EXIT_ERROR);
		assert_non_null(strstr(x.detail, "outside"));
	}
}

static void test_mmio(void **state)
{
	(void)state;
	struct kvm_run *r = one_cpu();
	r->exit_reason = KVM_EXIT_MMIO;
	r->mmio.phys_addr = 0xd0000050;
	r->mmio.len = 4;
	r->mmio.is_write = 1;
	run();
	assert_int_equal(x.kind, VCPU_EXIT_MMIO);
	assert_true(x.write && x.len == 4 && x.count == 1 && x.addr == 0xd0000050);
	assert_ptr_equal(x.data, r->mmio.data);
	/* The data are 8 bytes, whatever it says. */
	r->mmio.len = 4096;
	r->mmio.is_write = 0;
	run();
	assert_true(x.len == 8 && !x.write);
}

static void test_other_exits(void **state)
{
	(void)state;
	static const struct {
		unsigned reason;
		enum vcpu_exit_kind kind;
		const char *text;
	} rows[] = {
		{KVM_EXIT_INTR, VCPU_EXIT_KICK, ""},
		{KVM_EXIT_HLT, VCPU_EXIT_HLT, ""},
		{KVM_EXIT_SHUTDOWN, VCPU_EXIT_SHUTDOWN, ""},
		{KVM_EXIT_SYSTEM_EVENT, VCPU_EXIT_EVENT, "system event 7"},
		{KVM_EXIT_FAIL_ENTRY, VCPU_EXIT_ERROR, "hardware reason 0x7"},
		{KVM_EXIT_UNKNOWN, VCPU_EXIT_ERROR, "reason 0 "},
		{KVM_EXIT_DEBUG, VCPU_EXIT_ERROR, "reason 4 "},
		{4711, VCPU_EXIT_ERROR, "reason 4711 "},
	};
	struct kvm_run *r = one_cpu();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		r->exit_reason = rows[i].reason;
		r->system_event.type = 7;
		if (rows[i].reason == KVM_EXIT_FAIL_ENTRY)
			r->fail_entry.hardware_entry_failure_reason = 7;
		run();
		assert_int_equal(x.kind, rows[i].kind);
		if (rows[i].text[0])
			assert_non_null(strstr(x.detail, rows[i].text));
		else
			assert_string_equal(x.detail, "");
	}
}

static void test_internal_errors(void **state)
{
	(void)state;
	static const struct {
		unsigned sub;
		const char *text;
	} rows[] = {{1, "emulate an instruction"}, {2, "exceptions"}, {3, "event"},
		    {4, "KVM does not know"},	   {0, "error 0"},    {5, "error 5"},
		    {~0u, "error 4294967295"}};
	struct kvm_run *r = one_cpu();
	r->exit_reason = KVM_EXIT_INTERNAL_ERROR;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		r->internal.suberror = rows[i].sub;
		run();
		assert_int_equal(x.kind, VCPU_EXIT_ERROR);
		assert_non_null(strstr(x.detail, rows[i].text));
	}
}

/* KVM_RUN itself fails; what is in the page is from before. */
static void test_run_errors(void **state)
{
	(void)state;
	static const struct {
		int code;
		enum vcpu_exit_kind kind;
		const char *text;
	} rows[] = {
		{EINTR, VCPU_EXIT_KICK, ""},
		{EAGAIN, VCPU_EXIT_AGAIN, ""},
		{EFAULT, VCPU_EXIT_ERROR, "memory"},
		{ENXIO, VCPU_EXIT_ERROR, "KVM_RUN: No such device"},
	};
	struct kvm_run *r = one_cpu();
	r->exit_reason = KVM_EXIT_SHUTDOWN;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		k.fail = KVM_RUN;
		k.code = rows[i].code;
		k.fails = 1;
		run();
		assert_int_equal(x.kind, rows[i].kind);
		assert_non_null(strstr(x.detail, rows[i].text));
		assert_int_equal(k.fails, 0);
	}
}

/* A signal that meets a CPU's first entry gives ENOMEM on some kernels: tried again, not for ever.
 */
static void test_enomem(void **state)
{
	(void)state;
	struct kvm_run *r = one_cpu();
	r->exit_reason = KVM_EXIT_HLT;
	k.fail = KVM_RUN;
	k.code = ENOMEM;
	k.fails = 5;
	run();
	assert_int_equal(x.kind, VCPU_EXIT_HLT);
	assert_int_equal(k.runs, 1);
	k.n = 0;
	k.fails = 1000;
	run();
	assert_int_equal(x.kind, VCPU_EXIT_ERROR);
	assert_non_null(strstr(x.detail, strerror(ENOMEM)));
	assert_in_range(k.n, 10, 200);
}

static void test_interrupt(void **state)
{
	(void)state;
	const struct kvm_run *r = one_cpu();
	assert_int_equal(r->immediate_exit, 0);
	kvm_vcpu_ops.interrupt(&vm.vcpu[0], true);
	assert_int_equal(r->immediate_exit, 1);
	kvm_vcpu_ops.interrupt(&vm.vcpu[0], false);
	assert_int_equal(r->immediate_exit, 0);
}

static void test_where(void **state)
{
	(void)state;
	char buf[64];
	one_cpu();
	k.regs.rip = 0xffffffff81000123;
	kvm_vcpu_ops.where(&vm.vcpu[0], buf, sizeof(buf));
	assert_string_equal(buf, "RIP 0xffffffff81000123");
	k.fail = KVM_GET_REGS;
	k.code = EIO;
	k.fails = 1;
	kvm_vcpu_ops.where(&vm.vcpu[0], buf, sizeof(buf));
	assert_string_equal(buf, "an unknown place");
	/* AMD: a CPU that had a triple fault has been reset already. */
	k.regs.rip = 0xfff0;
	kvm_vcpu_ops.where(&vm.vcpu[0], buf, sizeof(buf));
	assert_string_equal(buf, "an unknown place");
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_add),	     T(test_add_pvh),	      T(test_how_many),
		T(test_failures),    T(test_refused_msr),     T(test_started),
		T(test_ports),	     T(test_wild_port_data),  T(test_mmio),
		T(test_other_exits), T(test_internal_errors), T(test_run_errors),
		T(test_enomem),	     T(test_interrupt),	      T(test_where),
	};
	alarm(30);
	return cmocka_run_group_tests_name("kvm_vcpu", tests, NULL, NULL);
}
