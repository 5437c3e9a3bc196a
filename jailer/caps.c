// SPDX-License-Identifier: Apache-2.0
// caps.c - capabilities, all five sets
#include "caps.h"

#include <errno.h>
#include <linux/securebits.h>
#include <stddef.h>
#include <sys/capability.h>
#include <sys/prctl.h>

#define SECURE                                                                                     \
	(SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP_LOCKED |                    \
	 SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE |                                   \
	 SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED)

int caps_close(void)
{
	if (cap_reset_ambient() < 0)
		return -errno;
	if (cap_get_bound(CAP_SETPCAP) != 1)
		return 0;
	for (cap_value_t c = 0; CAP_IS_SUPPORTED(c); c++)
		if (cap_drop_bound(c) < 0)
			return errno == EPERM ? 0 : -errno;
	return prctl(PR_SET_SECUREBITS, SECURE, 0, 0, 0) < 0 ? -errno : 0;
}

static int set_to(const cap_value_t *keep, int n)
{
	cap_t none = cap_init();
	int ret = none ? 0 : -ENOMEM;
	if (ret == 0 && n > 0 &&
	    (cap_set_flag(none, CAP_PERMITTED, n, keep, CAP_SET) < 0 ||
	     cap_set_flag(none, CAP_EFFECTIVE, n, keep, CAP_SET) < 0))
		ret = -errno;
	if (ret == 0 && cap_set_proc(none) < 0)
		ret = -errno;
	cap_free(none);
	return ret;
}

int caps_drop(void)
{
	return set_to(NULL, 0);
}

int caps_keep_kill(void)
{
	static const cap_value_t keep[] = {CAP_KILL};
	cap_flag_value_t has = CAP_CLEAR;
	cap_t now = cap_get_proc();
	if (!now)
		return -errno;
	cap_get_flag(now, CAP_KILL, CAP_PERMITTED, &has);
	cap_free(now);
	return set_to(keep, has == CAP_SET ? 1 : 0);
}
