// SPDX-License-Identifier: Apache-2.0
// smoke.c - the rig's smoke guest: kernel-mode code on /dev/kvm that must come to its end
//
// In a rig whose kernel could not find out the rate of its TSC no KVM guest ever makes progress.
// Such a rig has to be found out before anything is tested in it.
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CODE_AT 0x1000
#define RAM_SIZE 0x10000
#define DONE_PORT 0x99
#define DONE_VALUE 0x5a
#define LIMIT_S 8

/* Real mode: a loop, a reading of the TSC, one byte out. */
static const uint8_t code[] = {
	0x66, 0xb9,	  0xa0, 0x86, 0x01, 0x00, /* mov ecx, 100000 */
	0x66, 0x49,				  /* dec ecx */
	0x75, 0xfc,				  /* jnz to dec */
	0x0f, 0x31,				  /* rdtsc */
	0xb0, DONE_VALUE,			  /* mov al, DONE_VALUE */
	0xe6, DONE_PORT,			  /* out DONE_PORT, al */
	0xeb, 0xee,				  /* jmp to the beginning */
};

static int complain(const char *what)
{
	dprintf(2, "rig: smoke guest: %s: %s\n", what, strerror(errno));
	return 1;
}

static int make_vcpu(int vm)
{
	struct kvm_sregs s;
	const struct kvm_regs r = {.rip = CODE_AT, .rflags = 2};
	const int vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);

	if (vcpu < 0 || ioctl(vcpu, KVM_GET_SREGS, &s) < 0)
		return -1;
	s.cs.base = s.cs.selector = 0;
	if (ioctl(vcpu, KVM_SET_SREGS, &s) < 0 || ioctl(vcpu, KVM_SET_REGS, &r) < 0)
		return -1;
	return vcpu;
}

static int guest(void)
{
	const int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	const int vm = kvm < 0 ? -1 : ioctl(kvm, KVM_CREATE_VM, 0);
	uint8_t *ram =
		mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const struct kvm_userspace_memory_region region = {
		.memory_size = RAM_SIZE,
		.userspace_addr = (uintptr_t)ram,
	};

	if (vm < 0 || ram == MAP_FAILED)
		return complain("/dev/kvm");
	memcpy(ram + CODE_AT, code, sizeof(code));
	if (ioctl(vm, KVM_CREATE_IRQCHIP, 0) < 0 ||
	    ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) < 0)
		return complain("irqchip and memory");

	const int vcpu = make_vcpu(vm);
	const int size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	const struct kvm_run *run =
		mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);

	if (vcpu < 0 || run == MAP_FAILED)
		return complain("vCPU");
	for (int i = 0; i < 3; i++) {
		if (ioctl(vcpu, KVM_RUN, 0) < 0)
			return complain("KVM_RUN");
		if (run->exit_reason != KVM_EXIT_IO || run->io.port != DONE_PORT ||
		    *((const uint8_t *)run + run->io.data_offset) != DONE_VALUE) {
			dprintf(2, "rig: smoke guest: exit %u\n", run->exit_reason);
			return 1;
		}
	}
	return 0;
}

int smoke(void)
{
	const struct timespec limit = {.tv_sec = LIMIT_S};
	sigset_t child;
	int status;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);

	const pid_t pid = fork();

	if (pid < 0)
		return 0;
	if (pid == 0)
		_exit(guest());
	/* One that hangs may be beyond SIGKILL: it is not waited for. */
	if (sigtimedwait(&child, NULL, &limit) < 0) {
		dprintf(2, "rig: smoke guest: no end in %d s\n", LIMIT_S);
		return 0;
	}
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
