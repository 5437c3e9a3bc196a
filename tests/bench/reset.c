// SPDX-License-Identifier: Apache-2.0
// reset.c - the least that a guest can do: an init without a C library that resets the machine
#include <linux/reboot.h>
#include <sys/syscall.h>

void _start(void);

void _start(void)
{
	long ret;
	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(SYS_reboot), "D"(LINUX_REBOOT_MAGIC1), "S"(LINUX_REBOOT_MAGIC2),
			   "d"(LINUX_REBOOT_CMD_RESTART)
			 : "rcx", "r11", "memory");
	for (;;)
		__asm__ volatile("pause");
}
