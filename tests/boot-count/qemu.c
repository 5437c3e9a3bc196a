// SPDX-License-Identifier: Apache-2.0
// qemu.c - stands before QEMU in PATH: the same machine on a clock that counts instructions
//
// QEMU's virtual time, and with it the guest's TSC, advances by 2^ICOUNT_SHIFT ns for each
// instruction, and jumps to the next timer when the CPU is idle. ICOUNT_SHIFT and REAL_QEMU are
// compiled in: the environment does not reach QEMU.
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define KHZ "tsc_early_khz="

int main(int argc, char **argv)
{
	char *args[argc + 3];
	char kernel[8192];
	for (int i = 0; i < argc; i++) {
		const char *khz = strstr(argv[i], KHZ);
		args[i] = argv[i];
		if (strncmp(argv[i], "tcg,", 4) == 0)
			args[i] = "tcg,thread=single";
		if (strncmp(argv[i], "max,", 4) == 0)
			args[i] = "max";
		if (!khz)
			continue;
		/* The TSC of such a machine counts nanoseconds. */
		const char *rest = khz + strlen(KHZ);
		rest += strspn(rest, "0123456789");
		snprintf(kernel, sizeof(kernel), "%.*s" KHZ "1000000%s", (int)(khz - argv[i]),
			 argv[i], rest);
		args[i] = kernel;
	}
	args[argc] = "-icount";
	args[argc + 1] = "shift=" ICOUNT_SHIFT ",sleep=off";
	args[argc + 2] = NULL;
	execv(REAL_QEMU, args);
	perror(REAL_QEMU);
	return 127;
}
