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

/* Of the capabilities listed, those that this process has. */
static int keep_of(cap_t to, cap_flag_t set, const cap_value_t *list, size_t n, cap_t now)
{
	for (size_t i = 0; i < n; i++) {
		cap_flag_value_t has = CAP_CLEAR;
		if (cap_get_flag(now, list[i], CAP_PERMITTED, &has) < 0 ||
		    (has == CAP_SET && cap_set_flag(to, set, 1, &list[i], CAP_SET) < 0))
			return -errno;
	}
	return 0;
}

static int set_to(const cap_value_t *permitted, size_t n_permitted, size_t n_effective)
{
	cap_t now = cap_get_proc();
	cap_t to = cap_init();
	int ret = now && to ? 0 : -ENOMEM;
	if (ret == 0)
		ret = keep_of(to, CAP_PERMITTED, permitted, n_permitted, now);
	if (ret == 0)
		ret = keep_of(to, CAP_EFFECTIVE, permitted, n_effective, now);
	if (ret == 0 && cap_set_proc(to) < 0)
		ret = -errno;
	cap_free(to);
	cap_free(now);
	return ret;
}

int caps_drop(void)
{
	return set_to(NULL, 0, 0);
}

static const cap_value_t supervisors[] = {CAP_KILL, CAP_DAC_OVERRIDE};

int caps_supervise(void)
{
	return set_to(supervisors, 2, 1);
}

int caps_clean_up(void)
{
	return set_to(supervisors, 2, 2);
}
