// SPDX-License-Identifier: Apache-2.0
// test_kvm.c - what is asked of KVM for a machine, in which order, and what is said when it refuses
// links: runtime/engine/kvm.c runtime/vmm/gmem.c
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
#include <unistd.h>

#include <cmocka.h>

#define KVM_FD 1000
#define MAX_CALLS 64

/* A KVM of the test's own. */
static struct {
	unsigned n;
	unsigned long call[MAX_CALLS];
	int fd[MAX_CALLS];
	unsigned long fail; /* this request fails */
	int code;
	unsigned interrupted; /* so many times before that, CREATE_VM with EINTR */
	int version;
	int lacks; /* this capability */
	int run_len;
	uint64_t identity, tss;
	struct kvm_pit_config pit;
	struct kvm_userspace_memory_region memory[4];
	unsigned slots;
	struct kvm_irqfd irqfd;
	struct kvm_ioeventfd ioeventfd;
} k;

static struct kvm_vm vm;
static struct err e;
static int vm_fd;

static int answer(unsigned long request, unsigned long arg)
{
	void *p = (void *)(uintptr_t)arg;
	switch (request) {
	case KVM_GET_API_VERSION: return k.version;
	case KVM_CHECK_EXTENSION: return (int)arg != k.lacks;
	case KVM_GET_VCPU_MMAP_SIZE: return k.run_len;
	case KVM_CREATE_VM: return vm_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	case KVM_SET_IDENTITY_MAP_ADDR: k.identity = *(uint64_t *)p; return 0;
	case KVM_SET_TSS_ADDR: k.tss = arg; return 0;
	case KVM_CREATE_IRQCHIP: return 0;
	case KVM_ENABLE_CAP:
		assert_int_equal(((struct kvm_enable_cap *)p)->cap, KVM_CAP_PMU_CAPABILITY);
		assert_int_equal(((struct kvm_enable_cap *)p)->args[0], KVM_PMU_CAP_DISABLE);
		return 0;
	case KVM_CREATE_PIT2: memcpy(&k.pit, p, sizeof(k.pit)); return 0;
	case KVM_SET_USER_MEMORY_REGION:
		assert_true(k.slots < ARRAY_SIZE(k.memory));
		memcpy(&k.memory[k.slots++], p, sizeof(k.memory[0]));
		return 0;
	case KVM_IRQFD: memcpy(&k.irqfd, p, sizeof(k.irqfd)); return 0;
	case KVM_IOEVENTFD: memcpy(&k.ioeventfd, p, sizeof(k.ioeventfd)); return 0;
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
	if (request == KVM_CREATE_VM && k.interrupted > 0) {
		k.interrupted--;
		errno = EINTR;
		return -1;
	}
	if (request == k.fail) {
		errno = k.code;
		return -1;
	}
	return answer(request, arg);
}

static int setup(void **state)
{
	(void)state;
	memset(&k, 0, sizeof(k));
	k.version = 12;
	k.run_len = 12288;
	k.lacks = -1;
	e.text[0] = '\0';
	return 0;
}

static int open_vm(bool pit)
{
	const struct kvm_options opt = {.pit = pit};
	return kvm_open(&vm, KVM_FD, &opt, &e);
}

/* When a request came first; fails if it did not. */
static unsigned when(unsigned long request)
{
	for (unsigned i = 0; i < k.n; i++)
		if (k.call[i] == request)
			return i;
	fail_msg("request 0x%lx is not made", request);
	return 0;
}

static bool was(unsigned long request)
{
	for (unsigned i = 0; i < k.n; i++)
		if (k.call[i] == request)
			return true;
	return false;
}

static void assert_closed(int fd)
{
	assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static void test_open(void **state)
{
	(void)state;
	assert_int_equal(open_vm(false), 0);
	assert_int_equal(vm.fd, vm_fd);
	assert_true(vm.run_len == 12288 && vm.tsc_deadline && vm.n == 0);
	/* Three pages and one, below the BIOS, where no RAM and no device is. */
	assert_true(k.tss == 0xfffbd000 && k.identity == 0xfffbc000);
	/* Both are places for what the controllers' creation and the first CPU need. */
	assert_true(when(KVM_CREATE_VM) < when(KVM_SET_IDENTITY_MAP_ADDR));
	assert_true(when(KVM_SET_IDENTITY_MAP_ADDR) < when(KVM_CREATE_IRQCHIP));
	assert_true(when(KVM_SET_TSS_ADDR) < when(KVM_CREATE_IRQCHIP));
	assert_false(was(KVM_CREATE_PIT2));
	for (unsigned i = 0; i < k.n; i++)
		assert_true(k.fd[i] == KVM_FD || k.fd[i] == vm_fd);
	assert_int_equal(k.fd[when(KVM_CREATE_IRQCHIP)], vm_fd);
	kvm_close(&vm);
	assert_closed(vm_fd);
	kvm_close(&vm);
}

static void test_pit(void **state)
{
	(void)state;
	assert_int_equal(open_vm(true), 0);
	assert_true(when(KVM_CREATE_PIT2) > when(KVM_CREATE_IRQCHIP));
	assert_true(k.pit.flags == KVM_PIT_SPEAKER_DUMMY);
	kvm_close(&vm);
}

static void test_interrupted(void **state)
{
	(void)state;
	k.interrupted = 5;
	assert_int_equal(open_vm(false), 0);
	kvm_close(&vm);
}

/* Every step may fail: one line, and nothing left behind. */
static void test_failures(void **state)
{
	(void)state;
	static const struct {
		unsigned long request;
		const char *text;
	} rows[] = {
		{KVM_CREATE_VM, "virtual machine"},  {KVM_SET_IDENTITY_MAP_ADDR, "pages"},
		{KVM_SET_TSS_ADDR, "pages"},	     {KVM_CREATE_IRQCHIP, "interrupt controllers"},
		{KVM_CREATE_PIT2, "interval timer"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		setup(NULL);
		vm_fd = -1;
		k.fail = rows[i].request;
		k.code = ENOMEM;
		assert_int_equal(open_vm(true), -ENOMEM);
		assert_non_null(strstr(e.text, rows[i].text));
		assert_non_null(strstr(e.text, strerror(ENOMEM)));
		kvm_close(&vm);
		assert_closed(vm_fd);
	}
}

/* What lacks is named, not just what failed for want of it. */
static void test_lacks(void **state)
{
	(void)state;
	static const struct {
		int cap;
		unsigned long request;
		const char *name;
	} rows[] = {
		{KVM_CAP_IRQCHIP, KVM_CREATE_IRQCHIP, "KVM_CAP_IRQCHIP"},
		{KVM_CAP_SET_TSS_ADDR, KVM_SET_TSS_ADDR, "KVM_CAP_SET_TSS_ADDR"},
		{KVM_CAP_IMMEDIATE_EXIT, 0, "KVM_CAP_IMMEDIATE_EXIT"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		setup(NULL);
		k.lacks = rows[i].cap;
		k.fail = rows[i].request;
		k.code = EINVAL;
		assert_int_equal(open_vm(false), -ENOTSUP);
		assert_non_null(strstr(e.text, rows[i].name));
		assert_non_null(strstr(e.text, "--engine tcg"));
		kvm_close(&vm);
	}
	/* The deadline timer is no must. */
	setup(NULL);
	k.lacks = KVM_CAP_TSC_DEADLINE_TIMER;
	assert_int_equal(open_vm(false), 0);
	assert_false(vm.tsc_deadline);
	kvm_close(&vm);
}

static void test_strange_kvm(void **state)
{
	(void)state;
	k.version = 11;
	k.fail = KVM_CREATE_VM;
	k.code = EINVAL;
	assert_int_equal(open_vm(false), -ENOTSUP);
	assert_non_null(strstr(e.text, "version 11"));
	kvm_close(&vm);
	for (int len = -1; len < (int)sizeof(struct kvm_run); len += 1000) {
		setup(NULL);
		k.run_len = len;
		assert_int_equal(open_vm(false), -ENOTSUP);
		assert_non_null(strstr(e.text, "shared page"));
		kvm_close(&vm);
	}
}

static void test_memory(void **state)
{
	(void)state;
	static uint8_t host[2][4096];
	struct gmem m = {0};
	for (unsigned i = 0; i < 2; i++) {
		struct gmem_region r = {
			.gpa = i * 0x100000000ull, .size = sizeof(host[i]), .host = host[i]};
		assert_int_equal(gmem_add(&m, &r), 0);
	}
	assert_int_equal(open_vm(false), 0);
	assert_int_equal(kvm_set_memory(&vm, &m, &e), 0);
	assert_int_equal(k.slots, 2);
	for (unsigned i = 0; i < 2; i++) {
		assert_true(k.memory[i].slot == i && k.memory[i].flags == 0);
		assert_true(k.memory[i].guest_phys_addr == i * 0x100000000ull);
		assert_true(k.memory[i].memory_size == 4096);
		assert_true(k.memory[i].userspace_addr == (uintptr_t)host[i]);
	}
	k.fail = KVM_SET_USER_MEMORY_REGION;
	k.code = EEXIST;
	assert_int_equal(kvm_set_memory(&vm, &m, &e), -EEXIST);
	assert_non_null(strstr(e.text, "memory"));
	kvm_close(&vm);
}

static void test_events(void **state)
{
	(void)state;
	assert_int_equal(open_vm(false), 0);
	assert_int_equal(kvm_irqfd(&vm, 7, 17, &e), 0);
	assert_true(k.irqfd.fd == 7 && k.irqfd.gsi == 17 && k.irqfd.flags == 0);
	assert_int_equal(kvm_ioeventfd(&vm, 8, 0xd0000050, 3, &e), 0);
	assert_true(k.ioeventfd.fd == 8 && k.ioeventfd.addr == 0xd0000050);
	/* Of this value and width only: each queue has its own. */
	assert_true(k.ioeventfd.len == 4 && k.ioeventfd.datamatch == 3);
	assert_true(k.ioeventfd.flags == KVM_IOEVENTFD_FLAG_DATAMATCH);
	k.fail = KVM_IRQFD;
	k.code = EINVAL;
	assert_int_equal(kvm_irqfd(&vm, 7, 17, &e), -EINVAL);
	assert_non_null(strstr(e.text, "interrupt"));
	k.fail = KVM_IOEVENTFD;
	k.code = ENOSPC;
	assert_int_equal(kvm_ioeventfd(&vm, 8, 0xd0000050, 3, &e), -ENOSPC);
	assert_non_null(strstr(e.text, "notification"));
	kvm_close(&vm);
}

#define T(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_open),  T(test_pit),	    T(test_interrupted), T(test_failures),
		T(test_lacks), T(test_strange_kvm), T(test_memory),	 T(test_events),
	};
	alarm(30);
	return cmocka_run_group_tests_name("kvm", tests, NULL, NULL);
}
