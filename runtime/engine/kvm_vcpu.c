// SPDX-License-Identifier: Apache-2.0
// kvm_vcpu.c - one CPU on the KVM API: its set-up, and what KVM_RUN says in vcpu.h's words
#include "arch/x86_64/cpuid.h"
#include "arch/x86_64/msr.h"
#include "arch/x86_64/regs.h"
#include "base/checked.h"
#include "base/cleanup.h"
#include "engine/kvm.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

/* Some kernels fail a CPU's first entry with ENOMEM when a signal meets it. */
#define ENTRY_RETRIES 100
#define RESET_VECTOR 0xfff0

static int map_run(struct kvm_vm *vm, struct kvm_vcpu *c, struct err *e)
{
	void *p = mmap(NULL, vm->run_len, PROT_READ | PROT_WRITE, MAP_SHARED, c->fd, 0);
	if (p == MAP_FAILED)
		return err_errno(e, errno, "can't map a CPU's shared page");
	c->run = p;
	c->run_len = vm->run_len;
	return 0;
}

static int set_registers(const struct kvm_vcpu *c, const struct kvm_entry *entry, struct err *e)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	struct kvm_fpu fpu;
	if (ioctl(c->fd, KVM_GET_SREGS, &sregs) < 0)
		return err_errno(e, errno, "can't read a CPU's registers");
	if (entry->pvh)
		regs_pvh(&sregs, &regs, entry->rip, entry->info);
	else
		regs_linux64(&sregs, &regs, entry->rip, entry->info);
	regs_fpu(&fpu);
	if (ioctl(c->fd, KVM_SET_FPU, &fpu) < 0 || ioctl(c->fd, KVM_SET_SREGS, &sregs) < 0 ||
	    ioctl(c->fd, KVM_SET_REGS, &regs) < 0)
		return err_errno(e, errno, "can't set a CPU's registers");
	return 0;
}

static int cpu_failed(const struct kvm_vm *vm, unsigned id, struct err *e)
{
	int code = errno;
	int max = ioctl(vm->kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);
	if (code == EINVAL && max > 0 && id >= (unsigned)max)
		return err_set(e, EINVAL, "this host's KVM can have %d CPUs at most (see --cpus)",
			       max);
	return err_errno(e, code, "can't make CPU %u", id);
}

static int add_vcpu(struct kvm_vm *vm, struct kvm_cpuid2 *cpuid, unsigned id, unsigned n,
		    struct err *e)
{
	struct kvm_vcpu *c = &vm->vcpu[id];
	*c = (struct kvm_vcpu){.fd = ioctl(vm->fd, KVM_CREATE_VCPU, (unsigned long)id)};
	if (c->fd < 0)
		return cpu_failed(vm, id, e);
	vm->n++;
	int ret = map_run(vm, c, e);
	if (ret < 0)
		return ret;
	/* Before any MSR: some hosts answer 0 for those that depend on it. */
	cpuid_for_vcpu(cpuid, id, n);
	if (ioctl(c->fd, KVM_SET_CPUID2, cpuid) < 0)
		return err_errno(e, errno, "can't set what CPU %u is", id);
	return msr_set_boot(c->fd, e);
}

int kvm_add_vcpus(struct kvm_vm *vm, unsigned n, const struct kvm_entry *entry, struct err *e)
{
	size_t size = sizeof(struct kvm_cpuid2) + KVM_CPUID_MAX * sizeof(struct kvm_cpuid_entry2);
	if (n == 0 || n > VCPU_MAX)
		return err_set(e, EINVAL, "%u CPUs: a machine can have 1 to %u", n, VCPU_MAX);
	AUTO_FREE struct kvm_cpuid2 *cpuid = calloc(1, size);
	if (!cpuid)
		return err_errno(e, ENOMEM, "can't read what the host's CPU is");
	cpuid->nent = KVM_CPUID_MAX;
	if (ioctl(vm->kvm_fd, KVM_GET_SUPPORTED_CPUID, cpuid) < 0)
		return err_errno(e, errno, "can't read what the host's CPU is");
	cpuid_filter(cpuid, KVM_CPUID_MAX, vm->tsc_deadline);
	int ret = 0;
	for (unsigned i = 0; ret == 0 && i < n; i++)
		ret = add_vcpu(vm, cpuid, i, n, e);
	return ret < 0 ? ret : set_registers(&vm->vcpu[0], entry, e);
}

unsigned kvm_vcpus_started(const struct kvm_vm *vm)
{
	unsigned n = 0;
	for (unsigned i = 0; i < vm->n; i++) {
		struct kvm_mp_state mp = {0};
		n += ioctl(vm->vcpu[i].fd, KVM_GET_MP_STATE, &mp) < 0 ||
		     mp.mp_state != KVM_MP_STATE_UNINITIALIZED;
	}
	return n;
}

