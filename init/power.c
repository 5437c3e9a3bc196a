// SPDX-License-Identifier: Apache-2.0
// power.c - how somebody in the guest ends the machine
#include "power.h"

#include "base/checked.h"
#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define FIFO "/run/initctl"
#define REQUEST_MAGIC 0x03091969
#define REQUEST_RUNLEVEL 1

/* glibc's, which systemd's tools count from; 32 and 33 are the C library's own. */
#define RT_MIN 34

static const struct {
	int number;
	Mayfly__Goodbye__Why why;
} rows[] = {
	/* busybox */
	{SIGUSR1, MAYFLY__GOODBYE__WHY__HALT},
	{SIGUSR2, MAYFLY__GOODBYE__WHY__POWEROFF},
	{SIGTERM, MAYFLY__GOODBYE__WHY__REBOOT},
	/* Ctrl-Alt-Del, for every init */
	{SIGINT, MAYFLY__GOODBYE__WHY__REBOOT},
	/* systemd: in order, then at once */
	{RT_MIN + 3, MAYFLY__GOODBYE__WHY__HALT},
	{RT_MIN + 4, MAYFLY__GOODBYE__WHY__POWEROFF},
	{RT_MIN + 5, MAYFLY__GOODBYE__WHY__REBOOT},
	{RT_MIN + 13, MAYFLY__GOODBYE__WHY__HALT},
	{RT_MIN + 14, MAYFLY__GOODBYE__WHY__POWEROFF},
	{RT_MIN + 15, MAYFLY__GOODBYE__WHY__REBOOT},
};

void power_signals(sigset_t *set)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		sigaddset(set, rows[i].number);
}

bool power_signal_why(int number, Mayfly__Goodbye__Why *why)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].number == number) {
			*why = rows[i].why;
			return true;
		}
	return false;
}

bool power_request_why(const void *request, size_t len, Mayfly__Goodbye__Why *why)
{
	int32_t head[3]; /* magic, command, run level */
	if (len != POWER_REQUEST_SIZE)
		return false;
	memcpy(head, request, sizeof(head));
	if (head[0] != REQUEST_MAGIC || head[1] != REQUEST_RUNLEVEL)
		return false;
	/* Run level 0 is what both halt and poweroff ask for. */
	if (head[2] == '0')
		*why = MAYFLY__GOODBYE__WHY__POWEROFF;
	else if (head[2] == '6')
		*why = MAYFLY__GOODBYE__WHY__REBOOT;
	else
		return false;
	return true;
}

int power_fifo(void)
{
	struct stat st;
	if (mkfifo(FIFO, 0600) < 0)
		return -errno;
	/* Both ways: without a writer it would be at its end for ever. */
	AUTO_CLOSE int fd = open(FIFO, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	return S_ISFIFO(st.st_mode) ? steal_fd(&fd) : -ENOTSUP;
}
