// SPDX-License-Identifier: Apache-2.0
// kill_init.c - as guest root: attaches to PID 1 and crashes it, or ("stop") holds it for ever
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

static int failed(const char *what)
{
	printf("%s: %s\n", what, strerror(errno));
	return 1;
}

int main(int argc, char **argv)
{
	struct user_regs_struct regs;
	int status;
	if (ptrace(PTRACE_ATTACH, 1, NULL, NULL) < 0)
		return failed("attach");
	if (waitpid(1, &status, __WALL) < 0 || ptrace(PTRACE_GETREGS, 1, NULL, &regs) < 0)
		return failed("regs");
	while (argc > 1 && strcmp(argv[1], "stop") == 0)
		pause();
	regs.rip = 0x10;
	regs.orig_rax = (unsigned long)-1;
	if (ptrace(PTRACE_SETREGS, 1, NULL, &regs) < 0)
		return failed("setregs");
	/* PID 1 gets SIGSEGV at its next instruction; the kernel panics. */
	if (ptrace(PTRACE_DETACH, 1, NULL, NULL) < 0)
		return failed("detach");
	for (;;)
		pause();
}