static void where(void *cpu, char *buf, size_t len)
{
	const struct kvm_vcpu *c = cpu;
	struct kvm_regs regs;
	/* On AMD, KVM resets a CPU that had a triple fault before anybody can look. */
	if (ioctl(c->fd, KVM_GET_REGS, &regs) < 0 || regs.rip == RESET_VECTOR)
		snprintf(buf, len, "an unknown place");
	else
		snprintf(buf, len, "RIP 0x%" PRIx64, (uint64_t)regs.rip);
}

static void interrupt(void *cpu, bool on)
{
	const struct kvm_vcpu *c = cpu;
	__atomic_store_n(&c->run->immediate_exit, (uint8_t)on, __ATOMIC_RELEASE);
}

static void fail(struct vcpu_exit *x, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void fail(struct vcpu_exit *x, const char *fmt, ...)
{
	va_list ap;
	x->kind = VCPU_EXIT_ERROR;
	va_start(ap, fmt);
	vsnprintf(x->detail, sizeof(x->detail), fmt, ap);
	va_end(ap);
}

static void on_port(const struct kvm_vcpu *c, struct vcpu_exit *x)
{
	struct kvm_run *r = c->run;
	x->kind = VCPU_EXIT_PORT;
	x->write = r->io.direction == KVM_EXIT_IO_OUT;
	x->len = r->io.size;
	x->count = r->io.count;
	x->addr = r->io.port;
	/* The kernel's word, but a wrong one would be a wild pointer. */
	if (!range_inside(r->io.data_offset, (uint64_t)x->len * x->count, c->run_len))
		fail(x, "KVM describes an access outside its page");
	else
		x->data = (uint8_t *)r + r->io.data_offset;
}

static void on_mmio(const struct kvm_vcpu *c, struct vcpu_exit *x)
{
	struct kvm_run *r = c->run;
	x->kind = VCPU_EXIT_MMIO;
	x->write = r->mmio.is_write;
	x->len = MIN(r->mmio.len, (uint32_t)sizeof(r->mmio.data));
	x->count = 1;
	x->addr = r->mmio.phys_addr;
	x->data = r->mmio.data;
}

static void on_internal_error(const struct kvm_run *r, struct vcpu_exit *x)
{
	static const char *const names[] = {
		[KVM_INTERNAL_ERROR_EMULATION] = "KVM can't emulate an instruction",
		[KVM_INTERNAL_ERROR_SIMUL_EX] = "two exceptions at once",
		[KVM_INTERNAL_ERROR_DELIVERY_EV] = "an exit while an event was delivered",
		[KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON] = "an exit that KVM does not know",
	};
	uint32_t n = r->internal.suberror;
	if (n < ARRAY_SIZE(names) && names[n])
		fail(x, "%s", names[n]);
	else
		fail(x, "KVM internal error %u", n);
}

/* KVM_RUN's own errors. */
static void on_errno(struct vcpu_exit *x, int code)
{
	if (code == EINTR)
		x->kind = VCPU_EXIT_KICK;
	else if (code == EAGAIN)
		x->kind = VCPU_EXIT_AGAIN;
	else if (code == EFAULT)
		fail(x, "guest memory can't be read (was the kernel's or init image's file cut "
			"short, or is the host out of memory?)");
	else
		fail(x, "KVM_RUN: %s", strerror(code));
}

static void translate(const struct kvm_vcpu *c, struct vcpu_exit *x)
{
	const struct kvm_run *r = c->run;
	switch (r->exit_reason) {
	case KVM_EXIT_IO: on_port(c, x); break;
	case KVM_EXIT_MMIO: on_mmio(c, x); break;
	case KVM_EXIT_INTR: x->kind = VCPU_EXIT_KICK; break;
	case KVM_EXIT_HLT: x->kind = VCPU_EXIT_HLT; break;
	case KVM_EXIT_SHUTDOWN: x->kind = VCPU_EXIT_SHUTDOWN; break;
	case KVM_EXIT_SYSTEM_EVENT:
		x->kind = VCPU_EXIT_EVENT;
		snprintf(x->detail, sizeof(x->detail), "system event %u", r->system_event.type);
		break;
	case KVM_EXIT_INTERNAL_ERROR: on_internal_error(r, x); break;
	case KVM_EXIT_FAIL_ENTRY:
		fail(x, "the CPU refuses the guest's state, hardware reason 0x%llx",
		     (unsigned long long)r->fail_entry.hardware_entry_failure_reason);
		break;
	default: fail(x, "KVM exit reason %u is not known", r->exit_reason);
	}
}

static void run(void *cpu, struct vcpu_exit *x)
{
	const struct kvm_vcpu *c = cpu;
	int ret;
	unsigned tries = 0;
	do {
		ret = ioctl(c->fd, KVM_RUN, 0);
	} while (ret < 0 && errno == ENOMEM && ++tries < ENTRY_RETRIES);
	x->count = 0;
	x->detail[0] = '\0';
	if (ret < 0)
		on_errno(x, errno);
	else
		translate(c, x);
}

const struct vcpu_ops kvm_vcpu_ops = {.run = run, .interrupt = interrupt, .where = where};
