// SPDX-License-Identifier: Apache-2.0
// kvm.c - machine-wide set-up on the KVM API
#include "engine/kvm.h"

#include "arch/x86_64/layout.h"
#include "base/checked.h"
#include "base/cleanup.h"

#include <errno.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define API_VERSION 12
/* What this engine can't live without, asked for only when something failed: the usual start makes
 * no call that could go without saying. */
static const struct {
	int cap;
	const char *name;
} needed[] = {
	{KVM_CAP_IRQCHIP, "KVM_CAP_IRQCHIP"},
	{KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY"},
	{KVM_CAP_SET_TSS_ADDR, "KVM_CAP_SET_TSS_ADDR"},
	{KVM_CAP_SET_IDENTITY_MAP_ADDR, "KVM_CAP_SET_IDENTITY_MAP_ADDR"},
	{KVM_CAP_EXT_CPUID, "KVM_CAP_EXT_CPUID"},
	{KVM_CAP_IRQFD, "KVM_CAP_IRQFD"},
	{KVM_CAP_IOEVENTFD, "KVM_CAP_IOEVENTFD"},
	{KVM_CAP_PIT2, "KVM_CAP_PIT2"},
};

static int failed(const struct kvm_vm *vm, struct err *e, const char *what)
{
	int code = errno;
	int version = ioctl(vm->kvm_fd, KVM_GET_API_VERSION, 0);
	if (version < 0)
		return err_set(e, ENOTSUP, "/dev/kvm is not KVM (use --engine tcg)");
	if (version != API_VERSION)
		return err_set(e, ENOTSUP, "this host's KVM has API version %d, mayfly needs %d",
			       version, API_VERSION);
	for (size_t i = 0; i < ARRAY_SIZE(needed); i++)
		if (ioctl(vm->kvm_fd, KVM_CHECK_EXTENSION, needed[i].cap) <= 0)
			return err_set(e, ENOTSUP, "this host's KVM lacks %s (use --engine tcg)",
				       needed[i].name);
	return err_errno(e, code, "%s", what);
}

static int read_limits(struct kvm_vm *vm, struct err *e)
{
	/* Without it a CPU that is about to enter the guest can't be stopped for certain. */
	if (ioctl(vm->kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_IMMEDIATE_EXIT) <= 0)
		return err_set(e, ENOTSUP,
			       "this host's KVM lacks KVM_CAP_IMMEDIATE_EXIT (use --engine tcg)");
	vm->tsc_deadline = ioctl(vm->kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER) > 0;
	int len = ioctl(vm->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (len < (int)sizeof(struct kvm_run))
		return err_set(e, ENOTSUP, "KVM names %d bytes for a CPU's shared page", len);
	vm->run_len = (size_t)len;
	return 0;
}

static int create_interrupts(struct kvm_vm *vm, const struct kvm_options *opt, struct err *e)
{
	struct kvm_pit_config pit = {.flags = KVM_PIT_SPEAKER_DUMMY};
	uint64_t identity = LAYOUT_IDENTITY_MAP;
	if (ioctl(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity) < 0 ||
	    ioctl(vm->fd, KVM_SET_TSS_ADDR, (unsigned long)LAYOUT_TSS) < 0)
		return failed(vm, e, "can't place KVM's own pages");
	if (ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0) < 0)
		return failed(vm, e, "can't make the interrupt controllers");
	if (opt->pit && ioctl(vm->fd, KVM_CREATE_PIT2, &pit) < 0)
		return failed(vm, e, "can't make the interval timer");
	return 0;
}

int kvm_open(struct kvm_vm *vm, int kvm_fd, const struct kvm_options *opt, struct err *e)
{
	*vm = (struct kvm_vm){.kvm_fd = kvm_fd, .fd = -1};
	/* A signal while KVM starts its threads gives EINTR. */
	do {
		vm->fd = ioctl(kvm_fd, KVM_CREATE_VM, 0);
	} while (vm->fd < 0 && errno == EINTR);
	if (vm->fd < 0)
		return failed(vm, e, "can't create a virtual machine");
	/* Counters tell about the host, too, and CPUID can't hide AMD's oldest four. Not all hosts
	 * have the switch. */
	struct kvm_enable_cap no_counters = {.cap = KVM_CAP_PMU_CAPABILITY,
					     .args = {KVM_PMU_CAP_DISABLE}};
	(void)ioctl(vm->fd, KVM_ENABLE_CAP, &no_counters);
	int ret = read_limits(vm, e);
	return ret < 0 ? ret : create_interrupts(vm, opt, e);
}

void kvm_close(struct kvm_vm *vm)
{
	for (unsigned i = 0; i < vm->n; i++) {
		if (vm->vcpu[i].run)
			munmap(vm->vcpu[i].run, vm->vcpu[i].run_len);
		close_fd(&vm->vcpu[i].fd);
	}
	vm->n = 0;
	close_fd(&vm->fd);
}

int kvm_set_memory(struct kvm_vm *vm, const struct gmem *m, struct err *e)
{
	for (unsigned i = 0; i < m->n; i++) {
		struct kvm_userspace_memory_region r = {
			.slot = i,
			.guest_phys_addr = m->region[i].gpa,
			.memory_size = m->region[i].size,
			.userspace_addr = (uintptr_t)m->region[i].host,
		};
		if (ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &r) < 0)
			return failed(vm, e, "can't give the machine its memory");
	}
	return 0;
}

int kvm_irqfd(struct kvm_vm *vm, int event_fd, unsigned gsi, struct err *e)
{
	struct kvm_irqfd r = {.fd = (uint32_t)event_fd, .gsi = gsi};
	if (ioctl(vm->fd, KVM_IRQFD, &r) < 0)
		return failed(vm, e, "can't wire an interrupt");
	return 0;
}

int kvm_ioeventfd(struct kvm_vm *vm, int event_fd, uint64_t addr, uint32_t value, struct err *e)
{
	struct kvm_ioeventfd r = {
		.datamatch = value,
		.addr = addr,
		.len = sizeof(value),
		.fd = event_fd,
		.flags = KVM_IOEVENTFD_FLAG_DATAMATCH,
	};
	if (ioctl(vm->fd, KVM_IOEVENTFD, &r) < 0)
		return failed(vm, e, "can't wire a notification");
	return 0;
}
