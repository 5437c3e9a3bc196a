// SPDX-License-Identifier: Apache-2.0
// setup.c - clock, hostname, loopback, user
#include "setup.h"

#include "accounts.h"
#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S 1000000000ull
#define MAX_PARTITIONS 15

int setup_clock(const Mayfly__Clock *clock, struct err *e)
{
	struct timespec ts = {
		.tv_sec = (time_t)(clock->realtime_ns / NS_PER_S),
		.tv_nsec = (long)(clock->realtime_ns % NS_PER_S),
	};
	if (clock_settime(CLOCK_REALTIME, &ts) < 0)
		return err_errno(e, errno, "can't set the clock");
	return 0;
}

int setup_early(const Mayfly__Setup *setup, struct err *e)
{
	if (sethostname(setup->hostname, strlen(setup->hostname)) < 0)
		return err_errno(e, errno, "can't set the hostname");
	return 0;
}

/* Any socket will do; one of IP's own would be the only use of that code before the command. */
static int loopback_up(int sock, struct err *e)
{
	struct ifreq ifr = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	if (ioctl(sock, SIOCSIFFLAGS, &ifr) < 0)
		return err_errno(e, errno, "can't set the loopback interface up");
	return 0;
}

/* The disks that the user brought are the user's, with the partitions that are on them now. */
static int give_disks(const Mayfly__Setup *setup, struct err *e)
{
	char path[32];
	for (unsigned i = 0; i < setup->own_disks && i < 26; i++) {
		snprintf(path, sizeof(path), "/dev/vd%c", 'a' + (int)i);
		if (chown(path, setup->uid, setup->gid) < 0)
			return err_errno(e, errno, "can't give '%s' to its user", path);
		for (unsigned part = 1; part <= MAX_PARTITIONS; part++) {
			snprintf(path, sizeof(path), "/dev/vd%c%u", 'a' + (int)i, part);
			if (chown(path, setup->uid, setup->gid) < 0 && errno != ENOENT)
				return err_errno(e, errno, "can't give '%s' to its user", path);
		}
	}
	return 0;
}

int setup_late(const Mayfly__Setup *setup, int sock, struct err *e)
{
	int ret = loopback_up(sock, e);
	if (ret == 0)
		ret = give_disks(setup, e);
	return ret < 0 ? ret : accounts_finish(setup, e);
}
